"""Attention: isotropic scale and translation (paper, equation 2; seed 3)."""

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Family, column, rows, stack_rows
from stn_cli.core.namespaces import array_namespace


class Attention(Family):
    """T_θ(x, y) = (s·x + tx, s·y + ty): a window of the input, s times its size, about (tx, ty).

    ⎡ s  0  tx ⎤
    ⎣ 0  s  ty ⎦
    """

    name = "attention"
    parameter_names = ("s", "tx", "ty")

    def identity(self) -> tuple[float, ...]:
        return (1.0, 0.0, 0.0)

    def points(self, theta: Array, xy: Array) -> Array:
        xp, theta = array_namespace(theta), rows(theta)
        s, tx, ty = (column(theta, i, xy[..., 0]) for i in range(3))
        return xp.stack((s * xy[..., 0] + tx, s * xy[..., 1] + ty), axis=-1)

    def matrix(self, theta: Array) -> Array:
        xp, theta = array_namespace(theta), rows(theta)
        s, tx, ty = theta[:, 0], theta[:, 1], theta[:, 2]
        one, zero = xp.ones_like(s), xp.zeros_like(s)
        return stack_rows(xp, [[s, zero, tx], [zero, s, ty], [zero, zero, one]])

    def inverse(self, theta: Array) -> Array:
        xp, theta = array_namespace(theta), rows(theta)
        s, tx, ty = theta[:, 0], theta[:, 1], theta[:, 2]
        return xp.stack((1 / s, -tx / s, -ty / s), axis=-1)
