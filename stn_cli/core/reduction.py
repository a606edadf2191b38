"""How far a decoder may shrink an image before it is warped, where the map shrinks it anyway.

A JPEG decoder averages blocks of r × r pixels for nearly nothing. What it leaves to be averaged is then σ/r instead of σ,
with σ the smallest singular value of the map's Jacobian. On a zone plate the result stays within the anti-aliasing bound
(RMSE 0.06 against the area average) where σ/r is at least 1.6 for r = 2 and 1.25 for r = 4 and 8.
"""

from functools import lru_cache

import numpy as np

from stn_cli.core.coordinates import Size
from stn_cli.core.transformation import Transformation

LEAST = {8: 1.25, 4: 1.25, 2: 1.6}  # σ/r that must remain
_POINTS = 17  # along each side of the output, where the Jacobian of a projective map is looked at


@lru_cache(maxsize=256)
def reduction(transformation: Transformation, in_size: Size, out_size: Size) -> int:
    """1, 2, 4 or 8: the largest r that divides both sides of the input and that the map leaves room for.

    Because r divides the sides, normalised coordinates (align_corners=False) mean the same in the reduced image. Families
    without a matrix are not reduced. Sizes are (height, width). Remembered for as long as a folder's pictures share a θ.
    """
    matrix = transformation.pixel_matrix(in_size, out_size)
    if matrix is None:
        return 1
    shrinks = least_singular_value(matrix, out_size)
    fitting = (r for r, left in LEAST.items() if in_size[0] % r == in_size[1] % r == 0 and shrinks >= r * left)
    return next(fitting, 1)


def least_singular_value(matrix: np.ndarray, out_size: Size) -> float:
    """The least that a map shrinks, over the output: the smallest σ₂ of its Jacobian; 0 where it has its horizon.

    `matrix` (3, 3) takes output pixels to input pixels. With p = (X/w, Y/w): ∂p = (∂(X, Y) - p ∂w) / w.
    """
    height, width = out_size
    u, v = np.meshgrid(np.linspace(0, width - 1, _POINTS), np.linspace(0, height - 1, _POINTS))
    X, Y, w = np.tensordot(matrix, np.stack([u, v, np.ones_like(u)]), axes=1)
    if w.min() * w.max() <= 0:
        return 0.0
    p = np.stack([X / w, Y / w], axis=-1)
    jacobians = (matrix[:2, :2] - p[..., :, None] * matrix[2, :2]) / w[..., None, None]
    return float(np.linalg.svd(jacobians, compute_uv=False)[..., 1].min())
