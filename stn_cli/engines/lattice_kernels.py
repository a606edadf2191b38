"""Grids of maps without a matrix: a lattice expanded. Compiled by `entries`."""

from stn_cli.engines.jit import apart


@apart
def expand(nodes, weights, line, low, rows, width, table):
    """Rows low … low + rows - 1 of the interpolated map into a flat table x0, y0, x1, …; weights (4, step); line (2, columns of
    nodes) is room to work in."""
    count, step = nodes.shape[1], weights.shape[1]
    for r in range(rows):
        cell, place = (low + r) // step, (low + r) % step
        a, b, c, d = weights[0, place], weights[1, place], weights[2, place], weights[3, place]
        for k in range(2):
            for i in range(count):
                line[k, i] = (
                    a * nodes[cell, i, k] + b * nodes[cell + 1, i, k] + c * nodes[cell + 2, i, k]
                    + d * nodes[cell + 3, i, k]
                )  # fmt: skip
        start = 2 * r * width
        for i in range((width + step - 1) // step):
            x0, x1, x2, x3 = line[0, i], line[0, i + 1], line[0, i + 2], line[0, i + 3]
            y0, y1, y2, y3 = line[1, i], line[1, i + 1], line[1, i + 2], line[1, i + 3]
            for t in range(min(step, width - i * step)):
                a, b, c, d = weights[0, t], weights[1, t], weights[2, t], weights[3, t]
                at = start + 2 * (i * step + t)
                table[at] = a * x0 + b * x1 + c * x2 + d * x3
                table[at + 1] = a * y0 + b * y1 + c * y2 + d * y3
