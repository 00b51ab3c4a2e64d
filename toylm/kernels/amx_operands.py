"""bf16 operands on AMX tiles: packed as for the pair tiles (bf16_operands.py), but for a transposed A, which lies by rows as well.

The pair tiles multiply what fills no AMX tile: fewer than 16 rows, a panel whose columns are no whole number of tiles, and steps
beyond a multiple of 16.
"""

import llvmlite.binding as llvm
from numba import types

from . import bf16_operands
from .amx import TILE, block_1x1, block_1x2, block_2x1, block_2x2, configure
from .bf16_operands import value_at
from .jit import c_function
from .operands import PACKING_PARAMETERS, TILES_PARAMETERS, signature
from .pairs import WIDTH, pair, transpose_paired_rows
from .simd import NR_F32, panel_width, store

_pair_tiles = types.ExternalFunction("toylm_pair_tiles", signature(TILES_PARAMETERS))


def entries(zero):
    """The table of operands.py; `zero` is float32."""
    _, _, _, pair_tiles, pack_panel, pack_rows, _ = bf16_operands.entries(zero)
    llvm.add_symbol("toylm_pair_tiles", pair_tiles)

    @c_function(signature(TILES_PARAMETERS))
    def tiles(a, lda, step, by_columns, panel, c, ldc, d, ldd, rows, columns, pairs):
        nr = panel_width(zero)
        deep = pairs // TILE * TILE
        whole = rows // TILE * TILE if deep > 0 and columns % TILE == 0 else 0
        if whole > 0:
            configure()
            for i in range(0, whole, 2 * TILE):
                here, target = a + i * lda * 4, c + i * ldc * 4
                addend = d + i * ldd * 4 if d != 0 else d
                if i + TILE < whole:
                    if columns > TILE:
                        block_2x2(here, lda, panel, nr, target, ldc, addend, ldd, deep)
                    else:
                        block_2x1(here, lda, panel, nr, target, ldc, addend, ldd, deep)
                elif columns > TILE:
                    block_1x2(here, lda, panel, nr, target, ldc, addend, ldd, deep)
                else:
                    block_1x1(here, lda, panel, nr, target, ldc, addend, ldd, deep)
            if deep < pairs:
                _pair_tiles(a + deep * 4, lda, lda, 0, panel + deep * nr * 4, c, ldc, c, ldc, whole, columns, pairs - deep)
        if whole < rows:
            here, target = a + whole * lda * 4, c + whole * ldc * 4
            addend = d + whole * ldd * 4 if d != 0 else d
            _pair_tiles(here, lda, lda, 0, panel, target, ldc, addend, ldd, rows - whole, columns, pairs)

    @c_function(signature(PACKING_PARAMETERS))
    def pack_columns(a, lda, rows, k, packed):
        """packed[i, p] = pair(A[2p, i], A[2p + 1, i]); A (k, rows) by rows."""
        pairs = (k + 1) // 2
        whole_rows, whole_pairs = rows // WIDTH * WIDTH, k // (2 * WIDTH) * WIDTH
        for p in range(0, whole_pairs, WIDTH):
            for i in range(0, whole_rows, WIDTH):
                transpose_paired_rows(zero, a + (2 * p * lda + i) * 4, lda, packed + (i * pairs + p) * 4, pairs)
        for i in range(rows):
            for p in range(whole_pairs if i < whole_rows else 0, pairs):
                value = pair(value_at(zero, a, lda, True, i, 2 * p, k), value_at(zero, a, lda, True, i, 2 * p + 1, k))
                store(value, packed, i * pairs + p)

    # Units of as many rows as a panel has columns: attention cuts its queries, which are both, at multiples of either.
    return 1, 1, NR_F32, tiles, pack_panel, pack_rows, pack_columns
