"""The fast kernel with a C interface, compiled by numba for one depth and number of channels: machine code in an object file.

Imported only where no such file is there yet; `native` loads them.
"""

import numba
import numpy as np
from numba import carray, types
from numba.np.unsafe.ndarray import to_fixed_tuple

from stn_cli.engines.fused import warp_rows

_WHOLE, _REAL, _NARROW = types.int64, types.CPointer(types.float64), types.CPointer(types.float32)


def compiled(dtype: np.dtype, channels: int, alpha: bool) -> tuple[str, bytes]:
    """(symbol, object file) of `warp_rows` for images of `dtype` with `channels`, the last of them alpha or not.

    The C interface is that of `native.ARGUMENTS`.
    """
    element = types.CPointer(numba.from_dtype(dtype))
    alpha_flag = (True,) if alpha else ()

    def entry(
        src, src_size, height, width, out, out_size, out_height, out_width, row0, rows, mode,
        matrix, table, table_size, first_row, fill, kind, padding, corners, antialias,
    ):  # fmt: skip
        warp_rows(
            carray(src, (src_size,)), height, width, carray(out, (out_size,)), out_height, out_width, row0, rows, mode,
            carray(matrix, (9,)), carray(table, (table_size,)), first_row,
            to_fixed_tuple(carray(fill, (channels,)), channels), alpha_flag, kind, padding, corners, antialias,
        )  # fmt: skip

    signature = types.void(
        element, _WHOLE, _WHOLE, _WHOLE, element, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _WHOLE,
        _REAL, _REAL, _WHOLE, _WHOLE, _NARROW, _WHOLE, _WHOLE, types.boolean, _WHOLE,
    )  # fmt: skip
    made = numba.cfunc(signature)(entry)
    _, _, (machine_code, _) = made._library.serialize_using_object_code()
    return made._wrapper_name, machine_code
