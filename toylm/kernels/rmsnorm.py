"""RMSNorm (Zhang & Sennrich 2019): y = gamma · x / r with r = sqrt(mean(x²) + eps), row by row."""

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import inner, jit
from .parallel import parallel
from .rows import rows_of, start_of
from .simd import cast, item_size, load
from .vectors import Rows, dot, scaled_product


@inner
def rmsnorm_row(zero, x, gamma, eps, y, d):
    """y[:d] = the norm of x[:d]; returns 1 / r. x, gamma, y: addresses."""
    one = cast(zero, 1)
    scale = one / np.sqrt(dot(zero, x, x, d) / cast(zero, d) + cast(zero, eps))
    scaled_product(zero, x, gamma, scale, y, d)
    return scale


@parallel
def rmsnorm_forward(x, gamma, eps, y, rstd, threads, thread):
    """x, y: (N, d), rows contiguous; gamma: (d,), contiguous; rstd: (N,) receives 1 / r, which the backward pass needs. All of one
    dtype."""
    zero, d = x.dtype.type(0), np.int64(x.shape[1])
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        rstd[i] = rmsnorm_row(zero, start_of(x[i]), start_of(gamma), eps, start_of(y[i]), d)


@intrinsic
def _row_backward(typingctx, scale, dy, x, gamma, dx, part, d):
    """One row of `rmsnorm_backward`; all but scale = 1 / r and d are addresses.

    Vectors by hand: LLVM would have to check before each of these short loops that the five arrays do not overlap.
    """

    def codegen(context, builder, signature, args):
        rows, b = Rows(context, builder, signature.args[0]), builder
        scale, dy, x, gamma, dx, part, d = args
        inner = [cgutils.alloca_once_value(b, rows.filled(0.0)) for _ in range(2)]

        def load(address, at, mask):
            return rows.load_vector(rows.pointer(address, at), mask)

        def multiply(at, mask, chain):
            product = b.fmul(load(dy, at, mask), load(gamma, at, mask))
            b.store(rows.multiply_add(product, load(x, at, mask), b.load(inner[chain])), inner[chain])

        rows.for_vectors(d, multiply, chains=2)
        total = rows.across_lanes(b.fadd(*map(b.load, inner)), b.fadd)
        mean = b.fdiv(b.fmul(total, b.fmul(scale, scale)), b.sitofp(d, rows.element))
        wide_scale, wide_minus = rows.splat(scale), rows.splat(b.fneg(b.fmul(mean, scale)))

        def add(at, mask):
            slope, value = b.fmul(load(dy, at, mask), wide_scale), load(x, at, mask)
            rows.store_vector(rows.multiply_add(slope, value, load(part, at, mask)), rows.pointer(part, at), mask)
            change = rows.multiply_add(slope, load(gamma, at, mask), b.fmul(value, wide_minus))
            rows.store_vector(b.fadd(load(dx, at, mask), change), rows.pointer(dx, at), mask)

        rows.for_vectors(d, add)
        return context.get_dummy_value()

    return types.void(scale, *[types.int64] * 6), codegen


@inner
def rmsnorm_rows_backward(zero, dy, x, gamma, rstd, dx, part, rows, d):
    """`rmsnorm_backward` of some rows, by address; `part` (d,) is added to."""
    size = item_size(zero)
    for i in range(rows):
        at = i * d * size
        _row_backward(load(zero, rstd, i), dy + at, x + at, gamma, dx + at, part, d)


@parallel
def rmsnorm_backward(dy, x, gamma, rstd, dx, dgamma_parts, threads, thread):
    """dx += (dy · gamma - x · mean(dy · gamma · x) / r²) / r; dgamma_parts[thread] = sum over the thread's rows of dy · x / r.

    dy, x, dx: (N, d), rows contiguous; gamma: (d,); rstd: (N,); dgamma_parts: (threads, d), summed by `add_parts` in a fixed order.
    """
    d, part = np.int64(x.shape[1]), dgamma_parts[thread]
    start, stop = rows_of(x.shape[0], threads, thread)
    for j in range(d):
        part[j] = 0
    for i in range(start, stop):
        _row_backward(rstd[i], start_of(dy[i]), start_of(x[i]), start_of(gamma), start_of(dx[i]), start_of(part), d)


@jit
def add_parts(parts, total):
    """total += sum of the rows of parts, in order."""
    for t in range(parts.shape[0]):
        for j in range(total.shape[0]):
            total[j] += parts[t, j]


def rmsnorm_reference(x, gamma, eps=1e-5):
    return gamma * x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)


def rmsnorm_backward_reference(dy, x, gamma, eps=1e-5):
    """Returns (dx, dgamma)."""
    r = np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
    g = dy * gamma
    dx = (g - x * (g * x).mean(axis=-1, keepdims=True) / r**2) / r
    return dx, (dy * x / r).sum(axis=0)
