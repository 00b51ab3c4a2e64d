"""bf16 operands: float32 values rounded on their way into packed pairs along k, which halves k for what follows, and their tiles.

Both operands are packed. Weights, activations and gradients stay float32 in memory.
"""

from .jit import device_function
from .tile import (
    MR,
    WIDTH,
    cast,
    edge_pair_tile_by_column,
    edge_pair_tile_by_row,
    load,
    pair,
    pair_along,
    pair_rows,
    pair_tile_by_column,
    pair_tile_by_row,
    panel_width,
    store,
    transpose_pairs,
)


@device_function
def value_at(like, x, ld, by_columns, i, p, k):
    """Element (i, p) of a matrix stored by rows, or by columns; 0 beyond k."""
    if p >= k:
        return cast(like, 0)
    return load(like, x, p * ld + i if by_columns else i * ld + p)


@device_function
def _interleave(like, x, ldx, columns, k, packed, stride):
    """packed[p, c] = pair(X[2p, c], X[2p + 1, c]), c < columns, zero up to `stride`; X (k, n) by rows."""
    pairs = (k + 1) // 2
    whole = columns // WIDTH * WIDTH
    for p in range(pairs):
        row = packed + p * stride * 4
        start = 0
        if 2 * p + 1 < k:
            for c in range(0, whole, WIDTH):
                at = x + (2 * p * ldx + c) * 4
                pair_rows(like, at, at + ldx * 4, row + c * 4)
            start = whole
        for c in range(start, columns):
            store(pair(value_at(like, x, ldx, True, c, 2 * p, k), value_at(like, x, ldx, True, c, 2 * p + 1, k)), row, c)
        for c in range(columns, stride):
            store(cast(like, 0), row, c)


def tiles_of_pairs(like, a, lda, step, by_columns, panel, c, ldc, d, ldd, rows, columns, pairs):
    nr = panel_width(like)
    for i in range(0, rows, MR):
        here, left = a + i * step * 4, rows - i
        target, addend = c + i * ldc * 4, d + i * ldd * 4 if d != 0 else d
        if left >= MR and columns == nr:
            if by_columns:
                pair_tile_by_column(like, here, lda, panel, nr, target, ldc, pairs, addend, ldd)
            else:
                pair_tile_by_row(like, here, lda, panel, nr, target, ldc, pairs, addend, ldd)
        else:
            left = min(left, MR)
            if by_columns:
                edge_pair_tile_by_column(like, here, lda, panel, nr, target, ldc, pairs, addend, ldd, left, columns)
            else:
                edge_pair_tile_by_row(like, here, lda, panel, nr, target, ldc, pairs, addend, ldd, left, columns)


def panel_of_pairs(like, b, ldb, transposed, columns, k, panel):
    nr, pairs = panel_width(like), (k + 1) // 2
    if not transposed:
        _interleave(like, b, ldb, columns, k, panel, nr)
        return
    whole_pairs, whole_columns = k // (2 * WIDTH) * WIDTH, columns // WIDTH * WIDTH
    for c in range(0, whole_columns, WIDTH):
        for p in range(0, whole_pairs, WIDTH):
            transpose_pairs(like, b + (c * ldb + 2 * p) * 4, ldb, panel + (p * nr + c) * 4, nr)
    for c in range(columns):
        for p in range(whole_pairs if c < whole_columns else 0, pairs):
            value = pair(value_at(like, b, ldb, False, c, 2 * p, k), value_at(like, b, ldb, False, c, 2 * p + 1, k))
            store(value, panel, p * nr + c)
    for c in range(columns, nr):
        for p in range(pairs):
            store(cast(like, 0), panel, p * nr + c)


def rows_of_pairs(like, a, lda, rows, k, packed):
    """packed[i, p] = pair(A[i, 2p], A[i, 2p + 1]); A (rows, k) by rows."""
    pairs, whole = (k + 1) // 2, k // (2 * WIDTH)
    for i in range(rows):
        for p in range(whole):
            pair_along(like, a + (i * lda + p * 2 * WIDTH) * 4, packed + (i * pairs + p * WIDTH) * 4)
        for p in range(whole * WIDTH, pairs):
            value = pair(value_at(like, a, lda, False, i, 2 * p, k), value_at(like, a, lda, False, i, 2 * p + 1, k))
            store(value, packed, i * pairs + p)


def columns_of_pairs(like, a, lda, rows, k, packed):
    _interleave(like, a, lda, rows, k, packed, (rows + WIDTH - 1) // WIDTH * WIDTH)
