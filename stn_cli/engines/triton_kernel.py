"""One Triton launch for a batch of images of any sizes: 8 bit in, 8 bit out, coordinates computed in registers.

A program makes one tile of one output, a `TILE` at a time. What differs between images is in tables: addresses, sizes and
strides (so packed and planar layouts are the same code), and the maps. Positions are float32 relative to whole pixels of
the tile, which are found in float64; a thin-plate spline is summed in float32, where that is enough (`tables.OFF`). Where the
corners of a `TILE` say that every tap lies in U, or none does, no pixel asks. Semantics: docs/architecture.md, "Sampling".

`triton_sampling` has the samples themselves. What the compiled code looks like is in docs/performance.md, "GPU".
"""

import os
from typing import Any

import triton
import triton.language as tl

from stn_cli.engines.triton_sampling import ROUND, added, blend, sample, sample_inside

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # what `triton.jit` goes by: NumPy, on the CPU, for tests
# Columns of the table of images, int64: source, output addresses; H, W, H', W'; source row, pixel, channel stride; output row,
# pixel, channel stride; the number of its first program
COLUMNS = 13
# Columns of the table of maps, float64: the matrix, output → input pixels (9), for a spline: output pixel → normalised
# target (sx, ox, sy, oy), normalised source → input pixel (sx, ox, sy, oy)
MAP_COLUMNS = 9
TILE = (16, 32)  # rows and columns made at once
# enable_fp_fusion: Triton's default is about to change; products and sums fused are the more exact.
BUILD: dict[str, Any] = {"num_warps": 4, "num_stages": 1, "enable_fp_fusion": True}
# Where four-byte pixels are blended: 24 warps to a multiprocessor instead of 16, as they wait for pixels longer than they compute
BLEND_BUILD: dict[str, Any] = {"maxnreg": 80}


@triton.jit
def _spline(u, v, controls, weights, K, m0, m1, m2, m3, m4, m5, m6, m7):
    """Input pixels of a thin-plate spline at output pixels (u, v)."""
    x, y = u * m0 + m1, v * m2 + m3
    dx = tl.load(weights + 2 * K) + tl.load(weights + 2 * K + 2) * x + tl.load(weights + 2 * K + 4) * y
    dy = tl.load(weights + 2 * K + 1) + tl.load(weights + 2 * K + 3) * x + tl.load(weights + 2 * K + 5) * y
    for k in range(K):
        ax, ay = x - tl.load(controls + 2 * k), y - tl.load(controls + 2 * k + 1)
        square = ax * ax + ay * ay
        bend = 0.5 * square * tl.log(tl.maximum(square, 1e-30))
        dx += bend * tl.load(weights + 2 * k)
        dy += bend * tl.load(weights + 2 * k + 1)
    return (x + dx) * m4 + m5, (y + dy) * m6 + m7


@triton.jit
def _place(du, dv, u0, v0, controls, weights, K, m0, m1, m2, m3, m4, m5, m6, m7, m8, MODE: tl.constexpr):
    """Input positions, relative to the tile's whole pixels, of the output pixels (u0 + du, v0 + dv)."""
    if MODE == 2:
        x, y = _spline(u0 + du, v0 + dv, controls, weights, K, m0, m1, m2, m3, m4, m5, m6, m7)
    else:
        x, y = m1 * dv + (m0 * du + m2), m4 * dv + (m3 * du + m5)
        if MODE == 1:
            below = m7 * dv + (m6 * du + m8)
            over = 1.0 / tl.where(tl.abs(below) < 1e-6, tl.where(below < 0, -1e-6, 1e-6), below)
            x, y = x * over, y * over
    return x, y


@triton.jit
def _tile(m, u0, v0, MODE: tl.constexpr):
    """The whole pixels (X, Y) where a tile reads, and its map to positions relative to them, nine float32.

    The whole pixels are taken off while everything is float64: p - X = (num - X·w) / w.
    """
    a, b, c = tl.load(m), tl.load(m + 1), tl.load(m + 2)
    d, e, f = tl.load(m + 3), tl.load(m + 4), tl.load(m + 5)
    g, h, i = tl.load(m + 6), tl.load(m + 7), tl.load(m + 8)
    X, Y = 0, 0
    if MODE != 2:
        c, f = a * u0 + b * v0 + c, d * u0 + e * v0 + f
        bx, by = c, f
        if MODE == 1:
            i = g * u0 + h * v0 + i
            w = tl.where(tl.abs(i) < 1e-6, 1e-6, i)
            bx, by = c / w, f / w
        X = tl.where(tl.abs(bx) < 1e9, tl.floor(bx), 0.0).to(tl.int32)
        Y = tl.where(tl.abs(by) < 1e9, tl.floor(by), 0.0).to(tl.int32)
        if MODE == 1:
            a, b, c = a - X * g, b - X * h, c - X * i
            d, e, f = d - Y * g, e - Y * h, f - Y * i
        else:
            c, f = c - X, f - Y
    return (X, Y, a.to(tl.float32), b.to(tl.float32), c.to(tl.float32), d.to(tl.float32), e.to(tl.float32),
            f.to(tl.float32), g.to(tl.float32), h.to(tl.float32), i.to(tl.float32))  # fmt: skip


@triton.jit
def _reach(m0, m1, m2, m3, m4, m5, m6, m7, m8, BX: tl.constexpr, BY: tl.constexpr, MODE: tl.constexpr):
    """Bounds (x, x, y, y) of where BY rows of BX columns read, relative as the map is; unbounded where it has a horizon."""
    if MODE == 0:
        xa, xb = m0 * (BX - 1), m1 * (BY - 1)
        ya, yb = m3 * (BX - 1), m4 * (BY - 1)
        x_low = m2 + tl.minimum(xa, 0.0) + tl.minimum(xb, 0.0)
        x_high = m2 + tl.maximum(xa, 0.0) + tl.maximum(xb, 0.0)
        y_low = m5 + tl.minimum(ya, 0.0) + tl.minimum(yb, 0.0)
        y_high = m5 + tl.maximum(ya, 0.0) + tl.maximum(yb, 0.0)
    else:
        x_low, x_high, y_low, y_high = 1e30, -1e30, 1e30, -1e30
        w_low, w_high = 1e30, -1e30
        for corner in tl.static_range(4):
            du, dv = (corner % 2) * (BX - 1.0), (corner // 2) * (BY - 1.0)
            w = m7 * dv + (m6 * du + m8)
            w_low, w_high = tl.minimum(w_low, w), tl.maximum(w_high, w)
            x, y = (m1 * dv + (m0 * du + m2)) / w, (m4 * dv + (m3 * du + m5)) / w
            x_low, x_high = tl.minimum(x_low, x), tl.maximum(x_high, x)
            y_low, y_high = tl.minimum(y_low, y), tl.maximum(y_high, y)
        whole = (w_low > 1e-6) | (w_high < -1e-6)
        x_low, x_high = tl.where(whole, x_low, -1e30), tl.where(whole, x_high, 1e30)
        y_low, y_high = tl.where(whole, y_low, -1e30), tl.where(whole, y_high, 1e30)
    return x_low, x_high, y_low, y_high


@triton.jit
def _least(a, b, c, d):
    """No number where one of them is none."""
    every: tl.constexpr = tl.PropagateNan.ALL
    return tl.minimum(tl.minimum(a, b, propagate_nan=every), tl.minimum(c, d, propagate_nan=every), propagate_nan=every)


@triton.jit
def _count(square):
    return tl.minimum(tl.maximum(tl.ceil(tl.sqrt(square) - 1e-3), 1.0), 128.0)


@triton.jit
def _clamped(value):
    return tl.minimum(tl.maximum(value, 0.0), 255.0)


@triton.jit
def _whole(value):
    """The nearest whole number in the lowest byte, the even one of two; for 0 ≤ value ≤ 255."""
    return (value + ROUND).to(tl.uint32, bitcast=True)


@triton.jit
def _colours(source, corner, X, Y, x, y, du, dv, u0, v0, oh, ow, H, W, sr, sp, sc, f0, f1, f2, f3, controls, weights, K,
             m0, m1, m2, m3, m4, m5, m6, m7, m8, threshold, wanted, inner, outer,
             MODE: tl.constexpr, KERNEL: tl.constexpr, PADDING: tl.constexpr, CORNERS: tl.constexpr, AVERAGE: tl.constexpr,
             C: tl.constexpr, ALPHA: tl.constexpr, PACKED: tl.constexpr):  # fmt: skip
    """V at the pixels (u0 + du, v0 + dv), which read (X + x, Y + y), from 0 to 255; `inner` and `outer`: no tap of theirs lies
    outside, or none inside."""
    if inner:
        s0, s1, s2, s3 = sample_inside(
            corner, x, y, sr.to(tl.int32), sp.to(tl.int32), sc.to(tl.int32), KERNEL, C, ALPHA, PACKED
        )
    elif outer:
        s0, s1, s2, s3 = added(x * 0.0, x * 0.0, x * 0.0, x * 0.0, 1.0, f0, f1, f2, f3, C, ALPHA)
    elif AVERAGE:
        left, right = tl.maximum(du - 1, -u0), tl.minimum(du + 1, ow - 1 - u0)
        above, below = tl.maximum(dv - 1, -v0), tl.minimum(dv + 1, oh - 1 - v0)
        x1, y1 = _place(right, dv, u0, v0, controls, weights, K, m0, m1, m2, m3, m4, m5, m6, m7, m8, MODE)
        x0, y0 = _place(left, dv, u0, v0, controls, weights, K, m0, m1, m2, m3, m4, m5, m6, m7, m8, MODE)
        span = tl.maximum(right - left, 1.0)
        ax, ay = (x1 - x0) / span, (y1 - y0) / span
        x1, y1 = _place(du, below, u0, v0, controls, weights, K, m0, m1, m2, m3, m4, m5, m6, m7, m8, MODE)
        x0, y0 = _place(du, above, u0, v0, controls, weights, K, m0, m1, m2, m3, m4, m5, m6, m7, m8, MODE)
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
                p0, p1, p2, p3 = sample(
                    source, X, Y, x + u * ax + v * cx, y + u * ay + v * cy, H, W, sr, sp, sc, f0, f1, f2, f3,
                    counts, KERNEL, PADDING, CORNERS, C, ALPHA, PACKED,
                )  # fmt: skip
                over = tl.where(counts, 1.0 / (nx * ny), 0.0)
                s0 += over * p0
                s1 += over * p1
                s2 += over * p2
                s3 += over * p3
    else:
        s0, s1, s2, s3 = sample(
            source, X, Y, x, y, H, W, sr, sp, sc, f0, f1, f2, f3, wanted, KERNEL, PADDING, CORNERS, C, ALPHA, PACKED
        )
    if ALPHA:
        alpha = s1 if C == 2 else s3
        over = tl.where(alpha >= 0.5, 1.0 / tl.where(alpha >= 0.5, alpha, 1.0), 0.0)
        s0, s2 = s0 * over, s2 * over
        s1 = s1 * over if C == 4 else s1
    if ALPHA or KERNEL == 2 or PADDING == 3:  # else a mean of pixels, which is in range
        s0, s1, s2, s3 = _clamped(s0), _clamped(s1), _clamped(s2), _clamped(s3)
    return s0, s1, s2, s3


@triton.jit
def _word(s0, s1, s2, s3):
    return (_whole(s0) & 255) | ((_whole(s1) & 255) << 8) | ((_whole(s2) & 255) << 16) | (_whole(s3) << 24)


@triton.jit
def warp_kernel(images, maps, controls, weights, fills, owners, K, threshold,
                MODE: tl.constexpr, KERNEL: tl.constexpr, PADDING: tl.constexpr, CORNERS: tl.constexpr,
                AVERAGE: tl.constexpr, C: tl.constexpr, ALPHA: tl.constexpr, PACKED: tl.constexpr,
                PTX: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr, STEPS: tl.constexpr):  # fmt: skip
    """images (N, 13) int64, maps (N, 9) float64, weights (N, K + 3, 2) and controls (K, 2) float32, fills (4,) float32.

    MODE: 0 affine, 1 projective, 2 spline; KERNEL: 0 nearest, 1 bilinear, 2 bicubic; PADDING: 0 zeros, 1 border,
    2 reflection, 3 fill; AVERAGE: over the footprint where the largest singular value is above `threshold`; PTX: the card
    is NVIDIA's.
    One program makes one tile; owners (programs,) int32 says of which image.
    """
    n = tl.load(owners + tl.program_id(0))
    t = images + n * 13
    source, out = tl.load(t), tl.load(t + 1)
    H, W = tl.load(t + 2).to(tl.int32), tl.load(t + 3).to(tl.int32)
    oh, ow = tl.load(t + 4).to(tl.int32), tl.load(t + 5).to(tl.int32)
    sr, sp, sc = tl.load(t + 6), tl.load(t + 7), tl.load(t + 8)
    dr, dp, dc = tl.load(t + 9), tl.load(t + 10), tl.load(t + 11)
    across = tl.cdiv(ow, BX)
    tile = tl.program_id(0) - tl.load(t + 12).to(tl.int32)
    u0, v0 = (tile % across) * BX, (tile // across) * (BY * STEPS)
    weights = weights + n * (K + 3) * 2
    f0, f1, f2, f3 = tl.load(fills), tl.load(fills + 1), tl.load(fills + 2), tl.load(fills + 3)
    X, Y, m0, m1, m2, m3, m4, m5, m6, m7, m8 = _tile(maps + n * 9, u0, v0, MODE)
    # A warp makes 8×4 pixels: turned, they lie in fewer rows of U than 32×1 would. Four warps lie beside each other.
    lane = tl.arange(0, BX * BY)
    iu, iv = (lane & 7) | ((lane >> 2) & 24), ((lane >> 3) & 3) | ((lane >> 7) << 2)
    du = iu.to(tl.float32)
    small = (H * sr + W * sp + C * sc < 2147483648) & (H < 2097152) & (W < 2097152)
    edge: tl.constexpr = 3 if KERNEL == 2 else 2  # how far a tap may lie from a position, and a pixel to spare
    if MODE != 2 and not AVERAGE:
        x_low, x_high, y_low, y_high = _reach(
            m0, m1, m2, m3, m4, m5, m6, m7, m8, BX, BY if MODE == 0 else BY * STEPS, MODE
        )
        x_first, y_first = (edge - X).to(tl.float32), (edge - Y).to(tl.float32)
        x_last, y_last = (W - 1 - edge - X).to(tl.float32), (H - 1 - edge - Y).to(tl.float32)
        # How far the tile's first rows lie inside U, and how far to the left, right, top and bottom of it
        left, right, above, below = x_low - x_first, x_last - x_high, y_low - y_first, y_last - y_high
        right = tl.where(small, right, -1e31)
        beyond_left, beyond_right = x_first - 2 * edge - x_high, x_low - x_last - 2 * edge
        beyond_top, beyond_bottom = y_first - 2 * edge - y_high, y_low - y_last - 2 * edge
    corner = source + Y * sr + X * sp
    blends: tl.constexpr = PACKED and KERNEL == 1 and not ALPHA and not AVERAGE
    h0, h1, h2, h3, h4, h5 = m0, m1, m2 - 0.5, m3, m4, m5 - 0.5  # the map to half a pixel less, as `blend` wants it
    if MODE == 1:
        h0, h1, h2 = m0 - 0.5 * m6, m1 - 0.5 * m7, m2 - 0.5 * m8
        h3, h4, h5 = m3 - 0.5 * m6, m4 - 0.5 * m7, m5 - 0.5 * m8
    out += v0 * dr + u0 * dp
    at = iv * (dr // 4).to(tl.int32) + iu if PACKED else iv * dr.to(tl.int32) + iu * dp.to(tl.int32)
    columns, rows = iu < ow - u0, oh - v0
    for step in range(tl.minimum(STEPS, tl.cdiv(rows, BY))):
        top = step * BY
        dv = (top + iv).to(tl.float32)
        inner, outer = False, False
        if MODE != 2 and not AVERAGE:
            dx, dy = (m1 * top, m4 * top) if MODE == 0 else (0.0, 0.0)
            inner = _least(left + dx, right - dx, above + dy, below - dy) >= 0
            if PADDING == 0 or PADDING == 3:
                outer = _least(dx - beyond_left, -dx - beyond_right, dy - beyond_top, -dy - beyond_bottom) < 0
        if MODE == 2 or not blends:
            x, y = _place(du, dv, u0, v0, controls, weights, K, m0, m1, m2, m3, m4, m5, m6, m7, m8, MODE)
        if MODE == 2 and not AVERAGE:  # bent, corners say nothing of what lies between
            inside = (x >= edge) & (x <= W - 1 - edge) & (y >= edge) & (y <= H - 1 - edge)
            inner = small & (tl.min(inside.to(tl.int32)) == 1)
        if blends:
            if inner:
                if MODE == 2:
                    x, y = x - 0.5, y - 0.5
                else:
                    x, y = _place(du, dv, u0, v0, controls, weights, K, h0, h1, h2, h3, h4, h5, m6, m7, m8, MODE)
                word = blend(corner, x, y, sr.to(tl.int32), PTX)
            else:
                if MODE != 2:
                    x, y = _place(du, dv, u0, v0, controls, weights, K, m0, m1, m2, m3, m4, m5, m6, m7, m8, MODE)
                wanted = columns & (iv < rows - top)
                s0, s1, s2, s3 = _colours(
                    source, corner, X, Y, x, y, du, dv, u0, v0, oh, ow, H, W, sr, sp, sc, f0, f1, f2, f3, controls, weights, K,
                    m0, m1, m2, m3, m4, m5, m6, m7, m8, threshold, wanted, False, outer,
                    MODE, KERNEL, PADDING, CORNERS, AVERAGE, C, ALPHA, PACKED,
                )  # fmt: skip
                word = _word(s0, s1, s2, s3)
        else:
            wanted = columns & (iv < rows - top)
            s0, s1, s2, s3 = _colours(
                source, corner, X, Y, x, y, du, dv, u0, v0, oh, ow, H, W, sr, sp, sc, f0, f1, f2, f3, controls, weights, K,
                m0, m1, m2, m3, m4, m5, m6, m7, m8, threshold, wanted, inner, outer,
                MODE, KERNEL, PADDING, CORNERS, AVERAGE, C, ALPHA, PACKED,
            )  # fmt: skip
        wanted = columns & (iv < rows - top)  # anew: kept, it would fill a register with single bits
        there = out + top * dr
        if PACKED:
            if not blends:
                word = _word(s0, s1, s2, s3)
            tl.store(there.to(tl.pointer_type(tl.uint32)) + at, word, mask=wanted)
        else:
            pointer = there.to(tl.pointer_type(tl.uint8)) + at
            tl.store(pointer, _whole(s0).to(tl.uint8), mask=wanted)
            if C > 1:
                tl.store(pointer + dc, _whole(s1).to(tl.uint8), mask=wanted)
            if C > 2:
                tl.store(pointer + 2 * dc, _whole(s2).to(tl.uint8), mask=wanted)
            if C > 3:
                tl.store(pointer + 3 * dc, _whole(s3).to(tl.uint8), mask=wanted)


@triton.jit
def trial_kernel(out):
    """Whether anything can be compiled and launched here: writes 1 to `out` (1,) int32."""
    tl.store(out, 1)
