"""The inner loop of leave-one-out over a path: squared errors of every lambda and target, summed over rows, in one pass."""

import numpy as np
from numba import types
from numba.extending import intrinsic

from ..kernels.jit import jit
from .tiles import (
    I64,
    PANEL,
    ROWS,
    VECTOR,
    WIDTH,
    ZERO,
    fused_multiply_add,
    integer,
    load,
    load_scalar,
    pointers,
    splat,
    store,
)


@intrinsic
def _error_tile(typingctx, patterns, ldp, right, ldr, p, ldt, inverse, total, width):
    """total[m] += sum_i ((p[i] + sum_r patterns[i, r] right[r, m]) inverse[i, m])^2 for ROWS rows and PANEL lambdas.

    Addresses and strides in elements: ldp between rows of patterns, ldt between rows of p, ldr of right and of inverse.
    """

    def codegen(context, b, signature, args):
        patterns, ldp, right, ldr, p, ldt, inverse, total, width = args
        patterns, right, p, inverse, total = pointers(b, patterns, right, p, inverse, total)
        fma = fused_multiply_add(b)
        row = [b.mul(ldp, integer(i)) for i in range(ROWS)]
        start = [splat(b, load_scalar(b, p, b.mul(ldt, integer(i)))) for i in range(ROWS)]
        entry = b.block
        loop = b.function.append_basic_block("patterns")
        done = b.function.append_basic_block("done")
        b.branch(loop)
        b.position_at_end(loop)
        r = b.phi(I64)
        r.add_incoming(integer(0), entry)
        error = [[b.phi(VECTOR) for _ in (0, 1)] for _ in range(ROWS)]
        for i in range(ROWS):
            for v in (0, 1):
                error[i][v].add_incoming(start[i], entry)
        vectors = [load(b, right, b.add(b.mul(r, ldr), integer(v * WIDTH))) for v in (0, 1)]
        new = []
        for i in range(ROWS):
            left = splat(b, load_scalar(b, patterns, b.add(row[i], r)))
            new.append([b.call(fma, [left, vectors[v], error[i][v]]) for v in (0, 1)])
        following = b.add(r, integer(1))
        r.add_incoming(following, loop)
        for i in range(ROWS):
            for v in (0, 1):
                error[i][v].add_incoming(new[i][v], loop)
        b.cbranch(b.icmp_signed("<", following, width), loop, done)
        b.position_at_end(done)
        for v in (0, 1):
            squares = ZERO
            for i in range(ROWS):
                scaled = b.fmul(new[i][v], load(b, inverse, b.add(b.mul(ldr, integer(i)), integer(v * WIDTH))))
                squares = b.call(fma, [scaled, scaled, squares])
            place = integer(v * WIDTH)
            store(b, b.fadd(load(b, total, place), squares), total, place)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 9), codegen


@jit
def _all_tiles(patterns, p, right, inverse, total):
    rows, k, width = patterns.shape
    ldr, ldp = np.int64(right.shape[1]), np.int64(k * width)
    # Addresses are cast to int64: uint64 + int64 would become float64 in Numba.
    a, b, c = np.int64(patterns.ctypes.data), np.int64(right.ctypes.data), np.int64(p.ctypes.data)
    d, e = np.int64(inverse.ctypes.data), np.int64(total.ctypes.data)
    for t in range(k):
        for i in range(0, rows, ROWS):
            for m in range(0, ldr, PANEL):
                _error_tile(
                    a + (i * ldp + t * width) * 8,
                    ldp,
                    b + m * 8,
                    ldr,
                    c + (i * k + t) * 8,
                    np.int64(k),
                    d + (i * ldr + m) * 8,
                    e + (t * ldr + m) * 8,
                    np.int64(width),
                )


def squared_errors(patterns, p, right, inverse):
    """sum_i ((p[i, t] + sum_r patterns[i, t, r] right[r, m]) inverse[i, m])^2, (k, M), over the rows of a block.

    patterns (b, k, r), p (b, k), right (r, M), inverse (b, M), float64. Nothing of size b k M is stored.
    """
    b, k, _ = patterns.shape
    M = right.shape[1]
    rows, columns = -b % ROWS, -M % PANEL
    if rows:  # rows that are not there have inverse 0
        patterns, p = np.pad(patterns, ((0, rows), (0, 0), (0, 0))), np.pad(p, ((0, rows), (0, 0)))
    right = np.pad(right, ((0, 0), (0, columns)))
    inverse = np.pad(inverse, ((0, rows), (0, columns)))
    total = np.zeros((k, M + columns))
    _all_tiles(np.ascontiguousarray(patterns), np.ascontiguousarray(p), right, inverse, total)
    return total[:, :M]
