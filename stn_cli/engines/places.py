"""Where sixteen output pixels read the input: from a matrix, computed in registers, or from a table.

A place is (X, Y, x, y): whole pixels X, Y for the block and float32 lanes x, y relative to them.
"""

import numpy as np

from stn_cli.engines.blocks import FAR
from stn_cli.engines.codes import AUTO, TABLE
from stn_cli.engines.generic import MOST_TAPS, SLACK
from stn_cli.engines.jit import apart, helper
from stn_cli.engines.simd import (
    ceil,
    f32,
    f64,
    fabs,
    fma,
    gather_f64,
    i32,
    lanes,
    load_points,
    narrow,
    select,
    sqrt,
    to_double,
    to_float,
)

HORIZON = 1e-6  # as in core.families.projective


@helper
def whole(position):
    """⌊position⌋ as an integer; far out for what is no number."""
    if not position < 1e9:
        return 1_000_000_000
    if position < -1e9:
        return -1_000_000_000
    return int(np.floor(position))


@helper
def bounded(relative):
    relative = select(relative < FAR, relative, f32(FAR))
    return select(relative > -FAR, relative, f32(-FAR))


@helper
def affine_place(m, column, row):
    x, y = m[0] * column + m[1] * row + m[2], m[3] * column + m[4] * row + m[5]
    X, Y = whole(x), whole(y)
    lane = to_float(lanes())
    return X, Y, fma(lane, f32(m[0]), f32(x - X)), fma(lane, f32(m[3]), f32(y - Y))


@helper
def projective_place(m, column, row):
    x, y = m[0] * column + m[1] * row + m[2], m[3] * column + m[4] * row + m[5]
    w = m[6] * column + m[7] * row + m[8]
    last = w + 15 * m[6]
    least, most = min(abs(w), abs(last)), max(abs(w), abs(last))
    if w * last <= 0 or least < 0.5 * most or least < 1e-5:  # the horizon is near: float64 all the way
        return far_place(*matrix_points(m, to_double(lanes()) + column, f64(row)), x / w, y / w)
    X, Y = whole(x / w), whole(y / w)
    lane, over = to_float(lanes()), 1 / w
    scale = f32(1.0) / fma(lane, f32(m[6] * over), f32(1.0))
    px = fma(lane, f32((m[0] - X * m[6]) * over), f32((x - X * w) * over))
    py = fma(lane, f32((m[3] - Y * m[6]) * over), f32((y - Y * w) * over))
    return X, Y, px * scale, py * scale


@helper
def far_place(px, py, x, y):
    """From float64 positions of the lanes, near (x, y) if these are in reach."""
    X, Y = whole(x if abs(x) < 1e6 else 0.0), whole(y if abs(y) < 1e6 else 0.0)
    return X, Y, narrow(px - X), narrow(py - Y)


@helper
def table_place(table, point):
    px, py = load_points(table, point)
    return far_place(px, py, table[2 * point], table[2 * point + 1])


@helper
def matrix_points(m, u, v):
    """The input positions (D, D) of output positions."""
    w = u * m[6] + (v * m[7] + m[8])
    least = select(w < 0.0, f64(-HORIZON), f64(HORIZON))
    w = select(fabs(w) < HORIZON, least, w)
    return (u * m[0] + (v * m[1] + m[2])) / w, (u * m[3] + (v * m[4] + m[5])) / w


@helper
def points_at(mode, matrix, table, width, first_row, columns, rows):
    """Input positions (D, D) of output pixels (I, I), whichever way they are known; the table begins with `first_row`."""
    if mode == TABLE:
        byte = ((rows - first_row) * width + columns) * 16
        return gather_f64(table, 0, byte), gather_f64(table, 8, byte)
    return matrix_points(matrix, to_double(columns), to_double(rows))


@apart
def footprints(mode, matrix, table, out_height, out_width, first_row, column, row, antialias):
    """J_x (x, y), J_y (x, y) of the lanes and n_x, n_y, six F; as core.antialias has them."""
    here = lanes() + column
    here = select(here < out_width, here, i32(out_width - 1))
    left = select(here > 0, here - 1, here)
    right = select(here < out_width - 1, here + 1, here)
    above, below = max(row - 1, 0), min(row + 1, out_height - 1)
    x0, y0 = points_at(mode, matrix, table, out_width, first_row, left, i32(row))
    x1, y1 = points_at(mode, matrix, table, out_width, first_row, right, i32(row))
    span = to_double(right - left)
    over = f64(1.0) / select(span > 0.0, span, f64(1.0))
    ax, ay = (x1 - x0) * over, (y1 - y0) * over
    x0, y0 = points_at(mode, matrix, table, out_width, first_row, here, i32(above))
    x1, y1 = points_at(mode, matrix, table, out_width, first_row, here, i32(below))
    over = f64(1.0 / max(below - above, 1))
    bx, by = (x1 - x0) * over, (y1 - y0) * over
    xx, yy, xy = ax * ax + ay * ay, bx * bx + by * by, ax * bx + ay * by
    half = (xx - yy) * 0.5
    largest = sqrt((xx + yy) * 0.5 + sqrt(half * half + xy * xy))
    shrinks = largest > (1.5 if antialias == AUTO else 1.0) + SLACK
    return (
        narrow(ax), narrow(ay), narrow(bx), narrow(by),
        narrow(_count(xx, shrinks)), narrow(_count(yy, shrinks)),
    )  # fmt: skip


@helper
def _count(square, shrinks):
    number = ceil(sqrt(square) - SLACK)
    number = select(number > 1.0, number, f64(1.0))
    return select(shrinks, select(number < MOST_TAPS, number, f64(MOST_TAPS)), f64(1.0))
