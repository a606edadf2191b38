"""Affine reductions: every output pixel is a sum of input pixels, with the weights of its phase (`phases`).

First the weights of a pixel are mixed from those of the four nodes around its phase, then the runs of input pixels are weighed
(`runs`): 8-bit pixels without alpha in integers, all others in float32. Only pixels that need nothing from outside the image are
made here, those whose place lies in `inside`: the others are made by `fused`, tap by tap.
"""

import numpy as np
from numba.core import types
from numba.extending import overload

from stn_cli.engines.codes import LANES
from stn_cli.engines.inner import inside_span
from stn_cli.engines.jit import apart, helper
from stn_cli.engines.phases import BINS, ROOM
from stn_cli.engines.quads import load_row, of_channels, store_row, store_whole
from stn_cli.engines.runs import (
    add_fields,
    channels_apart,
    dot_pairs,
    load_fields,
    load_pairs,
    quad_of_runs,
    times_alpha,
)
from stn_cli.engines.separable import finish_quad, unweighed
from stn_cli.engines.simd import (
    bits,
    f32,
    floats,
    floor,
    fma,
    gather_i32,
    high_product,
    i32,
    lanes,
    narrow,
    prefetch,
    select,
    some,
    to_double,
    to_float,
    to_int,
    to_int_far,
)

AHEAD = 4  # rows
TILE = 64  # columns of output worked through before the next: what their rows read stays in the first-level cache


def share(value, src, alpha):
    """0 … 1 (F) as the number by which the weights of a node are multiplied."""


@overload(share, inline="always")
def _share(value, src, alpha):
    if not _in_pairs(src, alpha):
        return lambda value, src, alpha: value

    def in_both_fields(value, src, alpha):
        value = to_int(value * np.float32(65536) + np.float32(0.5))
        value = select(value < 65535, value, i32(65535))
        return floats(value | (value << 16))

    return in_both_fields


def mix(shares, k, table, at, pitch, across, src, alpha):
    """Weights of four runs: those of four nodes by their shares."""


@overload(mix, inline="always")
def _mix(shares, k, table, at, pitch, across, src, alpha):
    if not _in_pairs(src, alpha):

        def in_floats(shares, k, table, at, pitch, across, src, alpha):
            w = nth(shares, k, 0) * load_row(table, at)
            w = fma(nth(shares, k, 1), load_row(table, at + pitch), w)
            w = fma(nth(shares, k, 2), load_row(table, at + across), w)
            return fma(nth(shares, k, 3), load_row(table, at + across + pitch), w)

        return in_floats

    def in_fields(shares, k, table, at, pitch, across, src, alpha):
        a = high_product(bits(nth(shares, k, 0)), load_fields(table, at))
        b = high_product(bits(nth(shares, k, 1)), load_fields(table, at + pitch))
        c = high_product(bits(nth(shares, k, 2)), load_fields(table, at + across))
        d = high_product(bits(nth(shares, k, 3)), load_fields(table, at + across + pitch))
        return floats(add_fields(add_fields(a, b), add_fields(c, d)))

    return in_fields


@helper
def nth(shares, k, node):
    """Loaded where it is needed: hoisted out of a loop, LLVM would not see what kind of product it is for."""
    return f32(shares[k + np.uintp(node * ROOM)])


def weigh(total, src, at, weights, like, alpha):
    """`total` plus a run from element `at` on, times its weights."""


@overload(weigh, inline="always")
def _weigh(total, src, at, weights, like, alpha):
    if _in_pairs(src, alpha):
        return lambda total, src, at, weights, like, alpha: floats(
            bits(total) + dot_pairs(load_pairs(src, at, like), bits(weights))
        )

    if not isinstance(src.dtype, types.Float):
        return lambda total, src, at, weights, like, alpha: fma(weights, pixels(src, at, like, alpha), total)
    # what weighs nothing may be no number
    return lambda total, src, at, weights, like, alpha: fma(
        weights, select(weights == 0.0, f32(0.0), pixels(src, at, like, alpha)), total
    )


@helper
def pixels(src, at, like, alpha):
    """A whole run from element `at` on, colours times alpha where there is alpha."""
    run = channels_apart(load_row(src, at), like)
    return times_alpha(run, like) if len(alpha) else run


def summed(total, scale, src, alpha):
    """The sum of a pixel's runs as F."""


@overload(summed, inline="always")
def _summed(total, scale, src, alpha):
    if _in_pairs(src, alpha):
        return lambda total, scale, src, alpha: to_float(bits(total)) * scale
    return lambda total, scale, src, alpha: total


def _in_pairs(src, alpha) -> bool:
    return src.dtype == types.uint8 and len(alpha) == 0


@helper
def look_up(position, shift, nodes):
    """Positions (D) → whole pixels, the nodes before their phases, and how far these are to the next, 0 … 1 (I, I, F)."""
    at, over, bins = nodes
    position = position - shift
    whole = floor(position)
    phase = narrow(position - whole)
    k = gather_i32(bins, 0, to_int(phase * np.float32(BINS)) << 2)
    beyond = phase >= floats(gather_i32(at, 4, k << 2))
    while some(beyond):
        k = select(beyond, k + 1, k)
        beyond = phase >= floats(gather_i32(at, 4, k << 2))
    return to_int_far(whole), k, (phase - floats(gather_i32(at, 0, k << 2))) * floats(gather_i32(over, 0, k << 2))


@helper
def find(src, width, matrix, row, column, count, shift, x_nodes, y_nodes, pitch, starts, shares, like, alpha):
    """For `count` pixels: where their input and their weights begin, and the shares of the nodes at the corners."""
    one = f32(1.0)
    for k in range(0, count, LANES):
        u = to_double(lanes()) + (column + k)
        X, i, x = look_up(u * matrix[0] + (matrix[1] * row + matrix[2]), shift[0], x_nodes)
        Y, j, y = look_up(u * matrix[3] + (matrix[4] * row + matrix[5]), shift[1], y_nodes)
        store_whole(starts, k, (Y * width + X) * len(like))
        store_whole(starts, ROOM + k, (j * x_nodes[0].size + i) * pitch)
        store_row(shares, k, share((one - x) * (one - y), src, alpha))
        store_row(shares, ROOM + k, share(x * (one - y), src, alpha))
        store_row(shares, 2 * ROOM + k, share((one - x) * y, src, alpha))
        store_row(shares, 3 * ROOM + k, share(x * y, src, alpha))


@apart
def sum_rows(
    src, width, out, out_width, row0, rows, matrix, inside, shift, x_nodes, y_nodes,
    table, pitch, scale, offsets, starts, shares, mixed, like, alpha,
):  # fmt: skip
    """The pixels of rows row0 … row0 + rows - 1 of V that lie `inside`, into `out`, which holds these rows.

    src, out: flat, of one dtype; src of less than 2³¹ elements. matrix (9,): output → input pixels. inside (4,): see
    `inside_span`. shift (2,), nodes (at, over, bins), table (flat, in words of 32 bits, `pitch` a node), scale: see
    `phases.Phases`. offsets: where each run begins, in elements. Room to work in: starts (int32) twice ROOM, shares (float32)
    four times, mixed `pitch`. like: a tuple of as many elements as there are channels; alpha: (True,) where the last of 2 or 4
    channels is alpha, else ().
    """
    n = len(like)
    across = x_nodes[0].size * pitch
    way = (int(AHEAD * matrix[4]) * width + int(AHEAD * matrix[1])) * n
    over = np.float32(1 / scale)
    for tile in range(0, out_width, TILE):
        for r in range(rows):
            row = row0 + r
            first, last = inside_span(matrix, inside, row, out_width)
            begin, end = min(max(first, tile), last - 4), min(last, tile + TILE)
            if end <= max(first, tile):
                continue
            find(
                src, width, matrix, row, begin, end + 3 - begin, shift, x_nodes, y_nodes, pitch, starts, shares, like, alpha
            )  # fmt: skip
            column = begin
            while column < end:
                column = min(column, last - 4)
                sums = (f32(0.0), f32(0.0), f32(0.0), f32(0.0))
                for pixel in range(column - begin, column - begin + 4):
                    k = np.uintp(pixel)
                    start, at = starts[k], starts[k + np.uintp(ROOM)]
                    for word in range(0, pitch, LANES):
                        store_row(mixed, word, mix(shares, k, table, at + word, pitch, across, src, alpha))
                        prefetch(src, (start + way + offsets[np.uintp(word >> 2)]) * src.itemsize)
                    total = f32(0.0)
                    for run in range(offsets.size):
                        total = weigh(total, src, start + offsets[run], of_channels(mixed, 4 * run), like, alpha)
                    sums = (sums[1], sums[2], sums[3], summed(total, over, src, alpha))
                total = quad_of_runs(sums)
                index = (r * out_width + column) * n
                finish_quad(out, index, unweighed(total, out, like) if len(alpha) else total, like)
                column += 4
