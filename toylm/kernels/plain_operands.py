"""float32 and float64 operands: A is read where it is, but for a transposed one, B is packed panel by panel."""

import numpy as np

from .jit import c_function
from .operands import PACKING_PARAMETERS, PANEL_PARAMETERS, TILES_PARAMETERS, signature
from .simd import (
    MR,
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


def entries(zero):
    """The table of operands.py for the dtype of `zero`."""

    @c_function(signature(TILES_PARAMETERS))
    def tiles(a, lda, step, by_columns, panel, c, ldc, d, ldd, rows, columns, k):
        size, nr = item_size(zero), panel_width(zero)
        for i in range(0, rows, MR):
            here, left = a + i * step * size, rows - i
            target, addend = c + i * ldc * size, d + i * ldd * size if d != 0 else d
            if left >= MR and columns == nr:
                if by_columns:
                    tile_by_column(zero, here, lda, panel, nr, target, ldc, k, addend, ldd)
                else:
                    tile_by_row(zero, here, lda, panel, nr, target, ldc, k, addend, ldd)
            else:
                left = min(left, MR)
                if by_columns:
                    edge_tile_by_column(zero, here, lda, panel, nr, target, ldc, k, addend, ldd, left, columns)
                else:
                    edge_tile_by_row(zero, here, lda, panel, nr, target, ldc, k, addend, ldd, left, columns)

    @c_function(signature(PANEL_PARAMETERS))
    def pack_panel(b, ldb, transposed, columns, k, panel):
        size, nr = item_size(zero), panel_width(zero)
        if not transposed:
            if columns == nr:
                for p in range(k):
                    copy_vectors(zero, b + p * ldb * size, panel + p * nr * size)
            else:
                for p in range(k):
                    for c in range(columns):
                        store(load(zero, b, p * ldb + c), panel, p * nr + c)
                    for c in range(columns, nr):
                        store(zero, panel, p * nr + c)
            return
        width = np.int64(VECTOR_BYTES) // size
        whole_rows, whole_columns = k // width * width, columns // width * width
        for c in range(0, whole_columns, width):
            for p in range(0, whole_rows, width):
                transpose_block(zero, b + (c * ldb + p) * size, ldb, panel + (p * nr + c) * size, nr)
            for p in range(whole_rows, k):
                for i in range(c, c + width):
                    store(load(zero, b, i * ldb + p), panel, p * nr + i)
        for c in range(whole_columns, columns):
            for p in range(k):
                store(load(zero, b, c * ldb + p), panel, p * nr + c)
        for c in range(columns, nr):
            for p in range(k):
                store(zero, panel, p * nr + c)

    @c_function(signature(PACKING_PARAMETERS))
    def pack_columns(a, lda, rows, k, packed):
        """A (k, rows) by tiles: (p, i) of the tile from column c is at packed[c · k + p · MR + i]; the last may be narrower."""
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

    return 0, 0, MR, tiles, pack_panel, 0, pack_columns
