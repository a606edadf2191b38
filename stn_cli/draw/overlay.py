"""The sampling grid laid over the input: what the output shows, and where each part of it is read."""

from contextlib import nullcontext

import numpy as np
from PIL import Image

from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.plane import View, mesh, place, window
from stn_cli.draw.text import width
from stn_cli.draw.theme import LIGHT, Theme

Box = tuple[float, float, float, float]  # left, top, right, bottom

LONGEST = 2400  # pixels: no overlay is longer on a side
SHORTEST = 640  # pixels: a small image is magnified until its overlay is about this long
BAR = 26.0  # units: the legend below
WIDTH = 480.0


def overlay(
    image: np.ndarray,
    grid: np.ndarray,
    align_corners: bool = False,
    *,
    theme: Theme = LIGHT,
    cells: int = 16,
    legend: bool = True,
) -> Image.Image:
    """The deformed sampling grid on the image it reads.

    image: (H, W), (H, W, 1 | 3 | 4) uint8; grid: T_θ(G) (H', W', 2), normalised (x, y). The cells of the output are drawn
    with their border; what lies outside the image has its own colour; a disc marks the first corner (row 0, column 0) and
    an arrow the first row, so that rotation and mirroring can be read. Returns an RGB picture.
    """
    grid = np.asarray(grid, dtype=np.float64)
    size = image.shape[:2]
    shown = window(size, [mesh(grid, align_corners)[1]], align_corners, reach=1.5)
    wide, high = shown[2] - shown[0], shown[3] - shown[1]
    pixels = min(LONGEST, max(SHORTEST, max(wide, high)))
    unit = WIDTH / max(wide, high)
    sheet = Canvas(max(wide * unit, 240.0), high * unit + (BAR if legend else 0.0), theme, scale=pixels / WIDTH)
    area = (0.0, 0.0, sheet.width, high * unit)
    view = View(size, shown, place((wide, high), area), align_corners)
    draw_plane(sheet, view, Bitmap(image))
    outside = draw_grid(sheet, view, grid, cells=cells)
    if legend:
        _legend(sheet, high * unit, outside)
    return sheet.render()


def draw_plane(sheet: Canvas, view: View, bitmap: Bitmap) -> None:
    """The image within the plane it is part of."""
    sheet.rectangle(view.box, sheet.theme.plane)
    bitmap, box = _visible(view, bitmap)
    whole = _within(box, view.box) == box
    with nullcontext() if whole else sheet.clip(view.box):
        if bitmap.pixels.ndim == 3 and bitmap.pixels.shape[2] == 4:
            sheet.rectangle(box, sheet.theme.background)
        sheet.image(bitmap, box)


def _visible(view: View, bitmap: Bitmap) -> tuple[Bitmap, Box]:
    """The part of a much magnified image that the view shows, and its box: the renderer is slow at the rest."""
    left, top, right, bottom = view.window
    height, width = view.size
    c0, r0 = max(0, int(np.floor(left))), max(0, int(np.floor(top)))
    c1, r1 = min(width, int(np.ceil(right))), min(height, int(np.ceil(bottom)))
    if bitmap.pixels.shape[:2] != view.size or (c0, r0, c1, r1) == (0, 0, width, height) or c0 >= c1 or r0 >= r1:
        return bitmap, view.image_box
    corners = view.at_edges(np.array([[c0, r0], [c1, r1]]))
    return Bitmap(bitmap.pixels[r0:r1, c0:c1]), tuple(float(v) for v in corners.reshape(-1))  # type: ignore[return-value]


def draw_grid(
    sheet: Canvas, view: View, grid: np.ndarray, *, cells: int = 16, corner: bool = True, weight: float = 1.0
) -> bool:
    """The lines of a sampling grid, inside and outside the image, its border and its first corner; is some of it outside?"""
    theme = sheet.theme
    lines, border = mesh(grid, view.align_corners, cells)
    lines = [view.at(line) for line in lines]
    edge = view.at(border)
    closed = np.concatenate([edge, edge[:1]])
    left, top, right, bottom = view.image_box
    rim = 1.3 * weight  # a line on the very edge of the image is inside
    image = _within((left - rim, top - rim, right + rim, bottom + rim), view.box)
    drawn = {}
    for colour, inside in ((theme.outside, False), (theme.grid, True)):
        thin = [part for line in lines for part in cut(line, view.box, image, inside)]
        thick = cut(closed, view.box, image, inside)
        _ink(sheet, thin, thick, colour, weight)
        drawn[inside] = bool(thin or thick)
    if corner:
        _corner(sheet, view, edge, lines[0])
    return drawn[False]


def _ink(sheet: Canvas, lines: list[np.ndarray], edge: list[np.ndarray], colour: str, weight: float) -> None:
    casing = sheet.theme.background
    sheet.lines(lines, colour, 0.9 * weight, casing=casing, casing_width=0.55 * weight)
    sheet.lines(edge, colour, 2.2 * weight, casing=casing, casing_width=0.7 * weight)


def _corner(sheet: Canvas, view: View, edge: np.ndarray, first_row: np.ndarray) -> None:
    """A disc on the corner of output pixel (0, 0) and an arrow along the first row."""
    theme = sheet.theme
    left, top, right, bottom = view.box
    if not np.isfinite(edge[0]).all() or not (left <= edge[0][0] <= right and top <= edge[0][1] <= bottom):
        return
    end = first_row[len(first_row) // 4]
    if np.isfinite(end).all():
        with sheet.clip(view.box):
            sheet.arrow(first_row[0], end, theme.output, 2.4, head=9, casing=theme.background)
    sheet.circle(edge[0], 4.6, theme.output, stroke=theme.background, width=1.4)


def cut(line: np.ndarray, outer: Box, inner: Box, inside: bool) -> list[np.ndarray]:
    """The stretches of a polyline (P, 2) within the box `outer` and, as `inside` says, within or beyond the box `inner`.

    The stretches are made of the line's own segments, cut where they cross a side. Segments with a point that is no
    number are left out.
    """
    start, end = line[:-1], line[1:]
    shares = [np.zeros(len(start)), np.ones(len(start))]
    with np.errstate(divide="ignore", invalid="ignore"):
        for left, top, right, bottom in (outer, inner):
            for axis, side in ((0, left), (0, right), (1, top), (1, bottom)):
                at = (side - start[:, axis]) / (end[:, axis] - start[:, axis])
                shares.append(np.clip(np.nan_to_num(at, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0))
    stops = np.sort(np.stack(shares, axis=1), axis=1)
    points = start[:, None] + (end - start)[:, None] * stops[..., None]
    middle = (points[:, :-1] + points[:, 1:]) / 2
    kept = (np.diff(stops, axis=1) > 1e-9) & _contains(outer, middle) & (_contains(inner, middle) == inside)
    found: list[list[np.ndarray]] = []
    for segment, piece in zip(*np.nonzero(kept), strict=True):
        a, b = points[segment, piece], points[segment, piece + 1]
        if found and np.abs(found[-1][-1] - a).max() < 1e-9:
            found[-1].append(b)
        else:
            found.append([a, b])
    return [np.array(part) for part in found]


def _contains(box: Box, points: np.ndarray) -> np.ndarray:
    """NaN lies nowhere."""
    left, top, right, bottom = box
    x, y = points[..., 0], points[..., 1]
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)


def _within(first: Box, second: Box) -> Box:
    return (
        max(first[0], second[0]),
        max(first[1], second[1]),
        min(first[2], second[2]),
        min(first[3], second[3]),
    )


def _legend(sheet: Canvas, top: float, outside: bool) -> None:
    theme = sheet.theme
    x, y = 8.0, top + BAR / 2 + 3.6
    entries = [(theme.grid, "sampling grid *T*_{*θ*}(*G*)"), (theme.output, "first row of the output")]
    if outside:
        entries.insert(1, (theme.outside, "outside the image"))
    size = 10.5
    room = sum(width(label, size) + 30 for _, label in entries)
    size *= min(1.0, (sheet.width - 8) / room)
    for colour, label in entries:
        sheet.line([(x, y - 3.6), (x + 11, y - 3.6)], colour, 2.6)
        x += 16
        x += sheet.text((x, y), label, size) + 12
