"""Loops over the vectors of rows and columns, written as LLVM vectors: short rows spend more time around a loop that LLVM
vectorised than in it. And 2^x and log, for such vectors and for scalars.

All by address.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .jit import I32, I64, POINTER, cgutils, device_function
from .tile import NR_F32, VECTOR_BYTES, Tile, cast, exponent_and_fraction, store, times_power_of_two

CHAINS = 4  # vectors whose maxima are independent: one instruction takes as long as four of them take together


class Rows(Tile):
    """Emits loops over the vectors of a row."""

    def whole_vectors(self, n):
        """n rounded down to whole vectors."""
        return self.b.and_(n, self.constant(-self.width))

    def for_vectors(self, n, body, chains=1):
        """body(first element, mask): every whole vector of n elements with mask None, then what is left over.

        With chains > 1, body(first element, mask, chain): so many vectors in turn belong to chains of their own, which need not
        wait for each other's results.
        """
        whole, done = self.whole_vectors(n), self.constant(0)
        if chains > 1:
            done = self.b.and_(n, self.constant(-self.width * chains))
            step = self.constant(self.width * chains)
            with cgutils.for_range_slice(self.b, self.constant(0), done, step, I64) as (at, _):
                for chain in range(chains):
                    body(self.b.add(at, self.constant(chain * self.width)), None, chain)
            one = body

            def body(at, mask):
                one(at, mask, 0)

        with cgutils.for_range_slice(self.b, done, whole, self.constant(self.width), I64) as (at, _):
            body(at, None)
        with self.b.if_then(self.b.icmp_signed("<", whole, n)):
            body(whole, self.column_masks(self.b.sub(n, whole))[0])

    def prefetch(self, pointer):
        """Ask for a cache line, into the second-level cache; an address where nothing is does no harm."""
        kind = ir.FunctionType(ir.VoidType(), [POINTER, I32, I32, I32])
        function = self.b.module.declare_intrinsic("llvm.prefetch", [POINTER], kind)
        self.b.call(function, [pointer, I32(0), I32(2), I32(1)])  # to be read, for long, data

    def filled(self, value):
        """A constant vector."""
        return ir.Constant(self.vector, [value] * self.width)

    def across_lanes(self, vector, combine):
        """All lanes combined, in pairs."""
        values = [self.b.extract_element(vector, I32(i)) for i in range(self.width)]
        while len(values) > 1:
            values = [combine(x, y) for x, y in zip(values[::2], values[1::2])]
        return values[0]


@intrinsic
def maximum(typingctx, like, x, n):
    """The largest of n >= 1 elements from address x; NaN is passed over.

    LLVM vectorises such a loop only where NaN may be assumed away, which would also delete the checks for divergence.
    """

    def codegen(context, builder, signature, args):
        rows, b = Rows(context, builder, signature.args[0]), builder
        _, x, n = args
        lowest = rows.filled(float("-inf"))
        best = [cgutils.alloca_once_value(b, lowest) for _ in range(CHAINS)]

        def larger(x, y):
            return b.select(b.fcmp_ordered(">", x, y), x, y)

        def body(at, mask, chain):
            vector = rows.load_vector(rows.pointer(x, at), mask)
            if mask is not None:
                vector = b.select(mask, vector, lowest)
            b.store(larger(vector, b.load(best[chain])), best[chain])

        rows.for_vectors(n, body, CHAINS)
        of_all = b.load(best[0])
        for chain in best[1:]:
            of_all = larger(of_all, b.load(chain))
        return rows.across_lanes(of_all, larger)

    return like(like, types.int64, types.int64), codegen


@intrinsic
def dot(typingctx, like, x, y, n):
    """The inner product of n elements from addresses x and y, by lanes first."""

    def codegen(context, builder, signature, args):
        rows, b = Rows(context, builder, signature.args[0]), builder
        _, x, y, n = args
        totals = [cgutils.alloca_once_value(b, rows.filled(0.0)) for _ in range(2)]

        def body(at, mask, chain):
            factors = (rows.load_vector(rows.pointer(address, at), mask) for address in (x, y))
            b.store(rows.multiply_add(*factors, b.load(totals[chain])), totals[chain])

        rows.for_vectors(n, body, len(totals))
        return rows.across_lanes(b.fadd(*map(b.load, totals)), b.fadd)

    return like(like, *[types.int64] * 3), codegen


@intrinsic
def scale_row(typingctx, like, x, n, factor):
    """x[:n] *= factor."""

    def codegen(context, builder, signature, args):
        rows, b = Rows(context, builder, signature.args[0]), builder
        _, x, n, factor = args
        wide = rows.splat(factor)

        def body(at, mask):
            place = rows.pointer(x, at)
            rows.store_vector(b.fmul(rows.load_vector(place, mask), wide), place, mask)

        rows.for_vectors(n, body)
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64, like), codegen


@intrinsic
def scaled_product(typingctx, like, x, y, factor, out, n):
    """out[:n] = factor · x[:n] · y[:n]; out may be x or y."""

    def codegen(context, builder, signature, args):
        rows, b = Rows(context, builder, signature.args[0]), builder
        _, x, y, factor, out, n = args
        wide = rows.splat(factor)

        def body(at, mask):
            first, second = (rows.load_vector(rows.pointer(address, at), mask) for address in (x, y))
            rows.store_vector(b.fmul(b.fmul(first, wide), second), rows.pointer(out, at), mask)

        rows.for_vectors(n, body)
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64, like, types.int64, types.int64), codegen


def _row_to_row(sources):
    """The code of an intrinsic over the rows at `sources` addresses: out[:n] = the row, or the sum of both; out may be one."""

    def codegen(context, builder, signature, args):
        rows, b = Rows(context, builder, signature.args[0]), builder
        *inputs, out, n = args[1:]

        def body(at, mask):
            values = [rows.load_vector(rows.pointer(address, at), mask) for address in inputs]
            rows.store_vector(values[0] if sources == 1 else b.fadd(*values), rows.pointer(out, at), mask)

        rows.for_vectors(n, body)
        return context.get_dummy_value()

    return codegen


@intrinsic
def copy_row(typingctx, like, x, out, n):
    """out[:n] = x[:n]."""
    return types.void(like, *[types.int64] * 3), _row_to_row(1)


@intrinsic
def add_rows(typingctx, like, x, y, out, n):
    """out[:n] = x[:n] + y[:n]; out may be x or y."""
    return types.void(like, *[types.int64] * 4), _row_to_row(2)


@intrinsic
def prefetch_row(typingctx, like, x, n):
    """Ask for the cache lines of x[:n]."""

    def codegen(context, builder, signature, args):
        rows = Rows(context, builder, signature.args[0])
        line = rows.constant(64 // rows.size)
        with cgutils.for_range_slice(builder, rows.constant(0), args[2], line, I64) as (at, _):
            rows.prefetch(rows.pointer(args[1], at))
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64), codegen


@device_function
def clear(like, values, count):
    """values[:count] = 0."""
    for i in range(count):
        store(cast(like, 0), values, i)


# -- 2^x and log of scalars: float32 as polynomials that LLVM vectorises, float64 as the library's ---------------------------
# The library's float32 functions are a call an element, eight times slower than this. e^x is 2^(log2(e) x).

LOG2E = 1.0 / math.log(2.0)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
ONE = np.float32(1.0)

# 2^f on [-1/2, 1/2] as 1 + f c1 + f² c2 + ..., least maximal relative error: 9e-8, 1.7e-7 in float32 arithmetic.
EXP2_COEFFICIENTS = tuple(
    np.float32(c)
    for c in (0.6931470036506653, 0.24022242426872253, 0.05550733581185341, 0.009671512991189957, 0.001326472731307149)
)
C1, C2, C3, C4, C5 = EXP2_COEFFICIENTS
LOWEST2, HIGHEST2 = np.float32(-126.0), np.float32(127.0)


def exp2(x):
    """2^x. In float32, x is clamped to [-126, 127]; NaN stays NaN.

    exp(a x) is 2^(a log2(e) x), without the range reduction of an exp of its own (which a compiler that may reassociate undoes).
    The product's rounding then counts: the relative error grows with |a x|, to 5e-6 at the ends of the range.
    """
    return np.exp2(x)


@overload(exp2, inline="always")
def _exp2(x):
    if x == types.float32:

        def exp2_32(x):
            x = LOWEST2 if x < LOWEST2 else x
            x = HIGHEST2 if x > HIGHEST2 else x
            n = np.rint(x)
            f = x - n
            return times_power_of_two(ONE + f * (C1 + f * (C2 + f * (C3 + f * (C4 + f * C5)))), n)

        return exp2_32
    if x == types.float64:

        def exp2_64(x):
            return np.exp2(x)

        return exp2_64
    return None


# log m on [sqrt(1/2), sqrt(2)] as r - r²/2 + r³ q(r), r = m - 1, |error| < 1e-7 (minimax coefficients of Cephes' logf).
SQRT_HALF = np.float32(0.70710678118654752440)
HALF = np.float32(0.5)
L = tuple(
    np.float32(c)
    for c in (
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
        2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )
)  # fmt: skip
L0, L1, L2, L3, L4, L5, L6, L7, L8 = L


def log(x):
    """log x of a positive, normal number."""
    return np.log(x)


@overload(log, inline="always")
def _log(x):
    if x == types.float32:

        def log32(x):
            n, m = exponent_and_fraction(x)
            low = m < SQRT_HALF
            r = (m + m if low else m) - ONE
            n = n - ONE if low else n
            z = r * r
            q = L0
            q = q * r + L1
            q = q * r + L2
            q = q * r + L3
            q = q * r + L4
            q = q * r + L5
            q = q * r + L6
            q = q * r + L7
            q = q * r + L8
            q = q * r * z
            q = q + n * LN2_LOW
            q = q - HALF * z
            return r + q + n * LN2_HIGH

        return log32
    if x == types.float64:

        def log64(x):
            return math.log(x)

        return log64
    return None


# -- powers of two of rows and columns by whole vectors, which softmax, cross-entropy and attention share ----------------------
# exp(x - peak) is taken as 2^(log2(e) · (x - peak)), which needs no range reduction. The subtraction comes first: it is exact near
# the peak, where it matters, also on CPUs without a fused multiply-add. 2^t = 2^n · 2^f with n the nearest integer, 2^f by a
# polynomial, 2^n by adding n to the exponent bits.

_TAYLOR = [math.log(2.0) ** i / math.factorial(i) for i in range(1, 14)]  # in float64, on [-1/2, 1/2]: error 4e-18


def power_of_two(tile, x):
    """2^x of a vector, for x at most 127 (1023 in float64); 0 where it is below -126 (-1022). NaN stays NaN."""
    b, double = tile.b, tile.size == 8
    coefficients, lowest, mantissa = (_TAYLOR, -1022.0, 52) if double else (EXP2_COEFFICIENTS, -126.0, 23)

    def constant(value):
        return ir.Constant(tile.vector, [float(value)] * tile.width)

    none = b.fcmp_ordered("<", x, constant(lowest))
    x = b.select(none, constant(lowest), x)
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
    return b.select(none, constant(0.0), b.bitcast(b.add(b.bitcast(power, bits), shifted), tile.vector))


def _sum_of_powers(context, builder, signature, args, target):
    _, x, n, scale, peak = args
    rows, b = Rows(context, builder, signature.args[0]), builder
    wide_scale, wide_peak = rows.splat(scale), rows.splat(peak)
    total = cgutils.alloca_once_value(b, rows.filled(0.0))

    def body(at, mask):
        power = power_of_two(rows, b.fmul(wide_scale, b.fsub(rows.load_vector(rows.pointer(x, at), mask), wide_peak)))
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
def exponentials(typingctx, like, x, y, n, scale, peak):
    """y[:n] = 2^(scale · (x - peak)), each at most 2^127; returns the sum, added up by lanes, then the lanes. y may be x."""

    def codegen(context, builder, signature, args):
        return _sum_of_powers(context, builder, signature, [*args[:2], *args[3:]], args[2])

    return like(like, *[types.int64] * 3, like, like), codegen


@intrinsic
def sum_of_exponentials(typingctx, like, x, n, scale, peak):
    """The sum alone."""

    def codegen(context, builder, signature, args):
        return _sum_of_powers(context, builder, signature, args, None)

    return like(like, types.int64, types.int64, like, like), codegen


class _Columns(Rows):
    """Emits loops down a panel of NR columns: a vector of every row at a time, cut at a diagonal."""

    def __init__(self, context, builder, kind, cut):
        super().__init__(context, builder, kind)
        self.stride, self.diagonal, self.stop = (builder.extract_value(cut, i) for i in range(3))

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
def softmax_columns(typingctx, like, x, cut, scale, peaks, totals):
    """Of NR columns: x[:stop] becomes 2^(scale · x - peak), peak = the column's largest scale · x, totals the sums over rows.

    cut: (stride, diagonal, stop). Column i counts as far as row diagonal + i (0 <= diagonal <= stop); beyond, x becomes 0. x: an
    address, rows `stride` elements apart; peaks, totals: addresses of NR values. NaN is passed over in peaks.
    """

    def codegen(context, builder, signature, args):
        _, x, cut, scale, peaks, totals = args
        columns, b = _Columns(context, builder, signature.args[0], cut), builder
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
            value = power_of_two(columns, columns.multiply_add(columns.load_vector(pointers[0]), wide_scale, shift[vector]))
            value = columns.kept(mask, value)
            columns.store_vector(value, pointers[0])
            b.store(b.fadd(b.load(total[vector]), value), total[vector])

        columns.for_rows([x], power)
        places = columns.per_vector(lambda column: (columns.pointer(peaks, column), columns.pointer(totals, column)))
        for vector, (peak_place, total_place) in enumerate(places):
            columns.store_vector(peak[vector], peak_place)
            columns.store_vector(b.load(total[vector]), total_place)
        return context.get_dummy_value()

    return types.void(like, types.int64, cut, like, types.int64, types.int64), codegen


@intrinsic
def softmax_gradient_columns(typingctx, like, x, dy, cut, scale, shifts, inners, factor):
    """Of NR columns cut as in `softmax_columns`: x becomes p = 2^(scale · x - shift), dy becomes p · (dy - inner) · factor."""

    def codegen(context, builder, signature, args):
        _, x, dy, cut, scale, shifts, inners, factor = args
        columns, b = _Columns(context, builder, signature.args[0], cut), builder
        wide_scale, wide_factor = columns.splat(scale), columns.splat(factor)
        shift = columns.per_vector(lambda at: b.fneg(columns.load_vector(columns.pointer(shifts, at))))
        inner = columns.per_vector(lambda at: columns.load_vector(columns.pointer(inners, at)))

        def gradient(vector, pointers, mask):
            p = power_of_two(columns, columns.multiply_add(columns.load_vector(pointers[0]), wide_scale, shift[vector]))
            p = columns.kept(mask, p)
            columns.store_vector(p, pointers[0])
            d = b.fsub(columns.load_vector(pointers[1]), inner[vector])
            columns.store_vector(columns.kept(mask, b.fmul(b.fmul(p, wide_factor), d)), pointers[1])

        columns.for_rows([x, dy], gradient)
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64, cut, like, types.int64, types.int64, like), codegen
