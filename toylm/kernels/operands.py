"""What enters the multiplications of a product, behind one table of compiled functions an arithmetic.

Products come in three arithmetics: float32 and float64, whose values are read where they are, and bf16, whose values are rounded
and laid in pairs along k (pairs.py). Whatever differs, the register tiles and the packing, is compiled once an arithmetic and
called by address (plain_operands.py, bf16_operands.py, and amx_operands.py for bf16 on a CPU with AMX); the kernels around it get
the table as the number `operands` and are the same for float32 and bf16. Linked into every kernel instead, tiles and packing would
be most of the time that compiling takes.

A *step* is what a tile adds in one round: one value along k, or one pair. Packed panels of B: (ceil(n / NR), steps, NR), so that
columns from `first`, a multiple of NR, start at first · steps elements and step p of a panel at p · NR.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .bf16_choice import on_amx_tiles
from .jit import inner
from .simd import MR, NR_F32, VECTOR_BYTES

KC = 256  # steps of a panel: KC · NR float32 (16 KiB, 32 with AVX-512) stay in the first-level cache
PANEL_BYTES = KC * NR_F32 * 4  # of any arithmetic

# The table: three numbers (see `pairs`, `by_rows`, `row_unit`), then addresses of functions. All their parameters are int64.
PAIRS, BY_ROWS, ROW_UNIT, TILES, PANEL, ROWS, COLUMNS = range(7)
TILES_PARAMETERS = 12  # a, lda, step, by_columns, panel, c, ldc, d, ldd, rows, columns, k
PANEL_PARAMETERS = 6  # b, ldb, transposed, columns, k, panel
PACKING_PARAMETERS = 5  # a, lda, rows, k, packed: of ROWS and COLUMNS


def signature(parameters):
    """That of a function in the table, for `c_function`."""
    return types.void(*[types.int64] * parameters)


_tables = []  # they live as long as the process


@functools.cache
def operands_of(dtype, bf16=False):
    """The table of an arithmetic: its address, as an int. Compiles what is in it, or loads it."""
    if not bf16:
        from .plain_operands import entries
    elif on_amx_tiles():
        from .amx_operands import entries
    else:
        from .bf16_operands import entries
    table = np.array(entries(dtype.type(0)), np.int64)
    _tables.append(table)
    return table.ctypes.data


@intrinsic
def _invoke(typingctx, operands, index, arguments):
    """Call function number `index` of the table with a tuple of int64 (or bool)."""

    def codegen(context, builder, signature, values):
        word = ir.IntType(64)
        integers = [
            context.cast(builder, builder.extract_value(values[2], i), kind, types.int64)
            for i, kind in enumerate(signature.args[2].types)
        ]
        table = builder.inttoptr(values[0], word.as_pointer())
        function = ir.FunctionType(ir.VoidType(), [word] * len(integers)).as_pointer()
        builder.call(builder.inttoptr(builder.load(builder.gep(table, [values[1]])), function), integers)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, arguments), codegen


def _number(index):
    @intrinsic
    def number(typingctx, operands):
        def codegen(context, builder, signature, values):
            word = ir.IntType(64)
            table = builder.inttoptr(values[0], word.as_pointer())
            return builder.load(builder.gep(table, [ir.Constant(word, index)]))

        return types.int64(types.int64), codegen

    return number


pairs = _number(PAIRS)  # 1 where a step is a pair of values, else 0
by_rows = _number(BY_ROWS)  # 1 where tiles read A by rows only, a transposed one as well, else 0
# Rows of C that tiles work on at a time. Work is cut at multiples of it: rows beyond are slower and may be summed in other order.
row_unit = _number(ROW_UNIT)


@inner
def steps_of(operands, k):
    """Steps along k."""
    shift = pairs(operands)
    return (k + shift) >> shift


@inner
def tiles(operands, a, lda, step, by_columns, panel, c, ldc, d, ldd, rows, columns, k):
    """C[:rows, :columns] = D + A · panel, `k` >= 1 steps deep, tile by tile; all by address.

    A by rows: (i, p) is lda · i + p elements from `a`, and step = lda. By columns: p · lda + i within a tile, whose first row i
    is i · step elements from `a`; tiles that read A by rows only take by_columns for False. No D where `d` is 0; D may be C.
    """
    _invoke(operands, TILES, (a, lda, step, by_columns, panel, c, ldc, d, ldd, rows, columns, k))


@inner
def pack_panel(operands, b, ldb, transposed, columns, k, panel):
    """panel[p, c] = B[p, c] (B[c, p] where transposed), k values deep, c < NR; zero from `columns` on."""
    _invoke(operands, PANEL, (b, ldb, transposed, columns, k, panel))


@inner
def rows_of_a(operands, a, lda, rows, k, packed):
    """A (rows, k) as `tiles` reads it: (address, lda). Where it is, or in `packed`, (rows, steps)."""
    if pairs(operands) == 0:
        return a, lda
    _invoke(operands, ROWS, (a, lda, rows, k, packed))
    return packed, steps_of(operands, k)


@inner
def columns_of_a(operands, a, lda, rows, k, packed):
    """Aᵀ, from A (k, rows), packed as `tiles` reads it by columns, or by rows where it reads nothing else: (address, lda, step).

    Walking along a column of A itself would take a cache line, often of one and the same cache set, a step.
    """
    _invoke(operands, COLUMNS, (a, lda, rows, k, packed))
    if pairs(operands) == 0:
        return packed, np.int64(MR), k
    if by_rows(operands) == 1:
        return packed, steps_of(operands, k), steps_of(operands, k)
    width = np.int64(VECTOR_BYTES // 4)
    return packed, (rows + width - 1) // width * width, np.int64(1)


@inner
def few_columns_of_a(operands, a, lda, rows, k, packed):
    """The same for a k so small that plain values are best read where they are."""
    if pairs(operands) == 0:
        return a, lda, np.int64(1)
    return columns_of_a(operands, a, lda, rows, k, packed)
