"""Control points on a regular lattice: what `tps` and `piecewise-affine` share."""

from typing import Any

from array_api_compat import device

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import rows
from stn_cli.core.namespaces import array_namespace
from stn_cli.errors import StnError

Points = tuple[tuple[float, float], ...]


def lattice(shape: tuple[int, int]) -> Points:
    """rows × columns points (x, y) from (-1, -1) to (1, 1), row by row."""
    if min(shape) < 2:
        raise StnError(f"a lattice of control points needs at least 2×2 points, not {shape}")
    height, width = shape
    return tuple(
        ((2 * j + 1 - width) / (width - 1), (2 * i + 1 - height) / (height - 1))
        for i in range(height)
        for j in range(width)
    )


def names(count: int) -> tuple[str, ...]:
    """x1, y1, x2, y2, …: where in the input each of `count` control points is found."""
    return tuple(f"{axis}{k}" for k in range(1, count + 1) for axis in "xy")


def constant(values: Any, like: Array) -> Array:
    """`values` (numbers, NumPy) as an array of the namespace, dtype and device of `like`."""
    xp = array_namespace(like)
    return xp.asarray(values, dtype=like.dtype, device=device(like))


def displacements(theta: Array, points: Points) -> Array:
    """θ (N, 2K), positions x1, y1, x2, y2, … → how far each control point has moved, (N, K, 2)."""
    xp, theta = array_namespace(theta), rows(theta)
    return xp.reshape(theta, (-1, len(points), 2)) - constant(points, theta)
