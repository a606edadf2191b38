"""What one pixel of V is made of, for `triton_kernel`: the taps of a sample, wherever they lie, and summed.

Numbers are turned from integers to floats and back by adding `ROUND` where that is exact, as conversions have a quarter of the
units that additions have. docs/performance.md, "GPU", says what that is compiled to.
"""

import triton
import triton.language as tl

ROUND = tl.constexpr(12582912.0)  # 1.5 · 2²³: float32 of this size are the integers, and their lowest 22 bits say which
# Which bytes of two words `_permuted` puts together
HALVES = tl.constexpr(0x5410)  # the lower two of each
FRONT = tl.constexpr(0x5140)  # the first of each and the second of each
BACK = tl.constexpr(0x7362)  # the third and the fourth
THIRDS = tl.constexpr(0x0062)  # the third of each, and whatever
LOWER, UPPER = tl.constexpr(False), tl.constexpr(True)


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
def _channels(word):
    """Four bytes as float32, the second times 2⁸ and the third times 2¹⁶: as they stand, two units of the card share the work."""
    return ((word & 255).to(tl.float32), (word & 0x0000FF00).to(tl.float32),
            (word & 0x00FF0000).to(tl.float32), (word >> 24).to(tl.float32))  # fmt: skip


@triton.jit
def _pixel(source, row, column, sr, sp, sc, wanted, C: tl.constexpr, PACKED: tl.constexpr):
    """Up to four channels as float32."""
    at = row.to(tl.int64) * sr + column.to(tl.int64) * sp
    if PACKED:  # four bytes a pixel, read at once
        p0, p1, p2, p3 = _channels(tl.load((source + at).to(tl.pointer_type(tl.uint32)), mask=wanted, other=0))
        p1, p2 = p1 * (1 / 256), p2 * (1 / 65536)
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
def sample(source, X, Y, x, y, H, W, sr, sp, sc, f0, f1, f2, f3, wanted,
            KERNEL: tl.constexpr, PADDING: tl.constexpr, CORNERS: tl.constexpr, C: tl.constexpr,
            ALPHA: tl.constexpr, PACKED: tl.constexpr):  # fmt: skip
    """The sum over the taps of one sample, wherever they lie: colours (times alpha) and alpha."""
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
            s0, s1, s2, s3 = added(s0, s1, s2, s3, w, p0, p1, p2, p3, C, ALPHA)
    return s0, s1, s2, s3


@triton.jit
def sample_inside(corner, x, y, sr, sp, sc, KERNEL: tl.constexpr, C: tl.constexpr, ALPHA: tl.constexpr,
                   PACKED: tl.constexpr):  # fmt: skip
    """The same where every tap lies in U, with a pixel to spare, and U in 2 GB: offsets of 32 bits from address `corner`."""
    if KERNEL == 1:  # ⌊x⌋, or x - 1 at a whole x, whose sample is the same
        xm, ym = (x - 0.5) + ROUND, (y - 0.5) + ROUND
        left, top = xm - ROUND, ym - ROUND
        column, row = xm.to(tl.int32, bitcast=True) - 0x4B400000, ym.to(tl.int32, bitcast=True) - 0x4B400000
    else:
        if KERNEL == 0:
            x, y = x + 0.5, y + 0.5
        left, top = tl.floor(x), tl.floor(y)
        column, row = left.to(tl.int32), top.to(tl.int32)
    fx, fy = x - left, y - top
    first: tl.constexpr = -1 if KERNEL == 2 else 0
    last: tl.constexpr = 1 if KERNEL == 0 else (2 if KERNEL == 1 else 3)
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    for j in tl.static_range(first, last):
        for i in tl.static_range(first, last):
            if KERNEL == 1:  # four weights by one product
                both = fx * fy
                across = fx - both if i == 1 else 1.0 - fx - (fy - both)
                w = (both if i == 1 else fy - both) if j == 1 else across
            else:
                w = _weight(fx - i, KERNEL) * _weight(fy - j, KERNEL)
            if PACKED:
                pointer = corner.to(tl.pointer_type(tl.uint32)) + (row * (sr // 4) + column) + (j * (sr // 4) + i)
                p0, p1, p2, p3 = _channels(tl.load(pointer))
            else:
                pointer = corner.to(tl.pointer_type(tl.uint8)) + (row * sr + column * sp) + (j * sr + i * sp)
                p0 = tl.load(pointer).to(tl.float32)
                p1, p2, p3 = p0, p0, p0
                if C > 1:
                    p1 = tl.load(pointer + sc).to(tl.float32)
                if C > 2:
                    p2 = tl.load(pointer + 2 * sc).to(tl.float32)
                if C > 3:
                    p3 = tl.load(pointer + 3 * sc).to(tl.float32)
            s0, s1, s2, s3 = added(s0, s1, s2, s3, w, p0, p1, p2, p3, C, ALPHA)
    if PACKED:
        s1, s2 = s1 * (1 / 256), s2 * (1 / 65536)
    return s0, s1, s2, s3


@triton.jit
def _permuted(a, b, SELECT: tl.constexpr, PTX: tl.constexpr):
    """Four bytes of the eight of `a` (0 to 3) and `b` (4 to 7), by a digit of SELECT each, the lowest byte's last."""
    if PTX:
        made = tl.inline_asm_elementwise(
            f"prmt.b32 $0, $1, $2, {SELECT};", "=r,r,r", [a, b], dtype=tl.uint32, is_pure=True, pack=1
        )
    else:
        made = a * 0
        for i in tl.static_range(4):
            word = a if SELECT // 16**i % 16 < 4 else b
            made |= ((word >> (8 * (SELECT // 16**i % 4))) & 255) << (8 * i)
    return made


@triton.jit
def _dot(weights, pixels, total, HALF: tl.constexpr, PTX: tl.constexpr):
    """total + two weights of 16 bits times the two lower, or the two upper, of four bytes."""
    if PTX:
        made = tl.inline_asm_elementwise(
            "dp2a.hi.u32.u32 $0, $1, $2, $3;" if HALF else "dp2a.lo.u32.u32 $0, $1, $2, $3;",
            "=r,r,r,r", [weights, pixels, total], dtype=tl.uint32, is_pure=True, pack=1,
        )  # fmt: skip
    else:
        pair = pixels >> 16 if HALF else pixels
        made = total + (weights & 0xFFFF) * (pair & 255) + (weights >> 16) * ((pair >> 8) & 255)
    return made


@triton.jit
def blend(corner, x, y, sr, PTX: tl.constexpr):
    """Bilinear at (x + ½, y + ½), where every tap lies in U with a pixel to spare: four bytes a pixel, rounded half up.

    The arithmetic of `sample_inside` in whole numbers: weights are 2⁻¹⁶ (their sum is 1 exactly), and two of them are
    multiplied with two bytes and added at once.
    """
    xm, ym = x + ROUND, y + ROUND
    gx, gy = x - (xm - ROUND), y - (ym - ROUND)  # from -½ to ½
    stride = (sr // 4).to(tl.uint32)
    at = ym.to(tl.uint32, bitcast=True) * stride + xm.to(tl.uint32, bitcast=True) - (stride + 1) * 0x4B400000
    pointer = corner.to(tl.pointer_type(tl.uint32)) + at.to(tl.int32, bitcast=True)
    below = pointer + sr // 4
    p00, p01, p10, p11 = tl.load(pointer), tl.load(pointer + 1), tl.load(below), tl.load(below + 1)
    # fx and fy from 1 to 65535; the weights in the lower 16 bits of floats around ROUND, the sum of two of which is taken off
    fy = gy * 65534.0 + 32768.0
    both = ((gx * (65534.0 / 65536.0) + 0.5) * fy + ROUND).to(tl.int32, bitcast=True)
    right = (gx * 65534.0 + (ROUND + 32768.0)).to(tl.int32, bitcast=True)
    w01, w10 = right - both, (fy + ROUND).to(tl.int32, bitcast=True) - both
    w00 = tl.maximum((0x4B400000 + 65536) - right - w10, 0)
    top = _permuted(w00.to(tl.uint32, bitcast=True), w01.to(tl.uint32, bitcast=True), HALVES, PTX)
    bottom = _permuted(w10.to(tl.uint32, bitcast=True), both.to(tl.uint32, bitcast=True), HALVES, PTX)
    a, b = _permuted(p00, p01, FRONT, PTX), _permuted(p00, p01, BACK, PTX)  # channels 0 and 1, 2 and 3, side by side
    c, d = _permuted(p10, p11, FRONT, PTX), _permuted(p10, p11, BACK, PTX)
    half = p00 * 0 + 32768
    s0 = _dot(bottom, c, _dot(top, a, half, LOWER, PTX), LOWER, PTX)
    s1 = _dot(bottom, c, _dot(top, a, half, UPPER, PTX), UPPER, PTX)
    s2 = _dot(bottom, d, _dot(top, b, half, LOWER, PTX), LOWER, PTX)
    s3 = _dot(bottom, d, _dot(top, b, half, UPPER, PTX), UPPER, PTX)
    return _permuted(_permuted(s0, s1, THIRDS, PTX), _permuted(s2, s3, THIRDS, PTX), HALVES, PTX)


@triton.jit
def added(s0, s1, s2, s3, w, p0, p1, p2, p3, C: tl.constexpr, ALPHA: tl.constexpr):
    """The sums with one more tap: with ALPHA, colours are weighted by it."""
    if ALPHA:
        w = w * (p1 if C == 2 else p3)
        p1 = p1 * 0.0 + 1.0 if C == 2 else p1
        p3 = p3 * 0.0 + 1.0 if C == 4 else p3
    return s0 + w * p0, s1 + w * p1, s2 + w * p2, s3 + w * p3
