"""Where output pixels read the input, computed exactly, in float64."""

import numpy as np

from stn_cli.core.coordinates import normalised_from_pixel, pixel_frame, pixel_from_normalised
from stn_cli.core.families import PiecewiseAffine, ThinPlateSpline
from stn_cli.core.transformation import Transformation
from stn_cli.engines import native
from stn_cli.engines.codes import LANES

CHUNK = 1 << 14  # points at a time: temporaries stay in the cache


def exact_points(
    transformation: Transformation,
    in_size: tuple[int, int],
    out_size: tuple[int, int],
    align_corners: bool,
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Input pixels (…, 2), (x, y), of the output pixels at `rows` and `columns`, which broadcast and may be fractions."""
    if isinstance(transformation.family, ThinPlateSpline):
        return _spline(transformation, frames(in_size, out_size, align_corners), rows, columns)
    rows, columns = np.broadcast_arrays(rows, columns)
    result = np.empty((*rows.shape, 2))
    flat, rows, columns = result.reshape(-1, 2), rows.reshape(-1), columns.reshape(-1)
    for start in range(0, len(flat), CHUNK):
        part = slice(start, start + CHUNK)
        target = np.stack(
            (
                normalised_from_pixel(columns[part], out_size[1], align_corners),
                normalised_from_pixel(rows[part], out_size[0], align_corners),
            ),
            axis=-1,
        )
        source = transformation.points(target)
        flat[part, 0] = pixel_from_normalised(source[:, 0], in_size[1], align_corners)
        flat[part, 1] = pixel_from_normalised(source[:, 1], in_size[0], align_corners)
    return result


def frames(in_size: tuple[int, int], out_size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """(8,): factor and offset of x and of y, from output pixels to normalised, then from normalised to input pixels."""
    there, back = pixel_frame(in_size, align_corners), pixel_frame(out_size, align_corners)
    numbers = []
    for axis in range(2):
        scale = back[axis][axis] or 1.0  # the centre of an only pixel is at 0
        numbers += [1 / scale, -back[axis][2] / scale]
    for axis in range(2):
        numbers += [there[axis][axis], there[axis][2]]
    return np.array(numbers)


def _spline(transformation: Transformation, frame: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    shape = np.broadcast_shapes(rows.shape, columns.shape)
    count = int(np.prod(shape))
    points = np.zeros((count + LANES, 2))
    points[:count, 0].reshape(shape)[...] = columns
    points[:count, 1].reshape(shape)[...] = rows
    family = transformation.family
    assert isinstance(family, ThinPlateSpline)
    controls = np.array(family.control_points, dtype=np.float64)
    moved = transformation.theta.reshape(-1, 2) - controls
    coefficients = np.ascontiguousarray(family.solution() @ moved)
    native.load("spline")(
        points.ctypes.data, count, frame.ctypes.data, controls.ctypes.data, len(controls), coefficients.ctypes.data,
        points.ctypes.data,
    )  # fmt: skip
    return points[:count].reshape(*shape, 2)


def mesh_rows(
    transformation: Transformation,
    in_size: tuple[int, int],
    out_size: tuple[int, int],
    align_corners: bool,
    low: int,
    rows: int,
    table: np.ndarray,
) -> None:
    """Output rows low … low + rows - 1 of a piecewise-affine map into a flat table x0, y0, x1, …, sixteen points to spare."""
    family = transformation.family
    assert isinstance(family, PiecewiseAffine)
    moved = transformation.theta - np.array(family.identity())
    frame = frames(in_size, out_size, align_corners)
    native.load("mesh")(
        moved.ctypes.data, *family.shape, frame.ctypes.data, low, rows, out_size[1], table.ctypes.data,
        2 * (rows * out_size[1] + LANES),
    )  # fmt: skip
