"""Powers of two of rows by whole vectors, which softmax, cross-entropy and attention share.

exp(x - peak) is taken as 2^(log2(e) · (x - peak)), which needs no range reduction. The subtraction comes first: it is exact near
the peak, where it matters, also on CPUs without a fused multiply-add. 2^t = 2^n · 2^f with n the nearest integer, 2^f by a
polynomial, 2^n by adding n to the exponent bits.
"""

import math

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .fastmath import EXP2_COEFFICIENTS
from .simd import I32, I64, NR_F32, VECTOR_BYTES
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


def _sum_of_powers(context, builder, signature, args, target):
    _, x, n, scale, peak = args
    rows, b = Rows(context, builder, signature.args[0]), builder
    wide_scale, wide_peak = rows.splat(scale), rows.splat(peak)
    total = cgutils.alloca_once_value(b, rows.filled(0.0))

    def body(at, mask):
        power = exp2(rows, b.fmul(wide_scale, b.fsub(rows.load_vector(rows.pointer(x, at), mask), wide_peak)))
        if mask is None:
            # What lies behind this row, often the next one, is read while this one is computed.
            for address in (x,) if target is None else (x, target):
                rows.prefetch(rows.pointer(address, b.add(at, n)))
        else:
            power = b.select(mask, power, rows.filled(0.0))
        if target is not None:
            rows.store_vector(power, rows.pointer(target, at), mask)
        b.store(b.fadd(b.load(total), power), total)

    rows.for_vectors(n, body)
    return rows.across_lanes(b.load(total), b.fadd)


@intrinsic
def exponentials(typingctx, zero, x, y, n, scale, peak):
    """y[:n] = 2^(scale · (x - peak)), each at most 2^127; returns the sum, added up by lanes, then the lanes. y may be x."""

    def codegen(context, builder, signature, args):
        return _sum_of_powers(context, builder, signature, [*args[:2], *args[3:]], args[2])

    return zero(zero, *[types.int64] * 3, zero, zero), codegen


@intrinsic
def sum_of_exponentials(typingctx, zero, x, n, scale, peak):
    """The sum alone."""

    def codegen(context, builder, signature, args):
        return _sum_of_powers(context, builder, signature, args, None)

    return zero(zero, types.int64, types.int64, zero, zero), codegen


class _Columns(Rows):
    """Emits loops down a panel of NR columns: a vector of every row at a time, cut at a diagonal."""

    def __init__(self, context, builder, zero_type, stride, diagonal, stop):
        super().__init__(context, builder, zero_type)
        self.stride, self.diagonal, self.stop = stride, diagonal, stop

    def per_vector(self, make):
        """make(first column) for every vector of a row."""
        return [make(self.constant(i * self.width)) for i in range(NR_F32 * 4 // VECTOR_BYTES)]

    def for_rows(self, bases, body):
        """body(pointers, mask) for rows 0 to stop of every vector of the matrices at the addresses `bases`: above row `diagonal`
        with mask None, from there on with the lanes whose column is not below row - diagonal."""
        b = self.b
        for start, stop, cut in ((self.constant(0), self.diagonal, False), (self.diagonal, self.stop, True)):
            with cgutils.for_range_slice(b, start, stop, self.constant(1), I64) as (row, _):
                at = b.mul(row, self.stride)
                for vector in range(NR_F32 * 4 // VECTOR_BYTES):
                    column = self.constant(vector * self.width)
                    body(vector, [self.pointer(base, at, column) for base in bases],
                         self._mask(vector, b.sub(row, self.diagonal)) if cut else None)  # fmt: skip

    def _mask(self, vector, below):
        kind = I64 if self.size == 8 else I32
        below = below if self.size == 8 else self.b.trunc(below, I32)
        lanes = ir.VectorType(kind, self.width)
        columns = ir.Constant(lanes, [vector * self.width + i for i in range(self.width)])
        return self.b.icmp_signed(">=", columns, self.splat(below, lanes))

    def kept(self, mask, value):
        """value, 0 where the mask says no."""
        return value if mask is None else self.b.select(mask, value, self.filled(0.0))


@intrinsic
def softmax_columns(typingctx, zero, x, stride, diagonal, stop, scale, peaks, totals):
    """Of NR columns: x[:stop] becomes 2^(scale · x - peak), peak = the column's largest scale · x, totals the sums over rows.

    Column i counts as far as row diagonal + i (0 <= diagonal <= stop); beyond, x becomes 0. x: an address, rows `stride` elements
    apart; peaks, totals: addresses of NR values. NaN is passed over in peaks.
    """

    def codegen(context, builder, signature, args):
        _, x, stride, diagonal, stop, scale, peaks, totals = args
        columns, b = _Columns(context, builder, signature.args[0], stride, diagonal, stop), builder
        wide_scale = columns.splat(scale)
        best = columns.per_vector(lambda _: cgutils.alloca_once_value(b, columns.filled(float("-inf"))))
        total = columns.per_vector(lambda _: cgutils.alloca_once_value(b, columns.filled(0.0)))

        def largest(vector, pointers, mask):
            value, old = columns.load_vector(pointers[0]), b.load(best[vector])
            larger = b.select(b.fcmp_ordered(">", value, old), value, old)
            b.store(larger if mask is None else b.select(mask, larger, old), best[vector])

        columns.for_rows([x], largest)
        peak = [b.fmul(b.load(value), wide_scale) for value in best]
        shift = [b.fneg(value) for value in peak]

        def power(vector, pointers, mask):
            value = exp2(columns, columns.multiply_add(columns.load_vector(pointers[0]), wide_scale, shift[vector]))
            value = columns.kept(mask, value)
            columns.store_vector(value, pointers[0])
            b.store(b.fadd(b.load(total[vector]), value), total[vector])

        columns.for_rows([x], power)
        places = columns.per_vector(lambda column: (columns.pointer(peaks, column), columns.pointer(totals, column)))
        for vector, (peak_place, total_place) in enumerate(places):
            columns.store_vector(peak[vector], peak_place)
            columns.store_vector(b.load(total[vector]), total_place)
        return context.get_dummy_value()

    return types.void(zero, *[types.int64] * 4, zero, types.int64, types.int64), codegen


@intrinsic
def softmax_gradient_columns(typingctx, zero, x, dy, stride, diagonal, stop, scale, shifts, inners, factor):
    """Of NR columns cut as in `softmax_columns`: x becomes p = 2^(scale · x - shift), dy becomes p · (dy - inner) · factor."""

    def codegen(context, builder, signature, args):
        _, x, dy, stride, diagonal, stop, scale, shifts, inners, factor = args
        columns, b = _Columns(context, builder, signature.args[0], stride, diagonal, stop), builder
        wide_scale, wide_factor = columns.splat(scale), columns.splat(factor)
        shift = columns.per_vector(lambda at: b.fneg(columns.load_vector(columns.pointer(shifts, at))))
        inner = columns.per_vector(lambda at: columns.load_vector(columns.pointer(inners, at)))

        def gradient(vector, pointers, mask):
            p = exp2(columns, columns.multiply_add(columns.load_vector(pointers[0]), wide_scale, shift[vector]))
            p = columns.kept(mask, p)
            columns.store_vector(p, pointers[0])
            d = b.fsub(columns.load_vector(pointers[1]), inner[vector])
            columns.store_vector(columns.kept(mask, b.fmul(b.fmul(p, wide_factor), d)), pointers[1])

        columns.for_rows([x, dy], gradient)
        return context.get_dummy_value()

    return types.void(zero, *[types.int64] * 5, zero, types.int64, types.int64, zero), codegen
