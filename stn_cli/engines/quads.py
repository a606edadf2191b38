"""Rows as vectors, and four pixels of up to four channels in one vector: lane 4·pixel + channel."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from stn_cli.engines.codes import LANES
from stn_cli.engines.simd import F, I, _address, _concatenate

_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))


def _indices(order):
    return ir.Constant(ir.VectorType(_I32, len(order)), order)


def _pointer(context, builder, array_type, array, index, kind: ir.Type):
    """To elements from `index` on, as a pointer to `kind`."""
    byte = builder.mul(index, ir.Constant(_I64, array_type.dtype.bitwidth // 8))
    return builder.bitcast(_address(context, builder, array_type, array, byte), kind.as_pointer())


@intrinsic
def load_row(typingctx, array, index):
    """Sixteen elements of a flat uint8, uint16 or float32 array from element `index` on, as F."""

    def lower(context, builder, sig, args):
        kind = sig.args[0].dtype
        if kind == types.float32:
            return builder.load(_pointer(context, builder, sig.args[0], *args, F.llvm), align=4)
        narrow = ir.VectorType(ir.IntType(kind.bitwidth), LANES)
        loaded = builder.load(_pointer(context, builder, sig.args[0], *args, narrow), align=1)
        return builder.sitofp(builder.zext(loaded, I.llvm), F.llvm)

    return F(array, types.intp), lower


@intrinsic
def load_whole(typingctx, array, index):
    """Sixteen elements of a flat int32 array from element `index` on, as I."""

    def lower(context, builder, sig, args):
        return builder.load(_pointer(context, builder, sig.args[0], *args, I.llvm), align=4)

    return I(array, types.intp), lower


def _store_row(vector):
    def typing(typingctx, array, index, value):
        def lower(context, builder, sig, args):
            builder.store(args[2], _pointer(context, builder, sig.args[0], args[0], args[1], vector.llvm), align=4)
            return context.get_dummy_value()

        return types.void(array, types.intp, vector), lower

    return intrinsic(typing)


store_row, store_whole = (
    _store_row(F),
    _store_row(I),
)  # (array of 32 bits an element, index, F or I): written from `index` on


def _four_spread(order):
    def typing(typingctx, array, index):
        def lower(context, builder, sig, args):
            four = ir.VectorType(ir.FloatType(), 4)
            loaded = builder.load(_pointer(context, builder, sig.args[0], *args, four), align=4)
            return builder.shuffle_vector(loaded, loaded, _indices(order))

        return F(array, types.intp), lower

    return intrinsic(typing)


of_pixels = _four_spread(
    [lane // 4 for lane in range(LANES)]
)  # (float32 array, index): four elements, one for each pixel
of_channels = _four_spread(
    [lane % 4 for lane in range(LANES)]
)  # (float32 array, index): four elements, one for each channel


@intrinsic
def load_quad(typingctx, array, a, b, c, d):
    """The four elements of a flat float32 array from a on, from b on, from c on and from d on, as F."""

    def lower(context, builder, sig, args):
        four = ir.VectorType(ir.FloatType(), 4)
        parts = [builder.load(_pointer(context, builder, sig.args[0], args[0], i, four), align=4) for i in args[1:]]
        return _concatenate(builder, _concatenate(builder, *parts[:2]), _concatenate(builder, *parts[2:]))

    return F(array, *[types.intp] * 4), lower


@intrinsic
def store_quad(typingctx, out, index, value, like):
    """Write four pixels of as many elements as the tuple `like` is long at element `index`, from the low bits of I."""

    def lower(context, builder, sig, args):
        element = ir.IntType(sig.args[0].dtype.bitwidth)
        cut = args[2] if element.width == 32 else builder.trunc(args[2], ir.VectorType(element, LANES))
        order = [4 * pixel + k for pixel in range(4) for k in range(len(sig.args[3]))]
        packed = builder.shuffle_vector(cut, cut, _indices(order))
        builder.store(packed, _pointer(context, builder, sig.args[0], args[0], args[1], packed.type), align=1)
        return context.get_dummy_value()

    return types.void(out, types.intp, I, like), lower


ONE = LANES  # the place of a 1, for `picked`


def picked(place, product=False):
    """An intrinsic (F, like) of pixels with len(like) = n channels: lane by lane the value at place(lane, n), or `ONE`;
    with `product` times the lane itself."""

    def typing(typingctx, value, like):
        def lower(context, builder, sig, args):
            n = len(sig.args[1])
            one = ir.Constant(F.llvm, [1.0] * LANES)
            found = builder.shuffle_vector(args[0], one, _indices([place(lane, n) for lane in range(LANES)]))
            return builder.fmul(args[0], found) if product else found

        return F(F, like), lower

    return intrinsic(typing)


# pixels side by side: each channel but the last times the last of its pixel
times_last = picked(lambda lane, n: ONE if lane % n == n - 1 else lane // n * n + n - 1, product=True)
# a quad: channel n - 1 of each pixel, in all its lanes but that channel's own, which holds 1
last_of_quad = picked(lambda lane, n: ONE if lane % 4 == n - 1 else lane // 4 * 4 + n - 1)
