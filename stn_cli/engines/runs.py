"""Pixels beside one another in a row, channel by channel, and their weights: what `polyphase` adds up.

*whole* runs: four pixels as F, lane 4·channel + pixel; their weights are four float32. 8-bit pixels come as *pairs* instead:
eight pixels in the 16-bit fields of I, field 8·channel + pixel; their weights are eight int16. Either way the weights of a run
are 16 bytes, and a sum of runs has four lanes a channel.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from stn_cli.engines.codes import LANES
from stn_cli.engines.quads import ONE, _indices, _pointer, picked
from stn_cli.engines.simd import F, I

_FIELDS = 2 * LANES
_I8, _I16, _I32 = (ir.IntType(bits) for bits in (8, 16, 32))
_SHORTS, _WORDS = ir.VectorType(_I16, _FIELDS), ir.VectorType(_I32, _FIELDS)


# pixels side by side: the first four of them with lane 4·channel + pixel
channels_apart = picked(lambda lane, n: lane % 4 * n + min(lane // 4, n - 1))
# a whole run whose last channel is alpha: the other channels times alpha
times_alpha = picked(lambda lane, n: ONE if lane // 4 == n - 1 else 4 * (n - 1) + lane % 4, product=True)


@intrinsic
def load_pairs(typingctx, array, index, like):
    """Eight pixels of len(like) bytes from byte `index` on, as pairs; 32 bytes are read."""

    def lower(context, builder, sig, args):
        n = len(sig.args[2])
        block = ir.VectorType(_I8, 32)
        loaded = builder.load(_pointer(context, builder, sig.args[0], args[0], args[1], block), align=1)
        order = [field % 8 * n + min(field // 8, n - 1) for field in range(_FIELDS)]
        return builder.bitcast(builder.zext(builder.shuffle_vector(loaded, loaded, _indices(order)), _SHORTS), I.llvm)

    return I(array, types.intp, like), lower


class _Freeze(ir.Instruction):
    """The operand as it is. llvmlite has no builder for it."""

    def __init__(self, block, operand) -> None:
        super().__init__(block, operand.type, "freeze", [operand])

    def descr(self, buf: list[str]) -> None:
        (operand,) = self.operands
        buf.append(f"freeze {operand.type} {operand.get_reference()}\n")


@intrinsic
def load_fields(typingctx, array, index):
    """Sixteen words of 32 bits from element `index` of a flat array on, as I for sums of 16-bit fields.

    LLVM would widen fields while it loads them, and then not see that their product is one of 16 bits.
    """

    def lower(context, builder, sig, args):
        loaded = builder.load(_pointer(context, builder, sig.args[0], *args, _SHORTS), align=4)
        frozen = _Freeze(builder.block, loaded)
        builder._insert(frozen)
        return builder.bitcast(frozen, I.llvm)

    return I(array, types.intp), lower


@intrinsic
def dot_pairs(typingctx, a, b):
    """The two signed 16-bit fields of every lane multiplied and added: I."""

    def lower(context, builder, sig, args):
        x, y = (builder.sext(builder.bitcast(v, _SHORTS), _WORDS) for v in args)
        products = builder.mul(x, y)  # LLVM knows this, halved below, for an instruction
        even, odd = (builder.shuffle_vector(products, products, _indices(list(range(k, _FIELDS, 2)))) for k in (0, 1))
        return builder.add(even, odd)

    return I(I, I), lower


@intrinsic
def add_fields(typingctx, a, b):
    """a + b, for the 16-bit fields of every lane."""

    def lower(context, builder, sig, args):
        return builder.bitcast(builder.add(*(builder.bitcast(v, _SHORTS) for v in args)), I.llvm)

    return I(I, I), lower


@intrinsic
def quad_of_runs(typingctx, sums):
    """Four sums of runs, each with four lanes a channel, as F → a quad of the sums of these lanes."""

    def lower(context, builder, sig, args):
        parts = [builder.extract_value(args[0], k) for k in range(4)]
        while len(parts) > 1:
            parts = [_halved(builder, *parts[k : k + 2]) for k in range(0, len(parts), 2)]
        order = [lane % 4 * 4 + lane // 4 for lane in range(LANES)]
        return builder.shuffle_vector(parts[0], parts[0], _indices(order))

    return F(types.UniTuple(F, 4)), lower


def _halved(builder, a, b):
    """In every four lanes: a₀ + a₁, a₂ + a₃, b₀ + b₁, b₂ + b₃."""
    even, odd = (
        builder.shuffle_vector(
            a, b, _indices([4 * c + k + 2 * i + LANES * v for c in range(4) for v in (0, 1) for i in (0, 1)])
        )
        for k in (0, 1)
    )
    return builder.fadd(even, odd)
