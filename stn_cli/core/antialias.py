"""Where a map shrinks the image: footprints of output pixels, and how many taps average over them.

An output pixel sees a parallelogram of the input, spanned by the columns of the Jacobian of the map in pixels. Where that
is larger than the kernel, one sample aliases; the mean of n_x × n_y samples spread evenly over the parallelogram is the
area average (exactly so for reductions by whole factors). Works on any array of the array-API standard.
"""

from typing import Any, Literal

import numpy as np

from stn_cli.core.coordinates import Array
from stn_cli.core.namespaces import array_namespace

MOST_TAPS = 128  # along one axis; a pixel at the horizon of a projective map would ask for any number
AUTO = 1.5  # `auto` averages where the largest singular value of the Jacobian is above this
SLACK = 1e-3  # pixels: a reduction by 4 that rounding makes 4.0000001 takes 4 taps, not 5


def differences(points: Array, axis: int) -> Array:
    """`numpy.gradient` along `axis`: central differences, one-sided at both ends, zero where there is one element."""
    xp = array_namespace(points)
    length = points.shape[axis]

    def part(start: int, stop: int) -> Array:
        return points[(*[slice(None)] * (axis % points.ndim), slice(start, stop), ...)]

    if length == 1:
        return xp.zeros_like(points)
    first, last = part(1, 2) - part(0, 1), part(length - 1, length) - part(length - 2, length - 1)
    inner = (part(2, length) - part(0, length - 2)) / 2
    return xp.concat((first, inner, last), axis=axis)


def jacobian(grid: Array) -> tuple[Array, Array]:
    """J_x and J_y, each (…, H', W', 2): how a sampling grid in input pixels moves for one output pixel right, and down."""
    return differences(grid, -2), differences(grid, -3)


def largest_singular_value(along_x: Array, along_y: Array) -> Array:
    """σ₁ of the 2×2 Jacobian with the columns J_x and J_y, each (…, 2) → (…)."""
    xp = array_namespace(along_x)
    xx, yy = xp.sum(along_x**2, axis=-1), xp.sum(along_y**2, axis=-1)
    xy = xp.sum(along_x * along_y, axis=-1)
    return xp.sqrt((xx + yy) / 2 + xp.sqrt(((xx - yy) / 2) ** 2 + xy**2))


def taps(along_x: Array, along_y: Array, antialias: Literal["auto", "on"]) -> tuple[Array, Array]:
    """n_x and n_y, integers from 1 to `MOST_TAPS`, each (…) for Jacobian columns (…, 2)."""
    xp = array_namespace(along_x)
    above = largest_singular_value(along_x, along_y) > (AUTO if antialias == "auto" else 1) + SLACK

    def count(column: Array) -> Array:
        length = xp.sqrt(xp.sum(column**2, axis=-1))
        number = xp.clip(xp.ceil(length - SLACK), min=1, max=MOST_TAPS)
        return xp.astype(xp.where(above, number, xp.ones_like(number)), xp.int64)

    return count(along_x), count(along_y)


def offsets(count: int) -> list[float]:
    """Where `count` taps lie along one side of the footprint, as parts of it: (a + ½)/n - ½.

    >>> offsets(2)
    [-0.25, 0.25]
    """
    return [(a + 0.5) / count - 0.5 for a in range(count)]


def spread(grid: Array, along_x: Array, along_y: Array, n_x: int, n_y: int) -> Any:
    """The n_x·n_y sample points, one array like `grid` after the other, of footprints that all take n_x × n_y taps."""
    for v in offsets(n_y):
        for u in offsets(n_x):
            yield grid + u * along_x + v * along_y


def steepest(matrices: np.ndarray, out_size: tuple[int, int]) -> np.ndarray:
    """(N,): a bound on the largest singular value of the Jacobian over the output of (N, 3, 3); exact for affine maps.

    With p = (X/w, Y/w), ∂p/∂u = (∂(X, Y)/∂u - p·∂w/∂u) / w: p runs over the convex hull of its values at the corners of the
    output, where w is extreme too, and the numerators are linear in p.
    """
    height, width = out_size
    corners = np.array([(u, v, 1.0) for u in (0, width - 1) for v in (0, height - 1)])
    X, Y, w = np.moveaxis(matrices @ corners.T, 1, 0)  # (N, 4) each
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.stack([X / w, Y / w], axis=-1)
        jacobians = matrices[:, None, :2, :2] - p[..., :, None] * matrices[:, None, 2:, :2]  # (N, 4, 2, 2)
        bound = largest_singular_value(jacobians[..., 0], jacobians[..., 1]).max(-1) / np.abs(w).min(-1)
    return np.where(w.min(-1) * w.max(-1) > 0, bound, np.inf)
