"""One Triton launch for a batch of images of any sizes: 8 bit in, 8 bit out, coordinates computed in registers.

A program makes one BY×BX tile of one output. What differs between images is in tables: addresses, sizes and strides (so
packed and planar layouts are the same code), and the maps. Positions are float32 relative to whole pixels for the tile,
which are found in float64; a thin-plate spline is summed in float32. Semantics: docs/architecture.md, "Sampling".
"""

import triton
import triton.language as tl

# Columns of the table of images, int64
COLUMNS = (
    12  # source, output addresses; H, W, H', W'; source row, pixel, channel stride; output row, pixel, channel stride
)
# Columns of the table of maps, float64: the matrix, output → input pixels (9), for a spline: output pixel → normalised
# target (sx, ox, sy, oy), normalised source → input pixel (sx, ox, sy, oy)
MAP_COLUMNS = 9


@triton.jit
def _fold(i, size, PADDING: tl.constexpr, CORNERS: tl.constexpr):
    """The pixel of U at integer position i of the padded plane."""
    if PADDING == 2:
        period = tl.maximum(2 * size - 2, 1) if CORNERS else 2 * size
        i = i % period
        i = tl.where(i < 0, i + period, i)
        i = tl.where(i < size, i, (period if CORNERS else period - 1) - i)
    return tl.minimum(tl.maximum(i, 0), size - 1)


@triton.jit
def _weight(d, KERNEL: tl.constexpr):
    d = tl.abs(d)
    if KERNEL == 0:
        w = d * 0.0 + 1.0
    elif KERNEL == 1:
        w = tl.maximum(1.0 - d, 0.0)
    else:
        near = (1.25 * d - 2.25) * d * d + 1.0
        far = ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0
        w = tl.where(d <= 1.0, near, tl.where(d < 2.0, far, 0.0))
    return w


@triton.jit
def _pixel(source, row, column, sr, sp, sc, wanted, C: tl.constexpr, PACKED: tl.constexpr):
    """Up to four channels as float32."""
    at = row.to(tl.int64) * sr + column.to(tl.int64) * sp
    if PACKED:  # four bytes a pixel, read at once
        word = tl.load((source + at).to(tl.pointer_type(tl.uint32)), mask=wanted, other=0)
        p0, p1 = (word & 255).to(tl.float32), ((word >> 8) & 255).to(tl.float32)
        p2, p3 = ((word >> 16) & 255).to(tl.float32), ((word >> 24) & 255).to(tl.float32)
    else:
        pointer = (source + at).to(tl.pointer_type(tl.uint8))
        p0 = tl.load(pointer, mask=wanted, other=0).to(tl.float32)
        p1, p2, p3 = p0, p0, p0
        if C > 1:
            p1 = tl.load(pointer + sc, mask=wanted, other=0).to(tl.float32)
        if C > 2:
            p2 = tl.load(pointer + 2 * sc, mask=wanted, other=0).to(tl.float32)
        if C > 3:
            p3 = tl.load(pointer + 3 * sc, mask=wanted, other=0).to(tl.float32)
    return p0, p1, p2, p3


@triton.jit
def _sample(source, X, Y, x, y, H, W, sr, sp, sc, f0, f1, f2, f3, wanted,
            KERNEL: tl.constexpr, PADDING: tl.constexpr, CORNERS: tl.constexpr, C: tl.constexpr,
            ALPHA: tl.constexpr, PACKED: tl.constexpr):  # fmt: skip
    """The sum over the taps of one sample: colours (times alpha) and alpha."""
    x, y = tl.minimum(tl.maximum(x, -1e9), 1e9), tl.minimum(tl.maximum(y, -1e9), 1e9)
    if KERNEL == 0:
        x, y = x + 0.5, y + 0.5
    left, top = tl.floor(x), tl.floor(y)
    fx, fy = x - left, y - top
    column, row = left.to(tl.int32) + X, top.to(tl.int32) + Y
    first: tl.constexpr = -1 if KERNEL == 2 else 0
    last: tl.constexpr = 1 if KERNEL == 0 else (2 if KERNEL == 1 else 3)
    s0, s1, s2, s3 = x * 0.0, x * 0.0, x * 0.0, x * 0.0
    for j in tl.static_range(first, last):
        for i in tl.static_range(first, last):
            w = _weight(fx - i, KERNEL) * _weight(fy - j, KERNEL)
            c, r = column + i, row + j
            inside = (c >= 0) & (c < W) & (r >= 0) & (r < H)
            if PADDING == 1 or PADDING == 2:
                c, r = _fold(c, W, PADDING, CORNERS), _fold(r, H, PADDING, CORNERS)
                p0, p1, p2, p3 = _pixel(source, r, c, sr, sp, sc, wanted, C, PACKED)
            else:
                p0, p1, p2, p3 = _pixel(source, r, c, sr, sp, sc, wanted & inside, C, PACKED)
                p0, p1 = tl.where(inside, p0, f0), tl.where(inside, p1, f1)
                p2, p3 = tl.where(inside, p2, f2), tl.where(inside, p3, f3)
            if ALPHA:
                a = p1 if C == 2 else p3
                w = w * a
                p1 = p1 * 0.0 + 1.0 if C == 2 else p1
                p3 = p3 * 0.0 + 1.0 if C == 4 else p3
            s0 += w * p0
            s1 += w * p1
            s2 += w * p2
            s3 += w * p3
    return s0, s1, s2, s3


@triton.jit
def _spline(u, v, controls, weights, K, m):
    """Input pixels of a thin-plate spline at output pixels (u, v)."""
    x = u * tl.load(m).to(tl.float32) + tl.load(m + 1).to(tl.float32)
    y = v * tl.load(m + 2).to(tl.float32) + tl.load(m + 3).to(tl.float32)
    dx = tl.load(weights + 2 * K) + tl.load(weights + 2 * K + 2) * x + tl.load(weights + 2 * K + 4) * y
    dy = tl.load(weights + 2 * K + 1) + tl.load(weights + 2 * K + 3) * x + tl.load(weights + 2 * K + 5) * y
    for k in range(K):
        ax, ay = x - tl.load(controls + 2 * k), y - tl.load(controls + 2 * k + 1)
        square = ax * ax + ay * ay
        bend = 0.5 * square * tl.log(tl.maximum(square, 1e-30))
        dx += bend * tl.load(weights + 2 * k)
        dy += bend * tl.load(weights + 2 * k + 1)
    x = (x + dx) * tl.load(m + 4).to(tl.float32) + tl.load(m + 5).to(tl.float32)
    y = (y + dy) * tl.load(m + 6).to(tl.float32) + tl.load(m + 7).to(tl.float32)
    return x, y


@triton.jit
def _place(du, dv, u0, v0, X, Y, m, controls, weights, K, MODE: tl.constexpr):
    """Input positions relative to the whole pixels (X, Y) of the output pixels (u0 + du, v0 + dv)."""
    if MODE == 2:
        x, y = _spline(u0 + du, v0 + dv, controls, weights, K, m)
        x, y = x - X, y - Y
    else:
        a, b, c = tl.load(m), tl.load(m + 1), tl.load(m + 2)
        d, e, f = tl.load(m + 3), tl.load(m + 4), tl.load(m + 5)
        g, h, i = tl.load(m + 6), tl.load(m + 7), tl.load(m + 8)
        w = g * u0 + h * v0 + i
        # The whole pixels are taken off while everything is float64: p - X = (num - X·w) / w
        x = ((a - X * g).to(tl.float32) * du + (b - X * h).to(tl.float32) * dv) + (a * u0 + b * v0 + c - X * w).to(
            tl.float32
        )
        y = ((d - Y * g).to(tl.float32) * du + (e - Y * h).to(tl.float32) * dv) + (d * u0 + e * v0 + f - Y * w).to(
            tl.float32
        )
        if MODE == 1:
            below = g.to(tl.float32) * du + h.to(tl.float32) * dv + w.to(tl.float32)
            below = tl.where(tl.abs(below) < 1e-6, tl.where(below < 0, -1e-6, 1e-6), below)
            x, y = x / below, y / below
    return x, y


@triton.jit
def _count(square):
    return tl.minimum(tl.maximum(tl.ceil(tl.sqrt(square) - 1e-3), 1.0), 128.0)


@triton.jit
def _byte(value):
    return tl.minimum(tl.maximum(tl.floor(value + 0.5), 0.0), 255.0).to(tl.uint8)


@triton.jit
def warp_kernel(images, maps, controls, weights, fills, K, threshold,
                MODE: tl.constexpr, KERNEL: tl.constexpr, PADDING: tl.constexpr, CORNERS: tl.constexpr,
                AVERAGE: tl.constexpr, C: tl.constexpr, ALPHA: tl.constexpr, PACKED: tl.constexpr,
                BY: tl.constexpr, BX: tl.constexpr):  # fmt: skip
    """images (N, 12) int64, maps (N, 9) float64, weights (N, K + 3, 2) and controls (K, 2) float32, fills (4,) float32.

    MODE: 0 affine, 1 projective, 2 spline; KERNEL: 0 nearest, 1 bilinear, 2 bicubic; PADDING: 0 zeros, 1 border,
    2 reflection, 3 fill; AVERAGE: over the footprint where the largest singular value is above `threshold`.
    Launched over (tiles of the largest output, N).
    """
    n = tl.program_id(1)
    t = images + n * 12
    source, out = tl.load(t), tl.load(t + 1)
    H, W = tl.load(t + 2).to(tl.int32), tl.load(t + 3).to(tl.int32)
    oh, ow = tl.load(t + 4).to(tl.int32), tl.load(t + 5).to(tl.int32)
    sr, sp, sc = tl.load(t + 6), tl.load(t + 7), tl.load(t + 8)
    dr, dp, dc = tl.load(t + 9), tl.load(t + 10), tl.load(t + 11)
    across = tl.cdiv(ow, BX)
    tile = tl.program_id(0)
    u0, v0 = (tile % across) * BX, (tile // across) * BY
    if v0 < oh:
        m = maps + n * 9
        weights = weights + n * (K + 3) * 2
        f0, f1, f2, f3 = tl.load(fills), tl.load(fills + 1), tl.load(fills + 2), tl.load(fills + 3)
        iu, iv = tl.arange(0, BX)[None, :], tl.arange(0, BY)[:, None]
        wanted = (u0 + iu < ow) & (v0 + iv < oh)
        du, dv = (iu + iv * 0).to(tl.float32), (iv + iu * 0).to(tl.float32)
        X, Y = 0, 0
        if MODE != 2:
            w = tl.load(m + 6) * u0 + tl.load(m + 7) * v0 + tl.load(m + 8)
            w = tl.where(tl.abs(w) < 1e-6, 1e-6, w)
            bx = (tl.load(m) * u0 + tl.load(m + 1) * v0 + tl.load(m + 2)) / w
            by = (tl.load(m + 3) * u0 + tl.load(m + 4) * v0 + tl.load(m + 5)) / w
            X = tl.where(tl.abs(bx) < 1e6, tl.floor(bx), 0.0).to(tl.int32)
            Y = tl.where(tl.abs(by) < 1e6, tl.floor(by), 0.0).to(tl.int32)
        x, y = _place(du, dv, u0, v0, X, Y, m, controls, weights, K, MODE)
        if AVERAGE:
            left, right = tl.maximum(du - 1, -u0), tl.minimum(du + 1, ow - 1 - u0)
            above, below = tl.maximum(dv - 1, -v0), tl.minimum(dv + 1, oh - 1 - v0)
            x1, y1 = _place(right, dv, u0, v0, X, Y, m, controls, weights, K, MODE)
            x0, y0 = _place(left, dv, u0, v0, X, Y, m, controls, weights, K, MODE)
            span = tl.maximum(right - left, 1.0)
            ax, ay = (x1 - x0) / span, (y1 - y0) / span
            x1, y1 = _place(du, below, u0, v0, X, Y, m, controls, weights, K, MODE)
            x0, y0 = _place(du, above, u0, v0, X, Y, m, controls, weights, K, MODE)
            span = tl.maximum(below - above, 1.0)
            cx, cy = (x1 - x0) / span, (y1 - y0) / span
            xx, yy, xy = ax * ax + ay * ay, cx * cx + cy * cy, ax * cx + ay * cy
            half = (xx - yy) * 0.5
            shrinks = (tl.sqrt((xx + yy) * 0.5 + tl.sqrt(half * half + xy * xy)) > threshold) & wanted
            nx, ny = tl.where(shrinks, _count(xx), 1.0), tl.where(shrinks, _count(yy), 1.0)
            s0, s1, s2, s3 = x * 0.0, x * 0.0, x * 0.0, x * 0.0
            for b in range(tl.max(ny).to(tl.int32)):
                for a in range(tl.max(nx).to(tl.int32)):
                    u, v = (a + 0.5) / nx - 0.5, (b + 0.5) / ny - 0.5
                    counts = wanted & (a < nx) & (b < ny)
                    p0, p1, p2, p3 = _sample(
                        source, X, Y, x + u * ax + v * cx, y + u * ay + v * cy, H, W, sr, sp, sc, f0, f1, f2, f3,
                        counts, KERNEL, PADDING, CORNERS, C, ALPHA, PACKED,
                    )  # fmt: skip
                    over = tl.where(counts, 1.0 / (nx * ny), 0.0)
                    s0 += over * p0
                    s1 += over * p1
                    s2 += over * p2
                    s3 += over * p3
        else:
            s0, s1, s2, s3 = _sample(
                source, X, Y, x, y, H, W, sr, sp, sc, f0, f1, f2, f3, wanted, KERNEL, PADDING, CORNERS, C, ALPHA, PACKED
            )
        if ALPHA:
            alpha = s1 if C == 2 else s3
            over = tl.where(alpha >= 0.5, 1.0 / tl.where(alpha >= 0.5, alpha, 1.0), 0.0)
            s0, s2 = s0 * over, s2 * over
            s1 = s1 * over if C == 4 else s1
        at = (v0 + iv).to(tl.int64) * dr + (u0 + iu).to(tl.int64) * dp
        if PACKED:
            word = _byte(s0).to(tl.uint32) | (_byte(s1).to(tl.uint32) << 8)
            word = word | (_byte(s2).to(tl.uint32) << 16) | (_byte(s3).to(tl.uint32) << 24)
            tl.store((out + at).to(tl.pointer_type(tl.uint32)), word, mask=wanted)
        else:
            pointer = (out + at).to(tl.pointer_type(tl.uint8))
            tl.store(pointer, _byte(s0), mask=wanted)
            if C > 1:
                tl.store(pointer + dc, _byte(s1), mask=wanted)
            if C > 2:
                tl.store(pointer + 2 * dc, _byte(s2), mask=wanted)
            if C > 3:
                tl.store(pointer + 3 * dc, _byte(s3), mask=wanted)
