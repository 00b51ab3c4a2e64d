"""A norm and the projection of its rows in one region: h = norm(x), y = h·W (+ D).

A thread norms as many rows as stay in its second-level cache, multiplies them, and goes on: the product reads its rows where
the norm has just written them. The rows are kept, because the backward pass needs them.
"""

import numpy as np

from .jit import inner
from .layernorm import layernorm_row
from .memory import address, scratch
from .operands import operands_of, row_unit
from .parallel import parallel
from .placement import threads_now
from .products import A_BLOCK_BYTES, ROWS, SCRATCH_BYTES, pack_matrix, product, product_with_whole, whole_fits
from .rmsnorm import rmsnorm_row
from .rows import own_share, start_of, take
from .simd import item_size

NONE, RMS, LAYER = 0, 1, 2


@inner
def norm_rows(kind, x, gamma, beta, eps, h, rstd, start, stop):
    """h[start:stop] and rstd[start:stop] of the norm `kind`; nothing for NONE, whose h is there already."""
    if kind == RMS:
        zero, d = x.dtype.type(0), np.int64(x.shape[1])
        for i in range(start, stop):
            rstd[i] = rmsnorm_row(zero, start_of(x[i]), start_of(gamma), eps, start_of(h[i]), d)
    elif kind == LAYER:
        for i in range(start, stop):
            rstd[i] = layernorm_row(x[i], gamma, beta, eps, h[i])


@parallel
def _forward(zero, operands, kind, x, gamma, beta, eps, h, rstd, w, y, d, ldd, m, n, k, memory, threads, thread, queue):
    size, a, memory = item_size(zero), np.int64(h.ctypes.data), memory + thread * SCRATCH_BYTES
    whole, cut = whole_fits(zero, operands, n, k), row_unit(operands)
    block = np.int64(ROWS) if whole else max(np.int64(A_BLOCK_BYTES) // (k * size) // cut * cut, np.int64(ROWS))
    if whole:
        pack_matrix(zero, operands, w, n, n < 0, n, k, memory)
    start, taken = own_share(m, np.int64(ROWS), cut, threads, thread)
    while start < taken:
        stop = min(start + block, taken)
        norm_rows(kind, x, gamma, beta, eps, h, rstd, start, stop)
        if whole:
            product_with_whole(zero, operands, a + start * k * size, k, y + start * n * size, n, d, ldd, stop - start, n, k, memory)
        else:
            product(zero, operands, a, k, False, w, n, False, y, n, d, ldd, start, stop, np.int64(0), n, k, memory)
        start, taken = take(queue, stop, taken, m, np.int64(ROWS), cut, threads)


def norm_projection(norm, x, h, rstd, w, y, bias=None, bf16=False):
    """h (N, k), rstd (N,) = norm of x (N, k); y (N, n) = h·w (+ bias). w: (k, n); bias: (n,) or None.

    h, w, y and the vectors: C-contiguous; x: rows contiguous; all of one dtype. norm: (RMS or LAYER, gamma (k,), beta (k,), eps).
    bf16: round what enters the product. Overwrites h, rstd and y. Nothing is checked.
    """
    kind, gamma, beta, eps = norm
    (m, k), n, threads = x.shape, w.shape[1], threads_now()
    zero, memory = x.dtype.type(0), scratch.address("products", threads * SCRATCH_BYTES)
    _forward(zero, operands_of(x.dtype, bf16), kind, x, gamma, beta, eps, h, rstd, address(w), address(y),
             0 if bias is None else address(bias), 0, m, n, k, memory)  # fmt: skip


def norm_projection_reference(normed, w, bias=None):
    """y of rows that a norm's own reference has normed."""
    return normed @ w + (0 if bias is None else bias)
