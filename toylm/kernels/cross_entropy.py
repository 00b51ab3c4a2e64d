"""Softmax cross-entropy over rows of logits: loss_i = log sum_v exp(z_iv) - z_i,target; targets below zero are not counted."""

import numpy as np

from .jit import device_function, parallel, rows_of, start_of
from .tile import cast, item_size
from .vectors import LOG2E, exponentials, maximum, scale_row, sum_of_exponentials


@device_function
def _nats(peak, target_logit, total):
    """The loss in float64, from the largest logit and `total`, the sum of exp(logit - peak)."""
    return np.float64(peak) - np.float64(target_logit) + np.log(np.float64(total))


@parallel
def cross_entropy_forward(logits, targets, losses, threads, thread):
    """losses[i] = nats of target i, 0 where it is below zero. logits: (N, V), rows contiguous; targets: (N,) int64;
    losses: (N,) float64."""
    V, like = np.int64(logits.shape[1]), logits.dtype.type(0)
    log2e = cast(like, LOG2E)
    start, stop = rows_of(logits.shape[0], threads, thread)
    for i in range(start, stop):
        losses[i] = 0.0
        if targets[i] >= 0:
            row = start_of(logits[i])
            peak = maximum(like, row, V)
            total = sum_of_exponentials(like, row, V, log2e, peak)
            losses[i] = _nats(peak, logits[i, targets[i]], total)


@parallel
def cross_entropy_backward(logits, targets, scale, losses, threads, thread):
    """logits becomes dlogits = scale · (softmax(logits) - onehot(target)), zero in rows that are not counted.

    The losses fall out on the way: one pass over the logits (rows contiguous) does both, in place. scale is 1 / counted targets
    for the mean.
    """
    V, like = np.int64(logits.shape[1]), logits.dtype.type(0)
    log2e = cast(like, LOG2E)
    start, stop = rows_of(logits.shape[0], threads, thread)
    for i in range(start, stop):
        z = logits[i]
        if targets[i] < 0:
            losses[i] = 0.0
            for v in range(V):
                z[v] = 0
            continue
        target_logit = z[targets[i]]
        row = start_of(z)
        peak = maximum(like, row, V)
        total = exponentials(like, row, row, V, log2e, peak)
        losses[i] = _nats(peak, target_logit, total)
        scale_row(like, row, V, z.dtype.type(scale) / total)
        z[targets[i]] -= z.dtype.type(scale)


# -- softmax of rows: y_j = exp(x_j - max x) / sum_k exp(x_k - max x) ------------------------------------------------------


@device_function
def softmax_row(x, y, n):
    """y[:n] = softmax(x[:n]). x and y may be the same array."""
    like, count, row = x.dtype.type(0), np.int64(n), start_of(y)
    source = start_of(x)
    if x.strides[0] != item_size(like):
        for j in range(n):
            y[j] = x[j]
        source = row
    peak, log2e = maximum(like, source, count), cast(like, LOG2E)
    total = exponentials(like, source, row, count, log2e, peak)
    scale_row(like, row, count, x.dtype.type(1) / total)


@parallel
def softmax_forward(x, y, threads, thread):
    """y = softmax of each row of x; x, y: (N, n), the rows of y contiguous."""
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        softmax_row(x[i], y[i], x.shape[1])


# -- a fixed offset of the logits with a trained weight: z += a · s. Its backward pass is the one number da = sum(dz · s) -----


@parallel
def logit_offset_forward(logits, offset, scale, threads, thread):
    """logits += scale · offset; both (n, V)."""
    a = logits.dtype.type(scale)
    start, stop = rows_of(logits.shape[0], threads, thread)
    for i in range(start, stop):
        row, added = logits[i], offset[i]
        for j in range(row.shape[0]):
            row[j] += a * added[j]


@parallel
def logit_offset_parts(dlogits, offset, parts, threads, thread):
    """parts[i] = sum over j of dlogits[i, j] · offset[i, j]; (n, V), (n, V), (n,) float64."""
    start, stop = rows_of(dlogits.shape[0], threads, thread)
    for i in range(start, stop):
        row, added, total = dlogits[i], offset[i], dlogits.dtype.type(0)
        for j in range(row.shape[0]):
            total += row[j] * added[j]
        parts[i] = total


def logit_offset_backward(dlogits, offset):
    """The gradient of the scale, a float; the same for any number of threads."""
    parts = np.empty(dlogits.shape[0])
    logit_offset_parts(dlogits, offset, parts)
    return float(parts.sum())
