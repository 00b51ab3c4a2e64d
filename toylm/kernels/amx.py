"""bf16 products on AMX tiles, as LLVM intrinsics. Which operands they multiply, arithmetic.py says.

A tile register holds 16 rows of 64 bytes: 16 x 16 sums, 16 rows x 16 pairs of A, or 16 pairs x 16 columns of B, which is how rows
of packed pairs and packed panels lie in memory. TDPBF16PS adds A · B, 32 values deep, to the sums. The pair tiles multiply what
fills no AMX tile: fewer than 16 rows, a panel whose columns are no whole number of tiles, and steps beyond a multiple of 16.

LLVM's intrinsics name tile registers by number, and LLVM does not know that something is kept in them from one to the next. So a
block is emitted as a whole, with no call in it. LLVM takes the intrinsics to read and write any memory, so that loads and stores
of C by vectors, before and after, stay before and after.
"""

import ctypes
import functools
import sys

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import I64, POINTER, cgutils, host_features
from .tile import FEATURES

I8, I512 = ir.IntType(8), ir.IntType(512)
TILE = 16  # rows of a tile, and columns or pairs in it
A_TILES, B_TILES = 4, 6  # the first of two tiles each; tiles 0 to 3 are sums

# LDTILECFG's operand: palette 1, then bytes a row of each of the eight tiles (16 bits from byte 16) and their rows (from byte 48).
CONFIGURATION = bytes([1] + 15 * [0] + 8 * [4 * TILE, 0] + 16 * [0] + 8 * [TILE] + 8 * [0])

_AMX = {"amx-tile", "amx-bf16"}
# Numba may be told, by NUMBA_CPU_FEATURES, to compile for more than this CPU has, or for less.
AMX_COMPILED = sys.platform == "linux" and sys.maxsize > 2**32 and _AMX <= FEATURES
HOST_AMX = AMX_COMPILED and host_features() >= _AMX


@functools.cache
def permitted():
    """Ask Linux for the tile registers, which it gives a process (all its threads, also later ones) on request only.

    It refuses where a hypervisor keeps them back, or a thread has a signal stack too small for 8 KiB of tiles more.
    """
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return ctypes.CDLL(None).syscall(*map(ctypes.c_long, (arch_prctl, request_permission, tile_data))) == 0


def _emit(builder, name, *arguments):
    """Call one of LLVM's AMX intrinsics; an int is the number of a tile."""
    values = [I8(x) if isinstance(x, int) else x for x in arguments]
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), values)


@intrinsic
def configure_tiles(typingctx):
    """Give this thread's tiles 16 rows of 64 bytes where they have another shape, or none yet.

    Reading the configuration takes a tenth of the time that loading one does, and every thread has its own, which another library
    may change between two calls. The tiles are not released afterwards: no callee may rely on them, Linux saves them when it
    switches threads and releases them itself before a core sleeps, and the next product would have to load them again.
    """

    def codegen(context, builder, signature, args):
        ours = I512(int.from_bytes(CONFIGURATION, "little"))
        memory = cgutils.alloca_once(builder, I512)
        pointer = builder.bitcast(memory, POINTER)
        _emit(builder, "sttilecfg", pointer)
        with builder.if_then(builder.icmp_unsigned("!=", builder.load(memory), ours), likely=False):
            builder.store(ours, memory)
            _emit(builder, "ldtilecfg", pointer)
        return context.get_dummy_value()

    return types.void(), codegen


def _emit_block(b, rows, columns, matrices, steps):
    a, panel, c, d = (b.extract_value(matrix, 0) for matrix in matrices)
    lda, ldp, ldc, ldd = (b.shl(b.extract_value(matrix, 1), I64(2)) for matrix in matrices)  # in bytes
    sums = [(i, j, 2 * i + j) for i in range(rows) for j in range(columns)]

    def at(matrix, stride, i, j):
        """Where tile (i, j) of a matrix begins."""
        return b.inttoptr(b.add(matrix, b.add(b.mul(stride, I64(TILE * i)), I64(4 * TILE * j))), POINTER)

    load, zero, loop, done = (b.append_basic_block(name) for name in ("load_d", "zero", "loop", "done"))
    b.cbranch(b.icmp_signed("!=", d, I64(0)), load, zero)
    b.position_at_end(load)
    for i, j, tile in sums:
        _emit(b, "tileloadd64", tile, at(d, ldd, i, j), ldd)
    b.branch(loop)
    b.position_at_end(zero)
    for _, _, tile in sums:
        _emit(b, "tilezero", tile)
    b.branch(loop)

    b.position_at_end(loop)
    step = b.phi(I64)
    step.add_incoming(I64(0), load)
    step.add_incoming(I64(0), zero)
    a_here, panel_here = b.add(a, b.mul(step, I64(4))), b.add(panel, b.mul(step, ldp))
    for i, j, tile in sums:  # a product follows as soon as both of its factors are there
        if j == 0:
            _emit(b, "tileloadd64", A_TILES + i, at(a_here, lda, i, 0), lda)
        if i == 0:
            _emit(b, "tileloadd64", B_TILES + j, at(panel_here, ldp, 0, j), ldp)
        _emit(b, "tdpbf16ps", tile, A_TILES + i, B_TILES + j)
    after = b.add(step, I64(TILE))
    step.add_incoming(after, loop)
    b.cbranch(b.icmp_signed("<", after, steps), loop, done)

    b.position_at_end(done)
    for i, j, tile in sums:
        _emit(b, "tilestored64", tile, at(c, ldc, i, j), ldc)


def _make_block(rows, columns):
    @intrinsic
    def block(typingctx, a, panel, c, d, steps):
        """C = D + A · B for `rows` x `columns` tiles of C, `steps` pairs deep, a multiple of 16, not 0; no D where there is none.

        Each a Matrix of elements of 4 bytes: A (16 rows, steps) by rows, B (steps, 16 columns) in a panel.
        """

        def codegen(context, builder, signature, args):
            _emit_block(builder, rows, columns, args[:4], args[4])
            return context.get_dummy_value()

        return types.void(a, panel, c, d, types.int64), codegen

    return block


block_1x1, block_1x2, block_2x1, block_2x2 = (_make_block(rows, columns) for rows in (1, 2) for columns in (1, 2))
