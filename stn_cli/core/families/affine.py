"""Affine: six numbers, row-major (paper, equation 1)."""

from collections.abc import Sequence

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Formula, parameters, stack_rows
from stn_cli.core.namespaces import array_namespace


class Affine(Formula):
    """T_θ(x, y) = A_θ (x, y, 1)ᵀ, as `torch.nn.functional.affine_grid` takes it.

    ⎡ θ11  θ12  θ13 ⎤
    ⎣ θ21  θ22  θ23 ⎦
    """

    name = "affine"
    parameter_names = ("θ11", "θ12", "θ13", "θ21", "θ22", "θ23")

    def identity(self) -> tuple[float, ...]:
        return (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    def formula(self, theta: Sequence[Array], x: Array, y: Array) -> tuple[Array, Array]:
        a, b, c, d, e, f = theta
        return a * x + b * y + c, d * x + e * y + f

    def matrix(self, theta: Array) -> Array:
        xp, (a, b, c, d, e, f) = array_namespace(theta), parameters(theta)
        one, zero = xp.ones_like(a), xp.zeros_like(a)
        return stack_rows(xp, [[a, b, c], [d, e, f], [zero, zero, one]])

    def inverse(self, theta: Array) -> Array:
        xp, (a, b, c, d, e, f) = array_namespace(theta), parameters(theta)
        det = a * e - b * d
        a, b, d, e = e / det, -b / det, -d / det, a / det
        return xp.stack((a, b, -(a * c + b * f), d, e, -(d * c + e * f)), axis=-1)
