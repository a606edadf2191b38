"""The whole module on one image: localisation net, θ, grid generator, sampler, output (paper, figure 2; seed 1)."""

import numpy as np

from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.motion import part
from stn_cli.draw.overlay import draw_grid, draw_plane
from stn_cli.draw.plane import View, mesh, window
from stn_cli.draw.scene import Box, Scene, Stage, number
from stn_cli.draw.scenes.diagram import ROWS, SIZE, Diagram, block, flow, middle, parameter_name, parameters
from stn_cli.draw.subject import Subject
from stn_cli.draw.text import plain


class Module(Scene):
    name = "module"
    title = "The spatial transformer module"
    lesson = (
        "Three parts, three jobs: the localisation net decides, the grid generator computes, the sampler reads. Only "
        "the first one learns."
    )
    seconds = 8.0
    longest = 192

    def __init__(self, subject: Subject, stage: Stage):
        super().__init__(subject, stage)
        one = self.subject
        self.window = window(one.in_size, [mesh(one.grid, one.align_corners, 4)[1]], one.align_corners, 0.35)

    def note(self) -> str:
        return plain(self.subject.net) or self.subject.transformation.family.name

    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        theme, one = self.theme, self.subject
        shape = (self.window[2] - self.window[0], self.window[3] - self.window[1])
        plan = Diagram(area, shape, (one.out_size[1], one.out_size[0]))
        net, theta, bend, read, fill = (
            part(t, a, b) for a, b in ((0.06, 0.2), (0.24, 0.38), (0.42, 0.58), (0.62, 0.76), (0.76, 0.94))
        )
        self._input(sheet, plan, bend)
        block(sheet, plan.net, ["localisation net", "*U* → *θ*"], lit=max(0.0, net * (1 - theta)))
        flow(sheet, (middle(plan.net)[0], plan.U[3]), middle(plan.net, "top"), theme.input, net)
        rows, left_out = self._rows()
        parameters(sheet, plan.theta, rows, left_out, theta, 0.0)
        flow(sheet, middle(plan.net, "right"), middle(plan.theta, "left"), theme.ink, theta)
        flow(sheet, middle(plan.theta, "right"), (plan.grid[0], middle(plan.theta)[1]), theme.grid, bend)
        self._grid(sheet, plan, bend)
        block(sheet, plan.sampler, ["sampler"], lit=max(0.0, read * (1 - part(t, 0.94, 1.0))))
        flow(sheet, middle(plan.U, "right"), middle(plan.sampler, "left"), theme.input, read)
        flow(sheet, (middle(plan.grid)[0], plan.grid[1] - 14), middle(plan.sampler, "bottom"), theme.grid, read)
        flow(sheet, middle(plan.sampler, "right"), middle(plan.V, "left"), theme.output, fill)
        self._output(sheet, plan, fill)

    def _rows(self) -> tuple[list[tuple[str, str, str]], int]:
        moved = self.subject.transformation
        names = moved.family.parameter_names
        identity = np.array(moved.family.identity())
        order = sorted(np.argsort(-np.abs(moved.theta - identity), kind="stable")[:ROWS].tolist())
        return [(parameter_name(names[k]), number(moved.theta[k]), "") for k in order], len(names) - len(order)

    def _input(self, sheet: Canvas, plan: Diagram, bend: float) -> None:
        one = self.subject
        view = View(one.in_size, self.window, plan.U, one.align_corners)
        draw_plane(sheet, view, self.bitmap)
        if bend > 0:
            with sheet.fade(bend):
                draw_grid(sheet, view, one.grid, cells=1, weight=0.8)
        sheet.rectangle(plan.U, stroke=self.theme.input, width=1.6)
        sheet.text((plan.U[0], plan.U[1] - 4), "input *U*", SIZE, self.theme.input, bold=True)

    def _grid(self, sheet: Canvas, plan: Diagram, shown: float) -> None:
        one = self.subject
        view = View(one.in_size, self.window, plan.grid, one.align_corners)
        sheet.rectangle(plan.grid, self.theme.plane)
        sheet.rectangle(view.image_box, stroke=self.theme.faint, width=1, dash=(3, 3))
        if shown > 0:
            with sheet.fade(shown):
                draw_grid(sheet, view, one.grid, cells=8, weight=0.7, corner=False)
        sheet.rectangle(plan.grid, stroke=self.theme.grid, width=1.6)
        label = "sampling grid *T*_{*θ*}(*G*)"
        sheet.text((plan.grid[0], plan.grid[1] - 4), label, SIZE, self.theme.grid, bold=True)

    def _output(self, sheet: Canvas, plan: Diagram, fill: float) -> None:
        output = self.subject.output
        shown = np.full((*output.shape[:2], 4), 255, np.uint8)
        shown[..., :3] = output[..., None] if output.ndim == 2 else output
        shown[round(fill * output.shape[0]) :, :, 3] = 0
        sheet.rectangle(plan.V, self.theme.plane)
        sheet.image(Bitmap(shown), plan.V)
        sheet.rectangle(plan.V, stroke=self.theme.output, width=1.6)
        sheet.text((plan.V[0], plan.V[1] - 4), "output *V*", SIZE, self.theme.output, bold=True)

    def caption(self, t: float) -> str:
        if t < 0.24:
            return "The localisation net looks at the input …"
        if t < 0.42:
            return "… and says *θ*: how this very image is to be read."
        if t < 0.6:
            return "The grid generator turns *θ* into the sampling grid: a point of the input for every output pixel."
        return "The sampler reads the input there. Every step has a gradient: the module learns with the rest."

    def legend(self):
        theme = self.theme
        entries = [(theme.input, "input"), (theme.grid, "sampling grid"), (theme.output, "output")]
        return [*entries, (theme.outside, "outside the image")] if np.abs(self.subject.grid).max() > 1.001 else entries
