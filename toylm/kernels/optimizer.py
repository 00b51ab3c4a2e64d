"""Optimizer steps over flat arrays: SGD with momentum, Adam and AdamW, and the norm that clipping needs.

A step reads the gradient once: clipping is a factor that the norm decides beforehand, not a pass of its own.
"""

import numpy as np

from .jit import device_function, parallel, rows_of

CHUNK = 16384  # elements whose squares are added up by one thread: the norm's order of sums is the same for any number


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
def sgd(p, g, velocity, n_decayed, learning_rate, momentum, weight_decay, factor, threads, thread):
    """v = momentum · v + factor · g; p -= learning_rate · (v + weight_decay · p for the first n_decayed elements).

    p, g: (n,); velocity: (n,), or (0,) where momentum is 0.
    """
    rate, mu, f = p.dtype.type(learning_rate), p.dtype.type(momentum), p.dtype.type(factor)
    keep = p.dtype.type(1.0 - learning_rate * weight_decay)
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


@device_function
def _adam_range(p, g, m, v, keep, step_size, beta1, beta2, eps, correction, factor):
    one = p.dtype.type(1)
    for i in range(p.shape[0]):
        grad = factor * g[i]
        m_new = beta1 * m[i] + (one - beta1) * grad
        v_new = beta2 * v[i] + (one - beta2) * grad * grad
        m[i] = m_new
        v[i] = v_new
        p[i] = keep * p[i] - step_size * m_new / (np.sqrt(v_new) * correction + eps)


@parallel
def adam(p, g, m, v, n_decayed, learning_rate, beta1, beta2, eps, weight_decay, step, factor, threads, thread):
    """Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019); `step` counts from 1.

    m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; p = (1 - lr · wd) p - lr · m̂ / (sqrt(v̂) + eps), the hats being the bias
    corrections 1 / (1 - b^step). The decay applies to the first n_decayed elements. All arrays (n,), updated in place.
    """
    step_size = p.dtype.type(learning_rate / (1.0 - beta1**step))
    correction = p.dtype.type(1.0 / np.sqrt(1.0 - beta2**step))
    keep, one = p.dtype.type(1.0 - learning_rate * weight_decay), p.dtype.type(1)
    b1, b2 = p.dtype.type(beta1), p.dtype.type(beta2)
    e, f = p.dtype.type(eps), p.dtype.type(factor)
    start, stop = rows_of(p.shape[0], threads, thread)
    border = min(max(start, n_decayed), stop)
    for low, high, kept in ((start, border, keep), (border, stop, one)):
        _adam_range(p[low:high], g[low:high], m[low:high], v[low:high], kept, step_size, b1, b2, e, correction, f)
