"""What a warp needs of its source: how coarse it may be, and which part of it the output sees.

A reader that can decode less than everything asks for this first. What it leaves out is never read by a kernel, so θ, sizes
and results are those of the whole picture.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, isfinite
from typing import NamedTuple

import numpy as np

from stn_cli.core.antialias import steepest
from stn_cli.core.coordinates import Size
from stn_cli.core.sampling import Kernel, Padding
from stn_cli.core.transformation import Transformation

# pixels that a sample sees on each side, or fewer
REACH: dict[Kernel, int] = {"nearest": 1, "bilinear": 1, "bicubic": 2}
_SPARE = 2  # pixels: more than any rounding
_FARTHEST = 1e9


class Window(NamedTuple):
    """Rows top … bottom - 1 and columns left … right - 1 of a picture."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Need:
    """`reduction`: 1, 2, 4 or 8, by which a decoder may shrink the picture (`core.reduction`). `window`: the part of the
    picture as it is in the file, upright, that counts; None is all of it."""

    reduction: int = 1
    window: Window | None = None


@lru_cache(maxsize=256)
def window(
    transformation: Transformation,
    in_size: Size,
    out_size: Size,
    kernel: Kernel,
    padding: Padding,
    align_corners: bool = False,
) -> Window | None:
    """The pixels that samples, averaged or not, may read; None where that is not known to be less than everything.

    Under a matrix without a horizon the output sees the convex hull of what its corners see. A constant outside, and the
    border's repetition, need the nearest pixels of the image; a reflection may need any. Remembered, as `reduction` is.
    """
    matrix = transformation.pixel_matrix(in_size, out_size, align_corners)
    if matrix is None:
        return None
    (height, width), (rows, columns) = in_size, out_size
    corners = matrix @ np.array([(u, v, 1.0) for u in (0, columns - 1) for v in (0, rows - 1)]).T
    # half of both sides of a footprint, neither of which is longer than the steepest step
    margin = float(steepest(matrix[None], out_size)[0]) + REACH[kernel] + _SPARE
    if not isfinite(margin):
        return None
    x, y = corners[0] / corners[2], corners[1] / corners[2]
    if not max(np.abs(x).max(), np.abs(y).max()) < _FARTHEST:
        return None
    left, right = floor(x.min() - margin), ceil(x.max() + margin)
    top, bottom = floor(y.min() - margin), ceil(y.max() + margin)
    inside = left >= 0 and top >= 0 and right < width and bottom < height
    if padding == "reflection" and not inside:
        return None
    seen = Window(_within(top, height), _within(left, width), _within(bottom, height) + 1, _within(right, width) + 1)
    return None if seen == (0, 0, height, width) else seen


def _within(pixel: int, size: int) -> int:
    return min(max(pixel, 0), size - 1)
