"""The plain kernel: any kernel, padding, depth, number of channels; coordinates from a table.

It follows the definition in docs/architecture.md, "Sampling", line by line in float64.
"""

from math import ceil, floor, sqrt

import numpy as np

from stn_cli.engines.codes import AUTO, BILINEAR, BORDER, NEAREST, OFF, REFLECTION
from stn_cli.engines.jit import helper, kernel

MOST_TAPS = 128  # as in core.antialias
SLACK = 1e-3


@helper
def fold(i, size, padding, corners):
    """The pixel of U that stands at integer position `i` of the padded plane, or -1 for the constant."""
    if 0 <= i < size:
        return i
    if padding == BORDER:
        return 0 if i < 0 else size - 1
    if padding == REFLECTION:
        if corners:  # about the centres of the outermost pixels
            if size == 1:
                return 0
            i %= 2 * size - 2
            return i if i < size else 2 * size - 2 - i
        i %= 2 * size
        return i if i < size else 2 * size - 1 - i
    return -1


@helper
def weight(kind, distance):
    """The interpolation kernel at `distance` pixels; Keys' cubic with a = -0.75."""
    d = abs(distance)
    if kind == BILINEAR:
        return max(0.0, 1.0 - d)
    if d <= 1.0:
        return (1.25 * d - 2.25) * d * d + 1.0
    if d < 2.0:
        return ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0
    return 0.0


@helper
def add_sample(total, image, x, y, kind, padding, fill, corners, alpha):
    """Add one sample of the padded plane at (x, y) to `total`; colours weighted by alpha where there is one."""
    height, width, channels = image.shape
    if not (abs(x) < 1e9 and abs(y) < 1e9):  # infinite or not a number: as far out as can be
        x = min(max(x, -1e9), 1e9) if x == x else -1e9
        y = min(max(y, -1e9), 1e9) if y == y else -1e9
    if kind == NEAREST:
        left, top, reach = floor(x + 0.5), floor(y + 0.5), 1
    elif kind == BILINEAR:
        left, top, reach = floor(x), floor(y), 2
    else:
        left, top, reach = floor(x) - 1, floor(y) - 1, 4
    colours = channels - 1 if alpha else channels
    for j in range(top, top + reach):
        row = fold(j, height, padding, corners)
        wy = 1.0 if kind == NEAREST else weight(kind, y - j)
        for i in range(left, left + reach):
            column = fold(i, width, padding, corners)
            w = wy if kind == NEAREST else wy * weight(kind, x - i)
            outside = row < 0 or column < 0
            if alpha:
                w *= fill[colours] if outside else float(image[row, column, colours])
                total[colours] += w
            if w != 0.0:
                for c in range(colours):
                    total[c] += w * (fill[c] if outside else float(image[row, column, c]))


@kernel
def sample_table(image, points, first, out, kind, padding, fill, corners, antialias, alpha, top):
    """out (rows, W', C) from `points` (rows + halo, W', 2), input pixels (x, y); row `first` of points is out's row 0.

    `top` is the largest value of an integer dtype, 0 for float32. The halo holds the rows before and after, where the
    output has such rows: Jacobians are central differences, one-sided at the edges of the output.
    """
    rows, columns, channels = out.shape
    total = np.empty(channels)
    colours = channels - 1 if alpha else channels
    for r in range(rows):
        above, below = max(r + first - 1, 0), min(r + first + 1, points.shape[0] - 1)
        for c in range(columns):
            x, y = points[r + first, c, 0], points[r + first, c, 1]
            nx, ny = 1, 1
            ax = ay = bx = by = 0.0
            if antialias != OFF and kind != NEAREST:
                left, right = max(c - 1, 0), min(c + 1, columns - 1)
                dc, dr = max(right - left, 1), max(below - above, 1)
                ax = (points[r + first, right, 0] - points[r + first, left, 0]) / dc
                ay = (points[r + first, right, 1] - points[r + first, left, 1]) / dc
                bx = (points[below, c, 0] - points[above, c, 0]) / dr
                by = (points[below, c, 1] - points[above, c, 1]) / dr
                # the largest singular value of [[ax, bx], [ay, by]]
                square = ax * ax + ay * ay + bx * bx + by * by
                twice = 2.0 * (ax * by - ay * bx)
                largest = 0.5 * (sqrt(max(square + twice, 0.0)) + sqrt(max(square - twice, 0.0)))
                if largest > (1.5 if antialias == AUTO else 1.0) + SLACK:
                    nx = int(min(max(ceil(sqrt(ax * ax + ay * ay) - SLACK), 1.0), MOST_TAPS))
                    ny = int(min(max(ceil(sqrt(bx * bx + by * by) - SLACK), 1.0), MOST_TAPS))
            total[:] = 0.0
            for b in range(ny):
                v = (b + 0.5) / ny - 0.5
                for a in range(nx):
                    u = (a + 0.5) / nx - 0.5
                    add_sample(
                        total, image, x + u * ax + v * bx, y + u * ay + v * by, kind, padding, fill, corners, alpha
                    )
            if alpha:
                transparent = total[colours] < (0.5 if top else 1e-6) * nx * ny
                for k in range(colours):
                    total[k] = 0.0 if transparent else total[k] / total[colours]
                total[colours] /= nx * ny
            else:
                total /= nx * ny
            for k in range(channels):
                out[r, c, k] = total[k] if top == 0 else min(max(floor(total[k] + 0.5), 0.0), top)
