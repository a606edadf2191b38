"""Reverse mapping: every output pixel asks where in the input it comes from (seed 1)."""

from itertools import pairwise

import numpy as np

from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.motion import part
from stn_cli.draw.overlay import draw_plane
from stn_cli.draw.plane import View, window
from stn_cli.draw.scene import Box, Scene, Stage, ink_on, number, panel, panels, value_text
from stn_cli.draw.subject import Subject

STRIP = 88.0  # units: the lens and the numbers below the panels
STOPS = 5  # telling pixels at which the visit pauses
DOTS = 420  # sample points drawn at most


class Reverse(Scene):
    name = "reverse"
    title = "Reverse mapping"
    lesson = (
        "Ask each output pixel where it comes from. The same two steps, locate and interpolate, are repeated for every "
        "pixel, and no pixel waits for another."
    )
    seconds = 9.0
    longest = 48

    def __init__(self, subject: Subject, stage: Stage):
        super().__init__(subject, stage)
        one = self.subject
        self.window = window(one.in_size, [one.grid], one.align_corners)
        self.count = one.out_size[0] * one.out_size[1]
        self.stops = telling_pixels(one)
        self.times = _schedule(self.count, self.stops)
        rows, columns = one.out_size
        stride = max(1, int(np.ceil(np.sqrt(self.count / DOTS))))
        index = np.arange(self.count).reshape(rows, columns)
        self.dots = index[stride // 2 :: stride, stride // 2 :: stride].reshape(-1)

    def visited(self, t: float) -> float:
        """How many output pixels have been visited at time t: the whole part is the one being visited."""
        return float(np.interp(t, self.times, np.arange(self.count + 1)))

    def boxes(self, area: Box) -> tuple[View, View]:
        """The views of input plane and output."""
        left, top, right, bottom = self.window
        height, width = self.subject.out_size
        first, second = panels(
            (area[0], area[1], area[2], area[3] - STRIP), [(right - left, bottom - top), (width, height)]
        )
        align = self.subject.align_corners
        return (
            View(self.subject.in_size, self.window, first, align),
            View(self.subject.out_size, (0, 0, width, height), second, align),
        )

    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        at = self.visited(t)
        current = int(at)
        input_view, output_view = self.boxes(area)
        draw_plane(sheet, input_view, self.bitmap)
        self._fill(sheet, output_view, current)
        self._dots(sheet, input_view, current)
        panel(sheet, input_view.box, "input *U*", self.theme.input, _size(self.subject.in_size))
        panel(sheet, output_view.box, "output *V*", self.theme.output, _size(self.subject.out_size))
        strip = (area[0], area[3] - STRIP + 12, area[2], area[3])
        if current < self.count:
            self._visit(sheet, input_view, output_view, strip, current, t)
        else:
            self._done(sheet, strip)

    def caption(self, t: float) -> str:
        at = self.visited(t)
        if at >= self.count:
            return "Every output pixel was asked exactly once: no holes, no overlaps."
        if at < self.stops[0] or t < 0.12:
            return "The output grid is visited. *T*_{*θ*} says where in the input each pixel reads: its sample point."
        if at <= self.stops[-1] + 1:
            return "The sampler weighs the neighbours of the sample point; their sum is the output pixel."
        return "No output pixel needs any other: they can all be computed at once."

    def legend(self):
        theme = self.theme
        entries = [(theme.output, "output pixel"), (theme.grid, "sample point"), (theme.input, "neighbours")]
        outside = np.abs(self.subject.grid).max() > 1
        return [*entries, (theme.outside, "outside the image")] if outside else entries

    def _fill(self, sheet: Canvas, view: View, current: int) -> None:
        sheet.rectangle(view.box, self.theme.plane)
        output = self.subject.output
        shown = np.zeros((*output.shape[:2], 4), np.uint8)
        shown[..., :3] = output[..., None] if output.ndim == 2 else output
        shown.reshape(-1, 4)[:current, 3] = 255
        sheet.image(Bitmap(shown), view.box)

    def _dots(self, sheet: Canvas, view: View, current: int) -> None:
        points = self.subject.grid.reshape(-1, 2)
        seen = self.dots[self.dots < current]
        radius = min(2.0, max(1.0, 0.2 * view.zoom))
        left, top, right, bottom = view.box
        for point, at in zip(points[seen], view.at(points[seen]), strict=True):
            if left < at[0] < right and top < at[1] < bottom:
                colour = self.theme.grid if np.abs(point).max() <= 1 else self.theme.outside
                sheet.circle(at, radius, colour, stroke=self.theme.background, width=0.6)

    def _visit(self, sheet: Canvas, source: View, target: View, strip: Box, current: int, t: float) -> None:
        slow = 1 - part(self._speed(t), 25.0, 60.0)
        row, column = divmod(current, self.subject.out_size[1])
        if slow < 1:
            with sheet.fade(1 - slow):
                self._sweep(sheet, source, target, row)
                self._progress(sheet, strip, current)
        if slow > 0:
            with sheet.fade(slow):
                self._one(sheet, source, target, strip, row, column)

    def _one(self, sheet: Canvas, source: View, target: View, strip: Box, row: int, column: int) -> None:
        """A single output pixel, its sample point, and the neighbours in the lens."""
        theme, one = self.theme, self.subject
        point = one.grid[row, column]
        colour = theme.grid if np.abs(point).max() <= 1 else theme.outside
        cell = target.cell(column, row)
        pad = max(0.0, (5 - target.zoom) / 2)
        sheet.rectangle((cell[0] - pad, cell[1] - pad, cell[2] + pad, cell[3] + pad), stroke=theme.output, width=2.0)
        taken, left_over = one.weights(point)
        for c, r, _ in taken:
            sheet.rectangle(source.cell(c, r), theme.input, fill_opacity=0.25, stroke=theme.input, width=1.2)
        seen = _into(source.at(point), source.box)
        sheet.arrow(target.at_pixel(column, row), seen, colour, 1.6, head=7, casing=theme.background)
        sheet.circle(seen, 3.6, colour, stroke=theme.background, width=1.2)
        self._lens(sheet, strip, point, taken)
        self._numbers(sheet, strip, row, column, taken, left_over)

    def _sweep(self, sheet: Canvas, source: View, target: View, row: int) -> None:
        """A whole row of the output, and where it reads."""
        theme, one = self.theme, self.subject
        left, top, _, _ = target.cell(0, row)
        _, _, right, bottom = target.cell(one.out_size[1] - 1, row)
        sheet.rectangle((left, top, right, bottom), stroke=theme.output, width=2.0)
        with sheet.clip(source.box):
            sheet.line(source.at(one.grid[row]), theme.grid, 2.2, casing=theme.background)

    def _speed(self, t: float) -> float:
        """Output pixels a second."""
        return (self.visited(t + 0.01) - self.visited(t - 0.01)) / (0.02 * self.seconds)

    def _lens(self, sheet: Canvas, strip: Box, point: np.ndarray, taken: list) -> None:
        """The pixels around the sample point, with what each contributes."""
        theme, one = self.theme, self.subject
        side = strip[3] - strip[1]
        box = (strip[0], strip[1], strip[0] + side, strip[3])
        reach = 2.0 if len(taken) > 4 else 1.5
        x, y = (point + 1) / 2 * one.in_size[::-1] if not one.align_corners else self._edges(point)
        view = View(one.in_size, (x - reach, y - reach, x + reach, y + reach), box, one.align_corners)
        draw_plane(sheet, view, self.bitmap)
        middle = view.at(point)
        with sheet.clip(box):
            for c, r, weight in taken:
                cell = view.cell(c, r)
                sheet.rectangle(cell, stroke=theme.input, width=1.6)
                size = 10.5 if len(taken) <= 4 else 7.5
                x, y = (cell[0] + cell[2]) / 2, (cell[1] + cell[3]) / 2
                if abs(middle[0] - x) < 14:  # out of the way of the point
                    y += (6.5 if middle[1] < y else -6.5) * max(0.0, 1 - abs(middle[1] - y) / 14)
                sheet.text(
                    (x, y + size * 0.36), number(weight), size, ink_on(one.image[r, c]),
                    anchor="middle", bold=len(taken) <= 4,
                )  # fmt: skip
        colour = theme.grid if np.abs(point).max() <= 1 else theme.outside
        sheet.circle(middle, 3.4, colour, stroke=theme.background, width=1.2)
        sheet.rectangle(box, stroke=theme.faint, width=1.0)

    def _edges(self, point: np.ndarray) -> tuple[float, float]:
        height, width = self.subject.in_size
        return (point[0] + 1) / 2 * (width - 1) + 0.5, (point[1] + 1) / 2 * (height - 1) + 0.5

    def _numbers(self, sheet: Canvas, strip: Box, row: int, column: int, taken: list, left_over: float) -> None:
        theme, one = self.theme, self.subject
        x, y = strip[0] + (strip[3] - strip[1]) + 16, strip[1] + 11
        room = strip[2] - x
        place = one.points[row, column]
        sheet.text((x, y), f"output pixel ({column}, {row})", 12, theme.output, bold=True)
        y += 19
        inside = np.abs(one.grid[row, column]).max() <= 1
        sheet.text(
            (x, y), f"reads  ({number(place[0])}, {number(place[1])})" + ("" if inside else "  outside the image"),
            12, theme.grid if inside else theme.outside, bold=True,
        )  # fmt: skip
        y += 19
        self._sum(sheet, (x, y), room, taken, left_over)
        y += 19
        value = one.output[row, column]
        wide = sheet.text((x, y), f"*V* = **{value_text(value)}**", 12)
        _swatch(sheet, (x + wide + 8, y), value, theme.output)

    def _sum(self, sheet: Canvas, at: tuple[float, float], room: float, taken: list, left_over: float) -> None:
        """V as the weighted sum: grey values as numbers, colours as swatches."""
        one = self.subject
        strongest = sorted(taken, key=lambda entry: -abs(entry[2]))[:4]
        grey = one.image.ndim == 2
        terms: list[tuple[str, np.ndarray | None]] = []
        for c, r, weight in strongest:
            pixel = one.image[r, c]
            terms.append((f"{number(weight)} · {value_text(pixel)}" if grey else f"{number(weight)} ·", pixel))
        if left_over > 0.005:
            terms.append((f"{number(left_over)} · {'fill' if one.sampling.fill else '0'}", None))
        if len(taken) > 4:
            terms.append(("…", None))
        if grey:
            sheet.text(at, "*V* = " + " + ".join(text for text, _ in terms), 12, room=room)
            return
        x, y = at
        for place, (text, pixel) in enumerate(terms):
            x += sheet.text((x, y), ("*V* = " if place == 0 else " + ") + text, 12)
            if pixel is not None:
                _swatch(sheet, (x + 3, y), pixel, self.theme.input)
                x += 20

    def _progress(self, sheet: Canvas, strip: Box, current: int) -> None:
        x, y = strip[0], (strip[1] + strip[3]) / 2
        sheet.text((x, y - 8), f"{current} of {self.count} output pixels", 12.5, self.theme.output, bold=True)
        self._bar(sheet, (x, y + 2, strip[2], y + 8), current / self.count)

    def _done(self, sheet: Canvas, strip: Box) -> None:
        x, y = strip[0], (strip[1] + strip[3]) / 2
        label = f"{self.count} of {self.count} output pixels"
        sheet.text((x, y - 8), label, 12.5, self.theme.output, bold=True)
        self._bar(sheet, (x, y + 2, strip[2], y + 8), 1.0)

    def _bar(self, sheet: Canvas, box: Box, share: float) -> None:
        sheet.rectangle(box, self.theme.plane, radius=3)
        sheet.rectangle((box[0], box[1], box[0] + (box[2] - box[0]) * share, box[3]), self.theme.output, radius=3)


def _swatch(sheet: Canvas, at: tuple[float, float], pixel: np.ndarray, edge: str) -> None:
    colour = "#" + "".join(f"{int(v):02x}" for v in np.broadcast_to(np.atleast_1d(pixel), 3))
    x, y = at
    sheet.rectangle((x, y - 10, x + 15, y + 1.5), colour, stroke=edge, width=1.4)


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]} × {size[0]}"


def _into(at: np.ndarray, box: Box) -> tuple[float, float]:
    """A point of the sheet, or where it leaves the box."""
    return min(max(float(at[0]), box[0] + 4), box[2] - 4), min(max(float(at[1]), box[1] + 4), box[3] - 4)


def telling_pixels(subject: Subject) -> list[int]:
    """Indices of output pixels worth a pause: inside the image, where it changes, apart from each other."""
    grey = subject.output.astype(float) if subject.output.ndim == 2 else subject.output.astype(float).mean(-1)
    slope = np.abs(np.gradient(np.pad(grey, 1, mode="edge"))).sum(0)[1:-1, 1:-1]
    slope = np.where(np.abs(subject.grid).max(-1) < 1, slope, -1.0).reshape(-1)
    count = len(slope)
    found = []
    # One in each of a few bands near the top: row by row, as the visit goes.
    for low, high in pairwise(np.linspace(0.08, 0.62, STOPS + 1)):
        band = slice(int(low * count), max(int(low * count) + 1, int(high * count)))
        found.append(band.start + int(np.argmax(slope[band])))
    return sorted(set(found))


def _schedule(count: int, stops: list[int]) -> np.ndarray:
    """When each pixel's visit begins, and when the last ends, in [0, 1]: slow at the first pixels and the stops."""
    dwell = np.full(count, 1.0)
    dwell *= 0.30 / dwell.sum()
    first = min(3, count)
    dwell[:first] += 0.16 / first
    for stop in stops:
        dwell[stop] += 0.54 / len(stops)
    times = np.concatenate([[0.0], np.cumsum(dwell)])
    return times / times[-1]
