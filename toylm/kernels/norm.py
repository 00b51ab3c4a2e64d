"""The norms: what a row becomes, a pair of functions a kind (kinds.NORMS), and the kernels over rows that call them by address.

A norm is a pair (forward, backward), such as `rms` below, of functions that are compiled as they stand. All their arguments but
`like`, a number that tells the dtype, and eps are addresses and int64:

    forward(like, x, gamma, beta, eps, y, rstd, d)                 y (d,) = norm of x (d,); rstd[0] for the backward pass
    backward(like, dy, x, gamma, rstd, dx, dgamma, dbeta, d)       dx += ...; dgamma += ...; dbeta += ...

A norm without a shift ignores beta and dbeta.
"""

import functools
from typing import NamedTuple

import numpy as np
from numba import from_dtype, types
from numba.extending import intrinsic

from ..kinds import NORMS
from .jit import c_function, call, cgutils, device_function, parallel, rows_of, start_of
from .memory import address
from .tile import cast, item_size, load, store
from .vectors import Rows, dot, scaled_product


def rms_forward(like, x, gamma, beta, eps, y, rstd, d):
    """RMSNorm (Zhang & Sennrich 2019): y = gamma · x / r with r = sqrt(mean(x²) + eps); rstd[0] = 1 / r."""
    scale = cast(like, 1) / np.sqrt(dot(like, x, x, d) / cast(like, d) + cast(like, eps))
    scaled_product(like, x, gamma, scale, y, d)
    store(scale, rstd, 0)


def rms_backward(like, dy, x, gamma, rstd, dx, dgamma, dbeta, d):
    """dx += (dy · gamma - x · mean(dy · gamma · x) / r²) / r; dgamma += dy · x / r."""
    _rms_backward(load(like, rstd, 0), dy, x, gamma, dx, dgamma, d)


@intrinsic
def _rms_backward(typingctx, scale, dy, x, gamma, dx, part, d):
    """`rms_backward`; all but scale = 1 / r and d are addresses.

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


rms = rms_forward, rms_backward


@device_function
def _mean(like, x, d):
    total = cast(like, 0)
    for j in range(d):
        total += load(like, x, j)
    return total / cast(like, d)


def layer_forward(like, x, gamma, beta, eps, y, rstd, d):
    """LayerNorm (Ba, Kiros & Hinton 2016): y = gamma · (x - mean(x)) / s + beta with s = sqrt(var(x) + eps); rstd[0] = 1 / s.

    var is the mean square deviation. The backward pass takes the mean anew: a sum over a row that is in the cache anyway costs
    less than a vector of means kept for every norm.
    """
    mean, total = _mean(like, x, d), cast(like, 0)
    for j in range(d):
        deviation = load(like, x, j) - mean
        total += deviation * deviation
    scale = cast(like, 1) / np.sqrt(total / cast(like, d) + cast(like, eps))
    for j in range(d):
        store((load(like, x, j) - mean) * scale * load(like, gamma, j) + load(like, beta, j), y, j)
    store(scale, rstd, 0)


def layer_backward(like, dy, x, gamma, rstd, dx, dgamma, dbeta, d):
    """dx += (g - mean(g) - x̂ · mean(g · x̂)) / s with g = dy · gamma, x̂ = (x - mean) / s; dgamma += dy · x̂; dbeta += dy."""
    mean, scale = _mean(like, x, d), load(like, rstd, 0)
    g_sum, g_inner = cast(like, 0), cast(like, 0)
    for j in range(d):
        g = load(like, dy, j) * load(like, gamma, j)
        g_sum += g
        g_inner += g * ((load(like, x, j) - mean) * scale)
    g_mean, g_inner = g_sum / cast(like, d), g_inner / cast(like, d)
    for j in range(d):
        unit, slope = (load(like, x, j) - mean) * scale, load(like, dy, j)
        store(load(like, dgamma, j) + slope * unit, dgamma, j)
        store(load(like, dbeta, j) + slope, dbeta, j)
        store(load(like, dx, j) + (slope * load(like, gamma, j) - g_mean - unit * g_inner) * scale, dx, j)


layer = layer_forward, layer_backward


# -- over rows -------------------------------------------------------------------------------------------------------------


class NormRows(NamedTuple):
    """Addresses of a kind's two functions for a dtype."""

    forward: int
    backward: int


@functools.cache
def norm_rows(kind, dtype):
    """The NormRows of a norm in kinds.NORMS."""
    like, (forward, backward), i64 = from_dtype(dtype), NORMS[kind].load(), types.int64
    return NormRows(c_function(forward, like, i64, i64, i64, types.float64, i64, i64, i64), c_function(backward, like, *[i64] * 8))


@parallel
def norm_forward(row_forward, x, gamma, beta, eps, y, rstd, threads, thread):
    """x, y: (N, d), rows contiguous; gamma, beta: (d,), contiguous; rstd: (N,) receives what the backward pass needs. All of one
    dtype. row_forward: of `norm_rows`."""
    like = x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        call(row_forward, (like, start_of(x[i]), start_of(gamma), start_of(beta), eps, start_of(y[i]), start_of(rstd[i:]),
                           x.shape[1]))  # fmt: skip


@device_function
def norm_rows_backward(like, row_backward, step, rows, d):
    """The backward pass of some rows, by address; step: (dy, x, gamma, rstd, dx, dgamma, dbeta)."""
    dy, x, gamma, rstd, dx, dgamma, dbeta = step
    size = item_size(like)
    for i in range(rows):
        at = i * d * size
        call(row_backward, (like, dy + at, x + at, gamma, rstd + i * size, dx + at, dgamma, dbeta, d))


@parallel
def _backward(row_backward, dy, x, gamma, rstd, dx, shares, threads, thread):
    start, stop = rows_of(x.shape[0], threads, thread)
    share = shares[thread]
    share[:] = 0
    if start < stop:
        step = (start_of(dy[start]), start_of(x[start]), start_of(gamma), start_of(rstd[start:]), start_of(dx[start]),
                start_of(share[0]), start_of(share[-1]))  # fmt: skip
        norm_rows_backward(x.dtype.type(0), row_backward, step, stop - start, x.shape[1])


def norm_backward(rows, dy, x, gamma, rstd, dx, gradients, shares):
    """dx += gradient of x; the gradients (d,) of gamma (and beta) are added to. All contiguous.

    rows: of `norm_rows`. dy, x, dx: (N, d); gamma: (d,); rstd: (N,). shares: (threads, len(gradients), d), overwritten: the
    threads' sums over their rows, which are added up in a fixed order.
    """
    _backward(rows.backward, dy, x, gamma, rstd, dx, shares)
    for i, gradient in enumerate(gradients):
        add_shares(address(shares) + i * gamma.nbytes, len(shares), shares[0].size, gradient)


@parallel
def _add_shares(shares, count, stride, total, threads, thread):
    start, stop = rows_of(total.shape[0], threads, thread)
    like, size = total.dtype.type(0), total.itemsize
    target = start_of(total[start:])
    for t in range(count):
        share = shares + (t * stride + start) * size
        for i in range(stop - start):
            store(load(like, target, i) + load(like, share, i), target, i)


def add_shares(shares, count, stride, total):
    """total (n,) += `count` arrays at the address `shares`, `stride` elements apart, one after the other."""
    _add_shares(shares, count, stride, total)
