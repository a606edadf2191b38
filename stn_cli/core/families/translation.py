"""Translation: two numbers (seed 1, "Localisation Net")."""

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Family, column, rows, stack_rows
from stn_cli.core.namespaces import array_namespace


class Translation(Family):
    """T_θ(x, y) = (x + tx, y + ty), in normalised units: tx = 1 is half the input's width.

    ⎡ 1  0  tx ⎤
    ⎣ 0  1  ty ⎦
    """

    name = "translation"
    parameter_names = ("tx", "ty")

    def identity(self) -> tuple[float, ...]:
        return (0.0, 0.0)

    def points(self, theta: Array, xy: Array) -> Array:
        xp, theta = array_namespace(theta), rows(theta)
        return xp.stack((xy[..., 0] + column(theta, 0, xy[..., 0]), xy[..., 1] + column(theta, 1, xy[..., 1])), axis=-1)

    def matrix(self, theta: Array) -> Array:
        xp, theta = array_namespace(theta), rows(theta)
        tx, ty = theta[:, 0], theta[:, 1]
        one, zero = xp.ones_like(tx), xp.zeros_like(tx)
        return stack_rows(xp, [[one, zero, tx], [zero, one, ty], [zero, zero, one]])

    def inverse(self, theta: Array) -> Array:
        return -rows(theta)
