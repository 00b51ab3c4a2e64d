"""Muon's step (Jordan et al. 2024): the momentum of a matrix, its singular values brought to about 1, is what is subtracted.

    m = mu · m + (1 - mu) · g;   u = mu · m + (1 - mu) · g (Nesterov);   W = (1 - lr · wd) W - lr · scale · orth(u)

orth by five Newton-Schulz iterations, X <- p(X·Xᵀ)·X with p(A) = a I + b A + c A², from X = u / |u|, rows no longer than columns.

A thread takes whole matrices. Two things make it cheap: a symmetric product computes the blocks below its diagonal only, and a
matrix at least twice as wide as high iterates on its small Gram matrix A = X·Xᵀ alone: A <- p(A)² A, Q <- p(A) Q, at the end
X <- Q·X.
"""

from typing import NamedTuple

import numpy as np

from .arithmetic import arithmetic_of
from .jit import device_function, parallel, start_of, threads_now
from .matmul import SCRATCH_BYTES, Product, product_block
from .memory import scratch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # a, b, c
ITERATIONS = 5
BLOCK = 32  # rows of a symmetric product at a time
SCALE_FLOOR = 1e-7  # a gradient of zeros stays one


class Rates(NamedTuple):
    """What a step multiplies with: `factor` is the gradient's (clipping)."""

    learning_rate: float
    momentum: float
    weight_decay: float
    factor: float


@device_function
def _multiply(like, arithmetic, a, b, transposed, c, shape, memory):
    """C (m, n) = A · B, or A · Bᵀ, for shape (m, n, k); flat arrays, rows without gaps."""
    m, n, k = shape
    none = np.int64(0)
    here = Product(start_of(a), k, 0, start_of(b), k if transposed else n, transposed, start_of(c), n, none, none, m, n, k)
    product_block(like, arithmetic, here, (none, m), (none, n), memory)


@device_function
def _symmetric(like, arithmetic, a, b, transposed, c, n, k, memory):
    """The symmetric C (n, n) = A · B, or A · Bᵀ: its blocks up to the diagonal, then their mirror image."""
    none = np.int64(0)
    here = Product(start_of(a), k, 0, start_of(b), k if transposed else n, transposed, start_of(c), n, none, none, n, n, k)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        product_block(like, arithmetic, here, (np.int64(start), np.int64(stop)), (none, np.int64(stop)), memory)
    for i in range(n):
        for j in range(i + 1, n):
            c[i * n + j] = c[j * n + i]


@device_function
def _polynomial(like, a, square, out, n):
    """out = a I + b A + c A², for A and its square (n, n)."""
    c0, c1, c2 = a.dtype.type(COEFFICIENTS[0]), a.dtype.type(COEFFICIENTS[1]), a.dtype.type(COEFFICIENTS[2])
    for i in range(n * n):
        out[i] = c1 * a[i] + c2 * square[i]
    for i in range(n):
        out[i * n + i] += c0


@device_function
def _orthogonalise(like, arithmetic, x, other, squares, n, k, memory):
    """Bring the singular values of X (n, k), n <= k and of norm 1, to about 1, in place. other: (n, k); squares: (5 n²,)."""
    nn = n * n
    a, square, p, q, t = squares[:nn], squares[nn : 2 * nn], squares[2 * nn : 3 * nn], squares[3 * nn : 4 * nn], squares[4 * nn :]
    wide = k >= 2 * n
    if wide:
        _symmetric(like, arithmetic, x, x, 1, a, n, k, memory)
    for iteration in range(ITERATIONS):
        if not wide:
            _symmetric(like, arithmetic, x, x, 1, a, n, k, memory)
        _symmetric(like, arithmetic, a, a, 0, square, n, n, memory)
        _polynomial(like, a, square, p, n)
        if not wide:
            _multiply(like, arithmetic, p, x, 0, other, (n, k, n), memory)
            x[:] = other
            continue
        if iteration == 0:
            q[:] = p
        else:
            _symmetric(like, arithmetic, p, q, 0, t, n, n, memory)
            q[:] = t
        if iteration < ITERATIONS - 1:
            _symmetric(like, arithmetic, p, a, 0, t, n, n, memory)
            _symmetric(like, arithmetic, p, t, 0, a, n, n, memory)
    if wide:
        _multiply(like, arithmetic, q, x, 0, other, (n, k, n), memory)
        x[:] = other


@parallel
def _step(arithmetic, p, g, m, pieces, room, rates, memory, threads, thread):
    """pieces: (M, 5) int64, a row a matrix: its first element in the flat arrays, row stride, rows, columns, thread."""
    like = p.dtype.type(0)
    mu, rest, f = p.dtype.type(rates.momentum), p.dtype.type(1.0 - rates.momentum), p.dtype.type(rates.factor)
    keep = p.dtype.type(1.0 - rates.learning_rate * rates.weight_decay)
    for piece in range(pieces.shape[0]):
        first, stride, rows, columns, whose = pieces[piece]
        if whose != thread:
            continue
        n, k, size = min(rows, columns), max(rows, columns), rows * columns
        x, other, squares = room[thread, :size], room[thread, size : 2 * size], room[thread, 2 * size : 2 * size + 5 * n * n]
        total = np.float64(0)
        for i in range(rows):
            here = first + i * stride
            gs, ms = g[here : here + columns], m[here : here + columns]
            row = other[i * columns : (i + 1) * columns]
            part = like
            for j in range(columns):
                grad = rest * (f * gs[j])
                average = mu * ms[j] + grad
                ms[j] = average
                update = mu * average + grad
                row[j] = update
                part += update * update
            total += part
        inverse = p.dtype.type(1.0 / (np.sqrt(total) + SCALE_FLOOR))
        if rows <= columns:
            for i in range(size):
                x[i] = inverse * other[i]
        else:
            for i in range(rows):
                for j in range(columns):
                    x[j * rows + i] = inverse * other[i * columns + j]
        _orthogonalise(like, arithmetic, x, other, squares, n, k, memory + thread * SCRATCH_BYTES)
        step = p.dtype.type(rates.learning_rate * np.sqrt(max(1.0, columns / rows)))
        for i in range(rows):
            ps = p[first + i * stride : first + i * stride + columns]
            if rows <= columns:
                row = x[i * columns : (i + 1) * columns]
                for j in range(columns):
                    ps[j] = keep * ps[j] - step * row[j]
            else:
                for j in range(columns):
                    ps[j] = keep * ps[j] - step * x[j * rows + i]


def shared_out(pieces, threads):
    """The (M, 4) pieces (first element, row stride, rows, columns), each with a thread: the costliest first, to the least busy."""
    cost = [min(r, c) ** 2 * max(r, c) for _, _, r, c in pieces]
    load, owner = [0] * threads, [0] * len(pieces)
    for i in sorted(range(len(pieces)), key=lambda i: -cost[i]):
        owner[i] = load.index(min(load))
        load[owner[i]] += cost[i]
    return np.array([[*piece, thread] for piece, thread in zip(pieces, owner)], np.int64)


def muon(p, g, m, pieces, rates):
    """One step on matrices inside the flat arrays p (parameters), g (gradients) and m (momentum), (n,) each, p and m in place.

    pieces: list of (first element, row stride, rows, columns), weights being (inputs, outputs); rates: Rates.
    """
    threads = threads_now()
    largest = max(2 * r * c + 5 * min(r, c) ** 2 for _, _, r, c in pieces)
    room = np.empty((threads, largest), p.dtype)
    _step(arithmetic_of(p.dtype), p, g, m, shared_out(pieces, threads), room, rates,
          scratch.address("muon", threads * SCRATCH_BYTES))  # fmt: skip
