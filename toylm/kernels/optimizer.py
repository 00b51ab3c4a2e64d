"""Optimizer steps over flat arrays: SGD with momentum, Adam and AdamW, Muon, and the norm that clipping needs.

A step reads the gradient once: clipping is a factor that the norm decides beforehand, not a pass of its own.
"""

from typing import NamedTuple

import numpy as np

from .arithmetic import arithmetic_of
from .jit import device_function, parallel, rows_of, start_of, threads_now
from .matmul import SCRATCH_BYTES, Product, product_block
from .memory import scratch

CHUNK = 16384  # elements whose squares are added up by one thread: the norm's order of sums is the same for any number


class Rates(NamedTuple):
    """What a step of SGD or Muon multiplies with; `factor` is the gradient's (clipping)."""

    learning_rate: float
    momentum: float
    weight_decay: float
    factor: float


class AdamRates(NamedTuple):
    """The same of Adam; `step` counts from 1."""

    learning_rate: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    factor: float
    step: int


@parallel
def square_norm_parts(g, parts, threads, thread):
    """parts[c] = sum of squares of chunk c of g. g: (n,); parts: (ceil(n / CHUNK),) float64."""
    start, stop = rows_of(parts.shape[0], threads, thread)
    for c in range(start, stop):
        chunk = g[c * CHUNK : (c + 1) * CHUNK]
        total = 0.0
        for i in range(chunk.shape[0]):
            total += np.float64(chunk[i]) * np.float64(chunk[i])
        parts[c] = total


def norm(g, parts):
    """Euclidean norm of a flat array as a float, the same for any number of threads; NaN or infinity show in it.

    parts: (ceil(n / CHUNK),) float64, overwritten.
    """
    square_norm_parts(g, parts)
    return float(np.sqrt(parts.sum()))


@parallel
def sgd(p, g, velocity, n_decayed, rates, threads, thread):
    """v = momentum · v + factor · g; p -= learning_rate · (v + weight_decay · p for the first n_decayed elements).

    p, g: (n,); velocity: (n,), or (0,) where the momentum is 0; rates: Rates.
    """
    rate, mu, f = p.dtype.type(rates.learning_rate), p.dtype.type(rates.momentum), p.dtype.type(rates.factor)
    keep = p.dtype.type(1.0 - rates.learning_rate * rates.weight_decay)
    start, stop = rows_of(p.shape[0], threads, thread)
    decayed = p[start : min(max(start, n_decayed), stop)]
    for i in range(decayed.shape[0]):
        decayed[i] *= keep
    ps, gs, vs = p[start:stop], g[start:stop], velocity[start:stop]
    for i in range(vs.shape[0]):
        vs[i] = mu * vs[i] + f * gs[i]
    if velocity.shape[0] > 0:
        gs, f_here = vs, p.dtype.type(1)
    else:
        f_here = f
    for i in range(ps.shape[0]):
        ps[i] -= rate * (f_here * gs[i])


@parallel
def adam(p, g, m, v, n_decayed, rates, threads, thread):
    """Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019); rates: AdamRates.

    m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; p = (1 - lr · wd) p - lr · m̂ / (sqrt(v̂) + eps), the hats being the bias
    corrections 1 / (1 - b^step). The decay applies to the first n_decayed elements. All arrays (n,), updated in place.
    """
    one, b1, b2 = p.dtype.type(1), p.dtype.type(rates.beta1), p.dtype.type(rates.beta2)
    eps, factor = p.dtype.type(rates.eps), p.dtype.type(rates.factor)
    step_size = p.dtype.type(rates.learning_rate / (1.0 - rates.beta1**rates.step))
    correction = p.dtype.type(1.0 / np.sqrt(1.0 - rates.beta2**rates.step))
    decayed = p.dtype.type(1.0 - rates.learning_rate * rates.weight_decay)
    start, stop = rows_of(p.shape[0], threads, thread)
    border = min(max(start, n_decayed), stop)
    for low, high, keep in ((start, border, decayed), (border, stop, one)):
        ps, gs, ms, vs = p[low:high], g[low:high], m[low:high], v[low:high]
        for i in range(ps.shape[0]):
            grad = factor * gs[i]
            m_new = b1 * ms[i] + (one - b1) * grad
            v_new = b2 * vs[i] + (one - b2) * grad * grad
            ms[i] = m_new
            vs[i] = v_new
            ps[i] = keep * ps[i] - step_size * m_new / (np.sqrt(v_new) * correction + eps)


# -- Muon (Jordan et al. 2024): the momentum of a matrix, its singular values brought to about 1, is what is subtracted --------
#
#     m = mu · m + (1 - mu) · g;   u = mu · m + (1 - mu) · g (Nesterov);   W = (1 - lr · wd) W - lr · scale · orth(u)
#
# orth by five Newton-Schulz iterations, X <- p(X·Xᵀ)·X with p(A) = a I + b A + c A², from X = u / |u|, rows no longer than columns.
#
# A thread takes whole matrices. Two things make it cheap: a symmetric product computes the blocks below its diagonal only, and a
# matrix at least twice as wide as high iterates on its small Gram matrix A = X·Xᵀ alone: A <- p(A)² A, Q <- p(A) Q, at the end
# X <- Q·X.

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # a, b, c
ITERATIONS = 5
BLOCK = 32  # rows of a symmetric product at a time
SCALE_FLOOR = 1e-7  # a gradient of zeros stays one


@device_function
def _product(a, b, transposed, c, shape):
    """The Product C (m, n) = A · B, or A · Bᵀ, for shape (m, n, k); flat arrays, rows without gaps."""
    m, n, k = shape
    none = np.int64(0)
    return Product(start_of(a), k, 0, start_of(b), k if transposed else n, transposed, start_of(c), n, none, none, m, n, k)


@device_function
def _symmetric(like, arithmetic, product, c, memory):
    """The product, which is symmetric, into c (n, n): its blocks up to the diagonal, then their mirror image."""
    none, n = np.int64(0), product.n
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        product_block(like, arithmetic, product, (np.int64(start), np.int64(stop)), (none, np.int64(stop)), memory)
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
    nn, zero = n * n, np.int64(0)
    a, square, p, q, t = squares[:nn], squares[nn : 2 * nn], squares[2 * nn : 3 * nn], squares[3 * nn : 4 * nn], squares[4 * nn :]
    wide = k >= 2 * n
    if wide:
        _symmetric(like, arithmetic, _product(x, x, 1, a, (n, n, k)), a, memory)
    for iteration in range(ITERATIONS):
        if not wide:
            _symmetric(like, arithmetic, _product(x, x, 1, a, (n, n, k)), a, memory)
        _symmetric(like, arithmetic, _product(a, a, 0, square, (n, n, n)), square, memory)
        _polynomial(like, a, square, p, n)
        if not wide:
            product_block(like, arithmetic, _product(p, x, 0, other, (n, k, n)), (zero, n), (zero, k), memory)
            x[:] = other
            continue
        if iteration == 0:
            q[:] = p
        else:
            _symmetric(like, arithmetic, _product(p, q, 0, t, (n, n, n)), t, memory)
            q[:] = t
        if iteration < ITERATIONS - 1:
            _symmetric(like, arithmetic, _product(p, a, 0, t, (n, n, n)), t, memory)
            _symmetric(like, arithmetic, _product(p, t, 0, a, (n, n, n)), a, memory)
    if wide:
        product_block(like, arithmetic, _product(q, x, 0, other, (n, k, n)), (zero, n), (zero, k), memory)
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
    _step(arithmetic_of(p.dtype), p, g, m, shared_out(pieces, threads), scratch.array("muon", muon_room(pieces), p.dtype), rates,
          scratch.address("products", threads * SCRATCH_BYTES))  # fmt: skip


def muon_room(pieces):
    """The shape of the scratch of `muon`: a row a thread, for the largest matrix."""
    return threads_now(), max(2 * r * c + 5 * min(r, c) ** 2 for _, _, r, c in pieces)
