"""Attention: isotropic scale and translation (paper, equation 2; seed 3)."""

from collections.abc import Sequence

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Formula, parameters, stack_rows
from stn_cli.core.namespaces import array_namespace


class Attention(Formula):
    """T_θ(x, y) = (s·x + tx, s·y + ty): a window of the input, s times its size, about (tx, ty).

    ⎡ s  0  tx ⎤
    ⎣ 0  s  ty ⎦
    """

    name = "attention"
    parameter_names = ("s", "tx", "ty")

    def identity(self) -> tuple[float, ...]:
        return (1.0, 0.0, 0.0)

    def formula(self, theta: Sequence[Array], x: Array, y: Array) -> tuple[Array, Array]:
        s, tx, ty = theta
        return s * x + tx, s * y + ty

    def matrix(self, theta: Array) -> Array:
        xp, (s, tx, ty) = array_namespace(theta), parameters(theta)
        one, zero = xp.ones_like(s), xp.zeros_like(s)
        return stack_rows(xp, [[s, zero, tx], [zero, s, ty], [zero, zero, one]])

    def inverse(self, theta: Array) -> Array:
        xp, (s, tx, ty) = array_namespace(theta), parameters(theta)
        return xp.stack((1 / s, -tx / s, -ty / s), axis=-1)
