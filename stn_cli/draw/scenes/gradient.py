"""The gradient flows back: from V through the sampler to U and the grid, to θ, into the localisation net (seed 5)."""

from typing import SupportsFloat

import numpy as np

from stn_cli.core.transformation import Transformation
from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.motion import between, part
from stn_cli.draw.overlay import draw_plane
from stn_cli.draw.plane import View, mesh, window
from stn_cli.draw.scene import Box, Scene, Stage, number
from stn_cli.draw.scenes.cells import Formulas, plain
from stn_cli.draw.scenes.diagram import (
    ROWS,
    SIZE,
    Diagram,
    block,
    flow,
    middle,
    parameter_name,
    parameters,
    picture,
    signed_map,
)
from stn_cli.draw.subject import Subject
from stn_cli.draw.text import width

FORWARD = 0.30  # the share of the time in which the values flow forward
NOW = 0.6  # how much of the way to the given θ the net has gone
BLOCKS = 7  # arrows across the grid


class Gradient(Scene):
    name = "gradient"
    title = "The gradient flows back"
    lesson = (
        "Follow the purple arrows: from the loss to V, through the sampler to U and to the grid, through the grid "
        "generator to a few numbers, and those train the localisation net."
    )
    seconds = 11.0
    longest = 28

    def prepare(self, subject: Subject) -> Subject:
        """θ is not there yet: the loss compares V with the output V′ that the given θ would make."""
        subject = plain(subject.reduced(self.longest))
        self.wanted = subject.transformation
        self.current = _not_yet(self.wanted, subject.in_size)
        return subject

    def __init__(self, subject: Subject, stage: Stage):
        super().__init__(subject, stage)
        one = self.subject
        self.grid = self.grid_of(self.current)
        self.formulas = Formulas(one, self.grid)
        self.V = self.formulas.V / 255
        self.V_wanted = Formulas(one, self.grid_of(self.wanted)).V / 255
        self.dL_dV = self.V - self.V_wanted
        self.L = self.loss(self.current)
        # The formulas are linear in U, which is in grey levels there and from 0 to 1 here.
        self.dL_dU = self.formulas.dL_dU(self.dL_dV)
        self.dL_dgrid = self.formulas.dL_dgrid(self.dL_dV) / 255
        self.dL_dtheta = grid_backward(self.current, self.dL_dgrid, one.align_corners)
        self.rate, self.L_after = self._step()
        self.window = window(one.in_size, [mesh(self.grid, one.align_corners, 4)[1]], one.align_corners, 0.35)

    def grid_of(self, transformation: Transformation) -> np.ndarray:
        return transformation.grid(self.subject.out_size, self.subject.align_corners)

    def loss(self, transformation: Transformation) -> float:
        """L = ½ Σ (V - V′)² at another θ, values from 0 to 1."""
        V = Formulas(self.subject, self.grid_of(transformation)).V / 255
        return 0.5 * float(((V - self.V_wanted) ** 2).sum())

    def _step(self) -> tuple[float, float]:
        """A step of gradient descent that helps, found by halving: (rate, loss after it)."""
        rate = 0.25 / max(1e-12, float(np.abs(self.dL_dtheta).max()))
        for _ in range(40):
            after = self.loss(Transformation(self.current.family, self.current.theta - rate * self.dL_dtheta))
            if after < self.L:
                return rate, after
            rate /= 2
        return 0.0, self.L

    def note(self) -> str:
        return f"backpropagation · {self.subject.transformation.family.name}"

    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        one = self.subject
        shape = (self.window[2] - self.window[0], self.window[3] - self.window[1])
        plan = Diagram(area, shape, (one.out_size[1], one.out_size[0]), loss=True)
        ahead = [part(t, FORWARD * k / 6, FORWARD * (k + 1.2) / 6) for k in range(6)]
        start, share = FORWARD + 0.02, (0.96 - FORWARD) / 5
        back = [part(t, start + share * k, start + share * (k + 0.55)) for k in range(5)]
        self._parts(sheet, plan, back)
        self._forward(sheet, plan, ahead)
        self._backward(sheet, plan, back)

    def _parts(self, sheet: Canvas, plan: Diagram, back: list[float]) -> None:
        theme, one = self.theme, self.subject
        dL_dV, dL_dU, dL_dgrid, dL_dtheta, into_net = back
        source = View(one.in_size, self.window, plan.U, one.align_corners)
        draw_plane(sheet, source, self.bitmap)
        if dL_dU > 0:
            with sheet.clip(source.box):
                sheet.image(Bitmap(signed_map(self.dL_dU, theme)), source.image_box, opacity=dL_dU)
        sheet.rectangle(plan.U, stroke=theme.input, width=1.6)
        sheet.text((plan.U[0], plan.U[1] - 4), "input *U*", SIZE, theme.input, bold=True)
        V = np.clip(np.floor(self.V * 255 + 0.5), 0, 255).astype(np.uint8)
        picture(sheet, plan.V, Bitmap(V), "output *V*", theme.output)
        if dL_dV > 0:
            sheet.image(Bitmap(signed_map(self.dL_dV, theme)), plan.V, opacity=dL_dV)
            sheet.rectangle(plan.V, stroke=theme.output, width=1.6)
        self._grid(sheet, plan, dL_dgrid)
        block(sheet, plan.sampler, ["sampler"])
        block(sheet, plan.net, ["localisation net", "weights are updated here" if into_net > 0 else "*U* → *θ*"])
        rows, left_out = self._rows()
        parameters(sheet, plan.theta, rows, left_out, 1.0, dL_dtheta)
        sheet.circle(plan.L, 12, theme.plane, stroke=theme.muted, width=1.2)
        sheet.text((plan.L[0], plan.L[1] + 4.5), "*L*", 13, anchor="middle")

    def _grid(self, sheet: Canvas, plan: Diagram, shown: float) -> None:
        """The sampling grid, and where the loss would have its points go less: one arrow for each block of them."""
        theme, one = self.theme, self.subject
        view = View(one.in_size, self.window, plan.grid, one.align_corners)
        sheet.rectangle(plan.grid, theme.plane)
        lines, border = mesh(self.grid, one.align_corners, 8)
        with sheet.clip(plan.grid):
            sheet.lines([view.at(line) for line in lines], theme.grid, 0.7, opacity=1 - 0.55 * shown)
            sheet.line(view.at(border), theme.grid, 1.6, closed=True)
            if shown > 0:
                for at, slope in self._arrows(view):
                    sheet.arrow(at, at + slope * shown, theme.gradient, 1.3, head=5)
        sheet.rectangle(plan.grid, stroke=theme.grid, width=1.6)
        label = "sampling grid *T*_{*θ*}(*G*)"
        sheet.text((plan.grid[0], plan.grid[1] - 4), label, SIZE, theme.grid, bold=True)

    def _arrows(self, view: View):
        rows, columns = self.grid.shape[:2]
        step_r, step_c = max(1, rows // BLOCKS), max(1, columns // BLOCKS)
        found = []
        for r in range(0, rows, step_r):
            for c in range(0, columns, step_c):
                here = (slice(r, r + step_r), slice(c, c + step_c))
                found.append((self.grid[here].mean((0, 1)), self.dL_dgrid[here].sum((0, 1))))
        longest = max(1e-12, max(float(np.hypot(*slope)) for _, slope in found))
        reach = (view.box[2] - view.box[0]) / BLOCKS * 1.5
        return [(view.at(at), slope / longest * reach) for at, slope in found]

    def _rows(self) -> tuple[list[tuple[str, str, str]], int]:
        """The parameters whose gradients are largest, in their own order."""
        names = self.current.family.parameter_names
        order = sorted(np.argsort(-np.abs(self.dL_dtheta), kind="stable")[:ROWS].tolist())
        rows = [(parameter_name(names[k]), number(self.current.theta[k]), _short(self.dL_dtheta[k])) for k in order]
        return rows, len(names) - len(rows)

    def _forward(self, sheet: Canvas, plan: Diagram, ahead: list[float]) -> None:
        theme = self.theme
        for share, start, end, colour in (
            (ahead[0], (middle(plan.net)[0], plan.U[3]), middle(plan.net, "top"), theme.input),
            (ahead[1], middle(plan.net, "right"), middle(plan.theta, "left"), theme.ink),
            (ahead[2], middle(plan.theta, "right"), (plan.grid[0], middle(plan.theta)[1]), theme.grid),
            (ahead[3], (middle(plan.grid)[0], plan.grid[1] - 12), middle(plan.sampler, "bottom"), theme.grid),
            (ahead[3], middle(plan.U, "right"), middle(plan.sampler, "left"), theme.input),
            (ahead[4], middle(plan.sampler, "right"), middle(plan.V, "left"), theme.output),
            (ahead[5], middle(plan.V, "right"), (plan.L[0] - 12, plan.L[1]), theme.ink),
        ):
            flow(sheet, start, end, colour, share, shift=-4, width=1.5)

    def _backward(self, sheet: Canvas, plan: Diagram, back: list[float]) -> None:
        colour = self.theme.gradient
        for share, end, start in (
            (back[0], middle(plan.V, "right"), (plan.L[0] - 12, plan.L[1])),
            (back[1], middle(plan.sampler, "right"), middle(plan.V, "left")),
            (back[1], middle(plan.U, "right"), middle(plan.sampler, "left")),
            (back[2], (middle(plan.grid)[0], plan.grid[1] - 12), middle(plan.sampler, "bottom")),
            (back[3], middle(plan.theta, "right"), (plan.grid[0], middle(plan.theta)[1])),
            (back[4], middle(plan.net, "right"), middle(plan.theta, "left")),
        ):
            flow(sheet, start, end, colour, share, shift=-4, width=2.2)
        norm = np.linalg.norm
        x = (plan.U[2] + plan.sampler[0]) / 2
        for share, at, text, anchor in (
            (back[0], (plan.V[0], plan.V[3] + 14), f"‖∂*L*/∂*V*‖ = **{number(norm(self.dL_dV))}**", "start"),
            (back[1], (x, plan.L[1] + 22), f"‖∂*L*/∂*U*‖ = **{number(norm(self.dL_dU))}**", "middle"),
            (
                back[2],
                (plan.grid[2] + 8, plan.grid[1] + 14),
                "‖∂*L*/∂*T*_{*θ*}(*G*)‖",
                "start",
            ),
            (back[2], (plan.grid[2] + 8, plan.grid[1] + 30), f"= **{number(norm(self.dL_dgrid))}**", "start"),
            (
                back[3],
                (plan.theta[0], plan.theta[1] - 18),
                f"‖∂*L*/∂*θ*‖ = **{number(norm(self.dL_dtheta))}**",
                "start",
            ),
        ):
            if share > 0:
                # The renderer's typeface has no double bar: two bars stand for a norm.
                said = text.replace("‖", "||")
                room = plan.area[2] - at[0] if anchor == "start" else None
                sheet.text(at, said, SIZE + 0.5, colour, anchor=anchor, opacity=share, room=_fit(said, room))
        if back[4] > 0:
            y = plan.theta[3] - 20
            x = plan.grid[2] + 8
            room = plan.area[2] - x
            said = "one step of descent:"
            sheet.text((x, y), said, SIZE + 0.5, opacity=back[4], room=_fit(said, room))
            said = f"*L* {number(self.L)} → **{number(self.L_after)}**"
            sheet.text((x, y + 17), said, SIZE + 1.5, opacity=back[4], room=_fit(said, room))

    def caption(self, t: float) -> str:
        if t < FORWARD:
            return "Forward through net, grid generator and sampler. *L* = ½ Σ (*V* − *V*′)², *V*′ the output wanted."
        texts = (
            "How the loss changes with each output pixel: purple should be darker, blue brighter.",
            "The sampler hands it on to the input: each pixel adds up the shares of all samples that use it.",
            "And to the sampling grid: times the slope of *U* at each point, the way the loss grows fastest.",
            "The grid generator adds it up over all points: a few numbers, one a parameter of *θ*.",
            "The localisation net takes them from here, and learns: sampler and grid generator have no weights.",
        )
        share = (0.96 - FORWARD) / 5
        return texts[min(4, max(0, int((t - FORWARD - 0.02) / share)))]

    def legend(self):
        theme = self.theme
        return [
            (theme.input, "input"),
            (theme.grid, "sampling grid"),
            (theme.output, "output"),
            (theme.gradient, "gradient"),
        ]


def grid_backward(transformation: Transformation, dL_dgrid: np.ndarray, align_corners: bool) -> np.ndarray:
    """∂L/∂θ from ∂L/∂T_θ(G) (H', W', 2): by hand for affine maps, else through the family's own torch form."""
    import torch

    from stn_cli.core import backprop
    from stn_cli.core.coordinates import target_grid

    out_size = dL_dgrid.shape[:2]
    given = torch.from_numpy(np.ascontiguousarray(dL_dgrid))[None]
    if transformation.family.name == "affine":
        G = torch.from_numpy(target_grid(np, out_size, align_corners))
        return backprop.dL_dtheta(given, G)[0].numpy()
    theta = torch.tensor(transformation.theta, requires_grad=True)
    grid = transformation.family.grid(theta, out_size, align_corners=align_corners)
    return torch.autograd.grad(grid, theta, given)[0].numpy()


def _short(value: SupportsFloat) -> str:
    return number(value, 1 if abs(float(value)) < 100 else 0)


def _not_yet(wanted: Transformation, size: tuple[int, int]) -> Transformation:
    identity = np.array(wanted.family.identity())
    if np.abs(wanted.theta - identity).max() > 1e-6:
        return between(wanted, NOW, size)
    theta = identity.copy()
    theta[:2] += 0.15
    return Transformation(wanted.family, theta)


def _fit(said: str, room: float | None) -> float | None:
    """The room to shrink a text to, where it needs it."""
    return room if room is not None and width(said, SIZE + 1.5) > room else None
