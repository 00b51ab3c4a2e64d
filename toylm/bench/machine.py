"""This machine's two roofs: bytes a second that a copy moves, and float32 operations a second that its vector units do.

The copy: every thread copies its share of an array by a loop of ordinary loads and stores, as all kernels here have, and a
byte that is read and written counts twice (as in McCalpin's STREAM). Measured over as many bytes as the kernel beside it
moves, because a cache is several times faster than memory. The peak: fused multiply-adds between registers, enough of them
in flight to hide their latency; no product of matrices can be faster.
"""

import time

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..kernels.parallel import parallel
from ..kernels.rows import rows_of
from ..kernels.simd import MR, NR_F32, VECTOR_BYTES

LANES = VECTOR_BYTES // 4
ACCUMULATORS = MR * NR_F32 // LANES  # as many as the matrix product's tile keeps in registers
ROUNDS = 400_000  # of ACCUMULATORS multiply-adds each: about 1 ms, so that starting the threads does not count


@intrinsic
def _multiply_adds(typingctx, x, y, rounds):
    """Sum of ACCUMULATORS vectors after `rounds` rounds of acc = acc · x + y."""

    def codegen(context, builder, signature, args):
        x, y, rounds = args
        vector, count = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)
        undefined, lanes = ir.Constant(vector, ir.Undefined), ir.VectorType(ir.IntType(32), LANES)

        def splat(scalar):
            one = builder.insert_element(undefined, scalar, ir.IntType(32)(0))
            return builder.shuffle_vector(one, undefined, ir.Constant(lanes, [0] * LANES))

        wide_x, wide_y = splat(x), splat(y)
        # Not llvm.fma, which is a call a lane where the CPU has no such instruction.
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{LANES}f32"
        )
        entry, loop = builder.block, builder.append_basic_block("loop")
        done = builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        i = builder.phi(count)
        i.add_incoming(count(0), entry)
        accumulators = [builder.phi(vector) for _ in range(ACCUMULATORS)]
        new = []
        for number, accumulator in enumerate(accumulators):
            # Different starts: equal accumulators would be merged into one.
            accumulator.add_incoming(ir.Constant(vector, [float(number)] * LANES), entry)
            new.append(builder.call(fma, [accumulator, wide_x, wide_y]))
            accumulator.add_incoming(new[-1], loop)
        after = builder.add(i, count(1))
        i.add_incoming(after, loop)
        builder.cbranch(builder.icmp_signed("<", after, rounds), loop, done)
        builder.position_at_end(done)
        total = new[0]
        for value in new[1:]:
            total = builder.fadd(total, value)
        result = builder.extract_element(total, ir.IntType(32)(0))
        for lane in range(1, LANES):
            result = builder.fadd(result, builder.extract_element(total, ir.IntType(32)(lane)))
        return result

    return types.float32(types.float32, types.float32, types.int64), codegen


@parallel
def copy(source, target, threads, thread):
    """target = source, both (n,)."""
    start, stop = rows_of(source.shape[0], threads, thread)
    a, b = source[start:stop], target[start:stop]
    for i in range(a.shape[0]):
        b[i] = a[i]


@parallel
def multiply_adds(x, y, rounds, out, threads, thread):
    """`rounds` rounds on every thread; out: (threads,) receives sums that nobody needs."""
    out[thread] = _multiply_adds(x, y, rounds)


def flops_of(rounds, threads):
    """Floating-point operations of `multiply_adds`: two a lane, accumulator, round and thread."""
    return 2 * LANES * ACCUMULATORS * rounds * threads


class Roofs:
    """Measures both roofs on the threads that are set; buffers are kept from one measurement to the next."""

    def __init__(self):
        self.source = self.target = np.zeros(0, np.float32)

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
        """float32 operations a second."""
        from ..threads import get_threads

        threads = get_threads()
        out = np.zeros(threads, np.float32)
        x, y = np.float32(0.5), np.float32(1.0)
        multiply_adds(x, y, ROUNDS, out)
        start = time.perf_counter()
        for _ in range(repeat):
            multiply_adds(x, y, ROUNDS, out)
        return flops_of(ROUNDS, threads) * repeat / (time.perf_counter() - start)
