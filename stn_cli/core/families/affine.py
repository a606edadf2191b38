"""Affine: six numbers, row-major (paper, equation 1)."""

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Family, column, rows, stack_rows
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
        xp, theta = array_namespace(theta), rows(theta)
        a, b, c, d, e, f = (column(theta, i, xy) for i in range(6))
        x, y = xy[..., 0], xy[..., 1]
        return xp.stack((a * x + b * y + c, d * x + e * y + f), axis=-1)

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
