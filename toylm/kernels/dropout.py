"""Dropout of a branch before it joins the stream: y = x + m · f / (1 - p), m being 0 with probability p and else 1.

The mask is never stored: element i of a pass is kept or dropped by a hash of (key, i), computed again in the backward pass
(Srivastava et al. 2014; the hash is the 32-bit finaliser "lowbias32" of C. Wellons, 2018).
"""

import numpy as np

from .jit import device_function, parallel, rows_of


@device_function(inline="always")
def _keeps(i, key, threshold):
    """Whether element i stays: a hash of i and key, uniform on 0 to 2**32 - 1, at or above the threshold."""
    h = np.uint32(i) ^ np.uint32(key)
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D))
    h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B))
    return (h ^ (h >> np.uint32(16))) >= np.uint32(threshold)


@parallel
def dropout_add(f, x, y, key, threshold, scale, threads, thread):
    """y = x + mask · scale · f; all (n,). key: uint32 as an integer; threshold: p · 2**32; scale: 1 / (1 - p)."""
    s, zero = f.dtype.type(scale), f.dtype.type(0)
    start, stop = rows_of(f.shape[0], threads, thread)
    for i in range(start, stop):
        y[i] = x[i] + (s * f[i] if _keeps(i, key, threshold) else zero)


@parallel
def dropout_scale(x, y, key, threshold, scale, threads, thread):
    """y = mask · scale · x; both (n,); y may be x. The backward pass of either is this, for the gradient."""
    s, zero = x.dtype.type(scale), x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        y[i] = s * x[i] if _keeps(i, key, threshold) else zero
