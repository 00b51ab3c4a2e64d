"""Products of AMX tiles, through LLVM's intrinsics: this thread's configuration, and one block of C.

A tile register holds 16 rows of 64 bytes: 16 x 16 sums, 16 rows x 16 pairs of A, or 16 pairs x 16 columns of B, which is how rows
of packed pairs and packed panels (operands.py) lie in memory. TDPBF16PS adds A · B, 32 values deep, to the sums.

These intrinsics name tile registers by number, and LLVM does not know that something is kept in them from one to the next. So a
block is emitted as a whole, with no call in it. LLVM takes the intrinsics to read and write any memory, so that loads and stores
of C by vectors, before and after, stay before and after.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I8, I64, I512 = ir.IntType(8), ir.IntType(64), ir.IntType(512)
TILE = 16  # rows of a tile, and columns or pairs in it
A_TILES, B_TILES = 4, 6  # the first of two tiles each; tiles 0 to 3 are sums

# LDTILECFG's operand: palette 1, then bytes a row of each of the eight tiles (16 bits from byte 16) and their rows (from byte 48).
CONFIGURATION = bytes([1] + 15 * [0] + 8 * [4 * TILE, 0] + 16 * [0] + 8 * [TILE] + 8 * [0])


def _emit(builder, name, *arguments):
    """Call one of LLVM's AMX intrinsics; an int is the number of a tile."""
    values = [ir.Constant(I8, x) if isinstance(x, int) else x for x in arguments]
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), values)


@intrinsic
def configure(typingctx):
    """Give this thread's tiles 16 rows of 64 bytes where they have another shape, or none yet.

    Reading the configuration takes a tenth of the time that loading one does, and every thread has its own, which another library
    may change between two calls. The tiles are not released afterwards: no callee may rely on them, Linux saves them when it
    switches threads and releases them itself before a core sleeps, and the next product would have to load them again.
    """

    def codegen(context, builder, signature, args):
        ours = ir.Constant(I512, int.from_bytes(CONFIGURATION, "little"))
        memory = cgutils.alloca_once(builder, I512)
        pointer = builder.bitcast(memory, I8.as_pointer())
        _emit(builder, "sttilecfg", pointer)
        with builder.if_then(builder.icmp_unsigned("!=", builder.load(memory), ours), likely=False):
            builder.store(ours, memory)
            _emit(builder, "ldtilecfg", pointer)
        return context.get_dummy_value()

    return types.void(), codegen


def _emit_block(builder, rows, columns, a, lda, panel, ldp, c, ldc, d, ldd, steps):
    b = builder
    lda, ldp, ldc, ldd = (b.shl(stride, I64(2)) for stride in (lda, ldp, ldc, ldd))  # in bytes
    sums = [(i, j, 2 * i + j) for i in range(rows) for j in range(columns)]

    def at(matrix, stride, i, j):
        """Where tile (i, j) of a matrix begins."""
        offset = b.add(b.mul(stride, I64(TILE * i)), I64(4 * TILE * j))
        return b.inttoptr(b.add(matrix, offset), I8.as_pointer())

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
    def block(typingctx, a, lda, panel, ldp, c, ldc, d, ldd, steps):
        """C = D + A · B for `rows` x `columns` tiles of C, `steps` pairs deep, a multiple of 16 and not 0; no D where `d` is 0.

        By address and stride, in elements of 4 bytes: A (16 rows, steps) by rows, B (steps, 16 columns) in a panel.
        """

        def codegen(context, builder, signature, args):
            _emit_block(builder, rows, columns, *args)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 9), codegen

    return block


block_1x1, block_1x2, block_2x1, block_2x2 = (_make_block(rows, columns) for rows in (1, 2) for columns in (1, 2))
