"""Register tiles: the few LLVM instructions that the kernels of this package are written with, at the host's vector width.

Numba's own vectoriser does not keep a block of accumulators in registers; an @intrinsic made of these pieces does.
"""

from llvmlite import ir
from numba.core import cgutils

from ..kernels.tile import FEATURES

F64, I32, I64 = ir.DoubleType(), ir.IntType(32), ir.IntType(64)

# Accumulators must fit the register file: 24 of 32 512-bit registers, or 12 of 16 256-bit ones.
WIDTH = 8 if "avx512f" in FEATURES else 4
ROWS = 12 if WIDTH == 8 else 6
PANEL = 2 * WIDTH
VECTOR = ir.VectorType(F64, WIDTH)
ZERO = ir.Constant(VECTOR, [0.0] * WIDTH)


def integer(value):
    """A 64-bit constant."""
    return ir.Constant(I64, value)


def broadcast(b, vector, lane):
    """A vector with one lane of another in every lane."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    return b.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(I32, WIDTH), [lane] * WIDTH))


def splat(b, scalar):
    """A vector with a scalar in every lane."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    return broadcast(b, b.insert_element(undefined, scalar, ir.Constant(I32, 0)), 0)


def load(b, base, offset):
    """The vector at base[offset:offset + WIDTH]."""
    value = b.load(b.bitcast(b.gep(base, [offset]), VECTOR.as_pointer()))
    value.align = 8
    return value


def load_scalar(b, base, offset):
    """base[offset]."""
    return b.load(b.gep(base, [offset]))


def store(b, value, base, offset):
    """base[offset:offset + WIDTH] = value."""
    b.store(value, b.bitcast(b.gep(base, [offset]), VECTOR.as_pointer())).align = 8


def prefetch(b, address):
    """Ask for the cache line at an address; one outside of all arrays does no harm."""
    byte = ir.IntType(8).as_pointer()
    function = b.module.declare_intrinsic("llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32]))
    # To be read (0), kept in the second-level cache (2), data (1).
    b.call(function, [b.inttoptr(address, byte), *(ir.Constant(I32, value) for value in (0, 2, 1))])


def fused_multiply_add(b):
    """The function (x, y, z) -> x y + z on vectors, rounded once."""
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fmuladd.v{WIDTH}f64")


def pointers(b, *addresses):
    """Pointers to float64 from addresses."""
    return [b.inttoptr(address, F64.as_pointer()) for address in addresses]
