"""Translation: two numbers (seed 1, "Localisation Net")."""

from collections.abc import Sequence

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Formula, parameters, rows, stack_rows
from stn_cli.core.namespaces import array_namespace


class Translation(Formula):
    """T_θ(x, y) = (x + tx, y + ty), in normalised units: tx = 1 is half the input's width.

    ⎡ 1  0  tx ⎤
    ⎣ 0  1  ty ⎦
    """

    name = "translation"
    parameter_names = ("tx", "ty")

    def identity(self) -> tuple[float, ...]:
        return (0.0, 0.0)

    def formula(self, theta: Sequence[Array], x: Array, y: Array) -> tuple[Array, Array]:
        tx, ty = theta
        return x + tx, y + ty

    def matrix(self, theta: Array) -> Array:
        xp, (tx, ty) = array_namespace(theta), parameters(theta)
        one, zero = xp.ones_like(tx), xp.zeros_like(tx)
        return stack_rows(xp, [[one, zero, tx], [zero, one, ty], [zero, zero, one]])

    def inverse(self, theta: Array) -> Array:
        return -rows(theta)
