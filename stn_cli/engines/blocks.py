"""Sampling sixteen output pixels at once. Two ways lead to the same numbers:

*near*: every tap of every lane lies in the image; offsets fit 32 bits and nothing needs to be tested lane by lane.
*far*: indices are folded into the image as the padding says, or the constant is put in; any size, any place.

8-bit bilinear samples that are near go the *packed* way: two channels at once in the 16-bit fields of a word, 8.8 fixed
point, weights of 16 bits. It is exact to 0.02 grey levels.

A position is a number of whole pixels for the block and sixteen float32 relative to it, so that float32 never has to hold
more than the block spans. Pixels are four F, of which the first len(fill) count; sums over taps are colours times alpha
and alpha, where there is alpha (`alpha` is a tuple of one element then, else the empty tuple: known when compiling).
"""

import numpy as np
from numba.core import types
from numba.extending import overload

from stn_cli.engines.codes import BILINEAR, BORDER, NEAREST, REFLECTION
from stn_cli.engines.jit import apart, helper
from stn_cli.engines.simd import (
    below,
    extend,
    f32,
    fabs,
    floor,
    fma,
    gather_i32,
    gather_i64,
    halves_shifted,
    high_product,
    i32,
    low_half,
    select,
    to_float,
    to_int,
)

FAR = np.float32(1e9)  # pixels: where positions that are no numbers are sent, as in core.sampler
HIGH_BYTES = -0xFF0100  # 0xFF00FF00 as a signed word


def is_bytes(array):
    """Whether the elements are uint8, known when compiling."""


@overload(is_bytes, inline="always")
def _is_bytes(array):
    answer = array.dtype == types.uint8
    return lambda array: answer


def words(src, offsets, limit, like):
    """The bytes at `offsets` (I), or at `offsets` (L) not reading past `limit`, as three I: as many as a pixel needs."""


@overload(words, inline="always")
def _words(src, offsets, limit, like):
    size = src.dtype.bitwidth // 8 * len(like)
    count = -(-size // 4)

    def one(src, offsets, limit, like):
        w = _word(src, offsets, limit)
        return (w, w, w, w)

    def two(src, offsets, limit, like):
        w = _word(src, offsets, limit)
        return (w, _word(src, offsets + 4, limit), w, w)

    def three(src, offsets, limit, like):
        w = _word(src, offsets, limit)
        return (w, _word(src, offsets + 4, limit), _word(src, offsets + 8, limit), w)

    def four(src, offsets, limit, like):
        w = _word(src, offsets, limit)
        return (w, _word(src, offsets + 4, limit), _word(src, offsets + 8, limit), _word(src, offsets + 12, limit))

    return (one, two, three, four)[count - 1]


def _word(src, offsets, limit):
    """Four bytes from each offset on."""


@overload(_word, inline="always")
def _word_impl(src, offsets, limit):
    if offsets.name.startswith("int32"):
        return lambda src, offsets, limit: gather_i32(src, 0, offsets)

    def guarded(src, offsets, limit):
        safe = select(offsets < limit - 4, offsets, (offsets ^ offsets) + (limit - 4))
        return gather_i32(src, 0, safe) >> low_half((offsets - safe) << 3)

    return guarded


def channels(src, words):
    """The four channels as F, from the words of a pixel of `src`."""


@overload(channels, inline="always")
def _channels(src, words):
    if src.dtype == types.uint8:

        def bytes_of(src, words):
            w = words[0]
            return (to_float(w & 255), to_float((w >> 8) & 255), to_float((w >> 16) & 255), to_float(w >> 24))

        return bytes_of
    if src.dtype == types.uint16:

        def shorts_of(src, words):
            a, b = words[0], words[1]
            return (to_float(a & 65535), to_float(a >> 16), to_float(b & 65535), to_float(b >> 16))

        return shorts_of
    from stn_cli.engines.simd import floats

    return lambda src, words: (floats(words[0]), floats(words[1]), floats(words[2]), floats(words[3]))


def integers(src, words):
    """The four channels as I whose lower bits they are, from the words of a pixel of `src`."""


@overload(integers, inline="always")
def _integers(src, words):
    if src.dtype == types.uint8:
        return lambda src, words: (words[0], words[0] >> 8, words[0] >> 16, words[0] >> 24)
    if src.dtype == types.uint16:
        return lambda src, words: (words[0], words[0] >> 16, words[1], words[1] >> 16)
    return lambda src, words: words


@helper
def add(total, weight, pixel, like, alpha):
    """`total` plus `pixel` times `weight`; colours weighted by alpha."""
    s0, s1, s2, s3 = total
    p0, p1, p2, p3 = pixel
    if len(alpha) == 0:
        return (fma(weight, p0, s0), fma(weight, p1, s1), fma(weight, p2, s2), fma(weight, p3, s3))
    if len(like) == 2:
        weight = weight * p1
        return (fma(weight, p0, s0), s1 + weight, s2, s3)
    weight = weight * p3
    return (fma(weight, p0, s0), fma(weight, p1, s1), fma(weight, p2, s2), s3 + weight)


@helper
def keys(d):
    """Keys' cubic, a = -0.75, at distance d ≥ 0."""
    near = fma(fma(d, f32(1.25), f32(-2.25)), d * d, f32(1.0))
    far = fma(fma(fma(d, f32(-0.75), f32(3.75)), d, f32(-6.0)), d, f32(3.0))
    return select(d <= 1.0, near, select(d < 2.0, far, f32(0.0)))


@helper
def weight(kind, distance):
    if kind == NEAREST:
        return f32(1.0)
    if kind == BILINEAR:
        return f32(1.0) - fabs(distance)
    return keys(fabs(distance))


@helper
def fold(i, size, padding, corners):
    """The pixel of U that stands at integer position i of the padded plane; and where the plane is the constant."""
    inside = below(i, size)
    last = i32(size - 1)
    if padding == REFLECTION:
        period = max(2 * size - 2, 1) if corners else 2 * size
        i = i - to_int(floor(to_float(i) / np.float32(period))) * period
        i = select(i < 0, i + period, i)
        i = select(i >= period, i - period, i)
        mirrored = (i32(period) if corners else i32(period - 1)) - i
        i = select(i < size, i, mirrored)
    zero = i32(0)
    return select(i < 0, zero, select(i > last, last, i)), inside


@helper
def constant(fill):
    """The constant outside as a pixel, four F."""
    n = len(fill)
    return f32(fill[0]), f32(fill[1 % n]), f32(fill[2 % n]), f32(fill[3 % n])


@apart
def far(src, height, width, fill, x, y, fx, fy, kind, first, count, padding, corners, alpha):
    """The sum over the taps, some of which lie outside the image."""
    size = src.itemsize * len(fill)
    limit = src.size * src.itemsize
    zero = f32(0.0)
    total = (zero, zero, zero, zero)
    c0, c1, c2, c3 = constant(fill)
    for j in range(first, first + count):
        row, row_in = fold(y + j, height, padding, corners)
        start = extend(row) * width
        wy = weight(kind, fy - np.float32(j))
        for i in range(first, first + count):
            column, column_in = fold(x + i, width, padding, corners)
            p0, p1, p2, p3 = channels(src, words(src, (start + extend(column)) * size, limit, fill))
            if padding != BORDER and padding != REFLECTION:
                inside = row_in & column_in
                p0, p1 = select(inside, p0, c0), select(inside, p1, c1)
                p2, p3 = select(inside, p2, c2), select(inside, p3, c3)
            total = add(total, wy * weight(kind, fx - np.float32(i)), (p0, p1, p2, p3), fill, alpha)
    return total


@apart
def near(src, width, fill, x, y, fx, fy, kind, first, count, alpha):
    """The sum over the taps, all of which lie in the image."""
    size = src.itemsize * len(fill)
    zero = f32(0.0)
    total = (zero, zero, zero, zero)
    for j in range(first, first + count):
        wy = weight(kind, fy - np.float32(j))
        for i in range(first, first + count):
            offsets = ((y + j) * width + (x + i)) * size
            pixel = channels(src, words(src, offsets, 0, fill))
            total = add(total, wy * weight(kind, fx - np.float32(i)), pixel, fill, alpha)
    return total


@helper
def pairs(src, byte, offsets, like):
    """The pixels at the offsets and those right of them, one 8-bit pixel a word."""
    if len(like) == 1:
        w = gather_i32(src, byte, offsets)
        return w & 255, (w >> 8) & 255
    both = gather_i64(src, byte, offsets)
    return low_half(both), low_half(both >> (8 * len(like)))


@helper
def blend(a, b, weight):
    """a + (b - a)·weight, in both fields of every lane; weight from 0 to 65535/65536."""
    return high_product(a, weight ^ -1) + high_product(b, weight)


@helper
def packed(src, byte, offsets, stride, like, x, y):
    """Bilinear samples of 8-bit pixels: (channels 0 and 2, channels 1 and 3) in 8.8; and all alphas, and'ed, or'ed.

    The upper left taps lie at `byte` + `offsets`, the lower ones `stride` bytes further; x and y are 16.16, of which the
    fractions count.
    """
    a, b = pairs(src, byte, offsets, like)
    c, d = pairs(src, byte + stride, offsets, like)
    even, odd = blended(a, b, c, d, x, y)
    return even, odd, a & b & c & d, a | b | c | d


@helper
def blended(a, b, c, d, x, y):
    """The fields of `packed` from four taps, one 8-bit pixel a word, and the fractions of 16.16 positions."""
    x, y = (x & 65535) | (x << 16), (y & 65535) | (y << 16)
    even = blend(
        blend((a << 8) & HIGH_BYTES, (b << 8) & HIGH_BYTES, x),
        blend((c << 8) & HIGH_BYTES, (d << 8) & HIGH_BYTES, x),
        y,
    )
    odd = blend(
        blend(a & HIGH_BYTES, b & HIGH_BYTES, x),
        blend(c & HIGH_BYTES, d & HIGH_BYTES, x),
        y,
    )
    return even, odd


@apart
def rim(src, height, width, fill, x, y, fx, fy, padding, corners):
    """Bilinear samples of 8-bit pixels, some taps of which lie outside the image, as `packed`; src of 4 to 2³¹ - 1 bytes."""
    (left, left_in), (right, right_in) = fold(x, width, padding, corners), fold(x + 1, width, padding, corners)
    (top, top_in), (bottom, bottom_in) = fold(y, height, padding, corners), fold(y + 1, height, padding, corners)
    n = len(fill)
    top, bottom, last = top * width, bottom * width, src.size - 4
    a, b = pixel_word(src, (top + left) * n, last), pixel_word(src, (top + right) * n, last)
    c, d = pixel_word(src, (bottom + left) * n, last), pixel_word(src, (bottom + right) * n, last)
    if padding != BORDER and padding != REFLECTION:
        outside = i32(constant_word(fill))
        a, b = select(left_in & top_in, a, outside), select(right_in & top_in, b, outside)
        c, d = select(left_in & bottom_in, c, outside), select(right_in & bottom_in, d, outside)
    return blended(a, b, c, d, fraction(fx), fraction(fy))


@helper
def fraction(f):
    """0 ≤ f ≤ 1 in 65536ths, below 65536: what float32 rounds up to 1 is less."""
    f = to_int(f * np.float32(65536))
    return select(f < 65536, f, i32(65535))


@helper
def pixel_word(src, offsets, last):
    """Four bytes from each offset on, none beyond `last` + 3."""
    safe = select(offsets < last, offsets, i32(last))
    return gather_i32(src, 0, safe) >> ((offsets - safe) << 3)


@helper
def constant_word(fill):
    n = len(fill)
    return int(fill[0]) | (int(fill[1 % n]) << 8) | (int(fill[2 % n]) << 16) | (int(fill[3 % n]) << 24)


@helper
def whole_bytes(fill):
    """Whether the constant outside can stand in a word."""
    fits = True
    for k in range(len(fill)):
        fits = fits and 0 <= fill[k] <= 255 and fill[k] == np.floor(fill[k])
    return fits


@helper
def packed_word(even, odd):
    """8.8 fields rounded to bytes, in the order of the channels. The truncations on the way cost 2/256 on average."""
    return halves_shifted(even + 0x00820082, 8) | ((odd + 0x00820082) & HIGH_BYTES)


@helper
def packed_floats(even, odd):
    """8.8 fields as four F, in grey levels."""
    scale = np.float32(1 / 256)
    return (
        fma(to_float(even & 65535), f32(scale), f32(2 * scale)),
        fma(to_float(odd & 65535), f32(scale), f32(2 * scale)),
        fma(to_float(even >> 16), f32(scale), f32(2 * scale)),
        fma(to_float(odd >> 16), f32(scale), f32(2 * scale)),
    )
