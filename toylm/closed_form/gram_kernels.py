"""Tall-matrix kernels: moments Z'Z of shifted rows, of rows times R^-1, and a row sketch, each in one pass over the data.

A BLAS `syrk` reads X once, but centring, X'Y, the column sums and the check for NaN each read it again, and a triangular
solve writes an array as large as X. Here a block of rows is copied to a cache-sized buffer (shifted, converted to float64),
optionally multiplied by R^-1 in place, and its products with itself are added up from there. `row_sources` holds the NumPy twins.
"""

import numba as nb
import numpy as np
from numba import types
from numba.extending import intrinsic

from ..kernels.jit import device_function, parallel, rows_of
from .memory import SUMS_BYTES
from .tiles import (
    I64,
    PANEL,
    ROWS,
    VECTOR,
    WIDTH,
    ZERO,
    broadcast,
    fused_multiply_add,
    integer,
    load,
    load_scalar,
    pointers,
    prefetch,
    splat,
    store,
)

BLOCK = 96  # rows in the cache buffer: a multiple of 12 and of 6


def _make_gram_tile(height, vectors):
    """C[i, j] += sum_r A[r, i] B[r, j] over height x (vectors WIDTH) accumulators; addresses, and strides in elements.

    Meanwhile memory from `ahead` on is fetched into the cache, `reach` bytes a row: the block that comes next.
    """

    @intrinsic
    def gram_tile(typingctx, a, b, ld, c, ldc, rows, ahead, reach):
        def codegen(context, b, signature, args):
            a_address, b_address, ld, c_address, ldc, count, ahead, reach = args
            A, B, C = pointers(b, a_address, b_address, c_address)
            fma = fused_multiply_add(b)
            entry = b.block
            loop = b.function.append_basic_block("rows")
            done = b.function.append_basic_block("done")
            b.branch(loop)
            b.position_at_end(loop)
            r = b.phi(I64)
            r.add_incoming(integer(0), entry)
            total = [[b.phi(VECTOR) for _ in range(vectors)] for _ in range(height)]
            for phi in sum(total, []):
                phi.add_incoming(ZERO, entry)
            prefetch(b, b.add(ahead, b.mul(r, reach)))
            start = b.mul(r, ld)
            right = [load(b, B, b.add(start, integer(v * WIDTH))) for v in range(vectors)]
            new = []
            for i in range(height):
                left = splat(b, load_scalar(b, A, b.add(start, integer(i))))
                new.append([b.call(fma, [left, right[v], total[i][v]]) for v in range(vectors)])
            following = b.add(r, integer(1))
            r.add_incoming(following, loop)
            for i in range(height):
                for v in range(vectors):
                    total[i][v].add_incoming(new[i][v], loop)
            b.cbranch(b.icmp_signed("<", following, count), loop, done)
            b.position_at_end(done)
            for i in range(height):
                for v in range(vectors):
                    where = b.add(b.mul(ldc, integer(i)), integer(v * WIDTH))
                    store(b, b.fadd(load(b, C, where), new[i][v]), C, where)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 8), codegen

    return gram_tile


STEP = ROWS // 3  # WIDTH / 2: every panel's columns are a multiple of it
_tile = _make_gram_tile(ROWS, 2)
_tile_two_thirds = _make_gram_tile(2 * STEP, 2)
_tile_third = _make_gram_tile(STEP, 2)
_tile_pair = _make_gram_tile(2, 2)
_tile_corner = _make_gram_tile(WIDTH, 1)


@intrinsic
def _solve_tile(typingctx, z, ldz, r, ldr, j, s, inverse):
    """Z[rows, j:j+PANEL] := (Z[rows, j:j+PANEL] - Z[rows, :j] R[:j, j:j+PANEL]) R[panel, panel]^-1, ROWS rows at once.

    s: -R[c, c'] / R[c, c] of the panel, strictly upper (PANEL x PANEL); inverse: -1 / R[c, c]. Signs are chosen so that
    every step is one fused multiply-add. Substitution, not a product with an inverse: each row stays backward stable.
    """

    def codegen(context, b, signature, args):
        z_address, ldz, r_address, ldr, j, s_address, inverse_address = args
        Z, R, S, inverse = pointers(b, z_address, r_address, s_address, inverse_address)
        fma = fused_multiply_add(b)
        row = [b.mul(ldz, integer(i)) for i in range(ROWS)]
        start = [[b.fneg(load(b, Z, b.add(b.add(row[i], j), integer(v * WIDTH)))) for v in (0, 1)] for i in range(ROWS)]
        entry = b.block
        head = b.function.append_basic_block("head")
        loop = b.function.append_basic_block("columns")
        done = b.function.append_basic_block("done")
        b.branch(head)
        b.position_at_end(head)
        p = b.phi(I64)
        p.add_incoming(integer(0), entry)
        value = [[b.phi(VECTOR) for _ in (0, 1)] for _ in range(ROWS)]
        for i in range(ROWS):
            for v in (0, 1):
                value[i][v].add_incoming(start[i][v], entry)
        b.cbranch(b.icmp_signed("<", p, j), loop, done)
        b.position_at_end(loop)
        right = [load(b, R, b.add(b.mul(p, ldr), integer(v * WIDTH))) for v in (0, 1)]
        for i in range(ROWS):
            left = splat(b, load_scalar(b, Z, b.add(row[i], p)))
            for v in (0, 1):
                value[i][v].add_incoming(b.call(fma, [left, right[v], value[i][v]]), loop)
        p.add_incoming(b.add(p, integer(1)), loop)
        b.branch(head)
        b.position_at_end(done)
        value = [list(row_values) for row_values in value]
        for c in range(PANEL - 1):
            upper = [load(b, S, integer(c * PANEL + v * WIDTH)) for v in (0, 1)]
            for i in range(ROWS):
                solved = broadcast(b, value[i][c // WIDTH], c % WIDTH)
                for v in range(c // WIDTH, 2):
                    value[i][v] = b.call(fma, [solved, upper[v], value[i][v]])
        for v in (0, 1):
            scale = load(b, inverse, integer(v * WIDTH))
            for i in range(ROWS):
                store(b, b.fmul(value[i][v], scale), Z, b.add(b.add(row[i], j), integer(v * WIDTH)))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7), codegen


@intrinsic
def _take(typingctx, counter):
    """The value at an address (int64), which is one more afterwards; safe between threads."""

    def codegen(context, b, signature, args):
        return b.atomic_rmw("add", b.inttoptr(args[0], I64.as_pointer()), integer(1), "monotonic")

    return types.int64(types.intp), codegen


@device_function
def _products(a, b, ld, c, ldc, columns, rows, ahead, reach):
    """C[:columns, :PANEL] += A' B by the tallest tiles that fit; `columns` rounded up to an even number is computed."""
    i = 0
    while i < columns:
        if columns - i >= ROWS:
            _tile(a + i * 8, b, ld, c + i * ldc * 8, ldc, rows, ahead, reach)
            i += ROWS
        elif columns - i >= 2 * STEP:
            _tile_two_thirds(a + i * 8, b, ld, c + i * ldc * 8, ldc, rows, ahead, reach)
            i += 2 * STEP
        elif columns - i >= STEP:
            _tile_third(a + i * 8, b, ld, c + i * ldc * 8, ldc, rows, ahead, reach)
            i += STEP
        else:
            _tile_pair(a + i * 8, b, ld, c + i * ldc * 8, ldc, rows, ahead, reach)
            i += 2
        ahead += rows * reach
    return ahead


@device_function
def _part(X, Y, shift_x, shift_y, first, last, Z, M, of_y, dp, R, S, inverse, precondition, reach):
    d, k = X.shape[1], Y.shape[1]
    ldz, ldm, ldr = np.int64(Z.shape[1]), np.int64(M.shape[1]), np.int64(R.shape[1])
    # Addresses are cast to int64: uint64 + int64 would become float64 in Numba.
    x, z, m, r = np.int64(X.ctypes.data), np.int64(Z.ctypes.data), np.int64(M.ctypes.data), np.int64(R.ctypes.data)
    s, inv = np.int64(S.ctypes.data), np.int64(inverse.ctypes.data)
    bytes_x = d * np.int64(X.itemsize)
    for start in range(first, last, BLOCK):
        rows = min(BLOCK, last - start)
        for i in range(rows):
            for c in range(d):
                Z[i, c] = X[start + i, c] - shift_x[c]
            for c in range(k):
                value = Y[start + i, c] - shift_y[c]
                Z[i, dp + c] = value
                of_y[0, c] += value
                of_y[1, c] += value * value
            Z[i, dp + k] = 1.0
        if precondition:
            padded = (rows + ROWS - 1) // ROWS * ROWS
            Z[rows:padded] = 0.0
            for i in range(0, padded, ROWS):
                for j in range(0, dp, PANEL):
                    _solve_tile(z + i * ldz * 8, ldz, r + j * 8, ldr, j, s + j * PANEL * 8, inv + j * 8)
        # While this block is multiplied, the next one comes from memory.
        ahead = x + (start + BLOCK) * bytes_x
        for j in range(0, dp, PANEL):
            ahead = _products(z, z + j * 8, ldz, m + j * 8, ldm, j + WIDTH, rows, ahead, reach)
            corner = m + ((j + WIDTH) * ldm + j + WIDTH) * 8
            _tile_corner(z + (j + WIDTH) * 8, z + (j + WIDTH) * 8, ldz, corner, ldm, rows, ahead, reach)
            ahead += rows * reach
            ahead = _products(z + dp * 8, z + j * 8, ldz, m + (dp * ldm + j) * 8, ldm, k + 1, rows, ahead, reach)


@parallel
def _all_parts(X, Y, shift_x, shift_y, Z, M, of_y, dp, R, S, inverse, precondition, reach, counter, threads, thread):
    n, parts = X.shape[0], M.shape[0]
    size = (n + parts - 1) // parts
    if thread >= Z.shape[0]:
        return
    part = _take(np.int64(counter.ctypes.data))
    while part < parts:
        first, last = part * size, min(n, (part + 1) * size)
        Mp, of_yp = M[part], of_y[part]
        _part(X, Y, shift_x, shift_y, first, last, Z[thread], Mp, of_yp, dp, R, S, inverse, precondition, reach)
        part = _take(np.int64(counter.ctypes.data))


def _parts(rows, size):
    """Several parts a thread, handed out one by one: a core that others use then delays the sum by one part only.

    Each part has sums of its own, `size` bytes: one a thread where they are large.
    """
    threads = nb.get_num_threads()
    most = max(threads, min(6 * threads, SUMS_BYTES // size))
    return 1 if threads == 1 else max(1, min(most, rows // (8 * BLOCK)))


def _tiles(columns):
    """How many tiles `_products` takes."""
    return columns // ROWS + columns % ROWS // STEP + -(-(columns % STEP) // 2) - (columns % ROWS // STEP == 2)


def moments(X, Y, shift_x, shift_y, R=None):
    """Sums over the rows of z = (x - shift_x) R^-1 and y - shift_y: (Z'Z, Z'Y, diag Y'Y, sum z, sum y), float64.

    X (n, d) and Y (n, k): C-contiguous, float32 or float64; R (d, d): upper triangular, None for the identity.
    """
    n, d = X.shape
    k = Y.shape[1]
    dp = -(-d // PANEL) * PANEL
    ld = dp + k + 2
    ld = -(-ld // 8) * 8
    ld += 8 * (ld // 8 % 2 == 0)  # an odd number of cache lines a row: columns spread over all cache sets
    padded = np.eye(dp)
    if R is not None:
        padded[:d, :d] = np.triu(R)
    diagonal = np.diag(padded)
    scaled = np.zeros((dp // PANEL, PANEL, PANEL))
    for p in range(dp // PANEL):
        part = slice(p * PANEL, (p + 1) * PANEL)
        scaled[p] = -np.triu(padded[part, part], 1) / diagonal[part, None]
    shape = (dp + k + 2, dp + (8 if dp // 8 % 2 == 0 else 0))
    parts = _parts(n, 8 * shape[0] * shape[1])
    Z = np.zeros((min(parts, nb.get_num_threads()), BLOCK, ld))
    M = np.zeros((parts, *shape))
    of_y = np.zeros((parts, 2, k + 16))  # parts end on cache lines of their own: threads write here for every row
    counter = np.zeros(1, np.int64)
    tiles = sum(_tiles(j + WIDTH) + 1 + _tiles(k + 1) for j in range(0, dp, PANEL))
    reach = -(-d * X.itemsize // tiles)
    inverse, precondition = -1.0 / diagonal, R is not None
    _all_parts(X, Y, shift_x, shift_y, Z, M, of_y, dp, padded, scaled, inverse, precondition, reach, counter)
    total = M[0, :, :d]
    for part in M[1:]:
        total += part[:, :d]
    gram = np.triu(total[:d])
    gram += np.triu(gram, 1).T
    sum_y, squares = of_y.sum(axis=0)[:, :k]
    return gram, total[dp : dp + k].T.copy(), squares, total[dp + k].copy(), sum_y


@parallel
def _sketch_rows(X, shift, offset, S, threads, thread):
    buckets, d = np.uint64(S.shape[0]), X.shape[1]
    first, last = rows_of(S.shape[0], threads, thread)
    for i in range(X.shape[0]):
        state = np.uint64(i + offset) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0xD1B54A32D192ED03)
        for _ in range(2):
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
            row = np.int64((state >> np.uint64(1)) % buckets)
            if first <= row < last:
                sign = 1.0 if state & np.uint64(1) else -1.0
                for c in range(d):
                    S[row, c] += sign * (X[i, c] - shift[c])


def sketch(X, shift, S, offset=0):
    """Add a sparse sign sketch of X - shift to S (rows, d): every row of X is added with a random sign to two random rows.

    The signs are a hash of the row's number (its number in X plus `offset`), and a thread adds to rows of S of its own, so equal
    input gives equal bits. Woodruff, Sketching as a tool for numerical linear algebra (2014), section 2.
    """
    _sketch_rows(X, shift, offset, S)
