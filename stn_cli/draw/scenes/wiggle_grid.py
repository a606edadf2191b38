"""One entry of the sampling grid moves: one output pixel changes (seed 5, "Gradient w.r.t. sampling grid coordinates")."""

from math import cos, pi, sin

import numpy as np

from stn_cli.core.coordinates import normalised
from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.motion import ease
from stn_cli.draw.scene import Box, Stage, number
from stn_cli.draw.scenes.cells import Formulas
from stn_cli.draw.scenes.wiggle import Wiggle, grey
from stn_cli.draw.subject import Subject

SWING = 0.75  # pixels


class WiggleGrid(Wiggle):
    name = "wiggle-grid"
    title = "One entry of the sampling grid moves"
    lesson = (
        "One entry of the grid feeds one output pixel. How much that pixel changes with x and with y is the difference "
        "between right and left, or lower and upper neighbours, weighted by nearness."
    )
    seconds = 7.0

    def __init__(self, subject: Subject, stage: Stage):
        super().__init__(subject, stage)
        across, down = self.base.slopes
        height, width = self.subject.in_size
        # All four neighbours in the image, also on the way: the slope against the padding outside would be the steepest.
        rim = np.minimum(self.subject.points, [width - 1, height - 1] - self.subject.points).min(-1)
        score = np.abs(across) + np.abs(down) + 1e3 * np.minimum(rim, SWING)
        self.row, self.column = (int(v) for v in np.unravel_index(int(np.argmax(score)), score.shape))

    def moved(self, t: float) -> np.ndarray:
        """The sampling grid at time t: one entry goes around its place, and ends there."""
        one = self.subject
        angle, out = 2 * pi * ease(t), sin(pi * ease(t))
        points = one.points.copy()
        points[self.row, self.column] += SWING * out * np.array([cos(2 * angle), sin(2 * angle)])
        return normalised(points, one.in_size, one.align_corners)

    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        theme = self.theme
        source, target = self.boxes(area)
        grid = self.moved(t)
        now = Formulas(self.subject, grid)
        self.stage_panels(sheet, source, target, self.bitmap, Bitmap(grey(now.V)))
        self.net(sheet, source, grid)
        one = now.sample(self.row, self.column)
        at, rest = source.at(grid[self.row, self.column]), source.at(self.subject.grid[self.row, self.column])
        with sheet.clip(source.box):
            for corner, inside in zip(one.corners, one.inside, strict=True):
                if inside:
                    sheet.rectangle(source.cell(*corner), stroke=theme.input, width=1.8)
            sheet.line([rest, at], theme.muted, 1.2, dash=(2.5, 2.5))
            slope = np.array(one.slope)
            reach = source.zoom * 1.3 * slope / max(1e-9, np.abs(np.hypot(*self.base.slopes)).max(), np.hypot(*slope))
            sheet.arrow(at, at + reach, theme.gradient, 2.2, head=8, casing=theme.background)
            sheet.circle(at, 4.2, theme.grid, stroke=theme.background, width=1.4)
        sheet.rectangle(target.cell(self.column, self.row), stroke=theme.output, width=2.6)
        self._numbers(sheet, (area[0], area[3] - self.strip_height + 10, area[2], area[3]), one)

    def caption(self, t: float) -> str:
        if t < 0.45:
            return "Every other output pixel stays as it is: each one reads with its own entry of the grid."
        return "The slope of *V* at the sample point is what the sampler hands back to the grid."

    def _numbers(self, sheet: Canvas, strip: Box, one) -> None:
        theme = self.theme
        x, y = strip[0], strip[1] + 14
        ul, ur, ll, lr = (round(float(v)) for v in one.values)
        middle = (strip[0] + strip[2]) * 0.5
        room = strip[2] - strip[0] - 96
        sheet.text((x, y), f"(*x*, *y*) = ({number(one.x)}, {number(one.y)})", 12, theme.grid)
        sheet.text((middle - 34, y), f"*d*_{{x}} = {number(one.d_x)}   *d*_{{y}} = {number(one.d_y)}", 12, theme.grid)
        down, across = number(1 - one.d_y), number(1 - one.d_x)
        sheet.text(
            (x, y + 21),
            f"∂*V*/∂*x* = {down} · ({lr} − {ll}) + {number(one.d_y)} · ({ur} − {ul}) = **{number(one.slope[0], 1)}**",
            12.5, theme.gradient, room=room,
        )  # fmt: skip
        sheet.text(
            (x, y + 42),
            f"∂*V*/∂*y* = {across} · ({lr} − {ur}) + {number(one.d_x)} · ({ll} − {ul}) = **{number(one.slope[1], 1)}**",
            12.5, theme.gradient, room=room,
        )  # fmt: skip
        sheet.text((strip[2], y + 32), f"*V* = **{number(one.V, 0)}**", 17, theme.output, anchor="end")
