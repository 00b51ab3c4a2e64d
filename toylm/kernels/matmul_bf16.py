"""Matrix products with bf16 operands and float32 sums (AVX512_BF16): float32 in, rounded on the way into packed blocks.

Same blocking as matmul.py. Weights, activations and gradients stay float32 in memory; what is rounded is what enters a
multiplication. Both operands are packed as pairs along k (pairs.py), which halves k for everything that follows.
"""

import os

import numpy as np
from numba import prange

from .jit import jit, parallel
from .matmul import A_BLOCK_BYTES, check_product, share, split_by_rows
from .memory import address, scratch
from .pairs import WIDTH, pair, pair_along, pair_rows, transpose_pairs
from .placement import threads_now
from .simd import (
    HOST_BF16,
    MR,
    NR_F32,
    edge_pair_tile_by_column,
    edge_pair_tile_by_row,
    load,
    pair_tile_by_column,
    pair_tile_by_row,
    panel_width,
    store,
)

KP = 256  # pairs along k of a panel: KP · NR pairs (32 KiB) stay in the first-level cache
SCRATCH_BYTES = KP * NR_F32 * 4 + A_BLOCK_BYTES + 64 * KP * MR


def supported():
    """Whether bf16 products may be asked for: the CPU has the instruction (AVX512_BF16), or TOYLM_BF16=emulate allows several
    float32 ones in its place, which are slower than float32 products and give what the instruction gives but for roundings."""
    return HOST_BF16 or os.environ.get("TOYLM_BF16") == "emulate"


@jit
def _at(zero, x, ld, by_columns, i, p, k):
    """Element (i, p) of a matrix stored by rows, or by columns; 0 beyond k."""
    if p >= k:
        return zero
    return load(zero, x, p * ld + i if by_columns else i * ld + p)


@jit
def _pack_rows(zero, a, lda, rows, k, packed, pairs):
    """packed[i, p] = pair(A[i, 2p], A[i, 2p + 1]); A (rows, k) by rows."""
    whole = k // (2 * WIDTH)
    for i in range(rows):
        for p in range(whole):
            pair_along(zero, a + (i * lda + p * 2 * WIDTH) * 4, packed + (i * pairs + p * WIDTH) * 4)
        for p in range(whole * WIDTH, pairs):
            value = pair(_at(zero, a, lda, False, i, 2 * p, k), _at(zero, a, lda, False, i, 2 * p + 1, k))
            store(value, packed, i * pairs + p)


@jit
def _pack_interleaved(zero, x, ldx, first, columns, k, packed, stride):
    """packed[p, c] = pair(X[2p, first + c], X[2p + 1, first + c]), c < columns, zero up to `stride`; X (k, n) by rows."""
    pairs = (k + 1) // 2
    whole = columns // WIDTH * WIDTH
    for p in range(pairs):
        row = packed + p * stride * 4
        start = 0
        if 2 * p + 1 < k:
            for c in range(0, whole, WIDTH):
                at = x + (2 * p * ldx + first + c) * 4
                pair_rows(zero, at, at + ldx * 4, row + c * 4)
            start = whole
        for c in range(start, columns):
            store(pair(_at(zero, x, ldx, True, first + c, 2 * p, k), _at(zero, x, ldx, True, first + c, 2 * p + 1, k)), row, c)
        for c in range(columns, stride):
            store(zero, row, c)


@jit
def _pack_transposed(zero, b, ldb, first, columns, k, panel, nr):
    """panel[p, c] = pair(B[first + c, 2p], B[first + c, 2p + 1]); B (n, k) by rows."""
    pairs = (k + 1) // 2
    whole_pairs, whole_columns = k // (2 * WIDTH) * WIDTH, columns // WIDTH * WIDTH
    for c in range(0, whole_columns, WIDTH):
        for p in range(0, whole_pairs, WIDTH):
            transpose_pairs(zero, b + ((first + c) * ldb + 2 * p) * 4, ldb, panel + (p * nr + c) * 4, nr)
    for c in range(columns):
        for p in range(whole_pairs if c < whole_columns else 0, pairs):
            value = pair(_at(zero, b, ldb, False, first + c, 2 * p, k), _at(zero, b, ldb, False, first + c, 2 * p + 1, k))
            store(value, panel, p * nr + c)
    for c in range(columns, nr):
        for p in range(pairs):
            store(zero, panel, p * nr + c)


@jit
def _tiles(zero, packed, lda, by_columns, panel, nr, c, ldc, d, ldd, rows, first, columns, pairs):
    """C[:rows, first:first+columns] = D + packed A · panel."""
    for i in range(0, rows, MR):
        left = rows - i
        target = c + (i * ldc + first) * 4
        addend = d + (i * ldd + first) * 4 if d != 0 else d
        if left >= MR and columns == nr:
            if by_columns:
                pair_tile_by_column(zero, packed + i * 4, lda, panel, nr, target, ldc, pairs, addend, ldd)
            else:
                pair_tile_by_row(zero, packed + i * lda * 4, lda, panel, nr, target, ldc, pairs, addend, ldd)
        else:
            left = min(left, MR)
            if by_columns:
                edge_pair_tile_by_column(
                    zero, packed + i * 4, lda, panel, nr, target, ldc, pairs, addend, ldd, left, columns
                )
            else:
                edge_pair_tile_by_row(
                    zero, packed + i * lda * 4, lda, panel, nr, target, ldc, pairs, addend, ldd, left, columns
                )


@jit
def _product(zero, a, lda, a_transposed, b, ldb, b_transposed, c, ldc, d, ldd, row_start, row_stop, column_start,
             column_stop, k, panel):
    nr = panel_width(zero)
    packed = panel + KP * nr * 4
    deepest = min(np.int64(KP), (k + 1) // 2)
    block = max(np.int64(A_BLOCK_BYTES) // (deepest * 4), np.int64(8 * MR)) // MR * MR
    for block_start in range(row_start, row_stop, block):
        rows = min(block, row_stop - block_start)
        c_block, d_block = c + block_start * ldc * 4, d + block_start * ldd * 4 if d != 0 else d
        for p in range(0, k, 2 * KP):
            deep = min(np.int64(2 * KP), k - p)
            pairs = (deep + 1) // 2
            d_here, ldd_here = (d_block, ldd) if p == 0 else (c_block, ldc)
            if a_transposed:
                stride = (rows + WIDTH - 1) // WIDTH * WIDTH
                _pack_interleaved(zero, a + p * lda * 4, lda, block_start, rows, deep, packed, stride)
            else:
                stride = pairs
                _pack_rows(zero, a + (block_start * lda + p) * 4, lda, rows, deep, packed, pairs)
            for first in range(column_start, column_stop, nr):
                columns = min(nr, column_stop - first)
                if b_transposed:
                    _pack_transposed(zero, b + p * 4, ldb, first, columns, deep, panel, nr)
                else:
                    _pack_interleaved(zero, b + p * ldb * 4, ldb, first, columns, deep, panel, nr)
                _tiles(zero, packed, stride, a_transposed, panel, nr, c_block, ldc, d_here, ldd_here, rows, first, columns,
                       pairs)


@parallel
def _parallel_product(zero, a, lda, a_transposed, b, ldb, b_transposed, c, ldc, d, ldd, m, n, k, memory, threads):
    nr = panel_width(zero)
    by_rows = split_by_rows(m, n, nr, threads)
    for t in prange(threads):
        part = np.int64(t)
        row_start, row_stop, column_start, column_stop = np.int64(0), m, np.int64(0), n
        if by_rows:
            row_start, row_stop = share(m, threads, part, np.int64(MR))
        else:
            column_start, column_stop = share(n, threads, part, nr)
        _product(zero, a, lda, a_transposed, b, ldb, b_transposed, c, ldc, d, ldd, row_start, row_stop, column_start,
                 column_stop, k, memory + part * SCRATCH_BYTES)


def matmul_bf16(a, b, out, transpose_a=False, transpose_b=False, accumulate=False, addend=None):
    """`matmul` with both operands rounded to bf16 (8 bits of precision), products and sums in float32. All float32.

    Raises ValueError for shapes that do not fit and on a CPU without AVX512_BF16.
    """
    m, n, k, addend = check_product(a, b, out, transpose_a, transpose_b, accumulate, addend)
    if a.dtype != np.float32:
        raise TypeError(f"bf16 products take float32 matrices, not {a.dtype}")
    if not supported():
        raise ValueError("this CPU has no bf16 products (AVX512_BF16); use float32, or TOYLM_BF16=emulate to try them slowly")
    if m == 0 or n == 0 or k == 0:
        out[:] = 0 if addend is None else addend
        return out
    threads = threads_now() if m * n * k >= 32768 else 1
    _parallel_product.with_threads(
        np.float32(0), address(a), a.strides[0] // 4, transpose_a, address(b), b.strides[0] // 4, transpose_b, address(out),
        out.strides[0] // 4, 0 if addend is None else address(addend), 0 if addend is None else addend.strides[0] // 4,
        m, n, k, scratch.address("pairs", threads * SCRATCH_BYTES), threads,
    )  # fmt: skip
    return out


def round_to_bf16(x):
    """The NumPy twin of the rounding: float32 values that bf16 can hold, to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)
