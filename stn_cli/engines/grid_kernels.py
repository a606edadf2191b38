"""Sampling grids of maps without a matrix, sixteen points at a time: a spline evaluated, a lattice expanded, a mesh followed.

Every array of points is flat float64 (x0, y0, x1, …) with sixteen points to spare. Compiled by `entries`. No array may be
unpacked (`x, y = points[p]`): numba would raise where the length is wrong, with calls that only a process with numba has.
"""

import numpy as np

from stn_cli.engines.codes import LANES
from stn_cli.engines.jit import apart
from stn_cli.engines.simd import (
    extend,
    f64,
    fma,
    gather_f64,
    i32,
    lanes,
    load_points,
    log,
    select,
    store_points,
    to_double,
)

TINY = 1e-300  # stands for a distance of zero, whose logarithm counts for nothing


@apart
def spline(points, count, frame, controls, coefficients, out):
    """Input pixels of `count` output pixels by a thin-plate spline.

    frame (8,): normalised = frame[0]·x + frame[1], frame[2]·y + frame[3]; input pixels the same way from frame[4:].
    controls (K, 2), normalised; coefficients (K + 3, 2): of ½ r² log r² at each control, then of 1, x, y.
    """
    last = len(controls)
    for p in range(0, count, LANES):
        px, py = load_points(points, p)
        x, y = px * frame[0] + frame[1], py * frame[2] + frame[3]
        sx = x * coefficients[last + 1, 0] + y * coefficients[last + 2, 0] + (x + coefficients[last, 0])
        sy = x * coefficients[last + 1, 1] + y * coefficients[last + 2, 1] + (y + coefficients[last, 1])
        for k in range(last):
            dx, dy = x - controls[k, 0], y - controls[k, 1]
            square = fma(dx, dx, dy * dy)
            bend = square * log(select(square > TINY, square, f64(TINY)))
            sx = fma(bend, f64(0.5 * coefficients[k, 0]), sx)
            sy = fma(bend, f64(0.5 * coefficients[k, 1]), sy)
        store_points(out, p, sx * frame[4] + frame[5], sy * frame[6] + frame[7])


@apart
def expand(nodes, weights, step, line, low, rows, width, table):
    """Rows low … low + rows - 1 of the interpolated map. nodes (2, rows, columns) of x and y; weights (4, 16): of the nodes at
    -1, 0, 1, 2 for the lanes of a block; step: 16, 8 or 4; line (2, columns + 4) is room to work in."""
    count, per = nodes.shape[2], LANES // step
    lane = extend(lanes()) * 8
    w0, w1 = gather_f64(weights, 0, lane), gather_f64(weights, 8 * LANES, lane)
    w2, w3 = gather_f64(weights, 16 * LANES, lane), gather_f64(weights, 24 * LANES, lane)
    cell_of = lanes()
    for r in range(rows):
        cell, place = (low + r) // step, (low + r) % step
        a, b, c, d = weights[0, place], weights[1, place], weights[2, place], weights[3, place]
        for k in range(2):
            for i in range(count):
                line[k, i] = (
                    a * nodes[k, cell, i] + b * nodes[k, cell + 1, i] + c * nodes[k, cell + 2, i]
                    + d * nodes[k, cell + 3, i]
                )  # fmt: skip
        for column in range(0, width, LANES):
            i = column // step
            x0, x1, x2, x3 = f64(line[0, i]), f64(line[0, i + 1]), f64(line[0, i + 2]), f64(line[0, i + 3])
            y0, y1, y2, y3 = f64(line[1, i]), f64(line[1, i + 1]), f64(line[1, i + 2]), f64(line[1, i + 3])
            for m in range(1, per):
                here, i = cell_of >= i32(m * step), column // step + m
                x0, x1 = select(here, f64(line[0, i]), x0), select(here, f64(line[0, i + 1]), x1)
                x2, x3 = select(here, f64(line[0, i + 2]), x2), select(here, f64(line[0, i + 3]), x3)
                y0, y1 = select(here, f64(line[1, i]), y0), select(here, f64(line[1, i + 1]), y1)
                y2, y3 = select(here, f64(line[1, i + 2]), y2), select(here, f64(line[1, i + 3]), y3)
            x = fma(w0, x0, fma(w1, x1, fma(w2, x2, w3 * x3)))
            y = fma(w0, y0, fma(w1, y1, fma(w2, y2, w3 * y3)))
            store_points(table, r * width + column, x, y)


@apart
def mesh(moved, frame, low, rows, width, table):
    """Rows low … low + rows - 1 of a piecewise-affine map; moved (R, C, 2): displacements of the control points, normalised;
    frame as for `spline`. A row is cut where it enters a triangle, and is linear in between."""
    down, across = moved.shape[0] - 1, moved.shape[1] - 1  # cells
    slope, first = frame[0] * across / 2, (frame[1] + 1) * across / 2  # place in the mesh = slope·column + first
    for r in range(rows):
        y = frame[2] * (low + r) + frame[3]
        place = (y + 1) * down / 2
        i = int(min(max(np.floor(place), 0.0), down - 1.0))
        v = place - i
        start = 0
        for j in range(across):
            end = width if j == across - 1 else reached(j + 1 - first, slope, start, width)
            middle = reached(j + v - first, slope, start, end)
            for upper in range(2):
                begin, stop = (middle, end) if upper else (start, middle)
                # the displacement is at + along·u, u = slope·column + first - j
                for k in range(2):
                    corner, opposite = moved[i, j, k], moved[i + 1, j + 1, k]
                    if upper:
                        along, at = moved[i, j + 1, k] - corner, corner + v * (opposite - moved[i, j + 1, k])
                    else:
                        along, at = opposite - moved[i + 1, j, k], corner + v * (moved[i + 1, j, k] - corner)
                    at += along * (first - j)
                    along *= slope
                    if k == 0:
                        ax, bx = frame[4] * (along + frame[0]), frame[4] * (at + frame[1]) + frame[5]
                    else:
                        ay, by = frame[6] * along, frame[6] * (at + y) + frame[7]
                for column in range(begin, stop, LANES):
                    u = to_double(lanes() + column)
                    store_points(table, r * width + column, fma(u, f64(ax), f64(bx)), fma(u, f64(ay), f64(by)))
            start = end


@apart
def reached(distance, slope, start, end):
    """The first column of start … end at which slope·column ≥ distance."""
    if slope <= 0:  # a single column
        return start if distance <= 0 else end
    return int(min(max(np.ceil(distance / slope), start), end))
