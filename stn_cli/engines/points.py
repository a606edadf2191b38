"""Where output pixels read the input, computed exactly, in float64."""

import numpy as np

from stn_cli.core.coordinates import normalised_from_pixel, pixel_from_normalised
from stn_cli.core.transformation import Transformation

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
