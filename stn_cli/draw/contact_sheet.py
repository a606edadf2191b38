"""Pairs of pictures, before | after, with their names, on one sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from PIL import Image

from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.text import shorten
from stn_cli.draw.theme import LIGHT, Theme, rgb

WIDTH = 1200  # pixels
MARGIN, GAP, NAME = 24, 10, 24
# As many pairs side by side as keep the sheet tidy: few pictures are shown large.
COLUMNS = ((1, 1), (6, 2), (24, 3), (96, 4), (10**9, 6))
TILE = 2 * 560  # pixels: the longest side a thumbnail is ever kept at


@dataclass(frozen=True)
class Pair:
    """One file before and after; thumbnails are enough (`thumbnail`)."""

    name: str
    before: np.ndarray
    after: np.ndarray


def thumbnail(image: np.ndarray, longest: int = TILE) -> np.ndarray:
    """`image` (H, W), (H, W, C) uint8, C from 1 to 4, shrunk by area average to at most `longest` pixels a side.

    A folder's pairs are kept as thumbnails, so that a sheet of thousands needs little memory.
    """
    if max(image.shape[:2]) <= longest:
        return image
    flat = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if flat.ndim == 3 and flat.shape[2] == 2:
        flat = np.dstack([flat[..., :1]] * 3 + [flat[..., 1:]])
    picture = Image.fromarray(flat)
    picture.thumbnail((longest, longest), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(picture)


def contact_sheet(pairs: Sequence[Pair], *, title: str = "", left_out: int = 0, theme: Theme = LIGHT) -> Image.Image:
    """All `pairs` as an RGB picture of 1200 pixels' width; its height grows with their number.

    `title` stands at the top; `left_out` more pictures are mentioned at the foot.
    """
    columns = next(columns for limit, columns in COLUMNS if len(pairs) <= limit)
    cell = (WIDTH - 2 * MARGIN - (columns - 1) * 2 * GAP) / columns
    tile = (cell - GAP) / 2
    rows = (pairs[start : start + columns] for start in range(0, len(pairs), columns))
    strips = [_heading(title, theme), *(_row(row, cell, tile, theme) for row in rows), _foot(left_out, theme)]
    sheet = Image.new("RGB", (WIDTH, sum(strip.height for strip in strips)), rgb(theme.background))
    y = 0
    for strip in strips:
        sheet.paste(strip, (0, y))
        y += strip.height
    return sheet


def _heading(title: str, theme: Theme) -> Image.Image:
    strip = Canvas(WIDTH, 62 if title else MARGIN, theme)
    if title:
        strip.text((MARGIN, 40), shorten(title, 22, WIDTH - 2 * MARGIN), 22, bold=True)
    return strip.render()


def _foot(left_out: int, theme: Theme) -> Image.Image:
    strip = Canvas(WIDTH, 44 if left_out else MARGIN - 8, theme)
    if left_out:
        strip.text((MARGIN, 22), f"and {left_out} more", 15, theme.muted)
    return strip.render()


def _row(pairs: Sequence[Pair], cell: float, tile: float, theme: Theme) -> Image.Image:
    """One strip, as high as its tallest pair; names stand right below the pictures they belong to."""
    sizes = [[_fit(image, tile) for image in (pair.before, pair.after)] for pair in pairs]
    heights = [max(high for _, high in both) for both in sizes]
    strip = Canvas(WIDTH, ceil(max(heights) + NAME + 14), theme)
    for index, (pair, both, height) in enumerate(zip(pairs, sizes, heights, strict=True)):
        left = x = MARGIN + index * (cell + 2 * GAP)
        for image, (wide, high), colour in zip(
            (pair.before, pair.after), both, (theme.input, theme.output), strict=True
        ):
            _tile(strip, image, (x, 2.0, x + wide, 2.0 + high), colour)
            x += wide + GAP
        strip.text((left, height + NAME - 2), shorten(pair.name, 14, cell), 14, theme.muted)
    return strip.render()


def _fit(image: np.ndarray, tile: float) -> tuple[float, float]:
    """Width and height of a picture that is as wide as its tile, but no taller than wide and a quarter."""
    scale = min(tile / image.shape[1], 1.25 * tile / image.shape[0])
    return max(image.shape[1] * scale, 2.0), max(image.shape[0] * scale, 2.0)


def _tile(strip: Canvas, image: np.ndarray, box: tuple[float, float, float, float], colour: str) -> None:
    small = thumbnail(image, max(8, round(max(box[2] - box[0], box[3] - box[1]))))
    bitmap = Bitmap(small)
    if small.ndim == 3 and small.shape[2] == 4:
        _checkers(strip, box)
    strip.image(bitmap, box)
    strip.line([(box[0], box[3] + 2), (box[2], box[3] + 2)], colour, 2.5)


def _checkers(strip: Canvas, box: tuple[float, float, float, float], size: float = 8.0) -> None:
    """What lies behind a transparent picture."""
    strip.rectangle(box, strip.theme.background)
    with strip.clip(box):
        for row in range(ceil((box[3] - box[1]) / size)):
            for column in range(row % 2, ceil((box[2] - box[0]) / size), 2):
                x, y = box[0] + column * size, box[1] + row * size
                strip.rectangle((x, y, x + size, y + size), strip.theme.plane)
