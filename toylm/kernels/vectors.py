"""Loops over the vectors of one row, written as vectors: short rows spend more time around a loop that LLVM vectorised than in it.

All by address.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import inner
from .simd import I32, I64, _Tile, item_size, load, store

CHAINS = 4  # vectors whose maxima are independent: one instruction takes as long as four of them take together


class Rows(_Tile):
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
        byte = ir.IntType(8).as_pointer()
        function = self.b.module.declare_intrinsic("llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32]))
        self.b.call(function, [self.b.bitcast(pointer, byte), I32(0), I32(2), I32(1)])  # to be read, for long, data

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
def maximum(typingctx, zero, x, n):
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

    return zero(zero, types.int64, types.int64), codegen


@intrinsic
def dot(typingctx, zero, x, y, n):
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

    return zero(zero, *[types.int64] * 3), codegen


@intrinsic
def scale_row(typingctx, zero, x, n, factor):
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

    return types.void(zero, types.int64, types.int64, zero), codegen


@intrinsic
def scaled_product(typingctx, zero, x, y, factor, out, n):
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

    return types.void(zero, types.int64, types.int64, zero, types.int64, types.int64), codegen


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
def copy_row(typingctx, zero, x, out, n):
    """out[:n] = x[:n]."""
    return types.void(zero, *[types.int64] * 3), _row_to_row(1)


@intrinsic
def add_rows(typingctx, zero, x, y, out, n):
    """out[:n] = x[:n] + y[:n]; out may be x or y."""
    return types.void(zero, *[types.int64] * 4), _row_to_row(2)


@intrinsic
def prefetch_row(typingctx, zero, x, n):
    """Ask for the cache lines of x[:n]."""

    def codegen(context, builder, signature, args):
        rows = Rows(context, builder, signature.args[0])
        line = rows.constant(64 // rows.size)
        with cgutils.for_range_slice(builder, rows.constant(0), args[2], line, I64) as (at, _):
            rows.prefetch(rows.pointer(args[1], at))
        return context.get_dummy_value()

    return types.void(zero, types.int64, types.int64), codegen


@inner
def clear(zero, values, count):
    """values[:count] = 0, by address."""
    for i in range(count):
        store(zero, values, i)


@inner
def add_shares(zero, shares, threads, count, total):
    """total[:count] += shares[0], shares[1], ..., in this order; by address, shares (threads, count)."""
    for t in range(threads):
        share = shares + t * count * item_size(zero)
        for i in range(count):
            store(load(zero, total, i) + load(zero, share, i), total, i)
