"""Affine: six numbers, row-major (paper, equation 1)."""

from stn_cli.core.coordinates import Array, Size
from stn_cli.core.families.base import Family, column, grid_axes, grid_of, rows, stack_rows
from stn_cli.core.namespaces import array_namespace


class Affine(Family):
    """T_θ(x, y) = A_θ (x, y, 1)ᵀ, as `torch.nn.functional.affine_grid` takes it.

    ⎡ θ11  θ12  θ13 ⎤
    ⎣ θ21  θ22  θ23 ⎦
    """

    name = "affine"
    parameter_names = ("θ11", "θ12", "θ13", "θ21", "θ22", "θ23")

    def identity(self) -> tuple[float, ...]:
        return (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    def points(self, theta: Array, xy: Array) -> Array:
        return array_namespace(theta).stack(_mapped(theta, xy[..., 0], xy[..., 1]), axis=-1)

    def grid(self, theta: Array, out_size: Size, *, align_corners: bool = False) -> Array:
        return grid_of(*_mapped(theta, *grid_axes(theta, out_size, align_corners)))

    def matrix(self, theta: Array) -> Array:
        xp, theta = array_namespace(theta), rows(theta)
        a, b, c, d, e, f = (theta[:, i] for i in range(6))
        one, zero = xp.ones_like(a), xp.zeros_like(a)
        return stack_rows(xp, [[a, b, c], [d, e, f], [zero, zero, one]])

    def inverse(self, theta: Array) -> Array:
        xp, theta = array_namespace(theta), rows(theta)
        a, b, c, d, e, f = (theta[:, i] for i in range(6))
        det = a * e - b * d
        a, b, d, e = e / det, -b / det, -d / det, a / det
        return xp.stack((a, b, -(a * c + b * f), d, e, -(d * c + e * f)), axis=-1)


def _mapped(theta: Array, x: Array, y: Array) -> tuple[Array, Array]:
    theta = rows(theta)
    a, b, c, d, e, f = (column(theta, i, x) for i in range(6))
    return a * x + b * y + c, d * x + e * y + f
