"""Shuffling without a table: a keyed permutation of 0..n-1, computed where it is needed, in constant memory.

A Feistel network permutes the 2^(2h) numbers just above n; indices that land outside 0..n-1 walk on until they land inside
(cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). Walking keeps it a permutation.
"""

import numpy as np

from ..errors import UsageError

ROUNDS = 6


def mix(x):
    """Scramble uint64 values bijectively (the finalizer of SplitMix64; Steele, Lea and Flood 2014)."""
    x = np.atleast_1d(np.asarray(x, np.uint64)) + np.uint64(0x9E3779B97F4A7C15)  # arrays wrap around without a warning
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Permutation:
    """A permutation of 0..n-1 drawn by `keys`: `permutation(indices)` gives the images of an integer array.

    keys: `ROUNDS` numbers below 2**64. Raises ValueError if n is below 1.
    """

    def __init__(self, n, keys):
        if n < 1:
            raise UsageError(f"a permutation of {n} numbers does not exist; n must be at least 1")
        self.n = int(n)
        self._half = np.uint64(max(1, ((self.n - 1).bit_length() + 1) // 2))
        self._low = np.uint64((1 << int(self._half)) - 1)
        self._keys = [np.uint64(k) for k in keys]

    def __call__(self, indices):
        """Images of `indices` (integers in 0..n-1), int64 of the same shape."""
        out = np.array(indices, dtype=np.uint64).reshape(-1)
        outside = np.arange(len(out))
        while len(outside):
            out[outside] = self._encrypt(out[outside])
            outside = outside[out[outside] >= np.uint64(self.n)]
        return out.astype(np.int64).reshape(np.shape(indices))

    def _encrypt(self, x):
        left, right = x >> self._half, x & self._low
        for key in self._keys:
            left, right = right, left ^ (mix(right ^ key) & self._low)
        return (left << self._half) | right
