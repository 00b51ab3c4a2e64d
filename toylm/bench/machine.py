"""This machine's two roofs: bytes a second that a copy moves, and float32 operations a second that its vector units do.

The copy: every thread copies its share of an array by a loop of ordinary loads and stores, as all kernels here have, and a
byte that is read and written counts twice (as in McCalpin's STREAM). Measured over as many bytes as the kernel beside it
moves, because a cache is several times faster than memory. The peak: polynomials of values that stay in the first-level cache,
a chain of fused multiply-adds a value, with so many values that the chains overlap; no product of matrices can be faster.
"""

import time

import numpy as np

from ..kernels.parallel import parallel
from ..kernels.rows import rows_of
from ..threads import get_threads

DEGREE = 32
VALUES = 2048  # a thread
ROUNDS = 300  # over them: about 1 ms, so that starting the threads does not count


@parallel
def copy(source, target, threads, thread):
    """target = source, both (n,)."""
    start, stop = rows_of(source.shape[0], threads, thread)
    a, b = source[start:stop], target[start:stop]
    for i in range(a.shape[0]):
        b[i] = a[i]


@parallel
def polynomials(x, c, rounds, y, threads, thread):
    """y = c (1 + x + x² + ... ) up to x^DEGREE by Horner's rule, `rounds` times; x, y: (threads, n), a row a thread."""
    values, sums = x[thread], y[thread]
    for _ in range(rounds):
        for i in range(values.shape[0]):
            value, total = values[i], c
            for _ in range(DEGREE):
                total = total * value + c
            sums[i] = total


class Roofs:
    """Measures both roofs on the threads that are set; buffers are kept from one measurement to the next."""

    def __init__(self):
        self.source = self.target = np.zeros(0, np.float32)
        self.values = np.full((get_threads(), VALUES), 0.5, np.float32)
        self.sums = np.zeros_like(self.values)

    def copy_seconds(self, nbytes, repeat=1):
        """Seconds in which the machine moves `nbytes`: half of them read, half written."""
        n = max(16, int(nbytes) // 8)
        if self.source.size < n:
            # Written, not np.zeros: memory that was never written is one page of zeros, which is always in the cache.
            self.source, self.target = np.full(n, 2.0, np.float32), np.ones(n, np.float32)
        source, target = self.source[:n], self.target[:n]
        copy(source, target)
        start = time.perf_counter()
        for _ in range(repeat):
            copy(source, target)
        return (time.perf_counter() - start) / repeat

    def peak_flops(self, repeat=1):
        """float32 operations a second: two a value and degree."""
        polynomials(self.values, np.float32(1), ROUNDS, self.sums)
        start = time.perf_counter()
        for _ in range(repeat):
            polynomials(self.values, np.float32(1), ROUNDS, self.sums)
        return 2 * DEGREE * self.values.size * ROUNDS * repeat / (time.perf_counter() - start)
