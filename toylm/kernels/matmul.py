"""Matrix products C (+)= A·B, A·Bᵀ, Aᵀ·B in threads, and one thread's products for the kernels that hold several.

The loops of Goto & van de Geijn ("Anatomy of high-performance matrix multiplication", 2008) around the register tile (tile.py),
with what the shapes of small language models make cheaper: of plain operands A is copied only where it is transposed (else the tile
broadcasts its values from where they are), B panel by panel into a thread's own scratch that stays in the first-level cache. A
kernel that keeps its rows in a cache between one product and the next (feed_forward.py, attention.py) packs its matrices once for
all threads.

Everything goes by address and row stride: one specialisation a dtype serves slices of wider matrices as well. Numbers of steps,
values and pairs: see arithmetic.py.
"""

import functools
import os
from typing import NamedTuple

import numpy as np

from ..errors import InputTypeError, UsageError
from .arithmetic import (
    KC,
    PANEL_BYTES,
    arithmetic_of,
    bf16_support,
    columns_of_a,
    few_columns_of_a,
    pack_panel,
    part,
    rows_of_a,
    skip_steps,
    steps_of,
    tiles,
)
from .jit import device_function, parallel, rows_of, share, threads_now
from .memory import address, scratch
from .tile import MR, NR_F32, VECTOR_BYTES, Matrix, item_size, panel_width

ROWS = 8 * MR  # that kernels of several products work on at a time: a multiple of every arithmetic's row_unit
A_BLOCK_BYTES = 512 * 1024  # rows of A that are swept again for every panel stay in the second-level cache
SCRATCH_BYTES = PANEL_BYTES + A_BLOCK_BYTES + 64 * KC * MR  # a panel of B, a block of A and what packing may write beyond it


class Product(NamedTuple):
    """C = D + op(A)·op(B) with C (m, n), by addresses and row strides; no D where its address is 0, D may be C."""

    a: int
    a_stride: int
    a_transposed: int
    b: int
    b_stride: int
    b_transposed: int
    c: int
    c_stride: int
    d: int
    d_stride: int
    m: int
    n: int
    k: int


@device_function
def product_block(like, arithmetic, product, rows, columns, memory):
    """The block of C in these rows and columns, each (start, stop)."""
    size, nr, k = item_size(like), panel_width(like), product.k
    a, b = Matrix(product.a, product.a_stride), Matrix(product.b, product.b_stride)
    c, d = Matrix(product.c, product.c_stride), Matrix(product.d, product.d_stride)
    packed = memory + PANEL_BYTES
    depth = np.int64(KC) << arithmetic.pairs  # values along k at a time
    unit = arithmetic.row_unit
    most_rows = max(np.int64(A_BLOCK_BYTES) // (min(steps_of(arithmetic, k), np.int64(KC)) * size), np.int64(ROWS)) // unit * unit
    for row in range(rows[0], rows[1], most_rows):
        count = min(most_rows, rows[1] - row)
        for p in range(0, k, depth):
            deep = min(depth, k - p)
            addend = d if p == 0 else c
            if product.a_transposed:
                a_here = columns_of_a(like, arithmetic, part(like, a, p, row), count, deep, packed)
            else:
                a_here = rows_of_a(like, arithmetic, part(like, a, row, p), count, deep, packed)
            for column in range(columns[0], columns[1], nr):
                wide = min(nr, columns[1] - column)
                b_here = part(like, b, column, p) if product.b_transposed else part(like, b, p, column)
                pack_panel(like, arithmetic, b_here, product.b_transposed, wide, deep, memory)
                tiles(like, arithmetic, a_here, memory, part(like, c, row, column), part(like, addend, row, column), (count, wide),
                      steps_of(arithmetic, deep))  # fmt: skip


@device_function
def _split_by_rows(m, n, nr, threads):
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
def _multiply(like, arithmetic, product, memory, threads, thread):
    """Every thread takes a share of C's rows or of its columns, so that no element of C depends on the number of threads."""
    nr = panel_width(like)
    rows, columns = (np.int64(0), product.m), (np.int64(0), product.n)
    if _split_by_rows(product.m, product.n, nr, threads):
        rows = share(product.m, threads, thread, arithmetic.row_unit)
    else:
        columns = share(product.n, threads, thread, nr)
    if rows[0] < rows[1] and columns[0] < columns[1]:
        product_block(like, arithmetic, product, rows, columns, memory + thread * SCRATCH_BYTES)


# -- products with packed matrices, for kernels that hold several ----------------------------------------------------------


@device_function
def multiply_rows(like, arithmetic, a, panels, panel_steps, c, d, shape):
    """C (rows, n) = D + A · B for shape (rows, n, k): A (rows, k) as TileRows by rows, and the panels of B, each `panel_steps`
    deep, from the step on at which `panels` points. D may be C, or none."""
    rows, n, k = shape
    size, nr, steps = item_size(like), panel_width(like), steps_of(arithmetic, k)
    for p in range(0, steps, KC):
        addend = d if p == 0 else c
        for first in range(0, n, nr):
            tiles(like, arithmetic, skip_steps(like, a, p), panels + (first * panel_steps + p * nr) * size, part(like, c, 0, first),
                  part(like, addend, 0, first), (rows, min(nr, n - first)), min(np.int64(KC), steps - p))  # fmt: skip


@device_function
def multiply_transposed(like, arithmetic, a, packed, panels, c, shape):
    """C (m, n) += Aᵀ · B for shape (m, n, k): A (k, m), at most KC steps deep, and B's panels. `packed`: room for (k, m + NR)."""
    m, n, k = shape
    size, nr, steps = item_size(like), panel_width(like), steps_of(arithmetic, k)
    columns = few_columns_of_a(like, arithmetic, a, m, k, packed)
    for first in range(0, n, nr):
        here = part(like, c, 0, first)
        tiles(like, arithmetic, columns, panels + first * steps * size, here, here, (m, min(nr, n - first)), steps)


@device_function
def pack_matrix(like, arithmetic, b, transposed, n, k, panels):
    """All panels of op(B) (k, n), on one thread."""
    size, nr, steps = item_size(like), panel_width(like), steps_of(arithmetic, k)
    for first in range(0, n, nr):
        here = part(like, b, first, 0) if transposed else part(like, b, 0, first)
        pack_panel(like, arithmetic, here, transposed, min(nr, n - first), k, panels + first * steps * size)


@parallel
def _pack(like, arithmetic, b, stride, transposed, n, k, panels, threads, thread):
    nr = panel_width(like)
    start, stop = share(n, threads, thread, nr)
    b, panels = Matrix(b, stride), panels + start * steps_of(arithmetic, k) * item_size(like)
    here = part(like, b, start, 0) if transposed else part(like, b, 0, start)
    pack_matrix(like, arithmetic, here, transposed, stop - start, k, panels)


def pack(arithmetic, b, transposed, panels):
    """Pack op(B) = B (k, n), or its transpose, into the address `panels`, in threads. Returns the address behind its panels."""
    n, k = b.shape if transposed else b.shape[::-1]
    _pack(b.dtype.type(0), arithmetic, address(b), b.strides[0] // b.itemsize, int(transposed), n, k, panels)
    return panels + panel_bytes(arithmetic, b.itemsize, n, k)


def panel_bytes(arithmetic, item, n, k):
    """Bytes of the packed panels of a (k, n) matrix; `item`: bytes of a value."""
    width = NR_F32 * 4 // item
    return -(-n // width) * width * (k + arithmetic.pairs >> arithmetic.pairs) * item


# -- from Python -----------------------------------------------------------------------------------------------------------

MODES = ("auto", "numba", "blas")


@functools.cache
def matmul_mode():
    """TOYLM_MATMUL, read once: "numba" (our kernels), "blas" (NumPy's), or "auto": ours where the tile knows the CPU's vectors.

    Ours come to OpenBLAS's speed (python -m toylm.bench matmul), and no BLAS threads are left spinning for 0.1 s after a product
    beside the other kernels. The choice depends on the machine alone, so that runs repeat bit for bit.
    """
    mode = os.environ.get("TOYLM_MATMUL", "auto")
    if mode not in MODES:
        raise UsageError(f"TOYLM_MATMUL is {mode!r}; valid: {', '.join(MODES)}")
    if mode == "auto":
        return "numba" if VECTOR_BYTES >= 32 or MR >= 6 else "blas"
    return mode


def matmul(a, b, out, transpose_a=False, transpose_b=False, accumulate=False, addend=None):
    """out = op(a) · op(b), plus `out` with accumulate, or plus `addend`, in threads.

    a: (m, k), or (k, m) with transpose_a. b: (k, n), or (n, k) with transpose_b. out: (m, n). All float32 or all float64,
    rows contiguous (a column slice of a wider matrix is fine); `out` must not overlap a or b. addend: (m, n). Returns `out`.
    Raises ValueError for shapes that do not fit, rows that are not contiguous and an `out` that is read-only, TypeError for dtypes
    that differ.
    """
    return _checked_product(a, b, out, transpose_a, transpose_b, accumulate, addend, False)


def matmul_bf16(a, b, out, transpose_a=False, transpose_b=False, accumulate=False, addend=None):
    """`matmul` with both operands rounded to bf16 (8 bits of precision), products and sums in float32. All float32.

    Raises what `matmul` raises, TypeError for float64 too, and ValueError on a CPU without AVX512_BF16.
    """
    if a.dtype == np.float64:
        raise InputTypeError(f"bf16 products take float32 matrices, not {a.dtype}")
    if bf16_support() is None:
        raise UsageError("this CPU has no bf16 products (AVX512_BF16); use float32, or TOYLM_BF16=emulate to try them slowly")
    return _checked_product(a, b, out, transpose_a, transpose_b, accumulate, addend, True)


def _checked_product(a, b, out, transpose_a, transpose_b, accumulate, addend, bf16):
    m, n, k, addend = _check(a, b, out, transpose_a, transpose_b, accumulate, addend)
    if m == 0 or n == 0 or k == 0:
        out[:] = 0 if addend is None else addend
    elif matmul_mode() == "blas" and not bf16:
        product = (a.T if transpose_a else a, b.T if transpose_b else b)
        if addend is None:
            np.matmul(*product, out=out)
        else:
            np.add(addend, product[0] @ product[1], out=out)
    else:
        item, threads = a.itemsize, threads_now() if m * n * k >= 32768 else 1  # less work than starting threads
        d, d_stride = (0, 0) if addend is None else (address(addend), addend.strides[0] // item)
        product = Product(
            address(a), a.strides[0] // item, int(transpose_a), address(b), b.strides[0] // item, int(transpose_b),
            address(out), out.strides[0] // item, d, d_stride, m, n, k,
        )  # fmt: skip
        memory = scratch.address("products", threads_now() * SCRATCH_BYTES)
        _multiply.with_threads(a.dtype.type(0), arithmetic_of(a.dtype, bf16), product, memory, threads)
    return out


def _check(a, b, out, transpose_a, transpose_b, accumulate, addend):
    """(m, n, k, addend) of a product, `out` being the addend where it accumulates; raises as `matmul` documents."""
    m, k = a.shape[::-1] if transpose_a else a.shape
    k2, n = b.shape[::-1] if transpose_b else b.shape
    if k != k2 or out.shape != (m, n):
        raise UsageError(
            f"cannot multiply {_describe(a, transpose_a)} by {_describe(b, transpose_b)} into {out.shape[0]} x {out.shape[1]}"
        )
    if not a.dtype == b.dtype == out.dtype or a.dtype not in (np.float32, np.float64):
        raise InputTypeError(f"products take all float32 or all float64, not {a.dtype}, {b.dtype} into {out.dtype}")
    if accumulate:
        addend = out
    if addend is not None and addend.dtype != out.dtype:
        raise InputTypeError(f"cannot add {addend.dtype} to a product of {out.dtype}; use addend.astype({str(out.dtype)!r})")
    if addend is not None and addend.shape != out.shape:
        raise UsageError(f"cannot add {addend.shape} to a product of {m} x {n}")
    if not out.flags.writeable:  # kernels write by address, which knows no such flag
        raise UsageError(f"out ({m} x {n}) is read-only; give an array that may be written, such as a copy")
    for x in (a, b, out) if addend is None else (a, b, out, addend):
        if x.size and x.strides[1] != x.itemsize and x.shape[1] > 1:
            raise UsageError("the rows of a matrix must be contiguous; use np.ascontiguousarray")
    return m, n, k, addend


def _describe(x, transposed):
    return f"{x.shape[0]} x {x.shape[1]}{' transposed' if transposed else ''}"


# -- a bias: y = x + b for every row ---------------------------------------------------------------------------------------


@parallel
def bias_forward(x, b, threads, thread):
    """x += b; x: (N, n); b: (n,)."""
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        row = x[i]
        for j in range(b.shape[0]):
            row[j] += b[j]


@parallel
def bias_backward(dy, db, threads, thread):
    """db += sum of the rows of dy; dy: (N, n); db: (n,). Threads share the columns, so every sum has the same order."""
    n = db.shape[0]
    start, stop = rows_of(n, threads, thread)
    out = db[start:stop]
    for i in range(dy.shape[0]):
        row = dy[i, start:stop]
        for j in range(out.shape[0]):
            out[j] += row[j]
