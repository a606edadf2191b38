"""What the Triton kernel is told of a batch (`triton_kernel`): a row of two tables an image; and what it is not asked for."""

import numpy as np
from torch import Tensor

from stn_cli.core.antialias import AUTO, SLACK
from stn_cli.core.coordinates import pixel_frame
from stn_cli.core.families import ThinPlateSpline
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work
from stn_cli.engines.triton_kernel import COLUMNS, MAP_COLUMNS

AFFINE, PROJECTIVE, SPLINE = 0, 1, 2
OFF = 0.02  # pixels that a spline summed in float32 may be off


def serves(work: Work) -> bool:
    """Whether the Triton kernel knows this depth, these channels and this map."""
    channels = (2, 4) if work.alpha else (1, 2, 3, 4)
    if work.image.dtype != np.uint8 or work.image.shape[2] not in channels:
        return False
    if work.transformation.matrix() is not None:
        return True
    return isinstance(work.transformation.family, ThinPlateSpline) and spline_error(work) <= OFF


def spline_error(work: Work) -> float:
    """Pixels that the kernel's float32 sum may be off, more than was ever seen: a few roundings of the sum of |terms|, which
    is largest at control points and corners."""
    weights, controls = np.abs(spline_weights(work.transformation)), np.array(work.transformation.family.control_points)  # type: ignore[attr-defined]
    ends = np.concatenate([controls, [(-1, -1), (1, -1), (-1, 1), (1, 1)]])
    square = ((ends[:, None] - controls) ** 2).sum(-1)
    bends = 0.5 * square * np.abs(np.log(np.where(square > 0, square, 1.0)))
    count = len(controls)
    terms = bends @ weights[:count] + weights[count] + np.abs(ends) @ weights[count + 1 :]
    return float(2.0**-24 * (4 + 4 * terms.max()) * max(work.image.shape[:2]) / 2)


def spline_weights(made: Transformation) -> np.ndarray:
    """(K + 3, 2): of the control points, then the affine part."""
    return made.family.solution() @ (made.theta - made.family.identity()).reshape(-1, 2)  # type: ignore[attr-defined]


def kind_of(made: Transformation) -> tuple[int, tuple]:
    """(mode, control points): what shares a launch."""
    matrix = made.matrix()
    if matrix is None:
        return SPLINE, tuple(made.family.control_points)  # type: ignore[attr-defined]
    return (PROJECTIVE if matrix[2, :2].any() else AFFINE), ()


def shrinks(map_: np.ndarray, out_size: np.ndarray, sampling: Sampling) -> bool:
    """Whether an affine map is averaged; along an axis of one pixel it has no footprint (`core.antialias`)."""
    columns = map_.reshape(3, 3)[:2, :2] * (out_size[::-1] > 1)
    above = (AUTO if sampling.antialias == "auto" else 1.0) + SLACK
    return bool(np.linalg.svd(columns, compute_uv=False)[0] > above)


def image_row(source: Tensor, out: Tensor, out_size: tuple[int, int], planar: bool) -> np.ndarray:
    """A row of the table of images, `triton_kernel.COLUMNS` numbers."""
    order = (1, 2, 0) if planar else (0, 1, 2)
    strides = [[t.stride(k) for k in order] for t in (source, out)]
    in_size = [source.shape[k] for k in order[:2]]
    row = [source.data_ptr(), out.data_ptr(), *in_size, *out_size, *strides[0], *strides[1], 0]
    assert len(row) == COLUMNS
    return np.array(row, dtype=np.int64)


def map_row(made: Transformation, row: np.ndarray, sampling: Sampling) -> np.ndarray:
    """A row of the table of maps, `triton_kernel.MAP_COLUMNS` numbers."""
    in_size, out_size = tuple(row[2:4].tolist()), tuple(row[4:6].tolist())
    matrix = made.pixel_matrix(in_size, out_size, sampling.align_corners)
    if matrix is not None:
        return matrix.reshape(-1)
    to_input = np.array(pixel_frame(in_size, sampling.align_corners))
    to_output = np.array(pixel_frame(out_size, sampling.align_corners))
    if sampling.align_corners:  # an axis of one pixel has its only point at -1
        for axis in range(2):
            if to_output[axis, axis] == 0:
                to_output[axis, axis], to_output[axis, 2] = 1.0, 1.0
    from_output = np.linalg.inv(to_output)
    entries = [m[k, j] for m in (from_output, to_input) for k in range(2) for j in (k, 2)]
    return np.array([*entries, 0.0][:MAP_COLUMNS])
