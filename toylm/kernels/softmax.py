"""Softmax over each row: y_j = exp(x_j - max x) / sum_k exp(x_k - max x)."""

import numpy as np

from .exponentials import exponentials
from .fastmath import LOG2E
from .jit import inner
from .parallel import parallel
from .rows import rows_of, start_of
from .simd import cast, item_size
from .vectors import maximum, scale_row


@inner
def softmax_row(x, y, n):
    """y[:n] = softmax(x[:n]). x and y may be the same array."""
    zero, count, row = x.dtype.type(0), np.int64(n), start_of(y)
    source = start_of(x)
    if x.strides[0] != item_size(zero):
        for j in range(n):
            y[j] = x[j]
        source = row
    peak, log2e = maximum(zero, source, count), cast(zero, LOG2E)
    total = exponentials(zero, source, row, count, log2e, peak)
    scale_row(zero, row, count, x.dtype.type(1) / total)


@parallel
def softmax_forward(x, y, threads, thread):
    """y = softmax of each row of x; x, y: (N, n), the rows of y contiguous."""
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        softmax_row(x[i], y[i], x.shape[1])


@parallel
def softmax_backward(dy, y, dx, threads, thread):
    """dx += y · (dy - sum_j dy_j y_j); dy, y, dx: (N, n)."""
    start, stop = rows_of(y.shape[0], threads, thread)
    for i in range(start, stop):
        inner = y.dtype.type(0)
        for j in range(y.shape[1]):
            inner += dy[i, j] * y[i, j]
        for j in range(y.shape[1]):
            dx[i, j] += y[i, j] * (dy[i, j] - inner)


def softmax_reference(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward_reference(dy, y):
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))
