"""The input plane on a sheet: an image, the room around it, and where a normalised point is drawn.

A view is fixed for a whole animation, so that nothing jumps: it takes in the image and, up to `REACH` beyond its edge,
every sampling grid that will be shown.
"""

from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np

from stn_cli.core.coordinates import pixels

REACH = 0.6  # how far beyond the edge of the image a view goes at most, in half sizes of the image


@dataclass(frozen=True)
class View:
    """A window on an image of `size` (height, width), drawn in `box` (left, top, right, bottom) of a sheet.

    `window` is (left, top, right, bottom) in pixel edges of the image: (0, 0, W, H) shows just the image.
    """

    size: tuple[int, int]
    window: tuple[float, float, float, float]
    box: tuple[float, float, float, float]
    align_corners: bool = False

    @property
    def zoom(self) -> float:
        """Units of the sheet a pixel of the image."""
        return (self.box[2] - self.box[0]) / (self.window[2] - self.window[0])

    def at(self, points: np.ndarray) -> np.ndarray:
        """Normalised points (…, 2) → points of the sheet (…, 2)."""
        return self.at_edges(pixels(np.asarray(points, dtype=np.float64), self.size, self.align_corners) + 0.5)

    def at_edges(self, points: np.ndarray) -> np.ndarray:
        """Points in pixel edges (…, 2): (0, 0) is the outer corner of the first pixel → points of the sheet (…, 2)."""
        points = np.asarray(points, dtype=np.float64)
        return (points - self.window[:2]) * self.zoom + self.box[:2]

    def at_pixel(self, column: SupportsFloat, row: SupportsFloat) -> tuple[float, float]:
        """The centre of a pixel on the sheet."""
        x, y = self.at_edges(np.array([float(column) + 0.5, float(row) + 0.5]))
        return float(x), float(y)

    def cell(self, column: float, row: float) -> tuple[float, float, float, float]:
        """A pixel's square on the sheet."""
        (left, top), (right, bottom) = self.at_edges(np.array([[column, row], [column + 1, row + 1]]))
        return float(left), float(top), float(right), float(bottom)

    @property
    def image_box(self) -> tuple[float, float, float, float]:
        """Where the whole image lies on the sheet (it may reach beyond `box`)."""
        height, width = self.size
        (left, top), (right, bottom) = self.at_edges(np.array([[0.0, 0.0], [width, height]]))
        return float(left), float(top), float(right), float(bottom)


def window(
    size: tuple[int, int], grids: list[np.ndarray], align_corners: bool = False, reach: float = REACH
) -> tuple[float, float, float, float]:
    """The pixel edges (left, top, right, bottom) that take in an image of `size` and, within `reach`, all `grids`."""
    height, width = size
    left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    for grid in grids:
        points = pixels(np.asarray(grid, dtype=np.float64).reshape(-1, 2), size, align_corners) + 0.5
        points = points[np.isfinite(points).all(-1)]
        if len(points):
            pad = 0.03 * max(size)
            low, high = points.min(0) - pad, points.max(0) + pad
            left, top = min(left, low[0] if low[0] < -pad else 0.0), min(top, low[1] if low[1] < -pad else 0.0)
            right = max(right, high[0] if high[0] > width + pad else width)
            bottom = max(bottom, high[1] if high[1] > height + pad else height)
    x, y = reach * width / 2, reach * height / 2
    return max(left, -x), max(top, -y), min(right, width + x), min(bottom, height + y)


def place(shape: tuple[float, float], area: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The largest box of proportion `shape` (width, height) in the middle of `area`."""
    left, top, right, bottom = area
    scale = min((right - left) / shape[0], (bottom - top) / shape[1])
    width, height = shape[0] * scale, shape[1] * scale
    x, y = (left + right - width) / 2, (top + bottom - height) / 2
    return x, y, x + width, y + height


def mesh(grid: np.ndarray, align_corners: bool = False, cells: int = 16) -> tuple[list[np.ndarray], np.ndarray]:
    """The lines of a deformed sampling grid (H', W', 2), and its border, as normalised polylines (P, 2).

    At most `cells` cells along the longer side. The border is that of the output: with `align_corners` it runs through the
    centres of the outer pixels, without it along their outer edges, half a pixel further on (extrapolated).
    """
    height, width = grid.shape[:2]
    pad = 0.0 if align_corners else 0.5
    longer = max(height, width)
    rows = _stops(height, pad, max(1, round(cells * height / longer)))
    columns = _stops(width, pad, max(1, round(cells * width / longer)))
    fine_rows, fine_columns = _stops(height, pad, 4 * cells), _stops(width, pad, 4 * cells)
    lines = [_read(grid, np.full_like(fine_columns, row), fine_columns) for row in rows]
    lines += [_read(grid, fine_rows, np.full_like(fine_rows, column)) for column in columns]
    count = len(rows)
    border = np.concatenate([lines[0], lines[-1][1:], lines[count - 1][::-1][1:], lines[count][::-1][1:-1]])
    return lines, border


def _stops(length: int, pad: float, cells: int) -> np.ndarray:
    return np.linspace(-pad, length - 1 + pad, cells + 1)


def _read(grid: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The grid at fractional indices, linear between its points and beyond its ends."""
    out = grid
    for axis, where in ((0, rows), (1, columns)):
        length = grid.shape[axis]
        low = np.clip(np.floor(where).astype(int), 0, max(length - 2, 0))
        share = where - low if length > 1 else np.zeros_like(where)
        high = np.minimum(low + 1, length - 1)
        if axis == 0:
            share = share[:, None, None]
            out = out[low] * (1 - share) + out[high] * share
        else:
            index = np.arange(len(where))
            share = share[:, None]
            out = out[index, low] * (1 - share) + out[index, high] * share
    return out
