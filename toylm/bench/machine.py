"""This machine's two roofs: bytes a second that a copy moves, and float32 operations a second that its vector units do.

The copy: every thread copies its share of an array by a loop of ordinary loads and stores, as all kernels here have, and a
byte that is read and written counts twice (as in McCalpin's STREAM). Measured over as many bytes as the kernel beside it
moves, because a cache is several times faster than memory. The peak: polynomials of values that stay in the first-level cache,
a chain of fused multiply-adds a vector, with so many vectors at a time that the chains overlap; no product of matrices can be
faster.
"""

import time

import numpy as np
from numba import types
from numba.extending import intrinsic

from ..kernels.jit import I64, cgutils, parallel, rows_of, start_of
from ..kernels.vectors import Rows
from ..threads import get_threads

DEGREE = 32
CHAINS = 12  # vectors at a time: one or two multiply-adds start in a cycle, and each takes four or five
VALUES = 1920  # a thread: a multiple of CHAINS vectors, whatever their width
ROUNDS = 1000  # over them: about 1 ms, so that starting the threads does not count


@parallel
def copy(source, target, threads, thread):
    """target = source, both (n,)."""
    start, stop = rows_of(source.shape[0], threads, thread)
    a, b = source[start:stop], target[start:stop]
    for i in range(a.shape[0]):
        b[i] = a[i]


@intrinsic
def _polynomials(typingctx, c, x, y, n):
    """y = c (1 + x + x² + ... ) up to x^DEGREE by Horner's rule; x, y: addresses of n values, n a multiple of CHAINS vectors.

    Vectors by hand: LLVM uses half of a 512-bit register, and takes one chain after the other.
    """

    def codegen(context, builder, signature, args):
        rows = Rows(context, builder, signature.args[0])
        c, x, y, n = args
        wide = rows.splat(c)
        with cgutils.for_range_slice(builder, rows.constant(0), n, rows.constant(CHAINS * rows.width), I64) as (at, _):
            places = [builder.add(at, rows.constant(chain * rows.width)) for chain in range(CHAINS)]
            values = [rows.load_vector(rows.pointer(x, place)) for place in places]
            totals = [wide] * CHAINS
            for _ in range(DEGREE):
                totals = [rows.multiply_add(total, value, wide) for total, value in zip(totals, values)]
            for total, place in zip(totals, places):
                rows.store_vector(total, rows.pointer(y, place))
        return context.get_dummy_value()

    return types.void(c, *[types.int64] * 3), codegen


@parallel
def polynomials(x, c, rounds, y, threads, thread):
    """The polynomials of x, `rounds` times; x, y: (threads, n), a row a thread."""
    for _ in range(rounds):
        _polynomials(c, start_of(x[thread]), start_of(y[thread]), x.shape[1])


class Roofs:
    """Measures both roofs on the threads that are set; buffers are kept from one measurement to the next."""

    def __init__(self):
        self.source = self.target = np.zeros(0, np.float32)
        self.values = np.full((get_threads(), VALUES), 0.5, np.float32)
        self.sums = np.zeros_like(self.values)

    def copy_seconds(self, nbytes, repeat=1):
        """Seconds in which the machine moves `nbytes`: half of them read, half written."""
        n = max(16, int(nbytes) // 8)
        if self.source.size < n:
            # Written, not np.zeros: memory that was never written is one page of zeros, which is always in the cache.
            self.source, self.target = np.full(n, 2.0, np.float32), np.ones(n, np.float32)
        source, target = self.source[:n], self.target[:n]
        copy(source, target)
        start = time.perf_counter()
        for _ in range(repeat):
            copy(source, target)
        return (time.perf_counter() - start) / repeat

    def peak_flops(self, repeat=1):
        """float32 operations a second: two a value and degree."""
        polynomials(self.values, np.float32(1), ROUNDS, self.sums)
        start = time.perf_counter()
        for _ in range(repeat):
            polynomials(self.values, np.float32(1), ROUNDS, self.sums)
        return 2 * DEGREE * self.values.size * ROUNDS * repeat / (time.perf_counter() - start)
