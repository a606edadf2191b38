"""How other libraries write the same map: units, direction and origin of each, in one table.

|             | direction      | units      | a pixel's centre is | numbers: affine, projective |
| ----------- | -------------- | ---------- | ------------------- | --------------------------- |
| torch       | output → input | normalised | as `align_corners`  | 2×3 row-major, 3×3          |
| opencv      | input → output | pixels     | an integer          | 2×3, 3×3                    |
| kornia      | input → output | pixels     | an integer          | 2×3, 3×3                    |
| skimage     | output → input | pixels     | an integer          | 3×3                         |
| pillow      | output → input | pixels     | an integer + ½      | a b c d e f, … g h          |
| imagemagick | input → output | pixels     | an integer + ½      | sx rx ry sy tx ty; 8 row-major |

ImageMagick's affine numbers go down the columns (AffineProjection), its projective ones along the rows
(PerspectiveProjection). kornia's `warp_affine` and `warp_perspective` are meant with their own default `align_corners=True`.
"""

from collections.abc import Sequence

import numpy as np

from stn_cli.core.coordinates import Size, pixel_frame
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation, pixel_matrices, shown
from stn_cli.errors import OptionError

CONVENTIONS = ("torch", "opencv", "pillow", "skimage", "kornia", "imagemagick")

_HALF = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])  # from centres at integers to centres at ½
_FORWARD = ("opencv", "kornia", "imagemagick")
_CORNER_ORIGIN = ("pillow", "imagemagick")


def to_convention(
    name: str, transformation: Transformation, in_size: Size, out_size: Size, align_corners: bool = False
) -> np.ndarray:
    """The numbers (1-D) that library `name` takes for `transformation`, as its documentation orders them.

    Sizes are (height, width). Raises `OptionError` for an unknown name, a family without a matrix, or, where the library
    wants the map input → output, a singular θ.
    """
    _known(name)
    matrix = transformation.matrix()
    if matrix is None:
        raise OptionError("--to", name, f"the family {transformation.family.name} has no matrix: use stn grid --maps")
    affine = bool((matrix[2, :2] == 0).all())
    if name == "torch":
        return _numbers(matrix, affine)
    pixel = pixel_matrices(matrix, in_size, out_size, align_corners)
    if name in _CORNER_ORIGIN:
        pixel = _HALF @ pixel @ np.linalg.inv(_HALF)
    if name in _FORWARD:
        pixel = _inverted(pixel, "--theta", shown(transformation.theta))
    if name == "imagemagick" and affine:
        return pixel[:2].T.reshape(-1)
    if name == "skimage":
        return _numbers(pixel, False)
    return _numbers(pixel, affine)[: 8 if name in _CORNER_ORIGIN else 9]


@np.errstate(all="ignore")  # what overflows is refused below, in words
def from_convention(
    name: str, numbers: Sequence[float], in_size: Size, out_size: Size, align_corners: bool = False
) -> Transformation:
    """The inverse of `to_convention`: 6 numbers are an affine map, 8 or 9 a projective one (with zeros below, affine).

    Raises `OptionError` for a wrong count, a matrix that is singular where it must be inverted, or numbers that overflow.
    """
    _known(name)
    values = np.asarray(numbers, dtype=np.float64)
    text = shown(values)
    if len(values) not in (6, 8, 9) or not np.isfinite(values).all():
        raise OptionError("--matrix", text, f"{name} writes 6 numbers (affine), or 8 or 9 (projective)")
    if len(values) == 6 and name == "imagemagick":
        values = values.reshape(3, 2).T.reshape(-1)
    if len(values) == 6:
        values = np.concatenate([values, (0.0, 0.0, 1.0)])
    matrix = np.append(values, 1.0)[:9].reshape(3, 3)
    if name != "torch":
        if name in _FORWARD:
            matrix = _inverted(matrix, "--matrix", text)
        if name in _CORNER_ORIGIN:
            matrix = np.linalg.inv(_HALF) @ matrix @ _HALF
        affine = bool((np.abs(matrix[2, :2]) <= 1e-15 * np.abs(matrix).max()).all())
        if align_corners and min(*in_size, *out_size) == 1:
            raise OptionError("--align-corners", "an image one pixel wide or high", "needs at least 2×2 pixels")
        frames = (np.array(pixel_frame(in_size, align_corners)), np.array(pixel_frame(out_size, align_corners)))
        matrix = np.linalg.inv(frames[0]) @ matrix @ frames[1]
        if affine:
            matrix = matrix / matrix[2, 2]
            matrix[2] = (0.0, 0.0, 1.0)
    if not np.isfinite(matrix).all():
        raise OptionError("--matrix", text, "numbers as large as these overflow, and the last of nine must not be zero")
    return Transformation.from_matrix(matrix)


def calls(transformation: Transformation, in_size: Size, out_size: Size, how: Sampling) -> dict[str, str]:
    """The same warp as one line of each library, for those that have it. The numbers are as in `to_convention`."""
    matrix = transformation.matrix()
    if matrix is None:
        return {}
    affine = bool((matrix[2, :2] == 0).all())
    height, width = out_size

    def numbers(name: str) -> np.ndarray:
        return to_convention(name, transformation, in_size, out_size, how.align_corners)

    forward = _rows(numbers("opencv").reshape(-1, 3))
    pillow = ", ".join(_short(v) for v in numbers("pillow"))
    magick = " ".join(_short(v) for v in numbers("imagemagick"))
    theta = _rows(matrix[:2])
    found = {
        "opencv": f"cv2.warp{'Affine' if affine else 'Perspective'}(U, np.array({forward}), ({width}, {height}))",
        "pillow": f"U.transform(({width}, {height}), Image.Transform.{'AFFINE' if affine else 'PERSPECTIVE'}, "
        f"({pillow}), Image.Resampling.BILINEAR)",
        "imagemagick": f"magick IN -virtual-pixel black -filter point -interpolate bilinear "
        f"-define distort:viewport={width}x{height}+0+0 "
        f"-distort {'AffineProjection' if affine else 'PerspectiveProjection'} '{magick}' OUT",
    }
    if affine:
        found["torch"] = (
            f"F.grid_sample(U, F.affine_grid(torch.tensor([{theta}]), (1, C, {height}, {width}), "
            f"align_corners={how.align_corners}), align_corners={how.align_corners})"
        )
    return found


def _known(name: str) -> None:
    if name not in CONVENTIONS:
        raise OptionError("--convention", name, f"choose one of {', '.join(CONVENTIONS)}")


def _inverted(matrix: np.ndarray, option: str, text: str) -> np.ndarray:
    if not abs(np.linalg.det(matrix / np.abs(matrix).max())) >= 1e-14:  # NaN, for zeros, included
        raise OptionError(option, text, "the matrix must not be singular: this library writes the inverse")
    return np.linalg.inv(matrix)


def _numbers(matrix: np.ndarray, affine: bool) -> np.ndarray:
    return (matrix[:2] if affine else matrix / matrix[2, 2]).reshape(-1)


def _rows(matrix: np.ndarray) -> str:
    return "[" + ", ".join("[" + ", ".join(_short(v) for v in row) + "]" for row in matrix) + "]"


def _short(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-12 else value:.10g}"
