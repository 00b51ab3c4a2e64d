"""The norms as kernels: rows divided among threads, what a row takes being a function of the kind's own module (see kinds.NORMS).

Such a module, rmsnorm.py for one, has two functions that are compiled as they stand and called by address, all arguments but
`like`, a number that tells the dtype, and eps being addresses and int64:

    row_forward(like, x, gamma, beta, eps, y, rstd, d)                 y (d,) = norm of x (d,); rstd[0] for the backward pass
    row_backward(like, dy, x, gamma, rstd, dx, dgamma, dbeta, d)       dx += ...; dgamma += ...; dbeta += ...

A norm without a shift ignores beta and dbeta.
"""

import functools
from typing import NamedTuple

from numba import from_dtype, types

from ..kinds import NORMS
from .jit import c_function, call, device_function, parallel, rows_of, start_of
from .memory import address
from .tile import item_size, load, store


class NormRows(NamedTuple):
    """Addresses of a kind's two functions for a dtype."""

    forward: int
    backward: int


@functools.cache
def norm_rows(kind, dtype):
    """The NormRows of a norm in kinds.NORMS."""
    like, module, i64 = from_dtype(dtype), NORMS[kind].load(), types.int64
    return NormRows(c_function(module.row_forward, like, i64, i64, i64, types.float64, i64, i64, i64),
                    c_function(module.row_backward, like, *[i64] * 8))  # fmt: skip


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
