"""One sample point moves between its four neighbours: distances, areas, weights, sum (seeds 1 and 5)."""

from math import cos, pi, sin

import numpy as np

from stn_cli.core.coordinates import normalised
from stn_cli.draw.canvas import Canvas
from stn_cli.draw.motion import ease
from stn_cli.draw.overlay import draw_plane
from stn_cli.draw.plane import View
from stn_cli.draw.scene import Box, Scene, Stage, ink_on, number
from stn_cli.draw.scenes.cells import KIND_NAMES, Formulas, Sample, cell_lines, plain
from stn_cli.draw.subject import Subject

REACH = 1.75  # pixels shown on each side of the middle of the path
FACTORS = ("*d*_{y} · *d*_{x}", "*d*_{y} · (1 − *d*_{x})", "(1 − *d*_{y}) · *d*_{x}", "(1 − *d*_{y}) · (1 − *d*_{x})")


class Bilinear(Scene):
    name = "bilinear"
    title = "Bilinear interpolation"
    lesson = (
        "The weight of a neighbour is the area on the opposite side of the sample point. The weights are areas, so they "
        "are positive, add up to one, and change smoothly: this is what makes the sampler differentiable."
    )
    seconds = 8.0
    longest = 40

    def prepare(self, subject: Subject) -> Subject:
        return plain(subject.reduced(self.longest))

    def __init__(self, subject: Subject, stage: Stage):
        super().__init__(subject, stage)
        self.middle = _edge(self.subject.image)

    def note(self) -> str:
        return "the sampler"

    def point(self, t: float) -> np.ndarray:
        """The sample point at time t, in pixels of the input: it goes once around and ends where it began."""
        angle = 2 * pi * ease(t)
        return self.middle + np.array([0.55 * cos(angle) + 0.1, 0.42 * sin(angle) - 0.3 + 0.06 * sin(2 * angle)])

    def sample(self, t: float) -> Sample:
        one = self.subject
        grid = normalised(self.point(t)[None, None], one.in_size, one.align_corners)
        return Formulas(one, grid).sample(0, 0)

    def view(self, area: Box) -> View:
        side = min(area[3] - area[1], (area[2] - area[0]) * 0.5)
        top = (area[1] + area[3] - side) / 2
        x, y = self.middle + 0.5
        box = (area[0], top, area[0] + side, top + side)
        return View(self.subject.in_size, (x - REACH, y - REACH, x + REACH, y + REACH), box, self.subject.align_corners)

    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        view = self.view(area)
        one = self.sample(t)
        draw_plane(sheet, view, self.bitmap)
        cell_lines(sheet, view)
        lit = min(3, int(ease(t) * 4))
        with sheet.clip(view.box):
            self._areas(sheet, view, one, lit)
        sheet.rectangle(view.box, stroke=self.theme.input, width=1.6)
        self._table(sheet, (view.box[2] + 16, view.box[1], area[2], view.box[3]), one, lit)

    def caption(self, t: float) -> str:
        if t < 0.5:
            return "A neighbour counts as much as the area on the far side of the sample point: near is heavy."
        return (
            "*d*_{x} and *d*_{y} are the distances to the right and the lower neighbours; the four areas add up to 1."
        )

    def legend(self):
        theme = self.theme
        return [(theme.grid, "sample point"), (theme.input, "neighbour and its area"), (theme.output, "output *V*")]

    def _areas(self, sheet: Canvas, view: View, one: Sample, lit: int) -> None:
        theme = self.theme
        centres = [view.at_pixel(*corner) for corner in one.corners]
        (left, top), (right, bottom) = centres[0], centres[3]
        x, y = view.at_pixel(one.x, one.y)
        # The area of a neighbour is the one opposite to it.
        areas = ((x, y, right, bottom), (left, y, x, bottom), (x, top, right, y), (left, top, x, y))
        sheet.rectangle((left, top, right, bottom), theme.background, fill_opacity=0.55)
        sheet.rectangle(areas[lit], theme.input, fill_opacity=0.65)
        for area, weight in zip(areas, one.weights, strict=True):
            sheet.rectangle(area, stroke=theme.ink, width=0.9)
            if min(area[2] - area[0], area[3] - area[1]) > 14:
                middle = ((area[0] + area[2]) / 2, (area[1] + area[3]) / 2 + 4)
                room = area[2] - area[0] - 2
                sheet.text(
                    middle, number(float(weight)), 11.5, anchor="middle", bold=True, room=room, halo=theme.background
                )
        sheet.line([(x, bottom), (right, bottom)], theme.grid, 3.0, casing=theme.background)
        sheet.line([(right, y), (right, bottom)], theme.grid, 3.0, casing=theme.background)
        if right - x > 30:
            at = ((x + right) / 2 - 5, bottom + 14)
            sheet.text(at, "*d*_{x}", 13, theme.grid, anchor="middle", halo=theme.background)
        if bottom - y > 30:
            sheet.text((right + 6, (y + bottom) / 2), "*d*_{y}", 13, theme.grid, halo=theme.background)
        for which, (centre, value) in enumerate(zip(centres, one.values, strict=True)):
            here = which == lit
            sheet.circle(
                centre,
                13 if here else 11,
                _grey(value),
                stroke=theme.input if here else theme.muted,
                width=2.6 if here else 1.2,
            )
            size = 10.0
            sheet.text((centre[0], centre[1] + size * 0.36), str(round(value)), size, ink_on(value), anchor="middle")
        sheet.circle((x, y), 4.5, theme.grid, stroke=theme.background, width=1.4)

    def _table(self, sheet: Canvas, box: Box, one: Sample, lit: int) -> None:
        theme = self.theme
        x, right = box[0], box[2]
        step = min(20.0, (box[3] - box[1]) / 10)
        y = (box[1] + box[3]) / 2 - 4.2 * step
        sheet.text((x, y), f"(*x*, *y*) = ({number(one.x)}, {number(one.y)})", 12.5, theme.grid, bold=False)
        y += step
        sheet.text((x, y), f"*d*_{{x}} = {number(one.d_x)}    *d*_{{y}} = {number(one.d_y)}", 12.5, theme.grid)
        y += step * 1.5
        for which, (name, factor) in enumerate(zip(KIND_NAMES, FACTORS, strict=True)):
            here = which == lit
            if here:
                sheet.rectangle((x - 5, y - 13, right, y + step + 4), theme.input, radius=4, fill_opacity=0.16)
            value, weight = float(one.values[which]), float(one.weights[which])
            sheet.text((x, y), name, 11, theme.input, bold=True)
            sheet.text((right - 4, y), factor, 11, theme.muted, anchor="end")
            product = f"{number(weight)} · {round(value)} = {number(weight * value, 1)}"
            sheet.text((right - 4, y + step * 0.85), product, 12, anchor="end", bold=here)
            y += step * 1.9
        sheet.line([(x, y - step * 0.75), (right, y - step * 0.75)], theme.muted, 1.0)
        y += step * 0.25
        wide = sheet.text((x, y), f"*V* = **{number(one.V, 1)}**", 15, theme.output)
        sheet.rectangle((x + wide + 10, y - 13, x + wide + 30, y + 3), _grey(one.V), stroke=theme.output, width=1.6)


def _grey(value: float) -> str:
    level = round(min(255.0, max(0.0, float(value))))
    return f"#{level:02x}{level:02x}{level:02x}"


def _edge(image: np.ndarray) -> np.ndarray:
    """A pixel (x, y), away from the border where it can be, around which the values differ most in both directions."""
    padded = np.pad(image.astype(float), 1, mode="edge")
    across, down = np.abs(np.gradient(padded, axis=1)), np.abs(np.gradient(padded, axis=0))
    score = np.minimum(across, down)[1:-1, 1:-1] + 0.2 * (across + down)[1:-1, 1:-1]
    height, width = image.shape
    y, x = np.indices(image.shape)
    rim = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
    score = np.where(rim >= min(2, (min(height, width) - 1) // 2), score + 1e-3, 0)
    row, column = np.unravel_index(int(np.argmax(score)), score.shape)
    return np.array([float(column), float(row)])
