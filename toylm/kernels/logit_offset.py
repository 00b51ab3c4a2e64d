"""A fixed offset of the logits with a trained weight: z += a · s. Its backward pass is the one number da = sum(dz · s)."""

import numpy as np

from .parallel import parallel
from .rows import rows_of


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


def logit_offset_reference(logits, offset, scale):
    return logits + scale * offset


def logit_offset_backward_reference(dlogits, offset):
    return (dlogits.astype(np.float64) * offset).sum()
