"""Maps that move each axis by itself: which input pixels an output column, or row, is a sum of, and with what weights.

Where x depends on the column alone and y on the row alone, the mean over a footprint is a product of two sums, and so is what
the padding puts outside. Imports no numba: the tables are made in NumPy, and kept for the next image of the size.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stn_cli.core.antialias import AUTO, MOST_TAPS, SLACK, offsets
from stn_cli.core.coordinates import Size
from stn_cli.core.sampling import Sampling

STRAIGHT = 1e-6  # pixels that a row may lean over its length and still be called straight
_MOST = 1 << 22  # weights computed for one axis before taps on the same pixel are joined
_NOTHING = 1e-9  # a weight below this is a rounded zero
_FAR = 1e9
_LANES = 16


@dataclass(frozen=True, eq=False)
class Axis:
    """Output j is Σ_k weights[k, j] · input[starts[j] + k] over k < counts[j], plus (1 - inside[j]) · the constant outside.

    starts, counts: (n + 16,) int32; weights (K, n + 16) and inside (n + 16,) float32; what lies beyond n weighs nothing.
    """

    starts: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    inside: np.ndarray


def axes(matrix: np.ndarray, in_size: Size, out_size: Size, sampling: Sampling) -> tuple[Axis, Axis] | None:
    """(columns, rows) of an averaged sample under a pixel matrix (9,), or None where the axes do not go separate ways."""
    (height, width), (rows, columns) = in_size, out_size
    if matrix[6:8].any() or max(abs(matrix[1]) * rows, abs(matrix[3]) * columns) > STRAIGHT * abs(matrix[8]):
        return None
    scale = 1 / matrix[8]
    across, down = _footprint(matrix[0] * scale, columns), _footprint(matrix[4] * scale, rows)
    if max(across, down) > MOST_TAPS:
        return None
    if max(across, down) <= (AUTO if sampling.antialias == "auto" else 1) + SLACK:
        return None
    if max(columns * across, rows * down) * (2 if sampling.kernel == "bilinear" else 4) > _MOST:
        return None
    how = sampling.kernel, sampling.padding, sampling.align_corners
    return (
        axis(matrix[0] * scale, matrix[2] * scale, width, columns, *how),
        axis(matrix[4] * scale, matrix[5] * scale, height, rows, *how),
    )


@lru_cache(maxsize=16)
def axis(step: float, start: float, size: int, count: int, kernel: str, padding: str, align_corners: bool) -> Axis:
    """Output j of `count` lies at input start + j·step, and averages over its footprint as core.antialias has it."""
    taps = min(max(int(np.ceil(_footprint(step, count) - SLACK)), 1), MOST_TAPS)
    place = start + step * (np.arange(count)[:, None] + np.array(offsets(taps)))
    place = np.clip(place, -_FAR, _FAR)[..., None]  # (count, taps, 1)
    pixel = np.floor(place).astype(np.int64) + (np.arange(2) if kernel == "bilinear" else np.arange(-1, 3))
    weight = _weight(kernel, np.abs(place - pixel)).reshape(count, -1) / taps
    folded, counts_as_inside = _folded(pixel.reshape(count, -1), size, padding, align_corners)
    inside = np.where(counts_as_inside.all(1), 1.0, (weight * counts_as_inside).sum(1))
    weight *= counts_as_inside
    first = folded.min(1, keepdims=True)
    reach = int((folded - first).max()) + 1
    bins = np.arange(count)[:, None] * reach + folded - first
    joined = np.bincount(bins.ravel(), weight.ravel(), count * reach).reshape(count, reach)
    return _trimmed(first[:, 0], joined, inside)


def _footprint(step: float, count: int) -> float:
    """The length of a footprint: |step|, but nothing where there is one output pixel and so no difference."""
    return abs(step) if count > 1 else 0.0


def _weight(kernel: str, d: np.ndarray) -> np.ndarray:
    """At distance d ≥ 0: the tent, or Keys' cubic with a = -0.75."""
    if kernel == "bilinear":
        return np.maximum(1 - d, 0)
    far = ((-0.75 * d + 3.75) * d - 6) * d + 3
    return np.where(d <= 1, (1.25 * d - 2.25) * d * d + 1, np.where(d < 2, far, 0))


def _folded(pixel: np.ndarray, size: int, padding: str, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """The pixel of the image that stands at a pixel of the padded line, and whether it is one and not the constant."""
    if padding == "reflection":
        period = max(2 * size - 2, 1) if align_corners else 2 * size
        pixel = pixel % period
        pixel = np.where(pixel < size, pixel, (period if align_corners else period - 1) - pixel)
    folded = np.clip(pixel, 0, size - 1)
    return folded, (folded == pixel) | (padding == "border")


def _trimmed(first: np.ndarray, weights: np.ndarray, inside: np.ndarray) -> Axis:
    """Without the zeros before the first weight and behind the last."""
    count, reach = weights.shape
    counts_for = np.abs(weights) > _NOTHING
    lead = counts_for.argmax(1)
    last = np.where(counts_for.any(1), reach - counts_for[:, ::-1].argmax(1), lead)
    counts = last - lead
    most = max(int(counts.max()), 1)
    at = lead[:, None] + np.arange(most)
    kept = np.take_along_axis(weights, np.minimum(at, reach - 1), 1) * (np.arange(most) < counts[:, None])
    table = np.zeros((most, count + _LANES), np.float32)
    table[:, :count] = kept.T
    return Axis(_room(first + lead, np.int32), _room(counts, np.int32), table, _room(inside, np.float32))


def _room(values: np.ndarray, dtype: type) -> np.ndarray:
    out = np.zeros(len(values) + _LANES, dtype)
    out[: len(values)] = values
    return out
