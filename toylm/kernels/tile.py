"""The register-blocked inner product tile: C[MR, NR] = D + A[MR, k] · B[k, NR], as LLVM vectors in a Numba intrinsic.

Numba's auto-vectoriser does not keep a block of C in registers, and that is what a fast matrix product needs: each value
of A is then used NR times and each vector of B MR times for one load. So the tile is written as LLVM IR for the vector
width of the CPU: AVX-512, AVX2, NEON, or whatever LLVM makes of plain vectors elsewhere. The blocking around it (panels,
threads, edges) is ordinary Numba: see matmul.py.

All arguments are element strides and int64 addresses (a uint64 address would turn int64 arithmetic into float64).
"""

from typing import NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import I32, I64, POINTER, cgutils, compiled_features


def _vectors_of(features):
    """(bytes a vector register, tile rows, vectors a tile row): rows · vectors accumulators plus operands fit the registers."""
    if "avx512f" in features:
        return 64, 12, 2  # 24 of 32 registers accumulate
    if {"avx2", "fma"} <= features:
        return 32, 6, 2  # 12 of 16
    if "neon" in features or "aarch64" in llvm.get_default_triple() or "arm64" in llvm.get_default_triple():
        return 16, 6, 4  # 24 of 32
    return 16, 4, 2


FEATURES = compiled_features()
VECTOR_BYTES, MR, _VECTORS = _vectors_of(FEATURES)
# An instruction for pairs of bf16, else several of float32. Before LLVM 16 its operands had another type.
HOST_BF16 = {"avx512f", "avx512bf16"} <= FEATURES and llvm.llvm_version_info[0] >= 16
NR_F32 = _VECTORS * VECTOR_BYTES // 4


class Matrix(NamedTuple):
    """A matrix stored by rows: the address of its first element (0: there is none), and elements from row to row."""

    at: int
    stride: int


def _element(like):
    if like == types.float32:
        return ir.FloatType(), 4, "f32"
    if like == types.float64:
        return ir.DoubleType(), 8, "f64"
    raise TypeError(f"tiles hold float32 or float64, not {like}")


class _BFloat(ir.types.Type):
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, _BFloat)

    def __hash__(self):
        return hash(_BFloat)


BFLOAT = _BFloat()


class Tile:
    """Emits one tile product. `edge` tiles take the numbers of valid rows and columns and use masked loads and stores.

    With `pairs`, an element of A and B is a pair of bf16 values that are neighbours along k, in the place of one float32, and
    a multiply-add adds both products: the same tile at twice the depth (AVX512_BF16; elsewhere emulated, which costs more than
    float32 but lets every machine test and study the arithmetic).
    """

    def __init__(self, context, builder, kind, edge=False, a_by_row=True, pairs=False):
        self.b, self.edge, self.a_by_row, self.pairs = builder, edge, a_by_row, pairs
        self.element, self.size, self.name = _element(kind)
        self.width = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.element, self.width)

    def multiply_add(self, a, b, acc):
        """acc + a · b, lane by lane; one rounding where the CPU has an instruction for it, two elsewhere."""
        module, call = self.b.module, self.b.call
        if not self.pairs:
            kind = ir.FunctionType(self.vector, [self.vector] * 3)
            return call(cgutils.get_or_insert_function(module, kind, f"llvm.fmuladd.v{self.width}{self.name}"), [a, b, acc])
        if not HOST_BF16:
            bits = ir.VectorType(I32, self.width)
            shift, high = (ir.Constant(bits, [value] * self.width) for value in (16, 0xFFFF0000))
            kind = ir.FunctionType(self.vector, [self.vector] * 3)
            fma = cgutils.get_or_insert_function(module, kind, f"llvm.fmuladd.v{self.width}{self.name}")
            a, b = self.b.bitcast(a, bits), self.b.bitcast(b, bits)
            for part in (lambda x: self.b.and_(x, high), lambda x: self.b.shl(x, shift)):
                acc = call(fma, [self.b.bitcast(part(a), self.vector), self.b.bitcast(part(b), self.vector), acc])
            return acc
        both = ir.VectorType(BFLOAT, 2 * self.width)
        kind = ir.FunctionType(self.vector, [self.vector, both, both])
        dot = cgutils.get_or_insert_function(module, kind, "llvm.x86.avx512bf16.dpbf16ps.512")
        return call(dot, [acc, self.b.bitcast(a, both), self.b.bitcast(b, both)])

    def constant(self, value):
        return ir.Constant(I64, value)

    def pointer(self, base, *offsets):
        """base + sum of element offsets, as a pointer to elements; computed as an integer, which keeps a tile's many row
        addresses in few registers."""
        address = base
        for offset in offsets:
            address = self.b.add(address, self.b.mul(offset, self.constant(self.size)))
        return self.b.inttoptr(address, POINTER)

    def indexed(self, base, index):
        """The same for one offset by gep: LLVM vectorises a loop over an index, not one over computed addresses."""
        return self.b.gep(self.b.inttoptr(base, POINTER), [index], source_etype=self.element)

    def load_vector(self, pointer, mask=None):
        if mask is None:
            return self.b.load(pointer, align=self.size, typ=self.vector)
        f = cgutils.get_or_insert_function(
            self.b.module,
            ir.FunctionType(self.vector, [POINTER, I32, mask.type, self.vector]),
            f"llvm.masked.load.v{self.width}{self.name}.p0",
        )
        return self.b.call(f, [pointer, I32(self.size), mask, ir.Constant(self.vector, [0.0] * self.width)])

    def store_vector(self, value, pointer, mask=None):
        if mask is None:
            self.b.store(value, pointer, align=self.size)
            return
        f = cgutils.get_or_insert_function(
            self.b.module,
            ir.FunctionType(ir.VoidType(), [self.vector, POINTER, I32, mask.type]),
            f"llvm.masked.store.v{self.width}{self.name}.p0",
        )
        self.b.call(f, [value, pointer, I32(self.size), mask])

    def splat(self, scalar, vector_type=None):
        vector_type = vector_type or self.vector
        undef = ir.Constant(vector_type, ir.Undefined)
        one = self.b.insert_element(undef, scalar, I32(0))
        return self.b.shuffle_vector(one, undef, ir.Constant(ir.VectorType(I32, vector_type.count), [0] * vector_type.count))

    def transposed(self, rows):
        """The transpose of a square of `width` vectors: log2(width) rounds that interleave the two halves."""
        w = self.width
        index = ir.VectorType(I32, w)
        low = ir.Constant(index, [i // 2 + (i % 2) * w for i in range(w)])
        high = ir.Constant(index, [w // 2 + i // 2 + (i % 2) * w for i in range(w)])
        for _ in range(w.bit_length() - 1):
            halves = [(rows[i], rows[i + w // 2]) for i in range(w // 2)]
            rows = [self.b.shuffle_vector(x, y, half) for x, y in halves for half in (low, high)]
        return rows

    def store_transposed(self, rows, target, stride):
        """Store the transpose of a square of vectors in rows at `target`, `stride` elements apart."""
        for i, row in enumerate(self.transposed(rows)):
            self.store_vector(row, self.pointer(target, self.b.mul(stride, self.constant(i))))

    def column_masks(self, columns):
        """One mask a vector of the tile row: lane l of vector j is column j · width + l, valid below `columns`."""
        lanes = ir.VectorType(I64, self.width)
        limit = self.splat(columns, lanes)
        return [
            self.b.icmp_signed("<", ir.Constant(lanes, [j * self.width + l for l in range(self.width)]), limit)
            for j in range(_VECTORS)
        ]

    def emit(self, a, panel, c, d, k, rows=None, columns=None):
        b = self.b
        (a, lda), (c, ldc), (addend, ldd) = ((b.extract_value(x, 0), b.extract_value(x, 1)) for x in (a, c, d))
        masks = [None] * _VECTORS
        if self.edge:
            masks = self.column_masks(columns)
        row_index = []
        for i in range(MR):
            index = self.constant(i)
            if self.edge:  # rows past the end read the last valid one again; they are not stored
                last = b.sub(rows, self.constant(1))
                index = b.select(b.icmp_signed("<", index, rows), index, last)
            row_index.append(index)
        # A by row: element (i, p) is at i·lda + p. A by column: at p·lda + i, one address for all rows of a tile.
        if self.a_by_row:
            a_row = [self.pointer(a, b.mul(lda, index)) for index in row_index]
        else:
            a_row = [self.pointer(a, index) for index in row_index]

        def row_vectors(matrix, stride):
            """Pointers to the tile's vectors in C or D."""
            columns = [self.constant(j * self.width) for j in range(_VECTORS)]
            return [[self.pointer(matrix, b.mul(stride, index), column) for column in columns] for index in row_index]

        blocks = {name: b.function.append_basic_block(name) for name in ("load_d", "loop", "done")}
        entry = b.block
        zero = ir.Constant(self.vector, [0.0] * self.width)
        b.cbranch(b.icmp_signed("!=", addend, self.constant(0)), blocks["load_d"], blocks["loop"])
        b.position_at_end(blocks["load_d"])
        loaded = [[self.load_vector(x, mask) for x, mask in zip(row, masks)] for row in row_vectors(addend, ldd)]
        b.branch(blocks["loop"])

        b.position_at_end(blocks["loop"])
        p = b.phi(I64)
        p.add_incoming(self.constant(0), entry)
        p.add_incoming(self.constant(0), blocks["load_d"])
        acc = [[b.phi(self.vector) for _ in range(_VECTORS)] for _ in range(MR)]
        for i in range(MR):
            for j in range(_VECTORS):
                acc[i][j].add_incoming(zero, entry)
                acc[i][j].add_incoming(loaded[i][j], blocks["load_d"])
        b_row = self.pointer(panel, b.mul(p, self.constant(_VECTORS * self.width)))
        places = [b.gep(b_row, [self.constant(j * self.width)], source_etype=self.element) for j in range(_VECTORS)]
        b_vectors = [self.load_vector(place) for place in places]
        a_offset = p if self.a_by_row else b.mul(p, lda)
        new = []
        for i in range(MR):
            scalar = b.load(b.gep(a_row[i], [a_offset], source_etype=self.element), align=self.size, typ=self.element)
            wide = self.splat(scalar)
            new.append([self.multiply_add(wide, b_vectors[j], acc[i][j]) for j in range(_VECTORS)])
        after = b.add(p, self.constant(1))
        p.add_incoming(after, blocks["loop"])
        for i in range(MR):
            for j in range(_VECTORS):
                acc[i][j].add_incoming(new[i][j], blocks["loop"])
        b.cbranch(b.icmp_signed("<", after, k), blocks["loop"], blocks["done"])

        b.position_at_end(blocks["done"])
        c_pointer = row_vectors(c, ldc)
        for i in range(MR):
            if not self.edge:
                for j in range(_VECTORS):
                    self.store_vector(new[i][j], c_pointer[i][j])
                continue
            # Masked stores take long on some CPUs: not where only rows are missing.
            row_exists = b.icmp_signed("<", self.constant(i), rows)
            whole = b.icmp_signed("==", columns, self.constant(_VECTORS * self.width))
            with b.if_then(row_exists), b.if_else(whole) as (then, otherwise):
                for branch, kept in ((then, [None] * _VECTORS), (otherwise, masks)):
                    with branch:
                        for j in range(_VECTORS):
                            self.store_vector(new[i][j], c_pointer[i][j], kept[j])


def _make_tile(a_by_row, pairs):
    @intrinsic
    def tile(typingctx, like, a, panel, c, d, k):
        """C[MR, NR] = A · B, plus D where there is one; k >= 1. A, C, D: Matrix; B: the address of a panel (k, NR)."""

        def codegen(context, builder, signature, args):
            Tile(context, builder, signature.args[0], False, a_by_row, pairs).emit(*args[1:])
            return context.get_dummy_value()

        return types.void(like, a, types.int64, c, d, types.int64), codegen

    @intrinsic
    def edge_tile(typingctx, like, a, panel, c, d, k, rows, columns):
        """The same where only rows <= MR, columns <= NR of C exist: nothing of C outside is read or written. B has NR columns."""

        def codegen(context, builder, signature, args):
            Tile(context, builder, signature.args[0], True, a_by_row, pairs).emit(*args[1:])
            return context.get_dummy_value()

        return types.void(like, a, types.int64, c, d, *[types.int64] * 3), codegen

    way = "row" if a_by_row else "column"
    return {f"tile_by_{way}": tile, f"edge_tile_by_{way}": edge_tile}


VALUE_TILES, PAIR_TILES = (_make_tile(True, pairs) | _make_tile(False, pairs) for pairs in (False, True))


@intrinsic
def transpose_block(typingctx, like, source, source_stride, target, target_stride):
    """target[p, c] = source[c, p] for a square block as wide as a vector: log2(width) rounds of interleaving in registers.

    Scalar code would spend a store an element, which costs more than the product at head sizes of 32 and below.
    """

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature.args[0])
        source, source_stride, target, target_stride = args[1:]
        rows = []
        for i in range(tile.width):
            rows.append(tile.load_vector(tile.pointer(source, builder.mul(source_stride, tile.constant(i)))))
        tile.store_transposed(rows, target, target_stride)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), codegen


@intrinsic
def load(typingctx, like, address, index):
    """The element number `index` of the array of `like`'s dtype that starts at `address`."""

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature.args[0])
        return builder.load(tile.indexed(args[1], args[2]), align=tile.size, typ=tile.element)

    return like(like, types.int64, types.int64), codegen


@intrinsic
def store(typingctx, value, address, index):
    """Write `value` to the element number `index` of the array of its dtype that starts at `address`."""

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature.args[0])
        builder.store(args[0], tile.indexed(args[1], args[2]), align=tile.size)
        return context.get_dummy_value()

    return types.void(value, types.int64, types.int64), codegen


def _copy(vectors):
    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature.args[0])
        for j in range(vectors):
            offset = tile.constant(j * tile.width)
            tile.store_vector(tile.load_vector(tile.pointer(args[1], offset)), tile.pointer(args[2], offset))
        return context.get_dummy_value()

    return codegen


@intrinsic
def copy_vectors(typingctx, like, source, target):
    """Copy one row of a panel: NR elements."""
    return types.void(like, types.int64, types.int64), _copy(_VECTORS)


@intrinsic
def copy_vector(typingctx, like, source, target):
    """Copy as many elements as a vector holds."""
    return types.void(like, types.int64, types.int64), _copy(1)


@intrinsic
def times_power_of_two(typingctx, x, n):
    """x · 2^n, float32, for a whole number n that leaves a normal number: n is added to the exponent bits of x.

    In Numba source the integers would be 64 bits wide, and half as many would fit a vector.
    """

    def codegen(context, builder, signature, args):
        shifted = builder.shl(builder.fptosi(args[1], I32), I32(23))
        return builder.bitcast(builder.add(builder.bitcast(args[0], I32), shifted), ir.FloatType())

    return types.float32(types.float32, types.float32), codegen


@intrinsic
def exponent_and_fraction(typingctx, x):
    """(n, m) as float32 with x = m 2^n, 1/2 <= m < 1, for a positive normal float32 `x`."""

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(args[0], I32)
        exponent = builder.sub(builder.lshr(bits, I32(23)), I32(126))
        fraction = builder.or_(builder.and_(bits, I32(0x007FFFFF)), I32(0x3F000000))
        parts = builder.sitofp(exponent, ir.FloatType()), builder.bitcast(fraction, ir.FloatType())
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(types.float32, 2)(types.float32), codegen


@intrinsic
def item_size(typingctx, like):
    """Bytes an element of `like`'s dtype, a compile-time constant."""

    def codegen(context, builder, signature, args):
        return I64(_element(signature.args[0])[1])

    return types.int64(like), codegen


@intrinsic
def panel_width(typingctx, like):
    """NR, the columns of a tile, for `like`'s dtype: a compile-time constant."""

    def codegen(context, builder, signature, args):
        return I64(_VECTORS * VECTOR_BYTES // _element(signature.args[0])[1])

    return types.int64(like), codegen


@intrinsic
def cast(typingctx, like, value):
    """`value` in `like`'s dtype (scalars of another dtype would widen float32 arithmetic to float64)."""

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[1], signature.args[1], signature.args[0])

    return like(like, value), codegen


# -- bf16: float32 values rounded, neighbours along k side by side, as the pair tiles read them ----------------------------
# A pair (even k low, odd k high) takes the place of one float32.

I16 = ir.IntType(16)
WIDTH = VECTOR_BYTES // 4  # float32 values a vector


def _rounded(builder, vector):
    """The bits of float32 values as bf16, to nearest, ties to even; a NaN stays one."""
    count = vector.type.count
    short = ir.VectorType(I16, count)
    if HOST_BF16:
        return builder.bitcast(builder.fptrunc(vector, ir.VectorType(BFLOAT, count)), short)
    wide = ir.VectorType(I32, count)
    shift, one, half, quiet = (ir.Constant(wide, [value] * count) for value in (16, 1, 0x7FFF, 0x7FC0))
    bits = builder.bitcast(vector, wide)
    last = builder.and_(builder.lshr(bits, shift), one)
    up = builder.lshr(builder.add(bits, builder.add(last, half)), shift)
    return builder.trunc(builder.select(builder.fcmp_unordered("uno", vector, vector), quiet, up), short)


def _as_floats(builder, vector, tile):
    return builder.bitcast(vector, tile.vector)


def _interleaved(builder, low, high):
    mask = ir.Constant(ir.VectorType(I32, 2 * WIDTH), [i // 2 + (i % 2) * WIDTH for i in range(2 * WIDTH)])
    return builder.shuffle_vector(low, high, mask)


@intrinsic
def pair_rows(typingctx, like, even, odd, target):
    """target[i] = pair(even[i], odd[i]) for a vector of values of two neighbouring rows."""

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature.args[0])
        low, high = (_rounded(builder, tile.load_vector(tile.pointer(x))) for x in args[1:3])
        tile.store_vector(_as_floats(builder, _interleaved(builder, low, high), tile), tile.pointer(args[3]))
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64, types.int64), codegen


def _pairs_along(builder, tile, address):
    """Two vectors of values in a row as a vector of pairs."""
    halves = [
        _rounded(builder, tile.load_vector(tile.pointer(address, tile.constant(half * WIDTH)))) for half in range(2)
    ]
    joined = ir.Constant(ir.VectorType(I32, 2 * WIDTH), list(range(2 * WIDTH)))
    return _as_floats(builder, builder.shuffle_vector(*halves, joined), tile)


@intrinsic
def pair_along(typingctx, like, source, target):
    """target[i] = pair(source[2i], source[2i + 1]) for two vectors of values in a row."""

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature.args[0])
        tile.store_vector(_pairs_along(builder, tile, args[1]), tile.pointer(args[2]))
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64), codegen


@intrinsic
def transpose_pairs(typingctx, like, source, source_stride, target, target_stride):
    """target[p, c] = pair(source[c, 2p], source[c, 2p + 1]) for WIDTH columns c and as many pairs p."""

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature.args[0])
        source, source_stride, target, target_stride = args[1:]
        rows = []
        for i in range(WIDTH):
            offset = builder.mul(builder.mul(source_stride, tile.constant(i)), tile.constant(tile.size))
            rows.append(_pairs_along(builder, tile, builder.add(source, offset)))
        tile.store_transposed(rows, target, target_stride)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), codegen


@intrinsic
def transpose_paired_rows(typingctx, like, source, source_stride, target, target_stride):
    """target[i, p] = pair(source[2p, i], source[2p + 1, i]) for WIDTH columns i and as many pairs p."""

    def codegen(context, builder, signature, args):
        tile = Tile(context, builder, signature.args[0])
        source, source_stride, target, target_stride = args[1:]
        pairs = []
        for p in range(WIDTH):
            rows = [tile.pointer(source, builder.mul(source_stride, tile.constant(2 * p + half))) for half in range(2)]
            low, high = (_rounded(builder, tile.load_vector(row)) for row in rows)
            pairs.append(_as_floats(builder, _interleaved(builder, low, high), tile))
        tile.store_transposed(pairs, target, target_stride)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), codegen


@intrinsic
def pair(typingctx, low, high):
    """One pair of float32 values, as the float32 with its bits."""

    def codegen(context, builder, signature, args):
        one = ir.VectorType(ir.FloatType(), 1)
        bits = [builder.extract_element(_rounded(builder, builder.bitcast(x, one)), I32(0)) for x in args]
        low, high = (builder.zext(x, I32) for x in bits)
        return builder.bitcast(builder.or_(low, builder.shl(high, I32(16))), ir.FloatType())

    return types.float32(types.float32, types.float32), codegen
