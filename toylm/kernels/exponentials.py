"""Powers of two of rows by whole vectors, which softmax, cross-entropy and attention share.

exp(x - peak) is taken as 2^(log2(e) · x - log2(e) · peak): one multiply-add in place of the subtraction and of the reduction
that exp starts with (fastmath.py). 2^t = 2^n · 2^f with n the nearest integer, 2^f by a polynomial, 2^n by adding n to the exponent
bits.
"""

import math

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .fastmath import EXP2_COEFFICIENTS
from .simd import I32, I64
from .vectors import Rows

_TAYLOR = [math.log(2.0) ** i / math.factorial(i) for i in range(1, 14)]  # in float64, on [-1/2, 1/2]: error 4e-18


def exp2(tile, x):
    """2^x of a vector, for x at most 127 (1023 in float64); x is raised to -126 (-1022) where it is less. NaN stays NaN."""
    b, double = tile.b, tile.size == 8
    coefficients, lowest, mantissa = (_TAYLOR, -1022.0, 52) if double else (EXP2_COEFFICIENTS, -126.0, 23)

    def constant(value):
        return ir.Constant(tile.vector, [float(value)] * tile.width)

    x = b.select(b.fcmp_ordered("<", x, constant(lowest)), constant(lowest), x)
    kind = ir.FunctionType(tile.vector, [tile.vector])
    n = b.call(cgutils.get_or_insert_function(b.module, kind, f"llvm.rint.v{tile.width}{tile.name}"), [x])
    fraction = b.fsub(x, n)
    power = constant(coefficients[-1])
    for c in (*coefficients[-2::-1], 1.0):
        power = tile.multiply_add(power, fraction, constant(c))
    exponent = b.fptosi(n, ir.VectorType(I32, tile.width))
    bits = ir.VectorType(I64 if double else I32, tile.width)
    if double:
        exponent = b.sext(exponent, bits)
    shifted = b.shl(exponent, ir.Constant(bits, [mantissa] * tile.width))
    return b.bitcast(b.add(b.bitcast(power, bits), shifted), tile.vector)


def _make_exponentials(stored, padded):
    @intrinsic
    def exponentials(typingctx, zero, x, n, scale, shift):
        def codegen(context, builder, signature, args):
            rows, b = Rows(context, builder, signature.args[0]), builder
            _, x, n, scale, shift = args
            wide_scale, wide_shift = rows.splat(scale), rows.splat(b.fneg(shift))
            total = cgutils.alloca_once_value(b, rows.filled(0.0))

            def body(at, mask):
                place, tail = rows.pointer(x, at), None if padded else mask
                power = exp2(rows, rows.multiply_add(rows.load_vector(place, tail), wide_scale, wide_shift))
                if mask is not None:
                    power = b.select(mask, power, rows.filled(0.0))
                if stored:
                    rows.store_vector(power, place, tail)
                b.store(b.fadd(b.load(total), power), total)

            rows.for_vectors(n, body)
            return rows.across_lanes(b.load(total), b.fadd)

        return zero(zero, types.int64, types.int64, zero, zero), codegen

    return exponentials


# x[:n] becomes 2^(scale · x - shift), which is at most 2^127, x an address; returns the sum. Adds up by lanes, then the lanes.
exponentials = _make_exponentials(stored=True, padded=False)
# The sum alone.
sum_of_exponentials = _make_exponentials(stored=False, padded=False)
# The first for padded rows (vectors.py): what the last vector holds beyond n becomes 0.
padded_exponentials = _make_exponentials(stored=True, padded=True)


@intrinsic
def softmax_gradients(typingctx, zero, x, dy, n, scale, shift, inner, factor):
    """x[:n] becomes p = 2^(scale · x - shift), dy becomes p · (dy - inner) · factor; padded rows (vectors.py), whose
    last vectors hold 0 beyond n."""

    def codegen(context, builder, signature, args):
        rows, b = Rows(context, builder, signature.args[0]), builder
        _, x, dy, n, scale, shift, inner, factor = args
        wide_scale, wide_shift, wide_inner, wide_factor = map(rows.splat, (scale, b.fneg(shift), inner, factor))

        def body(at, mask):
            here, there = rows.pointer(x, at), rows.pointer(dy, at)
            power = exp2(rows, rows.multiply_add(rows.load_vector(here), wide_scale, wide_shift))
            gradient = b.fmul(b.fmul(power, wide_factor), b.fsub(rows.load_vector(there), wide_inner))
            if mask is not None:
                power, gradient = (b.select(mask, value, rows.filled(0.0)) for value in (power, gradient))
            rows.store_vector(power, here)
            rows.store_vector(gradient, there)

        rows.for_vectors(n, body)
        return context.get_dummy_value()

    return types.void(zero, *[types.int64] * 3, *[zero] * 4), codegen
