"""Projective: the plane seen from elsewhere, eight numbers."""

from collections.abc import Sequence

from stn_cli.core.coordinates import Array
from stn_cli.core.families.base import Formula, parameters, stack_rows
from stn_cli.core.namespaces import array_namespace

HORIZON = 1e-6  # |w| is kept above it: the points stay finite, and far outside any image


class Projective(Formula):
    """T_θ(x, y) = (X/w, Y/w) with (X, Y, w)ᵀ = H_θ (x, y, 1)ᵀ and the last entry of H fixed at 1.

    ⎡ h11  h12  h13 ⎤
    ⎢ h21  h22  h23 ⎥
    ⎣ h31  h32   1  ⎦

    Where w crosses zero the map has its horizon; beyond it the plane is seen mirrored, as in OpenCV. `stn theta describe`
    says when that happens inside the output.
    """

    name = "projective"
    parameter_names = ("h11", "h12", "h13", "h21", "h22", "h23", "h31", "h32")

    def identity(self) -> tuple[float, ...]:
        return (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)

    def formula(self, theta: Sequence[Array], x: Array, y: Array) -> tuple[Array, Array]:
        a, b, c, d, e, f, g, h = theta
        xp, w = array_namespace(a), g * x + h * y + 1
        w = xp.where(xp.abs(w) < HORIZON, xp.where(w < 0, xp.full_like(w, -HORIZON), xp.full_like(w, HORIZON)), w)
        return (a * x + b * y + c) / w, (d * x + e * y + f) / w

    def matrix(self, theta: Array) -> Array:
        xp, (a, b, c, d, e, f, g, h) = array_namespace(theta), parameters(theta)
        return stack_rows(xp, [[a, b, c], [d, e, f], [g, h, xp.ones_like(a)]])

    def inverse(self, theta: Array) -> Array:
        """The adjugate over its last entry: H⁻¹ up to the scale that makes it end in 1."""
        xp, (a, b, c, d, e, f, g, h) = array_namespace(theta), parameters(theta)
        adjugate = (
            e - f * h, c * h - b, b * f - c * e,
            f * g - d, a - c * g, c * d - a * f,
            d * h - e * g, b * g - a * h,
        )  # fmt: skip
        last = a * e - b * d
        return xp.stack([entry / last for entry in adjugate], axis=-1)
