"""Rounding float32 to bf16 and laying pairs of neighbours along k side by side, as the pair tiles of simd.py read them.

A pair (even k low, odd k high) takes the place of one float32.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import BFLOAT, HOST_BF16, I32, VECTOR_BYTES, _Tile

I16 = ir.IntType(16)
WIDTH = VECTOR_BYTES // 4  # float32 values a vector


def _rounded(builder, vector):
    """The bits of float32 values as bf16, to nearest, ties to even; a NaN stays one."""
    count = vector.type.count
    short = ir.VectorType(I16, count)
    if HOST_BF16:
        return builder.bitcast(builder.fptrunc(vector, ir.VectorType(BFLOAT, count)), short)
    wide = ir.VectorType(I32, count)
    shift, one, half, quiet = (ir.Constant(wide, [value] * count) for value in (16, 1, 0x7FFF, 0x7FC0))
    bits = builder.bitcast(vector, wide)
    last = builder.and_(builder.lshr(bits, shift), one)
    up = builder.lshr(builder.add(bits, builder.add(last, half)), shift)
    return builder.trunc(builder.select(builder.fcmp_unordered("uno", vector, vector), quiet, up), short)


def _as_floats(builder, vector, tile):
    return builder.bitcast(vector, tile.vector)


def _interleaved(builder, low, high):
    mask = ir.Constant(ir.VectorType(I32, 2 * WIDTH), [i // 2 + (i % 2) * WIDTH for i in range(2 * WIDTH)])
    return builder.shuffle_vector(low, high, mask)


@intrinsic
def pair_rows(typingctx, zero, even, odd, target):
    """target[i] = pair(even[i], odd[i]) for a vector of values of two neighbouring rows."""

    def codegen(context, builder, signature, args):
        tile = _Tile(context, builder, signature.args[0])
        low, high = (_rounded(builder, tile.load_vector(tile.pointer(x))) for x in args[1:3])
        tile.store_vector(_as_floats(builder, _interleaved(builder, low, high), tile), tile.pointer(args[3]))
        return context.get_dummy_value()

    return types.void(zero, types.int64, types.int64, types.int64), codegen


def _pairs_along(builder, tile, address):
    """Two vectors of values in a row as a vector of pairs."""
    halves = [
        _rounded(builder, tile.load_vector(tile.pointer(address, tile.constant(half * WIDTH)))) for half in range(2)
    ]
    joined = ir.Constant(ir.VectorType(I32, 2 * WIDTH), list(range(2 * WIDTH)))
    return _as_floats(builder, builder.shuffle_vector(*halves, joined), tile)


@intrinsic
def pair_along(typingctx, zero, source, target):
    """target[i] = pair(source[2i], source[2i + 1]) for two vectors of values in a row."""

    def codegen(context, builder, signature, args):
        tile = _Tile(context, builder, signature.args[0])
        tile.store_vector(_pairs_along(builder, tile, args[1]), tile.pointer(args[2]))
        return context.get_dummy_value()

    return types.void(zero, types.int64, types.int64), codegen


@intrinsic
def transpose_pairs(typingctx, zero, source, source_stride, target, target_stride):
    """target[p, c] = pair(source[c, 2p], source[c, 2p + 1]) for WIDTH columns c and as many pairs p."""

    def codegen(context, builder, signature, args):
        tile = _Tile(context, builder, signature.args[0])
        source, source_stride, target, target_stride = args[1:]
        rows = []
        for i in range(WIDTH):
            offset = builder.mul(builder.mul(source_stride, tile.constant(i)), tile.constant(tile.size))
            rows.append(_pairs_along(builder, tile, builder.add(source, offset)))
        tile.store_transposed(rows, target, target_stride)
        return context.get_dummy_value()

    return types.void(zero, *[types.int64] * 4), codegen


@intrinsic
def transpose_paired_rows(typingctx, zero, source, source_stride, target, target_stride):
    """target[i, p] = pair(source[2p, i], source[2p + 1, i]) for WIDTH columns i and as many pairs p."""

    def codegen(context, builder, signature, args):
        tile = _Tile(context, builder, signature.args[0])
        source, source_stride, target, target_stride = args[1:]
        pairs = []
        for p in range(WIDTH):
            rows = [tile.pointer(source, builder.mul(source_stride, tile.constant(2 * p + half))) for half in range(2)]
            low, high = (_rounded(builder, tile.load_vector(row)) for row in rows)
            pairs.append(_as_floats(builder, _interleaved(builder, low, high), tile))
        tile.store_transposed(pairs, target, target_stride)
        return context.get_dummy_value()

    return types.void(zero, *[types.int64] * 4), codegen


@intrinsic
def pair(typingctx, low, high):
    """One pair of float32 values, as the float32 with its bits."""

    def codegen(context, builder, signature, args):
        one = ir.VectorType(ir.FloatType(), 1)
        bits = [builder.extract_element(_rounded(builder, builder.bitcast(x, one)), I32(0)) for x in args]
        low, high = (builder.zext(x, I32) for x in bits)
        return builder.bitcast(builder.or_(low, builder.shl(high, I32(16))), ir.FloatType())

    return types.float32(types.float32, types.float32), codegen
