"""Piecewise affine: a mesh of triangles, each with its own affine map."""

from collections.abc import Sequence
from typing import Any

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Family
from stn_cli.core.families.lattice import displacements, lattice, names
from stn_cli.core.namespaces import array_namespace


class PiecewiseAffine(Family):
    """A `shape` (rows, columns) lattice of control points over [-1, 1]²; every cell is cut from its top left to its bottom right.

    θ = (x1, y1, …, xK, yK): where in the input each control point of the output reads, normalised, row by row. Inside a
    triangle the displacement is linear; beyond the lattice the outermost triangles go on.
    """

    name = "piecewise-affine"

    def __init__(self, shape: Sequence[int] = (4, 4)) -> None:
        self.shape = (int(shape[0]), int(shape[1]))
        self.control_points = lattice(self.shape)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return names(len(self.control_points))

    def options(self) -> dict[str, Any]:
        return {"shape": list(self.shape)}

    def identity(self) -> tuple[float, ...]:
        return tuple(v for point in self.control_points for v in point)

    def points(self, theta: Array, xy: Array) -> Array:
        xp = array_namespace(theta)
        height, width = self.shape
        moved = displacements(theta, self.control_points)
        flat = xp.reshape(xy, (-1, 2))
        column, u = _cell(xp, flat[:, 0], width)
        row, v = _cell(xp, flat[:, 1], height)
        corner = row * width + column

        def at(index: Array) -> Array:
            return xp.take(moved, index, axis=1)

        top_left, bottom_right = at(corner), at(corner + width + 1)
        upper = u >= v  # the triangle with the top right corner
        middle = xp.where(upper[None, :, None], at(corner + 1), at(corner + width))
        first = xp.where(upper, u, v)[None, :, None]
        second = xp.where(upper, v, u)[None, :, None]
        offsets = top_left + first * (middle - top_left) + second * (bottom_right - middle)
        return xy + xp.reshape(offsets, (-1, *xy.shape))


def _cell(xp: Any, u: Array, count: int) -> tuple[Array, Array]:
    """The cell of `count` points over [-1, 1] that `u` lies in, and the place in it, 0 to 1 (beyond, for outer cells)."""
    place = (u + 1) * ((count - 1) / 2)
    cell = xp.clip(xp.floor(place), min=0, max=count - 2)
    return xp.astype(cell, xp.int64), place - cell
