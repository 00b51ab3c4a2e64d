"""What enters the multiplications of a product, behind one table of compiled functions an arithmetic.

Products come in three arithmetics: float32 and float64, whose values are read where they are, and bf16, whose values are rounded
and laid in pairs along k, for AVX512_BF16 or AMX (amx.py). Whatever differs, the register tiles and the packing, is
compiled once an arithmetic and called by address; the kernels around it get the addresses (`Arithmetic`) and are the same for
float32 and bf16. Linked into every kernel instead, tiles and packing would be most of the time that compiling takes.

A *step* is what a tile adds in one round: one value along k, or one pair. Packed panels of B: (ceil(n / NR), steps, NR), so that
columns from `first`, a multiple of NR, start at first · steps elements and step p of a panel at p · NR. `like` is a number that
tells the dtype.
"""

import functools
import os
from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np
from numba import from_dtype, types

from ..errors import UsageError
from .amx import AMX_COMPILED, HOST_AMX, TILE, block_1x1, block_1x2, block_2x1, block_2x2, configure_tiles, permitted
from .jit import c_function, call, device_function, with_globals
from .tile import (
    HOST_BF16,
    MR,
    NR_F32,
    PAIR_TILES,
    VALUE_TILES,
    VECTOR_BYTES,
    WIDTH,
    Matrix,
    cast,
    copy_vector,
    copy_vectors,
    item_size,
    load,
    pair,
    pair_along,
    pair_rows,
    panel_width,
    store,
    transpose_block,
    transpose_paired_rows,
    transpose_pairs,
)

KC = 256  # steps of a panel: KC · NR float32 (16 KiB, 32 with AVX-512) stay in the first-level cache
PANEL_BYTES = KC * NR_F32 * 4  # of any arithmetic
BF16_MODES = ("avx512", "emulate", "tiles")


class Arithmetic(NamedTuple):
    """pairs: 1 where a step is a pair of values, else 0. by_rows: 1 where tiles read A by rows only, a transposed one as well.
    row_unit: rows of C that tiles work on at a time. Work is cut at multiples of it: what is left of one is slower, and may be
    summed in another order. Then addresses of functions."""

    pairs: int
    by_rows: int
    row_unit: int
    tiles: int
    pack_panel: int
    pack_rows: int
    pack_columns: int


@functools.cache
def arithmetic_of(dtype, bf16=False):
    """The Arithmetic of float32 or float64, or of bf16. Compiles what is in it, or loads it."""
    if not bf16:
        numbers, functions = (0, 0, MR), (tiles_of_values, panel_of_values, None, columns_of_values)
    elif on_amx():
        # A unit has as many rows as a panel has columns: attention cuts its queries, which are both, at multiples of either.
        numbers, functions = (1, 1, NR_F32), (tiles_of_amx, panel_of_pairs, rows_of_pairs, columns_of_amx)
    else:
        numbers, functions = (1, 0, MR), (tiles_of_pairs, panel_of_pairs, rows_of_pairs, columns_of_pairs)
    like, counts = from_dtype(dtype), (12, 6, 5, 5)  # parameters that are int64
    return Arithmetic(*numbers, *(0 if f is None else c_function(f, like, *[types.int64] * n) for f, n in zip(functions, counts)))


# -- how bf16 is multiplied, and whether it pays -----------------------------------------------------------------------------


def _bf16_mode():
    """TOYLM_BF16: None where unset or empty, for the best that the CPU has, or one of BF16_MODES.

    "avx512": without AMX tiles, to compare. "emulate": the best as well, but where there is none, several float32 instructions in
    the place of one. "tiles": AMX code whatever the CPU is, for a test that traps it and executes it in software.
    """
    mode = os.environ.get("TOYLM_BF16") or None
    if mode not in (None, *BF16_MODES):
        raise UsageError(f"TOYLM_BF16 is {mode!r}; valid: {', '.join(BF16_MODES)}, or unset")
    if mode == "tiles" and not AMX_COMPILED:
        raise UsageError("TOYLM_BF16 is 'tiles', which needs 64-bit Linux and a CPU with AMX, or NUMBA_CPU_FEATURES with "
                         "+amx-tile,+amx-bf16 in it; unset it for the best that this CPU has")  # fmt: skip
    return mode


def bf16_support():
    """How this process multiplies bf16: "native" by the CPU's instructions (AVX512_BF16, and AMX where `on_amx`); "emulated" by
    several float32 ones, where TOYLM_BF16 allows it, which is slower than float32 and gives what the instructions give but for
    roundings; None where bf16 is refused. The one place that decides; raises UsageError where TOYLM_BF16 is something else."""
    mode = _bf16_mode()
    if HOST_BF16:
        return "native"
    return "emulated" if mode in ("emulate", "tiles") else None


def on_amx():
    """Whether bf16 products run on AMX tiles in this process; asks the operating system for them."""
    mode = _bf16_mode()
    if mode == "tiles":
        permitted()
        return True
    return mode != "avx512" and HOST_AMX and HOST_BF16 and permitted()


def bf16_way():
    """What multiplies bf16 in this process, in words, for a run's first lines."""
    if on_amx():
        return "AMX tiles"
    if not HOST_BF16:
        return "emulated"
    return "AVX512_BF16; the system refuses AMX tiles" if HOST_AMX and _bf16_mode() != "avx512" else "AVX512_BF16"


def bf16_pays():
    """Whether training is faster in bf16 than in float32 on this CPU: what precision "auto" goes by."""
    # A training step in bf16 took, of its time in float32: with AMX (Emerald Rapids) 0.79, 0.52 and 0.54 at the presets nano, tiny
    # and small; with AVX512_BF16 alone 0.63 to 0.75 on AMD's Zen 4, but 1.4 to 1.5 on Emerald Rapids.
    return bf16_support() == "native" and (on_amx() or llvm.get_host_cpu_name().startswith("znver"))


# -- what kernels call ---------------------------------------------------------------------------------------------------


class TileRows(NamedTuple):
    """A as tiles read it. By rows: (i, p) is stride · i + p elements from `at`, and step = stride. By columns: p · stride + i
    within a tile, whose first row i is i · step elements from `at`; not where the arithmetic is `by_rows`."""

    at: int
    stride: int
    step: int
    by_columns: bool


@device_function
def part(like, matrix, row, column):
    """The matrix from this row and column on; none stays none."""
    if matrix.at == 0:
        return matrix
    return Matrix(matrix.at + (row * matrix.stride + column) * item_size(like), matrix.stride)


@device_function
def steps_of(arithmetic, k):
    """Steps along k."""
    return (k + arithmetic.pairs) >> arithmetic.pairs


@device_function
def tiles(like, arithmetic, a, panel, c, d, shape, k):
    """C[:rows, :columns] = D + A · panel, `k` >= 1 steps deep, tile by tile. a: TileRows; c, d: Matrix, D may be C or none."""
    rows, columns = shape
    call(arithmetic.tiles, (like, a.at, a.stride, a.step, a.by_columns, panel, c.at, c.stride, d.at, d.stride, rows, columns, k))


@device_function
def pack_panel(like, arithmetic, b, transposed, columns, k, panel):
    """panel[p, c] = B[p, c] (B[c, p] where transposed), k values deep, c < NR; zero from `columns` on."""
    call(arithmetic.pack_panel, (like, b.at, b.stride, transposed, columns, k, panel))


@device_function
def rows_of_a(like, arithmetic, a, rows, k, packed):
    """A (rows, k) as TileRows: where it is, or in `packed`, (rows, steps)."""
    if arithmetic.pairs == 0:
        return TileRows(a.at, a.stride, a.stride, False)
    call(arithmetic.pack_rows, (like, a.at, a.stride, rows, k, packed))
    return TileRows(packed, steps_of(arithmetic, k), steps_of(arithmetic, k), False)


@device_function
def columns_of_a(like, arithmetic, a, rows, k, packed):
    """Aᵀ, from A (k, rows), packed, as TileRows.

    Walking along a column of A itself would take a cache line, often of one and the same cache set, a step.
    """
    call(arithmetic.pack_columns, (like, a.at, a.stride, rows, k, packed))
    if arithmetic.pairs == 0:
        return TileRows(packed, np.int64(MR), k, True)
    if arithmetic.by_rows == 1:
        return TileRows(packed, steps_of(arithmetic, k), steps_of(arithmetic, k), False)
    return TileRows(packed, (rows + WIDTH - 1) // WIDTH * WIDTH, np.int64(1), True)


@device_function
def few_columns_of_a(like, arithmetic, a, rows, k, packed):
    """The same for a k so small that plain values are best read where they are."""
    if arithmetic.pairs == 0:
        return TileRows(a.at, a.stride, np.int64(1), True)
    return columns_of_a(like, arithmetic, a, rows, k, packed)


@device_function
def skip_steps(like, a, steps):
    """TileRows by rows from a step on."""
    return TileRows(a.at + steps * item_size(like), a.stride, a.step, a.by_columns)


# -- float32 and float64: A is read where it is, but for a transposed one; B is packed panel by panel ------------------------
# Functions that are called by address take numbers only, in whatever number.


def _tiles(like, a, lda, step, by_columns, panel, c, ldc, d, ldd, rows, columns, k):
    size, nr = item_size(like), panel_width(like)
    for i in range(0, rows, MR):
        here, target = Matrix(a + i * step * size, lda), Matrix(c + i * ldc * size, ldc)
        addend, left = Matrix(d + i * ldd * size if d != 0 else d, ldd), rows - i
        if left >= MR and columns == nr:
            if by_columns:
                tile_by_column(like, here, panel, target, addend, k)  # noqa: F821 - these four are VALUE_TILES or PAIR_TILES
            else:
                tile_by_row(like, here, panel, target, addend, k)  # noqa: F821
        elif by_columns:
            edge_tile_by_column(like, here, panel, target, addend, k, min(left, np.int64(MR)), columns)  # noqa: F821
        else:
            edge_tile_by_row(like, here, panel, target, addend, k, min(left, np.int64(MR)), columns)  # noqa: F821


tiles_of_values = with_globals(_tiles, _tiles, "of_values", **VALUE_TILES)
tiles_of_pairs = with_globals(_tiles, _tiles, "of_pairs", **PAIR_TILES)


def panel_of_values(like, b, ldb, transposed, columns, k, panel):
    size, nr, zero = item_size(like), panel_width(like), cast(like, 0)
    if not transposed:
        if columns == nr:
            for p in range(k):
                copy_vectors(like, b + p * ldb * size, panel + p * nr * size)
        else:
            for p in range(k):
                for c in range(columns):
                    store(load(like, b, p * ldb + c), panel, p * nr + c)
                for c in range(columns, nr):
                    store(zero, panel, p * nr + c)
        return
    width = np.int64(VECTOR_BYTES) // size
    whole_rows, whole_columns = k // width * width, columns // width * width
    for c in range(0, whole_columns, width):
        for p in range(0, whole_rows, width):
            transpose_block(like, b + (c * ldb + p) * size, ldb, panel + (p * nr + c) * size, nr)
        for p in range(whole_rows, k):
            for i in range(c, c + width):
                store(load(like, b, i * ldb + p), panel, p * nr + i)
    for c in range(whole_columns, columns):
        for p in range(k):
            store(load(like, b, c * ldb + p), panel, p * nr + c)
    for c in range(columns, nr):
        for p in range(k):
            store(zero, panel, p * nr + c)


def columns_of_values(like, a, lda, rows, k, packed):
    """A (k, rows) by tiles: (p, i) of the tile from column c is at packed[c · k + p · MR + i]; the last may be narrower."""
    size = item_size(like)
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
                    copy_vector(like, source + (p * lda + j) * size, target + (p * MR + j) * size)
            for p in range(last, stop):
                for i in range(min(np.int64(MR), rows - c)):
                    store(load(like, source, p * lda + i), target, p * MR + i)


# -- bf16: float32 values rounded on their way into packed pairs along k, which halves k for what follows. Both operands are packed;
# weights, activations and gradients stay float32 in memory.


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


# -- bf16 on AMX: the operands are packed as above, but for a transposed A, which lies by rows. The tiles of pairs multiply what
# fills no AMX tile: fewer than 16 rows, a panel whose columns are no whole number of tiles, and steps beyond a multiple of 16.

_pair_tiles = device_function(tiles_of_pairs)


def tiles_of_amx(like, a, lda, step, by_columns, panel, c, ldc, d, ldd, rows, columns, pairs):
    nr, deep = panel_width(like), pairs // TILE * TILE
    whole = rows // TILE * TILE if deep > 0 and columns % TILE == 0 else 0
    if whole > 0:
        configure_tiles()
        for i in range(0, whole, 2 * TILE):
            here, target = Matrix(a + i * lda * 4, lda), Matrix(c + i * ldc * 4, ldc)
            addend, b = Matrix(d + i * ldd * 4 if d != 0 else d, ldd), Matrix(panel, nr)
            if i + TILE < whole:
                if columns > TILE:
                    block_2x2(here, b, target, addend, deep)
                else:
                    block_2x1(here, b, target, addend, deep)
            elif columns > TILE:
                block_1x2(here, b, target, addend, deep)
            else:
                block_1x1(here, b, target, addend, deep)
        if deep < pairs:
            here, left = a + deep * 4, pairs - deep
            _pair_tiles(like, here, lda, lda, by_columns, panel + deep * nr * 4, c, ldc, c, ldc, whole, columns, left)
    if whole < rows:
        here, target, addend = a + whole * lda * 4, c + whole * ldc * 4, d + whole * ldd * 4 if d != 0 else d
        _pair_tiles(like, here, lda, lda, by_columns, panel, target, ldc, addend, ldd, rows - whole, columns, pairs)


def columns_of_amx(like, a, lda, rows, k, packed):
    """packed[i, p] = pair(A[2p, i], A[2p + 1, i]); A (k, rows) by rows."""
    pairs = (k + 1) // 2
    whole_rows, whole_pairs = rows // WIDTH * WIDTH, k // (2 * WIDTH) * WIDTH
    for p in range(0, whole_pairs, WIDTH):
        for i in range(0, whole_rows, WIDTH):
            transpose_paired_rows(like, a + (2 * p * lda + i) * 4, lda, packed + (i * pairs + p) * 4, pairs)
    for i in range(rows):
        for p in range(whole_pairs if i < whole_rows else 0, pairs):
            value = pair(value_at(like, a, lda, True, i, 2 * p, k), value_at(like, a, lda, True, i, 2 * p + 1, k))
            store(value, packed, i * pairs + p)
