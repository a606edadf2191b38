"""The same test digits over the course of training: where the net looks, and what the classifier sees."""

from dataclasses import replace

import numpy as np

from stn_cli.core.transformation import Transformation
from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.history import History
from stn_cli.draw.motion import ease, part
from stn_cli.draw.plane import View, mesh, place
from stn_cli.draw.scene import Box, Scene, Stage, number
from stn_cli.draw.subject import Subject
from stn_cli.draw.text import plain

CURVE = 62.0  # units: the curve of the test error below
MOST = 6  # digits shown
STILL = 0.45  # of the time of an epoch nothing moves


class Training(Scene):
    name = "training"
    title = "Learning to look"
    lesson = (
        "Nobody told the net what upright is. Class labels alone teach it where to look, because the classifier does "
        "better so."
    )
    seconds = 9.0

    def __init__(self, history: History, stage: Stage):
        self.history = history
        count = min(MOST, len(history.images))
        self.count = count
        first = Transformation(history.family, history.theta[0, 0])
        super().__init__(Subject(history.images[0], first), stage)
        self.subjects = [
            replace(self.subject, image=image, wanted_size=(history.out_side,) * 2) for image in history.images[:count]
        ]
        self.bitmaps = [Bitmap(image) for image in history.images[:count]]

    def note(self) -> str:
        return plain(self.history.name)

    def moment(self, t: float) -> tuple[int, float]:
        """(recorded epoch, how far on the way to the next): most of the time nothing moves, and then θ goes straight."""
        last = len(self.history.epochs) - 1
        at = min(max(t, 0.0), 1.0) * last
        index = min(int(at), max(0, last - 1))
        return index, ease(part(at - index, STILL, 1.0)) if last else 0.0

    def theta(self, t: float, digit: int) -> np.ndarray:
        index, share = self.moment(t)
        theta = self.history.theta[:, digit]
        return theta[index] if share == 0 else theta[index] + (theta[index + 1] - theta[index]) * share

    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        left, top, right, bottom = area
        columns = self.count if self.count <= 2 else 3
        rows = -(-self.count // columns)
        wide, high = (right - left) / columns, (bottom - CURVE - top) / rows
        side = min((wide - 14) / 2.05, high - 6)
        for digit in range(self.count):
            row, column = divmod(digit, columns)
            x = left + column * wide + (wide - 2.05 * side - 4) / 2
            y = top + row * high + (high - side) / 2
            self._digit(sheet, (x, y, x + 2.05 * side, y + side), side, digit, t)
        self._curve(sheet, (left, bottom - CURVE + 14, right, bottom), t)

    def _digit(self, sheet: Canvas, box: Box, side: float, digit: int, t: float) -> None:
        theme, one = self.theme, self.subjects[digit]
        height, width = one.in_size
        margin = 0.22
        shown = (-margin * width, -margin * height, width * (1 + margin), height * (1 + margin))
        source = View(one.in_size, shown, (box[0], box[1], box[0] + side, box[1] + side))
        moved = Transformation(self.history.family, self.theta(t, digit))
        grid = moved.grid(one.out_size)
        sheet.rectangle(source.box, theme.plane)
        with sheet.clip(source.box):
            sheet.image(self.bitmaps[digit], source.image_box)
            edge = source.at(mesh(grid, cells=4)[1])
            sheet.line(edge, theme.grid, 2.0, closed=True, casing=theme.background)
            if np.isfinite(edge[0]).all():
                sheet.circle(edge[0], 3.0, theme.output, stroke=theme.background, width=1.0)
        sheet.rectangle(source.box, stroke=theme.input, width=1.2)
        target = place((1, 1), (box[2] - side, box[1], box[2], box[1] + side))
        sheet.image(Bitmap(one.read(grid)), target)
        sheet.rectangle(target, stroke=theme.output, width=1.2)

    def _curve(self, sheet: Canvas, box: Box, t: float) -> None:
        theme, history = self.theme, self.history
        errors = 100 * np.array(history.test_error)
        top = max(1e-6, float(errors.max()))
        left, right = box[0] + 124, box[2] - 6
        last = max(1, len(errors) - 1)
        points = [
            (left + (right - left) * k / last, box[3] - 14 - (box[3] - 18 - box[1]) * e / top)
            for k, e in enumerate(errors)
        ]
        index, share = self.moment(t)
        sheet.line([(left, box[3] - 14), (right, box[3] - 14)], theme.faint, 1)
        sheet.line(points, theme.faint, 1.6)
        sheet.line(points[: index + 1], theme.ink, 2.2)
        shown = index + round(share)
        if shown > index:
            sheet.line(points[index : shown + 1], theme.ink, 2.2)
        sheet.circle(points[shown], 4, theme.ink, stroke=theme.background, width=1.4)
        sheet.text((left, box[3] - 1), "0", 9.5, theme.muted, anchor="middle")
        sheet.text((right, box[3] - 1), f"{history.epochs[-1]}", 9.5, theme.muted, anchor="middle")
        sheet.text((box[0], box[1] + 16), f"epoch **{history.epochs[shown]}**", 13)
        sheet.text((box[0], box[1] + 34), f"test error **{number(errors[shown], 1)} %**", 12)

    def caption(self, t: float) -> str:
        if t < 0.15:
            return "Before the training the net says the identity for every digit."
        if t < 0.9:
            return "Nobody says what upright is: only the class labels teach the localisation net where to look."
        return "After the training: what the classifier sees is what helps it most."

    def legend(self):
        theme = self.theme
        return [
            (theme.input, "test digit"),
            (theme.grid, "where the net looks"),
            (theme.output, "what the classifier sees"),
        ]
