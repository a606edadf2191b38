"""What every scene shares: the frame with its title, legend and caption, and the panels inside."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, SupportsFloat

import numpy as np

from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.subject import Subject
from stn_cli.draw.text import balance, width
from stn_cli.draw.theme import Theme

Box = tuple[float, float, float, float]  # left, top, right, bottom

UNITS = (480.0, 360.0)  # every sheet has at least these; text sizes are in them
EDGE = 14.0
HEADER = 36.0
LEGEND = 20.0
CAPTION = 36.0
LABEL = 17.0  # above a panel
GAP = 16.0


@dataclass(frozen=True)
class Stage:
    """The frame of a film in pixels, its colours, and whether titles and captions are shown."""

    width: int
    height: int
    theme: Theme
    captions: bool = True

    @property
    def scale(self) -> float:
        """Pixels a unit."""
        return min(self.width / UNITS[0], self.height / UNITS[1])

    def sheet(self) -> Canvas:
        return Canvas(self.width / self.scale, self.height / self.scale, self.theme, self.scale)


class Scene(ABC):
    """A function of time to a picture. Everything it shows is worked out by `core` in its constructor or in `draw`."""

    name: ClassVar[str]
    title: ClassVar[str]
    seconds: ClassVar[float]
    """How long it moves; the film adds a pause at the end."""
    lesson: ClassVar[str]
    """What to tell the students, in a sentence or two of plain text."""
    longest: ClassVar[int] = 256
    """The image is reduced to at most so many pixels a side."""

    def __init__(self, subject: Subject, stage: Stage):
        self.stage, self.theme = stage, stage.theme
        self.subject = self.prepare(subject)
        self.bitmap = Bitmap(self.subject.image)

    def prepare(self, subject: Subject) -> Subject:
        """The subject as this scene shows it."""
        return subject.reduced(self.longest)

    @abstractmethod
    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        """The picture at time t in [0, 1] within `area` of the sheet."""

    @abstractmethod
    def caption(self, t: float) -> str:
        """What to notice at time t, in one or two lines (markup)."""

    @abstractmethod
    def legend(self) -> Sequence[tuple[str, str]]:
        """(colour, label) of the objects shown."""

    def note(self) -> str:
        """A few words at the right of the title: which family."""
        return self.subject.transformation.family.name

    def frame(self, t: float) -> Canvas:
        """The whole frame at time t in [0, 1]."""
        sheet = self.stage.sheet()
        top, bottom = EDGE - 4, sheet.height - 8
        if self.stage.captions:
            top = HEADER
            wide = sheet.text((EDGE, 25), self.title, 15.5, bold=True)
            room = sheet.width - 2 * EDGE - wide - 12
            sheet.text((sheet.width - EDGE, 25), self.note(), 11.5, self.theme.muted, anchor="end", room=room)
            bottom -= CAPTION
            self._caption(sheet, bottom, self.caption(t))
        legend(sheet, bottom - 5, self.legend())
        self.draw(sheet, (EDGE, top, sheet.width - EDGE, bottom - LEGEND), t)
        return sheet

    def _caption(self, sheet: Canvas, top: float, markup: str) -> None:
        size, room = 12.0, sheet.width - 2 * EDGE
        lines = balance(markup, size, room)
        while len(lines) > 2 and size > 9:
            size -= 0.5
            lines = balance(markup, size, room)
        for number, line in enumerate(lines):
            sheet.text((EDGE, top + 15 + number * 15.5), line, size, self.theme.ink)


def legend(sheet: Canvas, baseline: float, entries: Sequence[tuple[str, str]], size: float = 10.5) -> None:
    """Swatches with their names in one line, made smaller if they do not fit."""
    if not entries:
        return
    room = sum(width(label, size) + 28 for _, label in entries) - 12
    scale = min(1.0, (sheet.width - 2 * EDGE) / room)
    x = EDGE
    for colour, label in entries:
        sheet.circle((x + 4.5 * scale, baseline - 3.7 * scale), 4.4 * scale, colour)
        x += 13 * scale
        x += sheet.text((x, baseline), label, size * scale, sheet.theme.muted) + 14 * scale


def panel(sheet: Canvas, box: Box, label: str, colour: str, note: str = "") -> None:
    """The name of a panel above it, its frame in the colour of what it shows, a note at the right."""
    left, top, right, _ = box
    sheet.rectangle(box, stroke=colour, width=1.6)
    wide = sheet.text((left, top - 5), label, 11.5, colour, bold=True, room=right - left)
    if note and right - left - wide > width(note, 10.5) + 6:
        sheet.text((right, top - 5), note, 10.5, sheet.theme.muted, anchor="end")


def panels(area: Box, shapes: Sequence[tuple[float, float]], *, gap: float = GAP, label: float = LABEL) -> list[Box]:
    """Boxes of the proportions `shapes` (width, height), as large as `area` allows, side by side or one above the other.

    All have one scale: a pixel of the output is drawn as large as one of the input.
    """
    left, top, right, bottom = area
    count = len(shapes)
    wide, high = right - left, bottom - top
    beside = min((wide - gap * (count - 1)) / sum(w for w, _ in shapes), (high - label) / max(h for _, h in shapes))
    above = min(wide / max(w for w, _ in shapes), (high - count * label - 4 * (count - 1)) / sum(h for _, h in shapes))
    boxes: list[Box] = []
    if beside >= above:
        total = sum(w for w, _ in shapes) * beside + gap * (count - 1)
        x = (left + right - total) / 2
        y = top + label + (high - label - max(h for _, h in shapes) * beside) / 2
        for w, h in shapes:
            drop = (max(other for _, other in shapes) - h) * beside / 2
            boxes.append((x, y + drop, x + w * beside, y + drop + h * beside))
            x += w * beside + gap
    else:
        total = sum(h for _, h in shapes) * above + count * label + 4 * (count - 1)
        y = (top + bottom - total) / 2
        for w, h in shapes:
            x = (left + right - w * above) / 2
            boxes.append((x, y + label, x + w * above, y + label + h * above))
            y += h * above + label + 4
    return boxes


def ink_on(pixel: np.ndarray | int) -> str:
    """Black or white, whichever is read on a pixel's colour."""
    value = np.atleast_1d(np.asarray(pixel, dtype=float))
    luminance = value @ [0.299, 0.587, 0.114] if len(value) == 3 else value[0]
    return "#000000" if luminance > 140 else "#ffffff"


def number(value: SupportsFloat, digits: int = 2) -> str:
    """A number with a true minus sign and a fixed count of digits, never "-0.00"."""
    text = f"{float(value):.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def value_text(pixel: np.ndarray | int | float) -> str:
    """A pixel's value: one number, or three in brackets."""
    values = np.atleast_1d(pixel)
    return str(int(values[0])) if len(values) == 1 else "(" + ", ".join(str(int(v)) for v in values) + ")"


def matrix(
    sheet: Canvas, at: tuple[float, float], entries: Sequence[Sequence[str]], size: float = 12.5,
    highlight: tuple[int, int] | None = None, colour: str | None = None,
) -> float:  # fmt: skip
    """Entries in columns between square brackets, vertically centred on `at`; returns how wide it is."""
    step, gap = size * 1.45, size * 1.1
    wide = [max(width(row[k], size) for row in entries) for k in range(len(entries[0]))]
    x, y = at
    top, bottom = y - step * len(entries) / 2, y + step * len(entries) / 2
    total = sum(wide) + gap * (len(wide) - 1) + 14
    for side, turn in ((x + 1, 4), (x + total - 1, -4)):
        sheet.line([(side + turn, top), (side, top), (side, bottom), (side + turn, bottom)], sheet.theme.muted, 1.3)
    for i, row in enumerate(entries):
        right = x + 7
        for j, entry in enumerate(row):
            right += wide[j]
            here = (i, j) == highlight
            if here:
                box = (right - wide[j] - 4, top + i * step + 1, right + 4, top + (i + 1) * step - 1)
                sheet.rectangle(box, colour or sheet.theme.grid, radius=3, fill_opacity=0.2)
            sheet.text(
                (right, top + (i + 0.5) * step + size * 0.36), entry, size,
                (colour or sheet.theme.grid) if here else None, anchor="end", bold=here,
            )  # fmt: skip
            right += gap
    return total
