"""One thread's products on the register tiles: the three loops around the tile, and products with matrices packed before.

The loops of Goto & van de Geijn ("Anatomy of high-performance matrix multiplication", 2008), with what the shapes of small
language models make cheaper: of plain operands A is copied only where it is transposed (else the tile broadcasts its values from
where they are), B panel by panel into a thread's own scratch that stays in the first-level cache. A kernel that keeps its rows
in a cache between one product and the next (feed_forward.py, attention.py) packs its matrices once for all threads.

Everything goes by address and row stride: one specialisation a dtype serves slices of wider matrices as well. Numbers of steps,
values and pairs: see operands.py, whose functions do what differs between float32, float64 and bf16.
"""

import numpy as np

from .jit import inner
from .operands import KC, PANEL_BYTES, columns_of_a, few_columns_of_a, pack_panel, pairs, row_unit, rows_of_a, steps_of, tiles
from .parallel import parallel
from .placement import threads_now
from .simd import MR, NR_F32, item_size, panel_width

ROWS = 8 * MR  # of A, at a time where all of B is packed
WHOLE_BYTES = 256 * 1024  # packed, a B of this size stays in the second-level cache
A_BLOCK_BYTES = 512 * 1024  # rows of A that are swept again for every panel stay in the second-level cache
WEIGHT_BYTES = 256 * 1024  # of a part's matrices whose gradients each thread sums for itself, in its second-level cache
SHARES_BYTES = 4 * 2**20  # of all threads' sums, which one thread then adds up
SCRATCH_BYTES = PANEL_BYTES + A_BLOCK_BYTES + 64 * KC * MR  # a panel of B, a block of A and what packing may write beyond it


@inner
def product(zero, operands, a, lda, a_transposed, b, ldb, b_transposed, c, ldc, d, ldd, row_start, row_stop, column_start,
            column_stop, k, memory):
    """The block of C = D + op(A)·op(B) in these rows and columns; no D where `d` is 0, D may be C. `memory`: SCRATCH_BYTES."""
    size, nr = item_size(zero), panel_width(zero)
    packed = memory + PANEL_BYTES
    depth = np.int64(KC) << pairs(operands)  # values along k at a time
    unit = row_unit(operands)
    block = max(np.int64(A_BLOCK_BYTES) // (min(steps_of(operands, k), np.int64(KC)) * size), np.int64(8 * MR)) // unit * unit
    for block_start in range(row_start, row_stop, block):
        rows = min(block, row_stop - block_start)
        c_block, d_block = c + block_start * ldc * size, d + block_start * ldd * size if d != 0 else d
        for p in range(0, k, depth):
            deep = min(depth, k - p)
            d_here, ldd_here = (d_block, ldd) if p == 0 else (c_block, ldc)
            if a_transposed:
                a_here, lda_here, step = columns_of_a(operands, a + (p * lda + block_start) * size, lda, rows, deep, packed)
            else:
                a_here, lda_here = rows_of_a(operands, a + (block_start * lda + p) * size, lda, rows, deep, packed)
                step = lda_here
            for first in range(column_start, column_stop, nr):
                columns, shift = min(nr, column_stop - first), first * size
                pack_panel(operands, b + (first * ldb + p if b_transposed else p * ldb + first) * size, ldb, b_transposed, columns,
                           deep, memory)
                tiles(operands, a_here, lda_here, step, a_transposed, memory, c_block + shift, ldc,
                      d_here + shift if d_here != 0 else d_here, ldd_here, rows, columns, steps_of(operands, deep))


@inner
def multiply_rows(zero, operands, a, lda, panels, panel_steps, c, ldc, d, ldd, rows, n, k):
    """C[:rows, :n] = D + A · B, with A (rows, k) from `rows_of_a` and the panels of B, each `panel_steps` deep, from the step on
    at which `panels` points. D may be C; none where `d` is 0."""
    size, nr, steps = item_size(zero), panel_width(zero), steps_of(operands, k)
    for p in range(0, steps, KC):
        deep = min(np.int64(KC), steps - p)
        d_here, ldd_here = (d, ldd) if p == 0 else (c, ldc)
        for first in range(0, n, nr):
            shift = first * size
            tiles(operands, a + p * size, lda, lda, False, panels + (first * panel_steps + p * nr) * size, c + shift, ldc,
                  d_here + shift if d_here != 0 else d_here, ldd_here, rows, min(nr, n - first), deep)


@inner
def whole_fits(zero, operands, n, k):
    """Whether all of B (k, n) may be packed at once, which leaves each row of A and C to be touched once only."""
    nr = panel_width(zero)
    columns = max((n + nr - 1) // nr * nr, np.int64(ROWS))
    return columns * steps_of(operands, k) * item_size(zero) <= WHOLE_BYTES


@inner
def product_with_whole(zero, operands, a, lda, c, ldc, d, ldd, rows, n, k, memory):
    """C[:rows, :n] = D + A · B for at most ROWS rows, B packed whole at the front of `memory` (SCRATCH_BYTES)."""
    a_here, lda_here = rows_of_a(operands, a, lda, rows, k, memory + WHOLE_BYTES)
    multiply_rows(zero, operands, a_here, lda_here, memory, steps_of(operands, k), c, ldc, d, ldd, rows, n, k)


@inner
def multiply_transposed(zero, operands, a, lda, packed, panels, panel_steps, c, ldc, m, n, k):
    """C[:m, :n] += Aᵀ · B, with A (k, m), at most KC steps deep, and the panels of B. `packed`: room for (k steps, m + NR)."""
    size, nr = item_size(zero), panel_width(zero)
    a_here, lda_here, step = few_columns_of_a(operands, a, lda, m, k, packed)
    for first in range(0, n, nr):
        here = c + first * size
        tiles(operands, a_here, lda_here, step, True, panels + first * panel_steps * size, here, ldc, here, ldc, m,
              min(nr, n - first), steps_of(operands, k))


@inner
def linear_backward(zero, operands, dy, ldy, x, ldx, panels, dx, ld_dx, dw, rows, n, k, packed, dy_panels):
    """dx (rows, k) = dy·Wᵀ and dW (k, n) += xᵀ·dy for some rows, at most ROWS, of y (rows, n) = x (rows, k)·W.

    panels: of Wᵀ; packed, dy_panels: room for (ROWS, max(n, k + NR)) and (ROWS, n + NR) elements.
    """
    dy_rows, ld = rows_of_a(operands, dy, ldy, rows, n, packed)
    multiply_rows(zero, operands, dy_rows, ld, panels, steps_of(operands, n), dx, ld_dx, np.int64(0), np.int64(0), rows, k, n)
    pack_matrix(zero, operands, dy, ldy, n < 0, n, rows, dy_panels)
    multiply_transposed(zero, operands, x, ldx, packed, dy_panels, steps_of(operands, rows), dw, n, k, n, rows)


@inner
def pack_matrix(zero, operands, b, ldb, transposed, n, k, panels):
    """All panels of op(B) (k, n), on one thread."""
    size, nr, steps = item_size(zero), panel_width(zero), steps_of(operands, k)
    for first in range(0, n, nr):
        pack_panel(operands, b + (first * ldb if transposed else first) * size, ldb, transposed, min(nr, n - first), k,
                   panels + first * steps * size)


@inner
def pack_own(zero, operands, matrices, panels):
    """Pack several matrices into `panels`, on one thread. matrices: (M, 6) int64, a row: address, row stride, transposed, n, k,
    bytes from the start of `panels`."""
    for i in range(matrices.shape[0]):
        b, ldb, transposed, n, k, offset = matrices[i]
        pack_matrix(zero, operands, b, ldb, transposed != 0, n, k, panels + offset)


@parallel
def pack_matrices(zero, operands, matrices, panels, threads, thread):
    """The same once for all threads, in a region of its own."""
    size, nr = item_size(zero), panel_width(zero)
    for i in range(matrices.shape[0]):
        b, ldb, transposed, n, k, offset = matrices[i]
        count, steps = (n + nr - 1) // nr, steps_of(operands, k)
        for j in range(count * thread // threads, count * (thread + 1) // threads):
            first = j * nr
            pack_panel(operands, b + (first * ldb if transposed else first) * size, ldb, transposed, min(nr, n - first), k,
                       panels + offset + first * steps * size)  # fmt: skip


def gradients_fit(*matrices):
    """Whether each thread had better sum its share of these matrices' gradients inside a larger kernel."""
    size = sum(w.nbytes for w in matrices)
    return size <= WEIGHT_BYTES and size * threads_now() <= SHARES_BYTES


def panel_bytes(bf16, item, n, k):
    """Bytes of the packed panels of a (k, n) matrix; `item`: bytes of a value."""
    width = NR_F32 * 4 // item
    return -(-n // width) * width * (-(-k // 2) if bf16 else k) * item
