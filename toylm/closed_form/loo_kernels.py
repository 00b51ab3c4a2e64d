"""The inner loop of leave-one-out over a path: squared errors of every lambda and target, summed over rows, in one pass."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"})
def add_squared_errors(patterns, p, right, inverse, total):
    """total[t, m] += sum_i ((p[i, t] + sum_r patterns[i, t, r] right[r, m]) inverse[i, m])^2.

    patterns (b, k, r), p (b, k), right (r, M), inverse (b, M), total (k, M), all float64 and C-contiguous. Nothing of size
    b k M is stored.
    """
    b, k, width = patterns.shape
    count = right.shape[1]
    error = np.empty(count)
    for i in range(b):
        for t in range(k):
            start = p[i, t]
            for m in range(count):
                error[m] = start
            r = 0
            while r + 4 <= width:  # four patterns at once: each load and store of `error` serves four products
                c0, c1, c2, c3 = patterns[i, t, r], patterns[i, t, r + 1], patterns[i, t, r + 2], patterns[i, t, r + 3]
                for m in range(count):
                    error[m] += c0 * right[r, m] + c1 * right[r + 1, m] + c2 * right[r + 2, m] + c3 * right[r + 3, m]
                r += 4
            while r < width:
                c = patterns[i, t, r]
                for m in range(count):
                    error[m] += c * right[r, m]
                r += 1
            for m in range(count):
                scaled = error[m] * inverse[i, m]
                total[t, m] += scaled * scaled
