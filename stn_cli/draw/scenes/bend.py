"""What the scenes `grid` and `theta` share: the sampling grid of a changing θ on the image, the output beside it."""

from abc import abstractmethod

import numpy as np

from stn_cli.core.transformation import Transformation
from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.overlay import draw_grid, draw_plane
from stn_cli.draw.plane import View, mesh, window
from stn_cli.draw.scene import Box, Scene, Stage, matrix, number, panel, panels
from stn_cli.draw.subject import Subject

STRIP = 70.0


class Bend(Scene):
    """A scene whose θ moves."""

    def __init__(self, subject: Subject, stage: Stage):
        super().__init__(subject, stage)
        one = self.subject
        self.grids: list[np.ndarray] = []
        for t in np.linspace(0, 1, 33):
            self.grids.append(mesh(self.grid_at(float(t)), one.align_corners, cells=4)[1])
        self.window = window(one.in_size, self.grids, one.align_corners)

    @abstractmethod
    def transformation(self, t: float) -> Transformation:
        """T_θ at time t."""

    @abstractmethod
    def strip(self, sheet: Canvas, box: Box, t: float) -> None:
        """What stands below the panels."""

    def grid_at(self, t: float) -> np.ndarray:
        return self.transformation(t).grid(self.subject.out_size, self.subject.align_corners)

    def boxes(self, area: Box) -> tuple[View, View]:
        left, top, right, bottom = self.window
        height, width = self.subject.out_size
        first, second = panels((*area[:3], area[3] - STRIP), [(right - left, bottom - top), (width, height)])
        align = self.subject.align_corners
        return (
            View(self.subject.in_size, self.window, first, align),
            View(self.subject.out_size, (0, 0, width, height), second, align),
        )

    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        theme, one = self.theme, self.subject
        source, target = self.boxes(area)
        grid = self.grid_at(t)
        draw_plane(sheet, source, self.bitmap)
        longer = max(source.box[2] - source.box[0], source.box[3] - source.box[1])
        draw_grid(sheet, source, grid, cells=10 if longer > 160 else 8, weight=0.85)
        self._control_points(sheet, source, t)
        sheet.image(Bitmap(one.read(grid)), target.box)
        _corner_of_output(sheet, target)
        panel(sheet, source.box, "input *U*", theme.input)
        panel(sheet, target.box, "output *V*", theme.output)
        self.strip(sheet, (area[0], area[3] - STRIP + 8, area[2], area[3] - 4), t)

    def legend(self):
        theme = self.theme
        entries = [(theme.grid, "sampling grid *T*_{*θ*}(*G*)"), (theme.output, "first row of the output")]
        if any(np.abs(grid).max() > 1.001 for grid in self.grids):
            entries.insert(1, (theme.outside, "outside the image"))
        return entries

    def _control_points(self, sheet: Canvas, view: View, t: float) -> None:
        """Where each control point of the output is found in the input, with an arrow from where it was."""
        moved = self.transformation(t)
        points = getattr(moved.family, "control_points", None)
        if points is None:
            return
        start = view.at(np.array(points))
        end = view.at(moved.theta.reshape(-1, 2))
        with sheet.clip(view.box):
            for a, b in zip(start, end, strict=True):
                sheet.arrow(a, b, self.theme.ink, 1.3, head=5.5, casing=self.theme.background)
                sheet.circle(b, 2.8, self.theme.ink, stroke=self.theme.background, width=1.0)

    def outside(self, t: float) -> float:
        """Share of the sample points outside the image."""
        return float((np.abs(self.grid_at(t)) > 1 + 1e-9).any(-1).mean())


def theta_numbers(sheet: Canvas, box: Box, moved: Transformation, highlight: tuple[int, int] | None = None) -> float:
    """θ as the matrix it makes, in `box`; for families without one, how far it bends. Returns the x where it ends."""
    x, y = box[0], (box[1] + box[3]) / 2
    entries = moved.matrix()
    if entries is None:
        identity = np.array(moved.family.identity())
        shift = np.linalg.norm((moved.theta - identity).reshape(-1, 2), axis=-1)
        what = "control points" if hasattr(moved.family, "control_points") else "displacements"
        sheet.text((x, y - 5), f"**{len(shift)} {what}**, {len(moved.theta)} numbers in *θ*", 12.5)
        sheet.text((x, y + 14), f"largest displacement {number(shift.max())}   mean {number(shift.mean())}", 12.5)
        return box[2]
    rows = entries if moved.family.name == "projective" else entries[:2]
    wide = sheet.text((x, y + 4.5), "*T*_{*θ*} = ", 13.5)
    shown = [[number(float(value)) for value in row] for row in rows]
    return x + wide + 4 + matrix(sheet, (x + wide + 4, y), shown, 12.5, highlight)


def _corner_of_output(sheet: Canvas, view: View) -> None:
    """The mark of the first row, where it belongs in the output."""
    left, top, right, _ = view.box
    theme = sheet.theme
    start = (left + 6, top + 6)
    sheet.arrow(
        start, (left + max(20, (right - left) / 4), top + 6), theme.output, 2.2, head=8, casing=theme.background
    )
    sheet.circle(start, 3.6, theme.output, stroke=theme.background, width=1.2)
