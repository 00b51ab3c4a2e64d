"""Dropout in a training pass: which masks it draws."""

import numpy as np

from ..errors import UsageError
from ..kernels.dropout import dropout_add, dropout_scale


class Dropout:
    """The masks of one training pass: place 0 is the embedding, 2 i + 1 and 2 i + 2 the two branches of block i.

    rate: the probability p of a value to be dropped, from 0 to below 1; seed: integers that name the pass, so that the same
    pass draws the same masks again.
    """

    def __init__(self, rate, seed, n_layers):
        if not 0 < rate < 1:
            raise UsageError(f"dropout is {rate}; it must be at least 0 and below 1")
        self.threshold, self.scale = int(rate * 2**32), 1 / (1 - rate)
        self.keys = [int(k) for k in np.random.SeedSequence(seed).generate_state(2 * n_layers + 1, np.uint32)]

    def join(self, place, branch, residual, out):
        """out = residual + what is kept of the branch, scaled; all (N, d)."""
        dropout_add(branch.reshape(-1), residual.reshape(-1), out.reshape(-1), self.keys[place], self.threshold, self.scale)

    def drop(self, place, x, out):
        """out = what is kept of x, scaled; both (N, d); out may be x. Its backward pass is the same for the gradient. Returns
        out."""
        dropout_scale(x.reshape(-1), out.reshape(-1), self.keys[place], self.threshold, self.scale)
        return out
