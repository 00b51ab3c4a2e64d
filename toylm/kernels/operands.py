"""Products of a few rows at a time with a matrix that was packed once for all threads, in either arithmetic.

A kernel that keeps its rows in a cache between one product and the next (norm_projection.py, feed_forward.py) is written once
for both arithmetics. `operand` tells by its type what enters the multiplications: the float32 or float64 of `zero`, or bf16
(a uint16 stands for it), whose values are rounded and laid in pairs along k (pairs.py). A *step* is what a tile adds in one
round: one value along k, or one pair.

Packed panels of B: (ceil(n / NR), steps, NR), so that columns from `first`, a multiple of NR, start at first · steps elements
and step p of a panel at p · NR.

Comparisons of sizes with 0 stand for False and True: Numba would compile what is called once more for a literal.
"""

import numpy as np
from numba import prange, types
from numba.extending import overload

from .jit import jit, parallel
from .matmul import KC, pack_panel, product, tiles_of_panel
from .matmul_bf16 import _pack_interleaved, _pack_rows, _pack_transposed, _product, _tiles
from .simd import item_size, panel_width

BF16 = np.uint16(0)


def steps_of(operand, k):
    """Steps along k."""


@overload(steps_of)
def _steps_of(operand, k):
    if operand == types.uint16:

        def steps(operand, k):
            return (k + 1) // 2

    else:

        def steps(operand, k):
            return k

    return steps


def pack_columns(zero, operand, b, ldb, transposed, first, columns, k, panel):
    """One panel: columns first to first + columns of op(B), whose depth is k."""


@overload(pack_columns)
def _pack_columns(zero, operand, b, ldb, transposed, first, columns, k, panel):
    if operand == types.uint16:

        def pack(zero, operand, b, ldb, transposed, first, columns, k, panel):
            nr = panel_width(zero)
            if transposed:
                _pack_transposed(zero, b, ldb, first, columns, k, panel, nr)
            else:
                _pack_interleaved(zero, b, ldb, first, columns, k, panel, nr)

    else:

        def pack(zero, operand, b, ldb, transposed, first, columns, k, panel):
            pack_panel(zero, b, ldb, transposed, first, columns, k, panel_width(zero), panel)

    return pack


def pack_rows(zero, operand, a, lda, rows, k, packed):
    """Rows of A as the tiles read them, into `packed` (rows, steps); nothing for plain operands, which are read in place."""


@overload(pack_rows)
def _pack_rows_of(zero, operand, a, lda, rows, k, packed):
    if operand == types.uint16:

        def pack(zero, operand, a, lda, rows, k, packed):
            _pack_rows(zero, a, lda, rows, k, packed, (k + 1) // 2)

    else:

        def pack(zero, operand, a, lda, rows, k, packed):
            pass

    return pack


def tiles(zero, operand, a, lda, packed, steps, p, panel, c, ldc, d, ldd, rows, first, columns, deep):
    """C[:rows, first:first+columns] = D + A[:, steps p to p + deep] · panel."""


@overload(tiles)
def _tiles_of(zero, operand, a, lda, packed, steps, p, panel, c, ldc, d, ldd, rows, first, columns, deep):
    if operand == types.uint16:

        def multiply(zero, operand, a, lda, packed, steps, p, panel, c, ldc, d, ldd, rows, first, columns, deep):
            _tiles(zero, packed + p * 4, steps, deep < 0, panel, panel_width(zero), c, ldc, d, ldd, rows, first, columns, deep)

    else:

        def multiply(zero, operand, a, lda, packed, steps, p, panel, c, ldc, d, ldd, rows, first, columns, deep):
            tiles_of_panel(zero, a + p * item_size(zero), lda, lda, deep < 0, panel, panel_width(zero), c, ldc, d, ldd,
                           np.int64(0), rows, first, columns, deep)  # fmt: skip

    return multiply


def product_of_rows(zero, operand, a, lda, b, ldb, c, ldc, d, ldd, row_start, row_stop, n, k, memory):
    """C[row_start:row_stop] = D + A[row_start:row_stop] · B, B not packed before: matmul's own blocking, on one thread."""


@overload(product_of_rows)
def _product_of_rows(zero, operand, a, lda, b, ldb, c, ldc, d, ldd, row_start, row_stop, n, k, memory):
    multiply_here = _product if operand == types.uint16 else product

    def multiply(zero, operand, a, lda, b, ldb, c, ldc, d, ldd, row_start, row_stop, n, k, memory):
        multiply_here(zero, a, lda, k < 0, b, ldb, k < 0, c, ldc, d, ldd, row_start, row_stop, np.int64(0), n, k, memory)

    return multiply


@jit
def multiply_rows(zero, operand, a, lda, packed, panels, panel_steps, c, ldc, d, ldd, rows, n, k):
    """C[:rows, :n] = D + A · B, with A (rows, k) after `pack_rows` and the panels of B, each `panel_steps` deep, from the step
    on at which `panels` points. D may be C; none where `d` is 0."""
    size, nr, steps = item_size(zero), panel_width(zero), steps_of(operand, k)
    for p in range(0, steps, KC):
        deep = min(np.int64(KC), steps - p)
        d_here, ldd_here = (d, ldd) if p == 0 else (c, ldc)
        for first in range(0, n, nr):
            panel = panels + (first * panel_steps + p * nr) * size
            tiles(zero, operand, a, lda, packed, steps, p, panel, c, ldc, d_here, ldd_here, rows, first, min(nr, n - first),
                  deep)  # fmt: skip


def multiply_transposed(zero, operand, a, lda, packed, panels, panel_steps, c, ldc, m, n, k):
    """C[:m, :n] += Aᵀ · B, with A (k, m), at most KC steps deep, and the panels of B. `packed`: room for (k steps, m + NR)."""


@overload(multiply_transposed)
def _multiply_transposed(zero, operand, a, lda, packed, panels, panel_steps, c, ldc, m, n, k):
    if operand == types.uint16:

        def multiply(zero, operand, a, lda, packed, panels, panel_steps, c, ldc, m, n, k):
            nr, steps = panel_width(zero), (k + 1) // 2
            stride = (m + nr - 1) // nr * nr
            _pack_interleaved(zero, a, lda, np.int64(0), m, k, packed, stride)
            for first in range(0, n, nr):
                _tiles(zero, packed, stride, k > 0, panels + first * panel_steps * 4, nr, c, ldc, c, ldc, m, first,
                       min(nr, n - first), steps)  # fmt: skip

    else:

        def multiply(zero, operand, a, lda, packed, panels, panel_steps, c, ldc, m, n, k):
            nr = panel_width(zero)
            for first in range(0, n, nr):
                tiles_of_panel(zero, a, lda, np.int64(1), k > 0, panels + first * panel_steps * item_size(zero), nr, c, ldc, c,
                               ldc, np.int64(0), m, first, min(nr, n - first), k)  # fmt: skip

    return multiply


@jit
def pack_matrix(zero, operand, b, ldb, transposed, n, k, panels):
    """All panels of op(B) (k, n), on one thread."""
    nr, steps = panel_width(zero), steps_of(operand, k)
    for first in range(0, n, nr):
        pack_columns(zero, operand, b, ldb, transposed, first, min(nr, n - first), k,
                     panels + first * steps * item_size(zero))  # fmt: skip


@parallel
def pack_matrices(zero, operand, matrices, threads):
    """Pack several matrices in one region. matrices: (M, 6) int64, a row: address, row stride, transposed, n, k, panels."""
    nr = panel_width(zero)
    for t in prange(threads):
        part = np.int64(t)
        for i in range(matrices.shape[0]):
            b, ldb, transposed, n, k, panels = matrices[i]
            count, steps = (n + nr - 1) // nr, steps_of(operand, k)
            for j in range(count * part // threads, count * (part + 1) // threads):
                pack_columns(zero, operand, b, ldb, transposed != 0, j * nr, min(nr, n - j * nr), k,
                             panels + j * nr * steps * item_size(zero))  # fmt: skip


def panel_bytes(operand, item, n, k):
    """Bytes of the packed panels of a (k, n) matrix; `item`: bytes of `zero`'s dtype."""
    steps = -(-k // 2) if operand.dtype == np.uint16 else k
    return -(-n // 64) * 64 * steps * item
