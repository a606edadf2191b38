"""Small 8-bit images: padded by a pixel into a scratch buffer first, so that no sample needs a test for the rim.

A border or a constant looks the same from one pixel outside on: positions are clamped to there. A copy of a small image costs
next to nothing; its rim would cost more than its inside. One call warps a batch.
"""

import numpy as np

from stn_cli.engines.blocks import packed, packed_word
from stn_cli.engines.codes import AFFINE, BORDER, LANES, NEAREST
from stn_cli.engines.jit import apart, helper
from stn_cli.engines.places import projective_place
from stn_cli.engines.simd import (
    copy_block,
    f32,
    fma,
    gather_i32,
    lanes,
    select,
    store_bytes,
    to_float,
    to_int,
    whole_part,
)


@helper
def pad(src, start, height, width, n, border, scratch):
    """The image at src[start:] into `scratch`, which has one pixel on each side; its rim repeated, or left as it is."""
    row, stride = width * n, (width + 2) * n
    for r in range(height):
        read, write = start + r * row, (r + 1) * stride + n
        if row < LANES:
            for k in range(
                row
            ):  # not a slice: numba would allocate a copy, with a call that only a process with numba has
                scratch[write + k] = src[read + k]
        else:
            for k in range(0, row + LANES - 1, LANES):
                at = min(k, row - LANES)
                copy_block(src, read + at, scratch, write + at)
    if border:
        for r in range(1, height + 1):
            for c in range(n):
                scratch[r * stride + c] = scratch[r * stride + n + c]
                scratch[(r + 1) * stride - n + c] = scratch[(r + 1) * stride - 2 * n + c]
        below = (height + 1) * stride
        for k in range(stride):
            scratch[k] = scratch[stride + k]
            scratch[below + k] = scratch[below - stride + k]


@helper
def clamped(x, last):
    """A position between one pixel before the first and one after the last, as 16.16 in the padded image."""
    x = select(x < last, x, f32(last))
    return to_int((select(x > -1.0, x, f32(-1.0)) + np.float32(1.0)) * np.float32(65536))


@helper
def absolute(mode, m, column, row):
    """The positions of sixteen pixels in float32, which is fine enough for a small image."""
    if mode == AFFINE:
        lane = to_float(lanes())
        x, y = m[0] * column + m[1] * row + m[2], m[3] * column + m[4] * row + m[5]
        return fma(lane, f32(m[0]), f32(x)), fma(lane, f32(m[3]), f32(y))
    X, Y, x, y = projective_place(m, column, row)
    return x + np.float32(X), y + np.float32(Y)


@apart
def warp_small(
    src, height, width, out, out_height, out_width, row0, rows, modes, matrices, fill, kind, padding, scratch
):
    """Rows row0 … row0 + rows - 1 of every V into `out`, sixteen pixels longer, for images one after the other in `src`.

    src, out: flat, uint8. modes (N,), matrices (N, 9): AFFINE or PROJECTIVE, output → input pixels. fill: 1, 3 or 4 uint8.
    kind: NEAREST or BILINEAR; padding: not REFLECTION. scratch: (H + 3)·(W + 2)·C + 8 uint8, filled with `fill` (a loop
    here would become a call of memset, unknown to a process without numba); kernels own no memory.
    """
    n = len(fill)
    stride = (width + 2) * n
    for image in range(len(matrices)):
        pad(src, image * height * width * n, height, width, n, padding == BORDER, scratch)
        m = matrices[image]
        for r in range(rows):
            column = 0
            while column < out_width:
                column = max(min(column, out_width - LANES), 0)
                x, y = absolute(modes[image], m, column, row0 + r)
                index = ((image * rows + r) * out_width + column) * n
                px, py = clamped(x, width), clamped(y, height)
                if kind == NEAREST:
                    px, py = px + 32768, py + 32768
                    word = gather_i32(scratch, 0, whole_part(py) * stride + whole_part(px) * n)
                else:
                    even, odd, _, _ = packed(
                        scratch, 0, whole_part(py) * stride + whole_part(px) * n, stride, fill, px, py
                    )
                    word = packed_word(even, odd)
                store_bytes(out, index, word, fill)
                column += LANES
