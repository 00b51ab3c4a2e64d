"""Matrix products C (+)= A·B, A·Bᵀ, Aᵀ·B on the register tiles of simd.py.

The three loops around the tile (Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", 2008), with what
the shapes of small language models make cheaper: A is copied only where it is transposed (else the tile broadcasts its values
from where they are), B panel by panel into a thread's own scratch that stays in the first-level cache. A product is one region:
every thread takes a share of C's rows or of its columns, so that no element of C depends on the number of threads.

Everything goes by address and row stride: one specialisation a dtype serves slices of wider matrices as well.
"""

import functools
import os

import numpy as np
from numba import prange

from . import simd
from .jit import jit, parallel
from .memory import address, scratch
from .placement import threads_now
from .simd import (
    MR,
    NR_F32,
    VECTOR_BYTES,
    copy_vector,
    copy_vectors,
    edge_tile_by_column,
    edge_tile_by_row,
    item_size,
    load,
    panel_width,
    store,
    tile_by_column,
    tile_by_row,
    transpose_block,
)

KC = 256  # depth of a panel: KC · NR values of B (32 KiB) stay in the first-level cache
PANEL_BYTES = KC * NR_F32 * 4  # of either dtype
A_BLOCK_BYTES = 512 * 1024  # rows of A that are swept again for every panel stay in the second-level cache
SCRATCH_BYTES = PANEL_BYTES + A_BLOCK_BYTES + 4096  # a panel of B, a block of A and what pack_columns writes beyond it


@jit
def share(total, parts, part, unit):
    """The range [start, stop) of `total` that falls to one of `parts`, cut at multiples of `unit`."""
    units = (total + unit - 1) // unit
    start = units * part // parts * unit
    stop = units * (part + 1) // parts * unit
    return min(start, total), min(stop, total)


@jit
def split_by_rows(m, n, nr, threads):
    """Whether threads had better share the rows of C than its columns: whose thread has less to do, in cycles a step along k.

    Tiles count whole, also at the edges. A thread that shares rows packs all of B and reads its part of A, one that shares
    columns packs its part of B and reads all of A.
    """
    tile_rows, panels = (m + MR - 1) // MR, (n + nr - 1) // nr
    rows, columns = (tile_rows + threads - 1) // threads, (panels + threads - 1) // threads
    by_rows = 2 * MR * rows * panels + 8 * panels + (MR * rows + n) // 2
    by_columns = 2 * MR * tile_rows * columns + 8 * columns + (m + nr * columns) // 2
    return by_rows * 100 <= by_columns * 102


@jit
def pack_panel(zero, b, ldb, transposed, first, columns, k, nr, panel):
    """panel[p, c] = B[p, first + c] (B[first + c, p] where transposed), c < nr; zero from `columns` on. panel: (k, nr)."""
    size = item_size(zero)
    if not transposed:
        if columns == nr:
            for p in range(k):
                copy_vectors(zero, b + (p * ldb + first) * size, panel + p * nr * size)
        else:
            for p in range(k):
                for c in range(columns):
                    store(load(zero, b, p * ldb + first + c), panel, p * nr + c)
                for c in range(columns, nr):
                    store(zero, panel, p * nr + c)
        return
    width = np.int64(VECTOR_BYTES) // size
    whole_rows = k // width * width
    whole_columns = columns // width * width
    for c in range(0, whole_columns, width):
        for p in range(0, whole_rows, width):
            transpose_block(zero, b + ((first + c) * ldb + p) * size, ldb, panel + (p * nr + c) * size, nr)
        for p in range(whole_rows, k):
            for i in range(c, c + width):
                store(load(zero, b, (first + i) * ldb + p), panel, p * nr + i)
    for c in range(whole_columns, columns):
        for p in range(k):
            store(load(zero, b, (first + c) * ldb + p), panel, p * nr + c)
    for c in range(columns, nr):
        for p in range(k):
            store(zero, panel, p * nr + c)


@jit
def tiles_of_panel(zero, a, lda, step, a_transposed, panel, nr, c, ldc, d, ldd, row_start, row_stop, first, columns, k):
    """C[row_start:row_stop, first:first+columns] = D + A[row_start:row_stop, :k] · panel, tile by tile.

    `a` is the address of A's first row (of its first column where transposed), from which row i is i · step elements away, `c`
    and `d` are those of C[0, 0] and D[0, 0]; no D where `d` is 0; D may be C.
    """
    size = item_size(zero)
    for i in range(row_start, row_stop, MR):
        rows = row_stop - i
        target = c + (i * ldc + first) * size
        addend = d + (i * ldd + first) * size if d != 0 else d
        if rows >= MR and columns == nr:
            if a_transposed:
                tile_by_column(zero, a + i * step * size, lda, panel, nr, target, ldc, k, addend, ldd)
            else:
                tile_by_row(zero, a + i * step * size, lda, panel, nr, target, ldc, k, addend, ldd)
        else:
            rows = min(rows, MR)
            if a_transposed:
                edge_tile_by_column(zero, a + i * step * size, lda, panel, nr, target, ldc, k, addend, ldd, rows, columns)
            else:
                edge_tile_by_row(zero, a + i * step * size, lda, panel, nr, target, ldc, k, addend, ldd, rows, columns)


@jit
def pack_columns(zero, a, lda, rows, k, packed):
    """A (k, rows), tile by tile: element (p, i) of the tile from column c at packed[c · k + p · MR + i]; the last tile may be
    narrower. Walking along a column of A instead would take a cache line, often of one and the same cache set, a step."""
    size = item_size(zero)
    width = np.int64(VECTOR_BYTES) // size
    span = (MR + width - 1) // width * width  # copied in whole vectors: what is too much, the next step writes over
    for start in range(0, k, np.int64(8)):
        for c in range(0, rows, MR):
            source, target = a + c * size, packed + c * k * size
            stop, last = min(start + 8, k), min(start + 8, k - 1)  # the last step of a tile borders on the next tile
            if c + span > rows:
                last = start
            for p in range(start, last):
                for j in range(0, MR, width):
                    copy_vector(zero, source + (p * lda + j) * size, target + (p * MR + j) * size)
            for p in range(last, stop):
                for i in range(min(np.int64(MR), rows - c)):
                    store(load(zero, source, p * lda + i), target, p * MR + i)


@jit
def product(zero, a, lda, a_transposed, b, ldb, b_transposed, c, ldc, d, ldd, row_start, row_stop, column_start,
            column_stop, k, panel):
    """One thread's block of C = D + op(A)·op(B). `panel`: address of PANEL_BYTES of scratch, SCRATCH_BYTES if A is transposed."""
    size = item_size(zero)
    nr = panel_width(zero)
    packed = panel + np.int64(PANEL_BYTES)
    depth = min(k, np.int64(KC))
    block = max(np.int64(A_BLOCK_BYTES) // (depth * size), np.int64(8 * MR)) // MR * MR
    for block_start in range(row_start, row_stop, block):
        block_stop = min(block_start + block, row_stop)
        for p in range(0, k, KC):
            deep = min(np.int64(KC), k - p)
            d_here, ldd_here = (d, ldd) if p == 0 else (c, ldc)
            a_here = a + (p * lda if a_transposed else p) * size
            lda_here, step = lda, lda
            if a_transposed:
                pack_columns(zero, a_here + block_start * size, lda, block_stop - block_start, deep, packed)
                a_here, lda_here, step = packed - block_start * deep * size, np.int64(MR), deep
            b_here = b + (p if b_transposed else p * ldb) * size
            for first in range(column_start, column_stop, nr):
                columns = min(nr, column_stop - first)
                pack_panel(zero, b_here, ldb, b_transposed, first, columns, deep, nr, panel)
                tiles_of_panel(zero, a_here, lda_here, step, a_transposed, panel, nr, c, ldc, d_here, ldd_here, block_start,
                               block_stop, first, columns, deep)


@parallel
def _parallel_product(zero, a, lda, a_transposed, b, ldb, b_transposed, c, ldc, d, ldd, m, n, k, scratch, threads):
    nr = panel_width(zero)
    by_rows = split_by_rows(m, n, nr, threads)
    for t in prange(threads):
        part = np.int64(t)
        panel = scratch + part * SCRATCH_BYTES
        row_start, row_stop, column_start, column_stop = np.int64(0), m, np.int64(0), n
        if by_rows:
            row_start, row_stop = share(m, threads, part, np.int64(MR))
        else:
            column_start, column_stop = share(n, threads, part, nr)
        product(zero, a, lda, a_transposed, b, ldb, b_transposed, c, ldc, d, ldd, row_start, row_stop, column_start,
                column_stop, k, panel)


MODES = ("auto", "numba", "blas")


@functools.cache
def matmul_mode():
    """TOYLM_MATMUL, read once: "numba" (our kernels), "blas" (NumPy's), or "auto": ours where the tile knows the CPU's vectors.

    Ours come to OpenBLAS's speed (python -m toylm.bench matmul), and no BLAS threads are left spinning for 0.1 s after a product
    beside the other kernels. The choice depends on the machine alone, so that runs repeat bit for bit.
    """
    mode = os.environ.get("TOYLM_MATMUL", "auto")
    if mode not in MODES:
        raise ValueError(f"TOYLM_MATMUL is {mode!r}; valid: {', '.join(MODES)}")
    if mode == "auto":
        return "numba" if simd.VECTOR_BYTES >= 32 or simd.MR >= 6 else "blas"
    return mode


def matmul(a, b, out, transpose_a=False, transpose_b=False, accumulate=False, addend=None):
    """out = op(a) · op(b), plus `out` with accumulate, or plus `addend`, in threads.

    a: (m, k), or (k, m) with transpose_a. b: (k, n), or (n, k) with transpose_b. out: (m, n). All float32 or all float64,
    rows contiguous (a column slice of a wider matrix is fine); `out` must not overlap a or b. addend: (m, n). Returns `out`.
    Raises ValueError for shapes that do not fit and TypeError for dtypes that differ.
    """
    m, n, k, addend = check_product(a, b, out, transpose_a, transpose_b, accumulate, addend)
    if m == 0 or n == 0 or k == 0:
        out[:] = 0 if addend is None else addend
        return out
    if matmul_mode() == "blas":
        return _blas(a, b, out, transpose_a, transpose_b, addend)
    item = a.itemsize
    threads = threads_now() if m * n * k >= 32768 else 1  # less work than starting threads
    _parallel_product.with_threads(
        a.dtype.type(0), address(a), a.strides[0] // item, transpose_a, address(b), b.strides[0] // item, transpose_b,
        address(out), out.strides[0] // item, 0 if addend is None else address(addend),
        0 if addend is None else addend.strides[0] // item, m, n, k, scratch.address("panels", threads * SCRATCH_BYTES), threads,
    )  # fmt: skip
    return out


def check_product(a, b, out, transpose_a, transpose_b, accumulate, addend):
    """(m, n, k, addend) of a product, `out` being the addend where it accumulates; raises as `matmul` documents."""
    m, k = a.shape[::-1] if transpose_a else a.shape
    k2, n = b.shape[::-1] if transpose_b else b.shape
    if k != k2 or out.shape != (m, n):
        raise ValueError(
            f"cannot multiply {_spell(a, transpose_a)} by {_spell(b, transpose_b)} into {out.shape[0]} x {out.shape[1]}"
        )
    if not a.dtype == b.dtype == out.dtype or a.dtype not in (np.float32, np.float64):
        raise TypeError(f"products take all float32 or all float64, not {a.dtype}, {b.dtype} into {out.dtype}")
    if accumulate:
        addend = out
    if addend is not None and (addend.shape != out.shape or addend.dtype != out.dtype):
        raise ValueError(f"cannot add {_spell(addend, False)} {addend.dtype} to a product of {m} x {n} {out.dtype}")
    for x in (a, b, out) if addend is None else (a, b, out, addend):
        if x.size and x.strides[1] != x.itemsize and x.shape[1] > 1:
            raise ValueError("the rows of a matrix must be contiguous; use np.ascontiguousarray")
    return m, n, k, addend


def _spell(x, transposed):
    return f"{x.shape[0]} x {x.shape[1]}{' transposed' if transposed else ''}"


def _blas(a, b, out, transpose_a, transpose_b, addend):
    a = a.T if transpose_a else a
    b = b.T if transpose_b else b
    if addend is None:
        return np.matmul(a, b, out=out)
    return np.add(addend, a @ b, out=out)


def matmul_reference(a, b, out=None, transpose_a=False, transpose_b=False, accumulate=False):
    """The NumPy twin of `matmul`: returns the product, added to `out` where accumulate."""
    product = (a.T if transpose_a else a) @ (b.T if transpose_b else b)
    return out + product if accumulate else product
