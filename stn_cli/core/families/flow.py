"""Flow: a displacement for every output pixel."""

from collections.abc import Sequence
from typing import Any

from array_api_compat import device

from stn_cli.core.coordinates import Array, Size, pixel_from_normalised, target_grid
from stn_cli.core.families.base import Family, rows
from stn_cli.core.namespaces import array_namespace


class Flow(Family):
    """T_θ(p) = p + F(p), with F a dense field of displacements, normalised, given at the pixel centres of `shape`.

    θ is F (H', W', 2), flattened row by row, (dx, dy) last. Between the centres F is bilinear, beyond them constant, so that
    one field serves outputs of any size. `align_corners` says in which frame the centres of `shape` lie.
    """

    name = "flow"

    def __init__(self, shape: Sequence[int] = (8, 8), align_corners: bool = False) -> None:
        self.shape = (int(shape[0]), int(shape[1]))
        self.align_corners = align_corners

    @property
    def parameter_names(self) -> tuple[str, ...]:
        height, width = self.shape
        return tuple(f"d{axis}[{i},{j}]" for i in range(height) for j in range(width) for axis in "xy")

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1] * 2

    def options(self) -> dict[str, Any]:
        return {"shape": list(self.shape), "align_corners": self.align_corners}

    def identity(self) -> tuple[float, ...]:
        return (0.0,) * self.size

    def grid(self, theta: Array, out_size: Size, *, align_corners: bool = False) -> Array:
        if tuple(out_size) != self.shape or align_corners != self.align_corners:
            return super().grid(theta, out_size, align_corners=align_corners)
        # The field is read where it is given: no interpolation, not even by rounding.
        xp = array_namespace(theta)
        target = target_grid(xp, out_size, align_corners, dtype=theta.dtype, device=device(theta))
        return target + xp.reshape(rows(theta), (-1, *self.shape, 2))

    def points(self, theta: Array, xy: Array) -> Array:
        xp = array_namespace(theta)
        height, width = self.shape
        field = xp.reshape(rows(theta), (-1, height * width, 2))
        flat = xp.reshape(xy, (-1, 2))
        left, right, u = _between(xp, flat[:, 0], width, self.align_corners)
        top, bottom, v = _between(xp, flat[:, 1], height, self.align_corners)
        u, v = u[None, :, None], v[None, :, None]

        def at(row: Array, column: Array) -> Array:
            return xp.take(field, row * width + column, axis=1)

        above = at(top, left) * (1 - u) + at(top, right) * u
        below = at(bottom, left) * (1 - u) + at(bottom, right) * u
        return xy + xp.reshape(above * (1 - v) + below * v, (-1, *xy.shape))


def _between(xp: Any, u: Array, count: int, align_corners: bool) -> tuple[Array, Array, Array]:
    """The two centres of `count` that `u` lies between, and how far from the first to the second, 0 to 1."""
    place = xp.clip(pixel_from_normalised(u, count, align_corners), min=0, max=count - 1)
    first = xp.floor(place)
    index = xp.astype(first, xp.int64)
    return index, xp.clip(index + 1, max=count - 1), place - first
