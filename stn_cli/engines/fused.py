"""The fast kernel: rows of the output, sixteen pixels at a time, no sampling grid in memory for maps with a matrix."""

import numpy as np
from numba.core import types
from numba.extending import overload

from stn_cli.engines.blocks import (
    add,
    constant,
    far,
    fraction,
    is_bytes,
    near,
    packed,
    packed_floats,
    packed_word,
    rim,
    whole_bytes,
)
from stn_cli.engines.codes import AFFINE, BICUBIC, BILINEAR, FILL, LANES, NEAREST, OFF, PROJECTIVE, TABLE, ZEROS
from stn_cli.engines.inner import (
    affine_inner,
    fixed,
    inner_block,
    inner_span,
    inside_span,
    lane_steps,
    projective_inner,
    table_inner,
    touching_span,
)
from stn_cli.engines.jit import apart, helper
from stn_cli.engines.places import (
    affine_place,
    bounded,
    footprints,
    projective_place,
    table_place,
)
from stn_cli.engines.simd import (
    below,
    bits,
    every,
    f32,
    floor,
    largest,
    prefetch,
    select,
    some,
    store_bytes,
    store_pixels,
    to_int,
)

LARGE = 1 << 18  # bytes of an image above which what is read next may not be in a near cache
AHEAD = 12  # rows
TILE = 256  # columns of output worked through before the next: what their rows read stays in the first-level cache


@helper
def ways_ahead(m, column, row, stride, size):
    """How many bytes four pixels of a block lie, AHEAD rows below, from where the block at (column, row) begins to read."""
    w = m[6] * column + m[7] * row + m[8]
    over = 1 / w if abs(w) > 1e-6 else 0.0
    x, y = (m[0] * column + m[1] * row + m[2]) * over, (m[3] * column + m[4] * row + m[5]) * over
    right_x, right_y = 4 * (m[0] - x * m[6]) * over, 4 * (m[3] - y * m[6]) * over
    down_x, down_y = AHEAD * (m[1] - x * m[7]) * over, AHEAD * (m[4] - y * m[7]) * over
    return (
        int(down_y) * stride + int(down_x) * size,
        int(down_y + right_y) * stride + int(down_x + right_x) * size,
        int(down_y + 2 * right_y) * stride + int(down_x + 2 * right_x) * size,
        int(down_y + 3 * right_y) * stride + int(down_x + 3 * right_x) * size,
    )


@helper
def fetch(src, byte, ways):
    """Have what will be read soon brought near."""
    for way in ways:
        prefetch(src, byte + way)


def finish(out, index, total, like):
    """Write sixteen pixels (four F) at element `index`, rounded half up and clipped to what `out` holds."""


@overload(finish, inline="always")
def _finish(out, index, total, like):
    if isinstance(out.dtype, types.Float):
        return lambda out, index, total, like: store_pixels(
            out, index, (bits(total[0]), bits(total[1]), bits(total[2]), bits(total[3])), like
        )
    top = float(2**out.dtype.bitwidth - 1)
    if out.dtype == types.uint8:

        def finish_bytes(out, index, total, like):
            a, b, c, d = _round(total[0], top), _round(total[1], top), _round(total[2], top), _round(total[3], top)
            store_bytes(out, index, a | (b << 8) | (c << 16) | (d << 24), like)

        return finish_bytes

    def finish_shorts(out, index, total, like):
        a, b, c, d = _round(total[0], top), _round(total[1], top), _round(total[2], top), _round(total[3], top)
        store_pixels(out, index, (a, b, c, d), like)

    return finish_shorts


@helper
def _round(value, top):
    value = floor(value + np.float32(0.5))
    value = select(value > 0.0, value, f32(0.0))
    return to_int(select(value < top, value, f32(top)))


def least_alpha(out):
    """The alpha below which a pixel is written as transparent, all zeros."""


@overload(least_alpha, inline="always")
def _least_alpha(out):
    least = 1e-6 if isinstance(out.dtype, types.Float) else 0.5
    return lambda out: np.float32(least)


@helper
def divided(total, out, like):
    """Sums of colours times alpha, and alpha → colours and alpha."""
    a = total[1] if len(like) == 2 else total[3]
    seen = a >= least_alpha(out)
    over = select(seen, f32(1.0) / select(seen, a, f32(1.0)), f32(0.0))
    if len(like) == 2:
        return (total[0] * over, a, a, a)
    return (total[0] * over, total[1] * over, total[2] * over, a)


@helper
def taps(src, height, width, fill, alpha, kind, padding, corners, low, in_words, x, y, fx, fy):
    """The sum over the taps of one sample a lane, four F. `low`: rows from which `near` may read; `in_words`: `rim` may, too."""
    first, count = (0, 1) if kind == NEAREST else (0, 2) if kind == BILINEAR else (-1, 4)
    if every(below(x + first, max(width - count + 1, 0)) & below(y + first, max(low - count + 1, 0))):
        if is_bytes(src) and kind == BILINEAR and len(alpha) == 0 and len(fill) != 2:
            stride = width * len(fill)
            wx, wy = fraction(fx), fraction(fy)
            even, odd, _, _ = packed(src, 0, y * stride + x * len(fill), stride, fill, wx, wy)
            return packed_floats(even, odd)
        return near(src, width, fill, x, y, fx, fy, kind, first, count, alpha)
    if padding in (ZEROS, FILL):
        reach = first + count - 1
        touches = below(x + reach, width + count - 1) & below(y + reach, height + count - 1)
        if not some(touches):
            zero = f32(0.0)
            return add((zero, zero, zero, zero), f32(1.0), constant(fill), fill, alpha)
    if is_bytes(src) and len(fill) != 2 and in_words:
        even, odd = rim(src, height, width, fill, x, y, fx, fy, padding, corners)
        return packed_floats(even, odd)
    return far(src, height, width, fill, x, y, fx, fy, kind, first, count, padding, corners, alpha)


@helper
def split(X, Y, x, y, kind):
    """A place → whole pixels (I, I) and the fractions (F, F) above them; for nearest the pixel itself."""
    if kind == NEAREST:
        x, y = x + np.float32(0.5), y + np.float32(0.5)
    left, top = floor(bounded(x)), floor(bounded(y))
    return to_int(left) + X, to_int(top) + Y, x - left, y - top


@apart
def averaged(src, height, width, fill, alpha, kind, padding, corners, low, in_words, X, Y, x, y, footprint):
    """The mean over the footprint of every lane, four F."""
    ax, ay, bx, by, nx, ny = footprint
    zero = f32(0.0)
    t0, t1, t2, t3 = zero, zero, zero, zero
    over_x, over_y = f32(1.0) / nx, f32(1.0) / ny
    over = over_x * over_y
    for b in range(largest(to_int(ny))):
        v = over_y * np.float32(b + 0.5) - np.float32(0.5)
        for a in range(largest(to_int(nx))):
            u = over_x * np.float32(a + 0.5) - np.float32(0.5)
            counts = (f32(a) < nx) & (f32(b) < ny)
            ix, iy, fx, fy = split(X, Y, x + u * ax + v * bx, y + u * ay + v * by, kind)
            s0, s1, s2, s3 = taps(
                src, height, width, fill, alpha, kind, padding, corners, low, in_words, ix, iy, fx, fy
            )
            t0 = t0 + select(counts, s0 * over, zero)
            t1 = t1 + select(counts, s1 * over, zero)
            t2 = t2 + select(counts, s2 * over, zero)
            t3 = t3 + select(counts, s3 * over, zero)
    return (t0, t1, t2, t3)


@apart
def warp_rows(
    src, height, width, out, out_height, out_width, row0, rows,
    mode, matrix, inside, table, first_row, fill, alpha, kind, padding, corners, antialias,
):  # fmt: skip
    """Rows row0 … row0 + rows - 1 of V into `out`, which holds them alone and, where W' < 16, sixteen pixels more.

    src, out: flat, of one dtype. matrix (9,): output → input pixels. inside (4,): pixels averaged there are left to `polyphase`,
    and anything may stand in their place; see `inside_span`. table: flat float64 (x, y) of every output pixel from
    row `first_row` on, with a halo of one row where `antialias` is not off. fill: one float32 a channel; its length is the
    number of channels, 1 to 4. alpha: (True,) where the last of 2 or 4 channels is alpha, else ().
    """
    n = len(fill)
    size = src.itemsize * n
    # Near taps are read in words, which may reach past the last pixel: that row is left to the far way.
    low = height if size % 4 == 0 else height - 1
    if width * size < 4 or src.size * src.itemsize >= 1 << 31:
        low = 0
    in_words = kind == BILINEAR and len(alpha) == 0 and low > 0 and whole_bytes(fill)
    in_fields = antialias == OFF and (
        (is_bytes(src) and n != 2 and kind != BICUBIC) or (kind == NEAREST and len(alpha) == 0)
    )
    stride = width * size
    large = src.size * src.itemsize > LARGE
    ways = (0, 0, 0, 0)
    places = projective_inner(matrix, 0, row0)  # of the projective block at column `coming`
    steps, step_x, step_y = lane_steps(matrix), fixed(matrix[0]), fixed(matrix[3])
    row_x, row_y = step_x, step_y
    constant_outside = padding in (ZEROS, FILL) and (mode == AFFINE or (mode == PROJECTIVE and antialias == OFF))
    reach = 2.0 if kind == BICUBIC else 1.0
    if antialias != OFF:
        reach += 0.5 * max(abs(matrix[0]) + abs(matrix[1]), abs(matrix[3]) + abs(matrix[4]))
    zero = f32(0.0)
    footprint = (zero, zero, zero, zero, zero, zero)
    if mode == AFFINE and antialias != OFF:  # the same everywhere
        footprint = footprints(mode, matrix, table, out_height, out_width, first_row, 0, 0, antialias)
    outside = add((zero, zero, zero, zero), f32(1.0), constant(fill), fill, alpha)
    outside = divided(outside, out, fill) if len(alpha) else outside
    for tile in range(0, out_width, TILE):
        end = min(tile + TILE, out_width)
        for r in range(rows):
            row = row0 + r
            coming = -1
            column = tile
            inner, touching = (0, 0), (0, out_width)
            if large and mode != TABLE:
                ways = ways_ahead(matrix, (tile + end) >> 1, row, stride, size)
            others = (0, 0)  # columns that another kernel makes
            if antialias != OFF and mode == AFFINE:
                others = inside_span(matrix, inside, row, out_width)
            if constant_outside:
                touching = touching_span(matrix, row, out_width, width, height, reach)
            if in_fields and mode != TABLE:
                inner = inner_span(matrix, row, out_width, width, low, kind)
                if mode == AFFINE and inner[0] < inner[1]:
                    row_x = fixed(matrix[1] * row + matrix[2])
                    row_y = fixed(matrix[4] * row + matrix[5])
            while column < end:
                if others[0] <= column < others[1]:
                    column = others[1]
                    continue
                column = max(min(column, out_width - LANES), 0)
                index = (r * out_width + column) * n
                if column + LANES <= touching[0] or column >= touching[1]:
                    finish(out, index, outside, fill)
                    column += LANES
                    continue
                if inner[0] <= column and column + LANES <= inner[1]:
                    if mode == AFFINE:
                        calm = True
                        X, Y, px, py = affine_inner(row_x + column * step_x, row_y + column * step_y, steps)
                    else:
                        if coming != column:
                            places = projective_inner(matrix, column, row)
                        calm, X, Y, px, py = places
                        coming = column + LANES  # its division is under way while this block waits for its pixels
                        places = projective_inner(matrix, coming, row)
                    if large:
                        fetch(src, Y * stride + X * size, ways)
                    if calm and inner_block(src, width, out, index, fill, alpha, kind, X, Y, px, py):
                        column += LANES
                        continue
                if mode == AFFINE:
                    X, Y, x, y = affine_place(matrix, column, row)
                elif mode == PROJECTIVE:
                    X, Y, x, y = projective_place(matrix, column, row)
                else:
                    X, Y, x, y = table_place(table, (row - first_row) * out_width + column)
                    if in_fields:
                        calm, px, py = table_inner(X, Y, x, y, width, low, kind)
                        if calm and inner_block(src, width, out, index, fill, alpha, kind, X, Y, px, py):
                            column += LANES
                            continue
                if large and mode != TABLE:
                    fetch(src, Y * stride + X * size, ways)
                if antialias != OFF:
                    if mode != AFFINE:
                        footprint = footprints(
                            mode, matrix, table, out_height, out_width, first_row, column, row, antialias
                        )
                    if largest(to_int(footprint[4] * footprint[5])) > 1:
                        total = averaged(
                            src, height, width, fill, alpha, kind, padding, corners, low, in_words, X, Y, x, y, footprint
                        )  # fmt: skip
                        finish(out, index, divided(total, out, fill) if len(alpha) else total, fill)
                        column += LANES
                        continue
                ix, iy, fx, fy = split(X, Y, x, y, kind)
                if is_bytes(src) and n != 2 and in_words:
                    even, odd = rim(src, height, width, fill, ix, iy, fx, fy, padding, corners)
                    store_bytes(out, index, packed_word(even, odd), fill)
                    column += LANES
                    continue
                total = taps(src, height, width, fill, alpha, kind, padding, corners, low, in_words, ix, iy, fx, fy)
                finish(out, index, divided(total, out, fill) if len(alpha) else total, fill)
                column += LANES
