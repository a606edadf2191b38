"""Reductions whose axes go separate ways (`axes`): the rows that an output row needs are summed first, then their columns.

Every input pixel is read once or twice, in order, instead of once for each tap of each sample; the sums are float32.
"""

import numpy as np
from numba.core import types
from numba.extending import overload

from stn_cli.engines.codes import LANES
from stn_cli.engines.fused import finish, least_alpha
from stn_cli.engines.jit import apart, helper
from stn_cli.engines.quads import (
    last_of_quad,
    load_quad,
    load_row,
    load_whole,
    of_channels,
    of_pixels,
    store_quad,
    store_row,
    times_last,
)
from stn_cli.engines.simd import bits, f32, floats, floor, fma, gather_i32, select, to_int


@helper
def weighed(src, at, like, alpha):
    """Sixteen elements, colours weighted by alpha where there is alpha."""
    return load_row(src, at) if len(alpha) == 0 else times_last(load_row(src, at), like)


@helper
def down(src, start, stride, count, weights, at, pitch, line, first, last, like, alpha):
    """Elements first … last - 1 of `line` from those of `count` rows of `src`, of which the first begins at `start`."""
    e = first
    while e + 4 * LANES <= last:
        a, b, c, d = f32(0.0), f32(0.0), f32(0.0), f32(0.0)
        for k in range(count):
            w, p = f32(weights[k * pitch + at]), start + k * stride + e
            a = fma(w, weighed(src, p, like, alpha), a)
            b = fma(w, weighed(src, p + LANES, like, alpha), b)
            c = fma(w, weighed(src, p + 2 * LANES, like, alpha), c)
            d = fma(w, weighed(src, p + 3 * LANES, like, alpha), d)
        store_row(line, e, a)
        store_row(line, e + LANES, b)
        store_row(line, e + 2 * LANES, c)
        store_row(line, e + 3 * LANES, d)
        e += 4 * LANES
    while e < last:
        e = min(e, last - LANES)
        a = f32(0.0)
        for k in range(count):
            a = fma(f32(weights[k * pitch + at]), weighed(src, start + k * stride + e, like, alpha), a)
        store_row(line, e, a)
        e += LANES


@helper
def across(line, starts, weights, reach, pitch, column, like):
    """Four pixels of `line` from output column `column` on, as F."""
    n = len(like)
    a, b = np.int64(starts[column]) * n, np.int64(starts[column + 1]) * n
    c, d = np.int64(starts[column + 2]) * n, np.int64(starts[column + 3]) * n
    total = f32(0.0)
    for k in range(reach):
        step = k * n
        total = fma(
            of_pixels(weights, k * pitch + column), load_quad(line, a + step, b + step, c + step, d + step), total
        )
    return total


@helper
def across_grey(line, starts, weights, reach, pitch, column):
    """Sixteen pixels of one channel."""
    at = load_whole(starts, column) << 2
    total = f32(0.0)
    for k in range(reach):
        total = fma(load_row(weights, k * pitch + column), floats(gather_i32(line, 4 * k, at)), total)
    return total


@helper
def with_outside(total, rest, constant):
    """`total` and what the constant outside adds to it; nothing, whatever the constant, where `rest` is nothing."""
    return select(rest == 0.0, total, fma(rest, constant, total))


def finish_quad(out, index, total, like):
    """Write four pixels at element `index`, rounded half up and clipped to what `out` holds."""


@overload(finish_quad, inline="always")
def _finish_quad(out, index, total, like):
    if isinstance(out.dtype, types.Float):
        return lambda out, index, total, like: store_quad(out, index, bits(total), like)
    top = float(2**out.dtype.bitwidth - 1)

    def finish_whole(out, index, total, like):
        value = floor(total + np.float32(0.5))
        value = select(value > 0.0, value, f32(0.0))
        store_quad(out, index, to_int(select(value < top, value, f32(top))), like)

    return finish_whole


@helper
def unweighed(total, out, like):
    """Sums of colours times alpha, and alpha → colours and alpha."""
    a = last_of_quad(total, like)
    seen = a >= least_alpha(out)
    # the alpha of a pixel is in the lane itself where `a` holds 1: it stays
    return total * select(seen, f32(1.0) / select(seen, a, f32(1.0)), f32(0.0))


@apart
def shrink_rows(
    src, width, out, out_width, rows, row_starts, row_counts, row_weights, row_pitch, row_inside,
    starts, weights, reach, pitch, inside, constant, has_constant, first, last, line, like, alpha,
):  # fmt: skip
    """`rows` rows of V into `out`, which holds them alone and, where W' < 16, sixteen pixels more.

    src, out: flat, of one dtype. Rows and columns: see `axes.Axis`; `reach` is K. constant (4,): the pixel outside, colours
    times alpha where there is alpha. first, last: the elements of a row that count, sixteen or more. line: zeros, float32,
    (W + K + 4)·C or more. like: a tuple of C elements; alpha: (True,) where the last of 2 or 4 channels is alpha, else ().
    """
    n = len(like)
    stride = width * n
    block = LANES if n == 1 else 4
    outside = of_channels(constant, 0)
    for r in range(rows):
        down(
            src,
            row_starts[r] * stride,
            stride,
            row_counts[r],
            row_weights,
            r,
            row_pitch,
            line,
            first,
            last,
            like,
            alpha,
        )
        row_in = np.float32(row_inside[r])
        column = 0
        while column < out_width:
            column = max(min(column, out_width - block), 0)
            index = (r * out_width + column) * n
            if n == 1:
                total = across_grey(line, starts, weights, reach, pitch, column)
                if has_constant:
                    rest = f32(1.0) - load_row(inside, column) * row_in
                    total = with_outside(total, rest, f32(constant[0]))
                finish(out, index, (total, total, total, total), like)
            else:
                total = across(line, starts, weights, reach, pitch, column, like)
                if has_constant:
                    total = with_outside(total, f32(1.0) - of_pixels(inside, column) * row_in, outside)
                finish_quad(out, index, unweighed(total, out, like) if len(alpha) else total, like)
            column += block
