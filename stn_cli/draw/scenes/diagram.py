"""The parts of a spatial transformer and what flows between them: the frame of the scenes `module` and `gradient`.

    U ────────────────→ sampler ──→ V ──→ (L)
    ↓                      ↑
localisation net → θ → T_θ(G)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.motion import ease
from stn_cli.draw.plane import place
from stn_cli.draw.scene import Box
from stn_cli.draw.text import wrap
from stn_cli.draw.theme import Theme, mix, rgb

SIZE = 11.0
ROWS = 8  # parameters listed


@dataclass(frozen=True)
class Diagram:
    """Where each part stands within `area`; with `loss` there is a place for L behind V."""

    area: Box
    in_shape: tuple[float, float]
    out_shape: tuple[float, float]
    loss: bool = False

    @property
    def side(self) -> float:
        left, top, right, bottom = self.area
        return min((right - left) * 0.222, (bottom - top) * 0.4)

    def _column(self, share: float) -> float:
        return self.area[0] + (self.area[2] - self.area[0]) * share

    def _row(self, number: int) -> float:
        top, bottom = self.area[1] + 14, self.area[3] - 4
        return top + self.side / 2 if number == 0 else bottom - self.side / 2

    def _square(self, share: float, row: int) -> Box:
        """A square place whose left edge is at `share` of the width."""
        x, y, half = self._column(share), self._row(row), self.side / 2
        return x, y - half, x + self.side, y + half

    @property
    def U(self) -> Box:
        return place(self.in_shape, self._square(0.0, 0))

    @property
    def V(self) -> Box:
        x = self.area[2] - self.side - (44 if self.loss else 0)
        y, half = self._row(0), self.side / 2
        return place(self.out_shape, (x, y - half, x + self.side, y + half))

    @property
    def gap(self) -> float:
        """Between the parts of the lower row."""
        return 15.0 + 0.16 * max(0.0, self.area[2] - self.area[0] - 452.0)

    @property
    def net(self) -> Box:
        left, top, _, bottom = self._square(0.0, 1)
        return left, top + 4, left + 0.7 * self.side, bottom - 4

    @property
    def theta(self) -> Box:
        left, y = self.net[2] + self.gap, self._row(1)
        return left, y - self.side / 2, left + 1.08 * self.side, y + self.side / 2

    @property
    def grid(self) -> Box:
        left, y = self.theta[2] + self.gap, self._row(1)
        return place(self.in_shape, (left, y - self.side / 2, left + self.side, y + self.side / 2))

    @property
    def sampler(self) -> Box:
        left, _, right, _ = self.grid
        x, y = (left + right) / 2, self._row(0)
        return x - 30, y - 15, x + 30, y + 15

    @property
    def L(self) -> tuple[float, float]:
        return self.area[2] - 14, self._row(0)


def middle(box: Box, side: str = "") -> tuple[float, float]:
    """The middle of a box, or of one of its sides."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return {"": (x, y), "left": (box[0], y), "right": (box[2], y), "top": (x, box[1]), "bottom": (x, box[3])}[side]


def flow(
    sheet: Canvas, start: tuple[float, float], end: tuple[float, float], colour: str, share: float,
    *, shift: float = 0.0, width: float = 1.8,
) -> None:  # fmt: skip
    """An arrow that has grown to `share` of its way; `shift` units to its own right."""
    if share <= 0:
        return
    (x0, y0), (x1, y1) = start, end
    length = max(1e-9, float(np.hypot(x1 - x0, y1 - y0)))
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    gap = 4.0
    x0, y0, x1, y1 = (
        x0 + ux * gap - uy * shift,
        y0 + uy * gap + ux * shift,
        x1 - ux * gap - uy * shift,
        y1 - uy * gap + ux * shift,
    )
    grown = ease(share)
    sheet.arrow((x0, y0), (x0 + (x1 - x0) * grown, y0 + (y1 - y0) * grown), colour, width, head=7.5)


def block(sheet: Canvas, box: Box, lines: Sequence[str], *, lit: float = 0.0) -> None:
    """A named part: a rounded box with lines of text in it, the first bold; `lit` in [0, 1] warms it up."""
    theme = sheet.theme
    fill = mix(theme.plane, theme.grid, 0.25 * lit)
    sheet.rectangle(box, fill, stroke=theme.muted, width=1.2, radius=5)
    room = box[2] - box[0] - 10
    shown: list[tuple[str, bool]] = []
    for place_, line in enumerate(lines):
        shown += [(part, place_ == 0) for part in wrap(line, SIZE, room)]
    most = max(1, int((box[3] - box[1] - 6) / (SIZE * 1.3)))
    shown = shown[:most]
    y = (box[1] + box[3]) / 2 - (len(shown) - 1) * SIZE * 0.65 + SIZE * 0.36
    for part, first in shown:
        sheet.text(
            ((box[0] + box[2]) / 2, y), part, SIZE if first else SIZE * 0.93, None if first else theme.muted,
            anchor="middle", bold=first, room=room,
        )  # fmt: skip
        y += SIZE * 1.3


def picture(sheet: Canvas, box: Box, bitmap: Bitmap, label: str, colour: str) -> None:
    sheet.image(bitmap, box)
    sheet.rectangle(box, stroke=colour, width=1.6)
    sheet.text((box[0], box[1] - 4), label, SIZE, colour, bold=True)


def parameters(
    sheet: Canvas, box: Box, rows: Sequence[tuple[str, str, str]], left_out: int, shown: float, slopes: float
) -> None:
    """θ as a table: name, value, and with `slopes` > 0 the gradient beside it; each fades in."""
    theme = sheet.theme
    sheet.rectangle(box, theme.background, stroke=theme.ink, width=1.2, radius=5)
    count = len(rows) + (left_out > 0)
    step = min(15.0, (box[3] - box[1] - 8) / max(count, 1))
    size = min(10.5, step * 0.8)
    y = (box[1] + box[3]) / 2 - step * count / 2 + step * 0.5 + size * 0.36
    for name, value, slope in rows:
        with sheet.fade(max(0.001, shown)):
            sheet.text((box[0] + 6, y), name, size)
            sheet.text((box[0] + (box[2] - box[0]) * (0.57 if slope else 0.94), y), value, size, anchor="end")
        if slopes > 0:
            sheet.text((box[2] - 5, y), slope, size, theme.gradient, anchor="end", bold=True, opacity=slopes)
        y += step
    if left_out > 0:
        sheet.text((box[0] + 6, y), f"… {left_out} more", size, theme.muted)
    sheet.text((box[0] + 2, box[1] - 4), "*θ*", SIZE + 1.5, bold=False)


def signed_map(values: np.ndarray, theme: Theme) -> np.ndarray:
    """A signed array (H, W) as colours: blue below zero, purple above, the background at zero."""
    top = max(1e-12, float(np.abs(values).max()))
    low, zero, high = (np.array(rgb(c), dtype=float) for c in (theme.input, theme.background, theme.gradient))
    share = np.clip(values / top, -1, 1)[..., None]
    share = np.sign(share) * np.abs(share) ** 0.7  # small values show, too
    return np.where(share >= 0, zero + (high - zero) * share, zero - (low - zero) * share).round().astype(np.uint8)


def parameter_name(name: str) -> str:
    """How a parameter is written: "θ11" → θ with a subscript, "tx" → t with one."""
    head = name[:1]
    tail = name[1:].strip("[]")
    return f"*{head}*_{{{tail}}}" if tail else f"*{head}*"
