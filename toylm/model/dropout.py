"""Dropout in a training pass: which masks it draws, and the buffers for branches that no longer join the stream by themselves."""

import numpy as np

from ..kernels.dropout import dropout_backward, dropout_forward


class Dropout:
    """The masks of one training pass: place 0 is the embedding, 2 i + 1 and 2 i + 2 the two branches of block i.

    rate: the probability p of a value to be dropped, from 0 to below 1; seed: integers that name the pass, so that the same
    pass draws the same masks again.
    """

    def __init__(self, rate, seed, n_layers, workspace):
        if not 0 < rate < 1:
            raise ValueError(f"dropout is {rate}; it must be at least 0 and below 1")
        self.threshold, self.scale, self.workspace = int(rate * 2**32), 1 / (1 - rate), workspace
        self.keys = [int(k) for k in np.random.SeedSequence(seed).generate_state(2 * n_layers + 1, np.uint32)]

    def branch(self, shape):
        """A buffer for what a branch writes before its values are dropped."""
        return self.workspace.take("branch", shape)

    def forward(self, place, branch, residual, out):
        """out = residual + what is kept of the branch, scaled; all (N, d)."""
        dropout_forward(branch.reshape(-1), residual.reshape(-1), out.reshape(-1), self.keys[place], self.threshold, self.scale)

    def backward(self, place, dout):
        """The gradient of the branch (N, d), in a buffer of its own; dout stays, the stream's own branch."""
        dbranch = self.workspace.take("dbranch", dout.shape)
        dropout_backward(dout.reshape(-1), dbranch.reshape(-1), self.keys[place], self.threshold, self.scale)
        return dbranch
