"""Tall-matrix kernels: moments Z'Z of shifted rows, of rows times R^-1, and a row sketch, each in one pass over the data.

A BLAS `syrk` reads X once, but centring, X'Y, the column sums and the check for NaN each read it again, and a triangular
solve writes an array as large as X. Here a block of rows is copied to a cache-sized buffer (shifted, converted to float64),
optionally multiplied by R^-1 in place, and its products with itself are added up from there. `passes.py` holds the NumPy twins.
"""

import numba as nb
import numpy as np
from numba import prange, types
from numba.extending import intrinsic

from ..kernels.jit import jit
from .tiles import (
    I64,
    PANEL,
    ROWS,
    VECTOR,
    WIDTH,
    ZERO,
    broadcast,
    fused_multiply_add,
    integer,
    load,
    load_scalar,
    pointers,
    splat,
    store,
)

BLOCK = 96  # rows in the cache buffer: a multiple of 12 and of 6


def _make_gram_tile(vectors):
    """C[i, j] += sum_r A[r, i] B[r, j] over one register tile; arguments are addresses and strides in elements."""

    @intrinsic
    def gram_tile(typingctx, a, b, ld, c, ldc, rows):
        def codegen(context, b, signature, args):
            a_address, b_address, ld, c_address, ldc, count = args
            A, B, C = pointers(b, a_address, b_address, c_address)
            fma = fused_multiply_add(b)
            entry = b.block
            loop = b.function.append_basic_block("rows")
            done = b.function.append_basic_block("done")
            b.branch(loop)
            b.position_at_end(loop)
            r = b.phi(I64)
            r.add_incoming(integer(0), entry)
            total = [[b.phi(VECTOR) for _ in range(vectors)] for _ in range(ROWS)]
            for phi in sum(total, []):
                phi.add_incoming(ZERO, entry)
            start = b.mul(r, ld)
            right = [load(b, B, b.add(start, integer(v * WIDTH))) for v in range(vectors)]
            new = []
            for i in range(ROWS):
                left = splat(b, load_scalar(b, A, b.add(start, integer(i))))
                new.append([b.call(fma, [left, right[v], total[i][v]]) for v in range(vectors)])
            following = b.add(r, integer(1))
            r.add_incoming(following, loop)
            for i in range(ROWS):
                for v in range(vectors):
                    total[i][v].add_incoming(new[i][v], loop)
            b.cbranch(b.icmp_signed("<", following, count), loop, done)
            b.position_at_end(done)
            for i in range(ROWS):
                for v in range(vectors):
                    where = b.add(b.mul(ldc, integer(i)), integer(v * WIDTH))
                    store(b, b.fadd(load(b, C, where), new[i][v]), C, where)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6), codegen

    return gram_tile


_gram_tile = _make_gram_tile(2)
_gram_tile_narrow = _make_gram_tile(1)


@intrinsic
def _solve_tile(typingctx, z, ldz, r, ldr, j, s, inverse):
    """Z[rows, j:j+PANEL] := (Z[rows, j:j+PANEL] - Z[rows, :j] R[:j, j:j+PANEL]) R[panel, panel]^-1, ROWS rows at once.

    s: -R[c, c'] / R[c, c] of the panel, strictly upper (PANEL x PANEL); inverse: -1 / R[c, c]. Signs are chosen so that
    every step is one fused multiply-add. Substitution, not a product with an inverse: each row stays backward stable.
    """

    def codegen(context, b, signature, args):
        z_address, ldz, r_address, ldr, j, s_address, inverse_address = args
        Z, R, S, inverse = pointers(b, z_address, r_address, s_address, inverse_address)
        fma = fused_multiply_add(b)
        row = [b.mul(ldz, integer(i)) for i in range(ROWS)]
        start = [[b.fneg(load(b, Z, b.add(b.add(row[i], j), integer(v * WIDTH)))) for v in (0, 1)] for i in range(ROWS)]
        entry = b.block
        head = b.function.append_basic_block("head")
        loop = b.function.append_basic_block("columns")
        done = b.function.append_basic_block("done")
        b.branch(head)
        b.position_at_end(head)
        p = b.phi(I64)
        p.add_incoming(integer(0), entry)
        value = [[b.phi(VECTOR) for _ in (0, 1)] for _ in range(ROWS)]
        for i in range(ROWS):
            for v in (0, 1):
                value[i][v].add_incoming(start[i][v], entry)
        b.cbranch(b.icmp_signed("<", p, j), loop, done)
        b.position_at_end(loop)
        right = [load(b, R, b.add(b.mul(p, ldr), integer(v * WIDTH))) for v in (0, 1)]
        for i in range(ROWS):
            left = splat(b, load_scalar(b, Z, b.add(row[i], p)))
            for v in (0, 1):
                value[i][v].add_incoming(b.call(fma, [left, right[v], value[i][v]]), loop)
        p.add_incoming(b.add(p, integer(1)), loop)
        b.branch(head)
        b.position_at_end(done)
        value = [list(row_values) for row_values in value]
        for c in range(PANEL - 1):
            upper = [load(b, S, integer(c * PANEL + v * WIDTH)) for v in (0, 1)]
            for i in range(ROWS):
                solved = broadcast(b, value[i][c // WIDTH], c % WIDTH)
                for v in range(c // WIDTH, 2):
                    value[i][v] = b.call(fma, [solved, upper[v], value[i][v]])
        for v in (0, 1):
            scale = load(b, inverse, integer(v * WIDTH))
            for i in range(ROWS):
                store(b, b.fmul(value[i][v], scale), Z, b.add(b.add(row[i], j), integer(v * WIDTH)))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7), codegen


@jit
def _chunk(X, Y, shift_x, shift_y, first, last, Z, M, dp, R, S, inverse, precondition):
    d, k = X.shape[1], Y.shape[1]
    ldz, ldm, ldr = np.int64(Z.shape[1]), np.int64(M.shape[1]), np.int64(R.shape[1])
    # Addresses are cast to int64: uint64 + int64 would become float64 in Numba.
    z, m, r = np.int64(Z.ctypes.data), np.int64(M.ctypes.data), np.int64(R.ctypes.data)
    s, inv = np.int64(S.ctypes.data), np.int64(inverse.ctypes.data)
    for start in range(first, last, BLOCK):
        rows = min(BLOCK, last - start)
        for i in range(rows):
            for c in range(d):
                Z[i, c] = X[start + i, c] - shift_x[c]
            for c in range(k):
                Z[i, dp + c] = Y[start + i, c] - shift_y[c]
            Z[i, dp + k] = 1.0
        if precondition:
            padded = (rows + ROWS - 1) // ROWS * ROWS
            Z[rows:padded] = 0.0
            for i in range(0, padded, ROWS):
                for j in range(0, dp, PANEL):
                    _solve_tile(z + i * ldz * 8, ldz, r + j * 8, ldr, j, s + j * PANEL * 8, inv + j * 8)
        for j in range(0, dp, PANEL):
            for i in range(0, j + PANEL, ROWS):
                _gram_tile(z + i * 8, z + j * 8, ldz, m + (i * ldm + j) * 8, ldm, rows)
        j = dp
        while j < dp + k + 1:
            if dp + k + 1 - j > WIDTH:
                for i in range(0, dp + k + 1, ROWS):
                    _gram_tile(z + i * 8, z + j * 8, ldz, m + (i * ldm + j) * 8, ldm, rows)
                j += PANEL
            else:
                for i in range(0, dp + k + 1, ROWS):
                    _gram_tile_narrow(z + i * 8, z + j * 8, ldz, m + (i * ldm + j) * 8, ldm, rows)
                j += WIDTH


@jit(parallel=True)
def _all_chunks(X, Y, shift_x, shift_y, Z, M, dp, R, S, inverse, precondition):
    n, parts = X.shape[0], Z.shape[0]
    size = (n + parts - 1) // parts
    for t in prange(parts):
        _chunk(X, Y, shift_x, shift_y, t * size, min(n, (t + 1) * size), Z[t], M[t], dp, R, S, inverse, precondition)


def _parts(rows):
    """Several parts a thread, handed out one by one: a core that others use then delays the sum by one part only."""
    threads = nb.get_num_threads()
    return 1 if threads == 1 else max(1, min(6 * threads, rows // (8 * BLOCK)))


def moments(X, Y, shift_x, shift_y, R=None):
    """Z'Z with Z = [(X - shift_x) R^-1 | Y - shift_y | 1], a (d+k+1, d+k+1) float64 array.

    X (n, d) and Y (n, k): C-contiguous, float32 or float64; R (d, d): upper triangular, None for the identity.
    """
    d, k = X.shape[1], Y.shape[1]
    dp = -(-d // PANEL) * PANEL
    ld = dp + -(-(k + 1) // PANEL) * PANEL + PANEL  # the last row tile may read past the last column
    ld += 8 * (ld // 8 % 2 == 0)  # an odd number of cache lines a row: columns spread over all cache sets
    padded = np.eye(dp)
    if R is not None:
        padded[:d, :d] = np.triu(R)
    diagonal = np.diag(padded)
    scaled = np.zeros((dp // PANEL, PANEL, PANEL))
    for p in range(dp // PANEL):
        part = slice(p * PANEL, (p + 1) * PANEL)
        scaled[p] = -np.triu(padded[part, part], 1) / diagonal[part, None]
    parts = _parts(X.shape[0])
    Z = np.zeros((parts, BLOCK, ld))
    M = np.zeros((parts, ld + ROWS, ld))
    with nb.parallel_chunksize(1):
        _all_chunks(X, Y, shift_x, shift_y, Z, M, dp, padded, scaled, -1.0 / diagonal, R is not None)
    keep = np.r_[0:d, dp : dp + k + 1]
    total = M.sum(axis=0)[np.ix_(keep, keep)]
    return np.triu(total) + np.triu(total, 1).T


@jit
def _sketch_chunk(X, shift, first, last, offset, S):
    buckets = np.uint64(S.shape[0])
    d = X.shape[1]
    for i in range(first, last):
        state = np.uint64(i + offset) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0xD1B54A32D192ED03)
        for _ in range(2):
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
            row = np.int64((state >> np.uint64(1)) % buckets)
            sign = 1.0 if state & np.uint64(1) else -1.0
            for c in range(d):
                S[row, c] += sign * (X[i, c] - shift[c])


@jit(parallel=True)
def _sketch_chunks(X, shift, offset, S):
    n, parts = X.shape[0], S.shape[0]
    size = (n + parts - 1) // parts
    for t in prange(parts):
        _sketch_chunk(X, shift, t * size, min(n, (t + 1) * size), offset, S[t])


def sketch(X, shift, rows, offset=0):
    """A sparse sign sketch of X - shift, (rows, d): every row of X is added with a random sign to two random rows.

    The signs are a hash of the row's number (its number in X plus `offset`), so equal input gives equal bits.
    Woodruff, Sketching as a tool for numerical linear algebra (2014), section 2.
    """
    parts = min(nb.get_num_threads(), _parts(X.shape[0]))
    S = np.zeros((parts, rows, X.shape[1]))
    _sketch_chunks(X, shift, offset, S)
    return S.sum(axis=0)
