"""Forward mapping beside reverse mapping: why a warp is computed backwards (seed 1)."""

import numpy as np

from stn_cli.core.coordinates import pixels, target_grid
from stn_cli.core.transformation import Transformation
from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.motion import part
from stn_cli.draw.overlay import draw_plane
from stn_cli.draw.plane import View
from stn_cli.draw.scene import Box, Scene, Stage, panel, panels
from stn_cli.draw.subject import Subject

STRIP = 34.0
SLOW = 7  # pixels sent off one at a time
START, SENT = 0.04, 0.72  # the share of the time until all are sent


class Forward(Scene):
    name = "forward"
    title = "Forward against reverse mapping"
    lesson = (
        "Sending pixels forwards leaves holes where the map stretches and collisions where it shrinks. Asking backwards "
        "cannot: every output pixel asks exactly once."
    )
    seconds = 7.0
    longest = 24

    def __init__(self, subject: Subject, stage: Stage):
        super().__init__(subject, stage)
        one = self.subject
        rows, columns = one.in_size
        self.landing = landing(one)
        height, width = one.out_size
        cell = np.floor(self.landing + 0.5)
        hit = (cell >= 0).all(-1) & (cell[..., 0] < width) & (cell[..., 1] < height)
        self.cell = np.where(hit, np.nan_to_num(cell[..., 1]) * width + np.nan_to_num(cell[..., 0]), -1)
        self.cell = self.cell.astype(int).reshape(-1)
        self.covered = (np.abs(one.grid) <= 1).all(-1).reshape(-1)
        self.count = rows * columns
        # Begin where there is something to see: the row-wise order is kept, from the first pixel that lands inside.
        self.first = int(np.argmax(self.cell >= 0)) if (self.cell >= 0).any() else 0

    def sent(self, t: float) -> float:
        """How many input pixels have been sent at time t."""
        share = part(t, START, SENT)
        slow = 0.42
        if share < slow:
            return self.first + share / slow * SLOW if share > 0 else 0.0
        rest = (share - slow) / (1 - slow)
        return min(float(self.count), self.first + SLOW + (self.count - self.first - SLOW) * rest**2)

    def hits(self, sent: int) -> np.ndarray:
        """How many of the first `sent` input pixels have landed on each output pixel: (H'·W',)."""
        cells = self.cell[:sent]
        height, width = self.subject.out_size
        return np.bincount(cells[cells >= 0], minlength=height * width)

    @property
    def holes(self) -> np.ndarray:
        """Output pixels that show a place of the image, but on which no input pixel lands."""
        return self.covered & (self.hits(self.count) == 0)

    @property
    def overlaps(self) -> np.ndarray:
        """Output pixels on which more than one input pixel lands."""
        return self.hits(self.count) > 1

    def boxes(self, area: Box) -> tuple[View, View, View]:
        one = self.subject
        shapes = [(one.in_size[1], one.in_size[0])] + [(one.out_size[1], one.out_size[0])] * 2
        boxes = panels((*area[:3], area[3] - STRIP), shapes, gap=14)
        sizes = (one.in_size, one.out_size, one.out_size)
        views = [
            View(size, (0, 0, size[1], size[0]), box, one.align_corners) for size, box in zip(sizes, boxes, strict=True)
        ]
        return views[0], views[1], views[2]

    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        theme = self.theme
        source, forward, reverse = self.boxes(area)
        sent = int(self.sent(t))
        draw_plane(sheet, source, self.bitmap)
        self._landed(sheet, forward, sent)
        self._asked(sheet, reverse, self.sent(t) / self.count)
        if t >= SENT:
            self._marks(sheet, forward, part(t, SENT, SENT + 0.06))
        panel(sheet, source.box, "input *U*", theme.input)
        panel(sheet, forward.box, "forward", theme.output)
        panel(sheet, reverse.box, "reverse", theme.output)
        if 0 < self.sent(t) < self.count:
            self._flight(sheet, source, forward, t)
        self._counts(sheet, (area[0], area[3] - STRIP, area[2], area[3]), forward, reverse, t)

    def caption(self, t: float) -> str:
        if t < SENT:
            return "Forward mapping sends each input pixel to where it belongs, and there to the nearest pixel."
        holes, overlaps = int(self.holes.sum()), int(self.overlaps.sum())
        if holes or overlaps:
            return "Some output pixels get nothing, others get several. Asked backwards, each gets exactly one value."
        return "Here every output pixel is hit exactly once: a lucky θ. Asked backwards, it is always so."

    def legend(self):
        theme = self.theme
        return [(theme.grid, "where an input pixel lands"), (theme.muted, "× hole"), (theme.ink, "overlap")]

    def _landed(self, sheet: Canvas, view: View, sent: int) -> None:
        """What forward mapping has written; a later pixel replaces an earlier one."""
        one = self.subject
        height, width = one.out_size
        picture = np.zeros((height * width, 4), np.uint8)
        cells = self.cell[:sent]
        here = cells >= 0
        colours = one.image.reshape(self.count, -1)[:sent][here]
        picture[cells[here], :3] = colours
        picture[cells[here], 3] = 255
        sheet.rectangle(view.box, self.theme.plane)
        sheet.image(Bitmap(picture.reshape(height, width, 4)), view.box)

    def _asked(self, sheet: Canvas, view: View, share: float) -> None:
        output = self.subject.output
        shown = np.full((*output.shape[:2], 4), 255, np.uint8)
        shown[..., :3] = output[..., None] if output.ndim == 2 else output
        shown.reshape(-1, 4)[int(share * self.covered.size) :, 3] = 0
        sheet.rectangle(view.box, self.theme.plane)
        sheet.image(Bitmap(shown), view.box)

    def _flight(self, sheet: Canvas, source: View, target: View, t: float) -> None:
        """The pixel under way: only as long as they go one at a time."""
        theme = self.theme
        sent = self.sent(t)
        fast = part(sent - self.first, SLOW, SLOW + 12)
        index = int(sent)
        row, column = divmod(index, self.subject.in_size[1])
        if fast >= 1 or not np.isfinite(self.landing[row, column]).all():
            return
        with sheet.fade(1 - fast):
            x, y = self.landing[row, column]
            at = target.at_pixel(float(x), float(y))
            sheet.rectangle(source.cell(column, row), stroke=theme.input, width=2)
            sheet.arrow(source.at_pixel(column, row), at, theme.grid, 1.6, head=7, casing=theme.background)
            if self.cell[index] >= 0:
                to_row, to_column = divmod(int(self.cell[index]), self.subject.out_size[1])
                sheet.rectangle(target.cell(to_column, to_row), stroke=theme.output, width=2)

    def _marks(self, sheet: Canvas, view: View, shown: float) -> None:
        theme = self.theme
        width = self.subject.out_size[1]
        reach = view.zoom * 0.26
        with sheet.fade(shown):
            for index in np.flatnonzero(self.holes):
                x, y = view.at_pixel(index % width, index // width)
                for turn in (1, -1):
                    sheet.line([(x - reach, y - reach * turn), (x + reach, y + reach * turn)], theme.muted, 1.1)
            for index in np.flatnonzero(self.overlaps):
                at = view.at_pixel(index % width, index // width)
                sheet.circle(at, max(1.1, view.zoom * 0.22), theme.ink, stroke=theme.background, width=0.8)

    def _counts(self, sheet: Canvas, strip: Box, forward: View, reverse: View, t: float) -> None:
        shown = part(t, SENT, SENT + 0.06)
        if shown == 0:
            return
        left, right = forward.box[0], forward.box[2]
        below = forward.box[1] == reverse.box[1]  # panels side by side: each has its count beneath
        y = strip[1] + 20
        holes, overlaps = int(self.holes.sum()), int(self.overlaps.sum())
        said = f"**{holes}** {_plural(holes, 'hole')}, **{overlaps}** {_plural(overlaps, 'overlap')}"
        with sheet.fade(shown):
            if below:
                sheet.text((left, y), said, 12.5, room=right - left)
                sheet.text((reverse.box[0], y), "**0** holes, **0** overlaps", 12.5, room=right - left)
            else:
                sheet.text((strip[0], y), f"forward: {said}", 12.5)
                sheet.text((strip[2], y), "reverse: **0** holes, **0** overlaps", 12.5, anchor="end")


def landing(subject: Subject) -> np.ndarray:
    """Where each input pixel belongs in the output: (H, W, 2) in output pixels, NaN where nowhere."""
    centres = target_grid(np, subject.in_size, subject.align_corners)
    return pixels(undone(subject.transformation, centres), subject.out_size, subject.align_corners)


def undone(transformation: Transformation, points: np.ndarray) -> np.ndarray:
    """The output points that T_θ takes to `points` (…, 2), normalised: in closed form, else by Newton's method.

    NaN where there is none within reach.
    """
    inverse = transformation.family.inverse(transformation.theta)
    if inverse is not None:
        if not np.isfinite(inverse).all():
            return np.full(points.shape, np.nan)
        return Transformation(transformation.family, inverse[0]).points(points)
    wanted = points.reshape(-1, 2)
    # Start at the nearest of a lattice of samples: Newton alone may run off where the map bends strongly.
    axis = np.linspace(-1.3, 1.3, 27)
    seeds = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    reached = transformation.points(seeds)
    found = seeds[np.argmin(((wanted[:, None] - reached[None]) ** 2).sum(-1), axis=1)]
    step = 1e-5
    for _ in range(12):
        off = transformation.points(found) - wanted
        slope_x = (transformation.points(found + np.array([step, 0.0])) - wanted - off) / step
        slope_y = (transformation.points(found + np.array([0.0, step])) - wanted - off) / step
        determinant = slope_x[:, 0] * slope_y[:, 1] - slope_x[:, 1] * slope_y[:, 0]
        safe = np.where(np.abs(determinant) < 1e-9, np.inf, determinant)
        move = np.stack(
            [off[:, 0] * slope_y[:, 1] - off[:, 1] * slope_y[:, 0], off[:, 1] * slope_x[:, 0] - off[:, 0] * slope_x[:, 1]],
            axis=-1,
        ) / safe[:, None]  # fmt: skip
        found = found - np.clip(move, -0.3, 0.3)
    far = np.abs(transformation.points(found) - wanted).max(-1) > 1e-4
    return np.where(far[:, None], np.nan, found).reshape(points.shape)


def _plural(count: int, word: str) -> str:
    return word if count == 1 else word + "s"
