"""Similarity: rotation, isotropic scale and translation."""

from collections.abc import Sequence

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Formula, parameters, stack_rows
from stn_cli.core.namespaces import array_namespace


class Similarity(Formula):
    """T_θ(x, y) = (a·x - b·y + tx, b·x + a·y + ty), with a = s·cos φ and b = s·sin φ.

    ⎡ a  -b  tx ⎤
    ⎣ b   a  ty ⎦

    Parametrised by a and b rather than by s and φ: linear in θ, and no angle that wraps. It is a similarity of the
    *normalised* square, as a localisation net sees its input; on an image that is not square it also shears the content.
    (`--rotate` does not: it is composed in pixels.)
    """

    name = "similarity"
    parameter_names = ("a", "b", "tx", "ty")

    def identity(self) -> tuple[float, ...]:
        return (1.0, 0.0, 0.0, 0.0)

    def formula(self, theta: Sequence[Array], x: Array, y: Array) -> tuple[Array, Array]:
        a, b, tx, ty = theta
        return a * x - b * y + tx, b * x + a * y + ty

    def matrix(self, theta: Array) -> Array:
        xp, (a, b, tx, ty) = array_namespace(theta), parameters(theta)
        one, zero = xp.ones_like(a), xp.zeros_like(a)
        return stack_rows(xp, [[a, -b, tx], [b, a, ty], [zero, zero, one]])

    def inverse(self, theta: Array) -> Array:
        xp, (a, b, tx, ty) = array_namespace(theta), parameters(theta)
        square = a * a + b * b
        a, b = a / square, -b / square
        return xp.stack((a, b, -(a * tx - b * ty), -(b * tx + a * ty)), axis=-1)
