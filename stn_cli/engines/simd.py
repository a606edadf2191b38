"""Vectors of sixteen lanes as values that numba kernels compute with.

A kernel written with these is vector code on every machine, whether or not LLVM's auto-vectorisers see it: LLVM splits
the sixteen lanes into what the machine has (one AVX-512 register, two of AVX2, four of NEON) and turns `gather` into
gather instructions where those are fast. Operators work lane by lane; a number beside a vector stands for all lanes.

F, I, D, L: lanes of float32, int32, float64, int64; M: lanes of truth values.
"""

import operator
from collections.abc import Callable

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from stn_cli.engines.codes import LANES
from stn_cli.engines.jit import helper

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


class Vector(types.Type):
    def __init__(self, name: str, element: ir.Type, scalar: types.Type) -> None:
        self.element, self.scalar = element, scalar
        self.floating = scalar in (types.float32, types.float64)
        self.llvm = ir.VectorType(element, LANES)
        super().__init__(name=f"{name}x{LANES}")


F = Vector("float32", ir.FloatType(), types.float32)
D = Vector("float64", ir.DoubleType(), types.float64)
I = Vector("int32", _I32, types.int32)
L = Vector("int64", _I64, types.int64)
M = Vector("mask", ir.IntType(1), types.boolean)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.llvm)


def _broadcast(builder, vector: Vector, value):
    first = builder.insert_element(ir.Constant(vector.llvm, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))


def _constant(vector: Vector, value):
    return ir.Constant(vector.llvm, [value] * LANES)


def _call(builder, name: str, vector: Vector, args):
    """LLVM's intrinsic of that name for vectors, `llvm.floor.v16f32` say."""
    name = f"llvm.{name}.v{LANES}{vector.element.intrinsic_name}"
    kind = ir.FunctionType(vector.llvm, [vector.llvm] * len(args))
    return builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), args)


# Operators ------------------------------------------------------------------------------------------------------------


def _operator(op: Callable, integer: str | None, floating: str | None, mask: str | None = None, *, compares=None):
    def typed(args):
        vectors = [a for a in args if isinstance(a, Vector)]
        if not vectors or any(v != vectors[0] for v in vectors):
            return None
        if not all(isinstance(a, Vector | types.Number) for a in args):
            return None
        return signature(M if compares else vectors[0], *[vectors[0] if a in vectors else a for a in args])

    class Template(AbstractTemplate):
        def generic(self, args, kws):
            return typed(args) if not kws else None

    infer_global(op)(Template)

    def lower(context, builder, sig, args):
        vector = next(a for a in sig.args if isinstance(a, Vector))
        whole = [
            value if a == vector else _broadcast(builder, vector, context.cast(builder, value, a, vector.scalar))
            for a, value in zip(sig.args, args, strict=True)
        ]
        if compares:
            compare = builder.fcmp_ordered if vector.floating else builder.icmp_signed
            return compare(compares, *whole)
        return getattr(builder, floating if vector.floating else mask if vector == M and mask else integer)(*whole)

    for pattern in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(op, *pattern)(lower)


for _op, _integer, _floating in (
    (operator.add, "add", "fadd"), (operator.sub, "sub", "fsub"), (operator.mul, "mul", "fmul"),
    (operator.truediv, None, "fdiv"), (operator.and_, "and_", None), (operator.or_, "or_", None),
    (operator.xor, "xor", None), (operator.lshift, "shl", None), (operator.rshift, "lshr", None),
):  # fmt: skip
    _operator(_op, _integer, _floating)
for _op, _sign in (
    (operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">="), (operator.eq, "=="),
):  # fmt: skip
    _operator(_op, None, None, compares=_sign)


# Making and changing vectors ------------------------------------------------------------------------------------------


def _maker(vector: Vector):
    def typing(typingctx, value):
        def lower(context, builder, sig, args):
            return _broadcast(builder, vector, context.cast(builder, args[0], sig.args[0], vector.scalar))

        return (vector(value), lower) if isinstance(value, types.Number | types.Boolean) else None

    return intrinsic(typing)


f32, f64, i32, i64 = (_maker(vector) for vector in (F, D, I, L))


@intrinsic
def lanes(typingctx):
    """0, 1, …, 15 as I."""
    return I(), lambda context, builder, sig, args: ir.Constant(I.llvm, list(range(LANES)))


def _cast(source: Vector, target: Vector, method: str):
    def typing(typingctx, value):
        def lower(context, builder, sig, args):
            return getattr(builder, method)(args[0], target.llvm)

        return (target(value), lower) if value == source else None

    return intrinsic(typing)


to_float = _cast(I, F, "sitofp")
to_int = _cast(F, I, "fptosi")  # towards zero; the value must fit
narrow = _cast(D, F, "fptrunc")
widen = _cast(F, D, "fpext")
to_double = _cast(I, D, "sitofp")
to_int_far = _cast(D, I, "fptosi")
extend = _cast(I, L, "sext")
bits = _cast(F, I, "bitcast")
floats = _cast(I, F, "bitcast")
double_bits = _cast(D, L, "bitcast")
doubles = _cast(L, D, "bitcast")


@intrinsic
def low_half(typingctx, value):
    """The lower 32 bits of every lane of L."""
    return I(value), lambda context, builder, sig, args: builder.trunc(args[0], I.llvm)


def _unary(name: str):
    def typing(typingctx, value):
        def lower(context, builder, sig, args):
            return _call(builder, name, sig.args[0], args)

        return value(value), lower

    return intrinsic(typing)


floor, sqrt, ceil, fabs = _unary("floor"), _unary("sqrt"), _unary("ceil"), _unary("fabs")


@intrinsic
def fma(typingctx, a, b, c):
    """a·b + c, in one rounding where the machine has it."""

    def lower(context, builder, sig, args):
        return _call(builder, "fmuladd", sig.args[0], args)

    return a(a, a, a), lower


@intrinsic
def select(typingctx, mask, a, b):
    """a where the mask holds, else b."""
    return a(mask, a, a), lambda context, builder, sig, args: builder.select(*args)


def _reduce(wanted: int):
    def typing(typingctx, mask):
        def lower(context, builder, sig, args):
            word = builder.bitcast(args[0], _I16)
            return builder.icmp_unsigned("==" if wanted else "!=", word, ir.Constant(_I16, -1 if wanted else 0))

        return types.boolean(mask), lower

    return intrinsic(typing)


every, some = _reduce(1), _reduce(0)


@intrinsic
def largest(typingctx, value):
    """The largest lane of I, as an integer."""

    def lower(context, builder, sig, args):
        name = f"llvm.vector.reduce.smax.v{LANES}i32"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(_I32, [I.llvm]), name
        )
        return builder.call(function, args)

    return types.int32(value), lower


@intrinsic
def below(typingctx, value, limit):
    """0 ≤ value < limit, for I and a number: one unsigned comparison."""

    def lower(context, builder, sig, args):
        number = context.cast(builder, args[1], sig.args[1], types.int32)
        return builder.icmp_unsigned("<", args[0], _broadcast(builder, I, number))

    return M(value, limit), lower


@intrinsic
def whole_part(typingctx, fixed):
    """⌊fixed / 65536⌋ of every lane of I: the whole pixels of a 16.16 number."""
    return I(fixed), lambda context, builder, sig, args: builder.ashr(args[0], _constant(I, 16))


@intrinsic
def high_product(typingctx, a, b):
    """Each I as two unsigned fields of 16 bits: the upper halves of the products, field by field."""

    def lower(context, builder, sig, args):
        fields, wide = ir.VectorType(_I16, 2 * LANES), ir.VectorType(_I32, 2 * LANES)
        x, y = (builder.zext(builder.bitcast(v, fields), wide) for v in args)
        shift = ir.Constant(wide, [16] * 2 * LANES)
        return builder.bitcast(builder.trunc(builder.lshr(builder.mul(x, y), shift), fields), I.llvm)

    return I(a, b), lower


@intrinsic
def halves_shifted(typingctx, a, count):
    """Each I as two unsigned fields of 16 bits, shifted right by `count`."""

    def lower(context, builder, sig, args):
        fields = ir.VectorType(_I16, 2 * LANES)
        count = sig.args[1].literal_value
        shifted = builder.lshr(builder.bitcast(args[0], fields), ir.Constant(fields, [count] * 2 * LANES))
        return builder.bitcast(shifted, I.llvm)

    return (I(a, count), lower) if isinstance(count, types.IntegerLiteral) else None


# The natural logarithm ------------------------------------------------------------------------------------------------

_ROOT_HALF = 0x3FE6A09E667F3BCD  # the bits of √½: what is left of a number is brought between it and √2
_MANTISSA = 0x000FFFFFFFFFFFFF
_TO_ONE = 0x3FF0000000000000 - _ROOT_HALF
_LN2 = 0.6931471805599453


@helper
def log(x):
    """The natural logarithm of D, of normal numbers above 0; off by less than 1e-15 + 3e-16·|log x| (fdlibm's series)."""
    shifted = double_bits(x) + _TO_ONE
    exponent = to_double(low_half(shifted >> 52) - 1023)
    f = doubles((shifted & _MANTISSA) + _ROOT_HALF) - 1.0
    s = f / (f + 2.0)
    z = s * s
    series = fma(z, f64(0.1479819860511658591), f64(0.1531383769920937332))
    series = fma(z, series, f64(0.1818357216161805012))
    series = fma(z, series, f64(0.2222219843214978396))
    series = fma(z, series, f64(0.2857142874366239149))
    series = fma(z, series, f64(0.3999999999940941908))
    series = fma(z, series, f64(0.6666666666666735130))
    return fma(exponent, f64(_LN2), fma(s * z, series, s + s))


# Memory ---------------------------------------------------------------------------------------------------------------


def _address(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(builder.bitcast(data, _I8.as_pointer()), [index])


class _Addresses(ir.Instruction):
    """base + offset for a vector of offsets; llvmlite's own `gep` knows scalar indices only."""

    def __init__(self, block, kind: ir.VectorType, base, offsets) -> None:
        super().__init__(block, kind, "getelementptr", [base, offsets])

    def descr(self, buf: list[str]) -> None:
        base, offsets = (f"{v.type} {v.get_reference()}" for v in self.operands)
        buf.append(f"getelementptr i8, {base}, {offsets}\n")


def _gather(builder, base, offsets, element: ir.Type):
    vector = ir.VectorType(element, LANES)
    pointers = ir.VectorType(element.as_pointer(), LANES)
    addresses = _Addresses(builder.block, pointers, base, offsets)
    builder._insert(addresses)
    mask = ir.Constant(M.llvm, [1] * LANES)
    kind = ir.FunctionType(vector, [pointers, _I32, M.llvm, vector])
    name = f"llvm.masked.gather.v{LANES}{element.intrinsic_name}.v{LANES}p0"
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [addresses, ir.Constant(_I32, 1), mask, ir.Constant(vector, ir.Undefined)])


def _gatherer(vector: Vector):
    def typing(typingctx, array, base, offsets):
        def lower(context, builder, sig, args):
            start = _address(context, builder, sig.args[0], args[0], args[1])
            return _gather(builder, start, args[2], vector.element)

        return vector(array, types.intp, offsets), lower

    return intrinsic(typing)


gather_i32 = _gatherer(I)  # (array, byte, I or L of bytes): what stands at byte + offset, whatever the alignment
gather_i64 = _gatherer(L)
gather_f64 = _gatherer(D)


@intrinsic
def load_points(typingctx, table, index):
    """The x and the y of sixteen points of a flat float64 array (x0, y0, x1, …), from point `index` on: (D, D)."""

    def lower(context, builder, sig, args):
        pair = ir.VectorType(ir.DoubleType(), 2 * LANES)
        byte = builder.mul(args[1], ir.Constant(_I64, 16))
        start = builder.bitcast(_address(context, builder, sig.args[0], args[0], byte), pair.as_pointer())
        both = builder.load(start, align=8)
        parts = [
            builder.shuffle_vector(both, both, ir.Constant(ir.VectorType(_I32, LANES), list(range(k, 2 * LANES, 2))))
            for k in (0, 1)
        ]
        return context.make_tuple(builder, sig.return_type, parts)

    return types.UniTuple(D, 2)(table, types.intp), lower


@intrinsic
def store_points(typingctx, table, index, x, y):
    """The reverse of `load_points`: sixteen x and y (D) from point `index` on."""

    def lower(context, builder, sig, args):
        order = [lane + LANES * k for lane in range(LANES) for k in range(2)]
        mask = ir.Constant(ir.VectorType(_I32, 2 * LANES), order)
        byte = builder.mul(args[1], ir.Constant(_I64, 16))
        start = builder.bitcast(
            _address(context, builder, sig.args[0], args[0], byte),
            ir.VectorType(ir.DoubleType(), 2 * LANES).as_pointer(),
        )
        builder.store(builder.shuffle_vector(args[2], args[3], mask), start, align=8)
        return context.get_dummy_value()

    return types.void(table, types.intp, D, D), lower


@intrinsic
def prefetch(typingctx, array, byte):
    """Have the cache line of `byte` brought near; any address will do."""

    def lower(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        function = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
            builder.module, kind, "llvm.prefetch.p0"
        )
        start = _address(context, builder, sig.args[0], args[0], args[1])
        builder.call(function, [start, *(ir.Constant(_I32, v) for v in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), lower


@intrinsic
def copy_block(typingctx, src, read, out, write):
    """Sixteen bytes of `src` from byte `read` on into `out` at byte `write`."""

    def lower(context, builder, sig, args):
        block = ir.VectorType(_I8, LANES).as_pointer()
        start = builder.bitcast(_address(context, builder, sig.args[0], args[0], args[1]), block)
        end = builder.bitcast(_address(context, builder, sig.args[2], args[2], args[3]), block)
        builder.store(builder.load(start, align=1), end, align=1)
        return context.get_dummy_value()

    return types.void(src, types.intp, out, types.intp), lower


@intrinsic
def store_pixels(typingctx, out, index, pixels, like):
    """Write sixteen pixels at element `index` of a flat array: channel k of each from the lanes of pixels[k].

    `pixels` are four I, of which as many count as the tuple `like` is long; each is cut to the size of an element.
    """

    def lower(context, builder, sig, args):
        count, element = len(sig.args[3]), ir.IntType(sig.args[0].dtype.bitwidth)
        channels = [builder.extract_value(args[2], k) for k in range(4)]
        order = [lane + LANES * k for lane in range(LANES) for k in range(count)]
        pairs = [_concatenate(builder, channels[k], channels[k + 1]) for k in (0, 2)]
        woven = builder.shuffle_vector(
            _concatenate(builder, *pairs), ir.Constant(ir.VectorType(_I32, 4 * LANES), ir.Undefined),
            ir.Constant(ir.VectorType(_I32, len(order)), order),
        )  # fmt: skip
        woven = woven if element.width == 32 else builder.trunc(woven, ir.VectorType(element, len(order)))
        byte = builder.mul(args[1], ir.Constant(_I64, element.width // 8))
        start = _address(context, builder, sig.args[0], args[0], byte)
        builder.store(woven, builder.bitcast(start, woven.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(out, types.intp, pixels, like), lower


def _concatenate(builder, a, b):
    size = 2 * a.type.count
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, size), list(range(size))))


@intrinsic
def store_bytes(typingctx, out, byte, value, like):
    """Write sixteen pixels of as many bytes as the tuple `like` is long, from the low bytes of every lane, at `byte`."""

    def lower(context, builder, sig, args):
        count = len(sig.args[3])
        everything = builder.bitcast(args[2], ir.VectorType(_I8, 4 * LANES))
        order = [4 * lane + k for lane in range(LANES) for k in range(min(count, 4))]
        packed = builder.shuffle_vector(everything, everything, ir.Constant(ir.VectorType(_I32, len(order)), order))
        start = _address(context, builder, sig.args[0], args[0], args[1])
        builder.store(packed, builder.bitcast(start, packed.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(out, types.intp, value, like), lower
