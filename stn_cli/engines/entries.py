"""The kernels with a C interface, compiled by numba for one depth and number of channels: machine code in an object file.

Imported only where no such file is there yet; `native` loads them. The interfaces are those of `native.ARGUMENTS`.
"""

import re
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import carray, types
from numba.np.unsafe.ndarray import to_fixed_tuple

from stn_cli.engines import fused, grid_kernels, polyphase, separable, small

# What a kernel may name: Python's and numba's ways to raise (never gone: kernels do not raise), what `native` supplies, and
# intrinsics that are instructions. LLVM links any other name to address zero, and says nothing.
SAFE = re.compile(r"Py|NRT_|numba_|mem(set|cpy|move)$|llvm\.(?!(log|exp|pow|sin|cos|tan)[^a-z])")

_WHOLE, _WHOLES = types.int64, types.CPointer(types.int64)
_REAL, _NARROW, _BYTES = (types.CPointer(t) for t in (types.float64, types.float32, types.uint8))
_INDICES = types.CPointer(types.int32)


def compiled(kernel: str, dtype: np.dtype | None, channels: int, alpha: bool) -> tuple[str, bytes]:
    """(names, object file) of a kernel, for images of `dtype` with `channels`, the last of them alpha or not.

    The names, with spaces between, are its own and those of everything outside it that it mentions.
    """
    if kernel == "warp_rows":
        entry, signature = _warp_rows(dtype, channels, alpha)
    elif kernel == "shrink_rows":
        entry, signature = _shrink_rows(dtype, channels, alpha)
    elif kernel == "sum_rows":
        entry, signature = _sum_rows(dtype, channels, alpha)
    elif kernel == "warp_small":
        entry, signature = _warp_small(channels)
    else:
        entry, signature = {"expand": _expand, "spline": _spline, "mesh": _mesh}[kernel]()
    made: Any = numba.cfunc(signature)(entry)
    module = made._library._final_module
    called = {f.name for f in module.functions if f.is_declaration}
    unknown = [name for name in sorted(called) if not SAFE.match(name)]
    if unknown:
        raise RuntimeError(f"{kernel} calls what has no address without numba: {', '.join(unknown)}")
    _, _, (machine_code, _) = made._library.serialize_using_object_code()
    outside = called | {v.name for v in module.global_variables if v.is_declaration}
    return " ".join((made._wrapper_name, *sorted(outside))), machine_code


def _warp_rows(dtype: np.dtype | None, channels: int, alpha: bool) -> tuple[Callable, types.Type]:
    element = types.CPointer(numba.from_dtype(dtype))
    alpha_flag = (True,) if alpha else ()
    warp_rows = fused.warp_rows

    def entry(
        src, src_size, height, width, out, out_size, out_height, out_width, row0, rows, mode,
        matrix, inside, table, table_size, first_row, fill, kind, padding, corners, antialias,
    ):  # fmt: skip
        warp_rows(
            carray(src, (src_size,)), height, width, carray(out, (out_size,)), out_height, out_width, row0, rows, mode,
            carray(matrix, (9,)), carray(inside, (4,)), carray(table, (table_size,)), first_row,
            to_fixed_tuple(carray(fill, (channels,)), channels), alpha_flag, kind, padding, corners, antialias,
        )  # fmt: skip

    return entry, types.void(
        element, _WHOLE, _WHOLE, _WHOLE, element, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _WHOLE,
        _REAL, _REAL, _REAL, _WHOLE, _WHOLE, _NARROW, _WHOLE, _WHOLE, types.boolean, _WHOLE,
    )  # fmt: skip


def _shrink_rows(dtype: np.dtype | None, channels: int, alpha: bool) -> tuple[Callable, types.Type]:
    element = types.CPointer(numba.from_dtype(dtype))
    alpha_flag = (True,) if alpha else ()
    shrink_rows = separable.shrink_rows

    def entry(
        src, src_size, width, out, out_size, out_width, rows, row_starts, row_counts, row_weights, row_pitch, row_reach,
        row_inside, starts, weights, pitch, reach, inside, constant, has_constant, first, last, line, room,
    ):  # fmt: skip
        shrink_rows(
            carray(src, (src_size,)), width, carray(out, (out_size,)), out_width, rows,
            carray(row_starts, (rows,)), carray(row_counts, (rows,)), carray(row_weights, (row_reach * row_pitch,)),
            row_pitch, carray(row_inside, (rows,)),
            carray(starts, (pitch,)), carray(weights, (reach * pitch,)), reach, pitch, carray(inside, (pitch,)),
            carray(constant, (4,)), has_constant, first, last, carray(line, (room,)),
            to_fixed_tuple(carray(constant, (channels,)), channels), alpha_flag,
        )  # fmt: skip

    return entry, types.void(
        element, _WHOLE, _WHOLE, element, _WHOLE, _WHOLE, _WHOLE, _INDICES, _INDICES, _NARROW, _WHOLE, _WHOLE,
        _NARROW, _INDICES, _NARROW, _WHOLE, _WHOLE, _NARROW, _NARROW, types.boolean, _WHOLE, _WHOLE, _NARROW, _WHOLE,
    )  # fmt: skip


def _sum_rows(dtype: np.dtype | None, channels: int, alpha: bool) -> tuple[Callable, types.Type]:
    element = types.CPointer(numba.from_dtype(dtype))
    like, alpha_flag = (0,) * channels, (True,) if alpha else ()
    sum_rows = polyphase.sum_rows

    def entry(
        src, src_size, width, out, out_size, out_width, row0, rows, matrix, inside, shift, x_at, x_over, x_bins, x_count,
        y_at, y_over, y_bins, y_count, bins, table, table_size, pitch, scale, offsets, runs, starts, shares, room, mixed,
    ):  # fmt: skip
        sum_rows(
            carray(src, (src_size,)), width, carray(out, (out_size,)), out_width, row0, rows, carray(matrix, (9,)),
            carray(inside, (4,)), carray(shift, (2,)),
            (carray(x_at, (x_count,)), carray(x_over, (x_count,)), carray(x_bins, (bins,))),
            (carray(y_at, (y_count,)), carray(y_over, (y_count,)), carray(y_bins, (bins,))),
            carray(table, (table_size,)), pitch, scale, carray(offsets, (runs,)), carray(starts, (2 * room,)),
            carray(shares, (4 * room,)), carray(mixed, (pitch,)), like, alpha_flag,
        )  # fmt: skip

    return entry, types.void(
        element, _WHOLE, _WHOLE, element, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _REAL, _REAL, _REAL,
        _NARROW, _NARROW, _INDICES, _WHOLE, _NARROW, _NARROW, _INDICES, _WHOLE, _WHOLE,
        _NARROW, _WHOLE, _WHOLE, types.float64, _WHOLES, _WHOLE, _INDICES, _NARROW, _WHOLE, _NARROW,
    )  # fmt: skip


def _warp_small(channels: int) -> tuple[Callable, types.Type]:
    warp_small = small.warp_small

    def entry(
        src, src_size, height, width, out, out_size, out_height, out_width, row0, rows, modes, matrices, count, fill,
        kind, padding, scratch, room,
    ):  # fmt: skip
        warp_small(
            carray(src, (src_size,)), height, width, carray(out, (out_size,)), out_height, out_width, row0, rows,
            carray(modes, (count,)), carray(matrices, (count, 9)),
            to_fixed_tuple(carray(fill, (channels,)), channels), kind, padding,
            carray(scratch, (room,)),
        )  # fmt: skip

    return entry, types.void(
        _BYTES, _WHOLE, _WHOLE, _WHOLE, _BYTES, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _WHOLE,
        _WHOLES, _REAL, _WHOLE, _BYTES, _WHOLE, _WHOLE, _BYTES, _WHOLE,
    )  # fmt: skip


def _expand() -> tuple[Callable, types.Type]:
    expand = grid_kernels.expand

    def entry(nodes, down, across, weights, step, line, low, rows, width, table, room):
        expand(
            carray(nodes, (2, down, across)), carray(weights, (4, 16)), step, carray(line, (2, across + 4)), low, rows, width,
            carray(table, (room,)),
        )  # fmt: skip

    return entry, types.void(_REAL, _WHOLE, _WHOLE, _REAL, _WHOLE, _REAL, _WHOLE, _WHOLE, _WHOLE, _REAL, _WHOLE)


def _spline() -> tuple[Callable, types.Type]:
    spline = grid_kernels.spline

    def entry(points, count, frame, controls, number, coefficients, out):
        spline(
            carray(points, (2 * count + 32,)), count, carray(frame, (8,)), carray(controls, (number, 2)),
            carray(coefficients, (number + 3, 2)), carray(out, (2 * count + 32,)),
        )  # fmt: skip

    return entry, types.void(_REAL, _WHOLE, _REAL, _REAL, _WHOLE, _REAL, _REAL)


def _mesh() -> tuple[Callable, types.Type]:
    mesh = grid_kernels.mesh

    def entry(moved, down, across, frame, low, rows, width, table, room):
        mesh(carray(moved, (down, across, 2)), carray(frame, (8,)), low, rows, width, carray(table, (room,)))

    return entry, types.void(_REAL, _WHOLE, _WHOLE, _REAL, _WHOLE, _WHOLE, _WHOLE, _REAL, _WHOLE)
