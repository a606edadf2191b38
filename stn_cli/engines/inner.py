"""The inside of images, 8-bit or sampled nearest: the part of an output row whose taps all lie in the image is found first, and
worked through without a test or a clamp. Positions are 16.16 fixed point relative to whole pixels for the block.
"""

import numpy as np

from stn_cli.engines.blocks import integers, is_bytes, packed, packed_word, words
from stn_cli.engines.codes import NEAREST
from stn_cli.engines.jit import helper
from stn_cli.engines.simd import (
    LANES,
    every,
    f32,
    fma,
    gather_i32,
    i32,
    lanes,
    store_bytes,
    store_pixels,
    to_float,
    to_int,
    whole_part,
)

MARGIN = 1e-3  # pixels inside the image that are left to the careful way: more than any rounding
STEEPEST = 2000.0  # input pixels an output pixel: sixteen of them must fit 16.16


@helper
def narrowed(first, last, slope, value):
    """The columns of first … last at which slope·column + value ≥ 0."""
    if slope > 0:
        return max(first, np.ceil(-value / slope)), last
    if slope < 0:
        return first, min(last, np.floor(-value / slope))
    return first, last if value >= 0 else first - 1


@helper
def span(m, row, out_width, left, top, right, bottom):
    """The columns (first, last + 1) of an output row that read the input at left ≤ x ≤ right, top ≤ y ≤ bottom.

    Empty (0, 0) if there are none, or (-1, -1) where w changes its sign in the row: all four conditions are linear in the
    column once multiplied by w.
    """
    x, y, w = m[1] * row + m[2], m[4] * row + m[5], m[7] * row + m[8]
    end = w + m[6] * (out_width - 1)
    if w * end <= 0 or min(abs(w), abs(end)) < 1e-3 or max(abs(m[0]), abs(m[3])) > STEEPEST:
        return -1, -1
    sign = 1.0 if w > 0 else -1.0
    first, last = 0.0, out_width - 1.0
    first, last = narrowed(first, last, sign * (m[0] - left * m[6]), sign * (x - left * w))
    first, last = narrowed(first, last, sign * (right * m[6] - m[0]), sign * (right * w - x))
    first, last = narrowed(first, last, sign * (m[3] - top * m[6]), sign * (y - top * w))
    first, last = narrowed(first, last, sign * (bottom * m[6] - m[3]), sign * (bottom * w - y))
    return (int(first), int(last) + 1) if first <= last else (0, 0)


@helper
def inner_span(m, row, out_width, width, height, kind):
    """The columns whose samples, nearest or bilinear, need nothing from outside."""
    low, high = (0.5 - MARGIN, 0.5 + MARGIN) if kind == NEAREST else (-MARGIN, 1 + MARGIN)
    return span(m, row, out_width, -low, -low, width - high, height - high)


@helper
def inside_span(m, inside, row, out_width):
    """The columns (first, last + 1) of an output row whose places lie in `inside` (left, top, right, bottom); four or none."""
    first, last = span(
        m, row, out_width, inside[0] + MARGIN, inside[1] + MARGIN, inside[2] - MARGIN, inside[3] - MARGIN
    )
    return (first, last) if last - first >= 4 else (0, 0)


@helper
def touching_span(m, row, out_width, width, height, reach):
    """The columns whose samples may need a pixel of the image, for a kernel of `reach` pixels."""
    low = reach + MARGIN
    first, last = span(m, row, out_width, -low, -low, width - 1 + low, height - 1 + low)
    return (0, out_width) if first < 0 else (first, last)


@helper
def fixed(position):
    """A position as 32.32 fixed point."""
    return np.int64(np.floor(position * 4294967296.0 + 0.5))


@helper
def lane_steps(m):
    """How far the lanes of an affine map lie from the first, 16.16 (I, I)."""
    lane = to_float(lanes())
    return to_int(lane * np.float32(m[0] * 65536)), to_int(lane * np.float32(m[3] * 65536))


@helper
def affine_inner(x, y, steps):
    """Block at 32.32 (x, y) → whole pixels X, Y and 16.16 lanes relative to them."""
    return x >> 32, y >> 32, steps[0] + ((x >> 16) & 65535), steps[1] + ((y >> 16) & 65535)


@helper
def projective_inner(m, column, row):
    """The same for a projective map, for a block over which w does not vary much; False where it does."""
    w = m[6] * column + m[7] * row + m[8]
    last = w + (LANES - 1) * m[6]
    over = 1 / w
    x, y = (m[0] * column + m[1] * row + m[2]) * over, (m[3] * column + m[4] * row + m[5]) * over
    X, Y = np.floor(x), np.floor(y)
    lane = to_float(lanes())
    scale = f32(65536.0) / fma(lane, f32(m[6] * over), f32(1.0))
    px = fma(lane, f32((m[0] - X * m[6]) * over), f32(x - X)) * scale
    py = fma(lane, f32((m[3] - Y * m[6]) * over), f32(y - Y)) * scale
    ratio = last * over
    return 0.5 < ratio < 2.0, int(X), int(Y), to_int(px), to_int(py)


@helper
def table_inner(X, Y, x, y, width, height, kind):
    """Places → 16.16 lanes relative to the same whole pixels; False where a tap of a lane is not in width × height."""
    low, high = (0.5 - MARGIN, 0.5 + MARGIN) if kind == NEAREST else (-MARGIN, 1 + MARGIN)
    left, right = max(-low - X, -STEEPEST), min(width - high - X, STEEPEST)
    top, bottom = max(-low - Y, -STEEPEST), min(height - high - Y, STEEPEST)
    inside = (x >= f32(left)) & (x <= f32(right)) & (y >= f32(top)) & (y <= f32(bottom))
    return every(inside), to_int(x * np.float32(65536)), to_int(y * np.float32(65536))


@helper
def inner_block(src, width, out, index, like, alpha, kind, X, Y, x, y):
    """Write sixteen samples; False, and nothing written, where they would have to be weighed by alpha."""
    n = src.itemsize * len(like)
    stride = width * n
    byte = Y * stride + X * n
    if kind == NEAREST:
        x, y = x + 32768, y + 32768
        offsets = whole_part(y) * stride + whole_part(x) * n
        if not is_bytes(src):
            store_pixels(out, index, integers(src, words(src, offsets + i32(byte), 0, like)), like)
            return True
        word = gather_i32(src, byte, offsets)
        opaque = word
        zero = word
    else:
        even, odd, opaque, zero = packed(src, byte, whole_part(y) * stride + whole_part(x) * n, stride, like, x, y)
        word = packed_word(even, odd)
    if len(alpha) == 0 or every((opaque >> 24) == 255):
        store_bytes(out, index, word, like)
        return True
    if every((zero >> 24) == 0):
        store_bytes(out, index, i32(0), like)
        return True
    return False
