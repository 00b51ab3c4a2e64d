"""The unembedding, logits = x·Uᵀ with U the token embedding or a matrix of its own, and the cross-entropy behind it.

Training never holds all (N, V) logits: rows are taken in chunks that stay in the cache, and logits, loss, and the gradients
of both factors are done with before the next chunk.
"""

import numpy as np

from ..kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward

CHUNK_BYTES = 4 * 2**20


class Unembedding:
    """A row of U (V, d) a token: tied, U is token_embed, and its gradient comes on top of the embedding's; else `unembed`."""

    def __init__(self, config, precision):
        self.matmul = precision.matmul
        self.vocab_size, self.d, self.tied = config.vocab_size, config.d_model, config.tied
        self.name = "token_embed" if config.tied else "unembed"

    def layout(self):
        return [] if self.tied else [(self.name, self.vocab_size, self.d)]

    def forward(self, parameters, x, logits):
        """logits (N, V) = x (N, d) · Uᵀ."""
        self.matmul(x, parameters[self.name].array, logits, transpose_b=True)

    def backward(self, parameters, gradients, dlogits, x, dx):
        """dx (N, d) = gradient of x, overwritten; dlogits (N, V)."""
        self.matmul(dlogits, parameters[self.name].array, dx)
        self.matmul(dlogits, x, gradients[self.name].array, transpose_a=True, accumulate=True)

    def _chunks(self, workspace, rows):
        size = max(64, CHUNK_BYTES // (self.vocab_size * workspace.pool.dtype.itemsize))
        logits = workspace.take("logits_chunk", (min(size, rows), self.vocab_size))
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            yield start, stop, logits[: stop - start]

    def losses(self, parameters, workspace, x, targets):
        """Nats of every row's target (N,) float64, 0 where targets (N,) < 0; no gradients."""
        losses = workspace.take("losses", (x.shape[0],), np.float64)
        for start, stop, logits in self._chunks(workspace, x.shape[0]):
            self.forward(parameters, x[start:stop], logits)
            cross_entropy_forward(logits, targets[start:stop], losses[start:stop])
        return losses

    def losses_and_gradients(self, parameters, gradients, workspace, x, targets, scale, dx):
        """The same, and dx (N, d) = scale · the gradient of the summed losses, overwritten; U's is added to."""
        losses = workspace.take("losses", (x.shape[0],), np.float64)
        for start, stop, logits in self._chunks(workspace, x.shape[0]):
            self.forward(parameters, x[start:stop], logits)
            cross_entropy_backward(logits, targets[start:stop], scale, losses[start:stop])
            self.backward(parameters, gradients, logits, x[start:stop], dx[start:stop])
        return losses
