"""Matrix products C (+)= A·B, A·Bᵀ, Aᵀ·B in threads, on the blocks of products.py.

A product is one region: every thread takes a share of C's rows or of its columns, so that no element of C depends on the number
of threads.
"""

import functools
import os

import numpy as np

from . import simd
from .jit import inner
from .memory import address, scratch
from .operands import operands_of, row_unit
from .parallel import parallel
from .placement import threads_now
from .products import ROWS, SCRATCH_BYTES, pack_matrix, product, product_with_whole, whole_fits
from .rows import own_share, share, take
from .simd import MR, item_size, panel_width


@inner
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


@parallel
def _parallel_product(zero, operands, a, lda, a_transposed, b, ldb, b_transposed, c, ldc, d, ldd, m, n, k, memory, threads, thread,
                      queue):  # fmt: skip
    size, nr, memory = item_size(zero), panel_width(zero), memory + thread * SCRATCH_BYTES
    by_rows, cut = split_by_rows(m, n, nr, threads), row_unit(operands)
    if by_rows and not a_transposed and whole_fits(zero, operands, n, k):
        pack_matrix(zero, operands, b, ldb, b_transposed, n, k, memory)
        start, stop = own_share(m, np.int64(ROWS), cut, threads, thread)
        while start < stop:
            rows = min(np.int64(ROWS), stop - start)
            product_with_whole(zero, operands, a + start * lda * size, lda, c + start * ldc * size, ldc,
                               d + start * ldd * size if d != 0 else d, ldd, rows, n, k, memory)  # fmt: skip
            start, stop = take(queue, start + rows, stop, m, np.int64(ROWS), cut, threads)
        return
    row_start, row_stop, column_start, column_stop = np.int64(0), m, np.int64(0), n
    if by_rows:
        row_start, row_stop = own_share(m, np.int64(ROWS), cut, threads, thread)
    else:
        column_start, column_stop = share(n, threads, thread, nr)
        queue = np.int64(0)
    while row_start < row_stop:
        product(zero, operands, a, lda, a_transposed, b, ldb, b_transposed, c, ldc, d, ldd, row_start, row_stop, column_start,
                column_stop, k, memory)  # fmt: skip
        row_start, row_stop = take(queue, row_stop, row_stop, m, np.int64(ROWS), cut, threads)


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
    Raises ValueError for shapes that do not fit, rows that are not contiguous and an `out` that is read-only, TypeError for dtypes
    that differ.
    """
    m, n, k, addend = check_product(a, b, out, transpose_a, transpose_b, accumulate, addend)
    if m == 0 or n == 0 or k == 0:
        out[:] = 0 if addend is None else addend
    elif matmul_mode() == "blas":
        _blas(a, b, out, transpose_a, transpose_b, addend)
    else:
        multiply(operands_of(a.dtype), a, b, out, transpose_a, transpose_b, addend, m, n, k)
    return out


def multiply(operands, a, b, out, transpose_a, transpose_b, addend, m, n, k):
    """`matmul` in the arithmetic of `operands` (operands.py), of what `check_product` has checked; no size is 0."""
    item = a.itemsize
    threads = threads_now() if m * n * k >= 32768 else 1  # less work than starting threads
    _parallel_product.with_threads(
        a.dtype.type(0), operands, address(a), a.strides[0] // item, transpose_a, address(b), b.strides[0] // item, transpose_b,
        address(out), out.strides[0] // item, 0 if addend is None else address(addend),
        0 if addend is None else addend.strides[0] // item, m, n, k, scratch.address("products", threads * SCRATCH_BYTES), threads,
    )  # fmt: skip


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
    if addend is not None and addend.dtype != out.dtype:
        raise TypeError(f"cannot add {addend.dtype} to a product of {out.dtype}; use addend.astype({str(out.dtype)!r})")
    if addend is not None and addend.shape != out.shape:
        raise ValueError(f"cannot add {addend.shape} to a product of {m} x {n}")
    if not out.flags.writeable:  # kernels write by address, which knows no such flag
        raise ValueError(f"out ({m} x {n}) is read-only; give an array that may be written, such as a copy")
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
