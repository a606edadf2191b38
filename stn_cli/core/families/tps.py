"""Thin-plate spline (Bookstein, 1989): the smoothest map that takes control points where θ says."""

from collections.abc import Sequence
from functools import lru_cache
from math import inf
from typing import Any

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Family
from stn_cli.core.families.lattice import Points, constant, displacements, lattice, names
from stn_cli.core.namespaces import array_namespace
from stn_cli.errors import StnError


class ThinPlateSpline(Family):
    """T_θ(p) = p + Σ_k w_k U(|p - p_k|) + a₀ + a₁x + a₂y, with U(r) = r² log r.

    θ = (x1, y1, …, xK, yK): where in the input each control point p_k of the output reads, normalised. The p_k are a
    `shape` (rows, columns) lattice over [-1, 1]², or the `control_points` given. The spline interpolates the displacements
    θ_k - p_k, so that the identity is exact. `smoothing` λ ≥ 0 adds λI to the kernel matrix, as in SciPy's
    `RBFInterpolator(kernel="thin_plate_spline", smoothing=λ)`: the points are then approached, not met.

    Raises `StnError` where the control points do not determine a spline (fewer than 3, repeated, or all on a line).
    """

    name = "tps"

    def __init__(
        self,
        shape: Sequence[int] = (4, 4),
        smoothing: float = 0.0,
        control_points: Sequence[Sequence[float]] | None = None,
    ) -> None:
        if not 0 <= smoothing < inf:
            raise StnError(f"the smoothing of a thin-plate spline is a number ≥ 0, not {smoothing}")
        self.smoothing = float(smoothing)
        self.shape = None if control_points is not None else (int(shape[0]), int(shape[1]))
        if self.shape is not None:
            self.control_points = lattice(self.shape)
        else:
            self.control_points = tuple((float(x), float(y)) for x, y in control_points or ())

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return names(len(self.control_points))

    def options(self) -> dict[str, Any]:
        if self.shape is None:
            return {"control_points": [list(p) for p in self.control_points], "smoothing": self.smoothing}
        return {"shape": list(self.shape), "smoothing": self.smoothing}

    def identity(self) -> tuple[float, ...]:
        return tuple(v for point in self.control_points for v in point)

    def points(self, theta: Array, xy: Array) -> Array:
        xp = array_namespace(theta)
        moved = displacements(theta, self.control_points)
        flat = xp.reshape(xy, (-1, 2))
        offsets = xp.matmul(self.basis(flat)[None, ...], moved)
        return xy + xp.reshape(offsets, (-1, *xy.shape))

    def solution(self) -> Any:
        """The NumPy matrix (K+3, K) that takes the displacements of the control points to w_1 … w_K, a₀, a₁, a₂."""
        return _solution(self.control_points, self.smoothing)

    def basis(self, xy: Array) -> Array:
        """How much the displacement of each control point counts at `xy` (P, 2): (P, K). It does not depend on θ."""
        xp = array_namespace(xy)
        solve = constant(self.solution(), xy)
        away = xy[:, None, :] - constant(self.control_points, xy)[None, :, :]
        square = xp.sum(away * away, axis=-1)
        kernel = _kernel(xp, square)
        linear = xp.stack((xp.ones_like(xy[:, 0]), xy[:, 0], xy[:, 1]), axis=-1)
        return xp.matmul(xp.concat((kernel, linear), axis=-1), solve)


def _kernel(xp: Any, square: Array) -> Array:
    """U = r² log r of r², with U(0) = 0."""
    return 0.5 * square * xp.log(xp.where(square > 0, square, xp.ones_like(square)))


@lru_cache(maxsize=32)
def _solution(points: Points, smoothing: float) -> Any:
    """The (K+3, K) matrix that takes K displacements to the K weights and 3 affine numbers: part of the inverse of

    ⎡ U + λI  P ⎤
    ⎣  Pᵀ     0 ⎦   with P the rows (1, x, y).
    """
    import numpy as np

    p = np.array(points, dtype=np.float64)
    count = len(p)
    square = ((p[:, None] - p[None]) ** 2).sum(-1)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(np, square) + smoothing * np.eye(count)
    system[:count, count:] = np.concatenate([np.ones((count, 1)), p], axis=1)
    system[count:, :count] = system[:count, count:].T
    if count < 3 or np.linalg.cond(system) > 1e13:
        raise StnError("these control points determine no thin-plate spline: give at least 3, apart, not all on a line")
    return np.linalg.inv(system)[:, :count]
