"""Softmax cross-entropy over rows of logits: loss_i = log sum_v exp(z_iv) - z_i,target; targets below zero are not counted."""

import numpy as np

from .exponentials import exponentials, sum_of_exponentials
from .fastmath import LOG2E
from .jit import inner
from .parallel import parallel
from .rows import rows_of, start_of
from .simd import cast
from .vectors import maximum, scale_row


@inner
def _nats(peak, target_logit, total):
    """The loss in float64, from the largest logit and `total`, the sum of exp(logit - peak)."""
    return np.float64(peak) - np.float64(target_logit) + np.log(np.float64(total))


@parallel
def cross_entropy_forward(logits, targets, losses, threads, thread):
    """losses[i] = nats of target i, 0 where it is below zero. logits: (N, V), rows contiguous; targets: (N,) int64;
    losses: (N,) float64."""
    V, zero = np.int64(logits.shape[1]), logits.dtype.type(0)
    log2e = cast(zero, LOG2E)
    start, stop = rows_of(logits.shape[0], threads, thread)
    for i in range(start, stop):
        losses[i] = 0.0
        if targets[i] >= 0:
            row = start_of(logits[i])
            peak = maximum(zero, row, V)
            total = sum_of_exponentials(zero, row, V, log2e, peak)
            losses[i] = _nats(peak, logits[i, targets[i]], total)


@parallel
def cross_entropy_backward(logits, targets, scale, losses, threads, thread):
    """logits becomes dlogits = scale · (softmax(logits) - onehot(target)), zero in rows that are not counted.

    The losses fall out on the way: one pass over the logits (rows contiguous) does both, in place. scale is 1 / counted targets
    for the mean.
    """
    V, zero = np.int64(logits.shape[1]), logits.dtype.type(0)
    log2e = cast(zero, LOG2E)
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
        peak = maximum(zero, row, V)
        total = exponentials(zero, row, row, V, log2e, peak)
        losses[i] = _nats(peak, target_logit, total)
        scale_row(zero, row, V, z.dtype.type(scale) / total)
        z[targets[i]] -= z.dtype.type(scale)


def cross_entropy_reference(logits, targets):
    """Returns (losses, dlogits of the mean over counted targets)."""
    z = logits - logits.max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    counted = targets >= 0
    rows = np.flatnonzero(counted)
    losses = np.zeros(len(targets))
    losses[rows] = -log_p[rows, targets[rows]]
    dlogits = np.exp(log_p)
    dlogits[rows, targets[rows]] -= 1
    dlogits[~counted] = 0
    return losses, dlogits / max(1, counted.sum())
