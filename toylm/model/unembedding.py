"""The tied unembedding, logits = x·token_embedᵀ, and the cross-entropy behind it.

Training never holds all (N, V) logits: rows are taken in chunks that stay in the cache, and logits, loss, and the gradients
of both factors are done with before the next chunk.
"""

import numpy as np

from ..kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward
from ..kernels.matmul import matmul

CHUNK_BYTES = 4 * 2**20


class TiedUnembedding:
    """Uses token_embed (V, d); its gradient comes on top of the embedding's."""

    def __init__(self, config):
        self.vocab_size = config.vocab_size

    def layout(self):
        return []

    def forward(self, parameters, x, logits):
        """logits (N, V) = x (N, d) · token_embedᵀ."""
        matmul(x, parameters["token_embed"].array, logits, transpose_b=True)

    def backward(self, parameters, gradients, dlogits, x, dx):
        """dx (N, d) = gradient of x, overwritten; dlogits (N, V)."""
        matmul(dlogits, parameters["token_embed"].array, dx)
        matmul(dlogits, x, gradients["token_embed"].array, transpose_a=True, accumulate=True)

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
        """The same, and dx (N, d) = scale · the gradient of the summed losses, overwritten; token_embed's is added to."""
        losses = workspace.take("losses", (x.shape[0],), np.float64)
        for start, stop, logits in self._chunks(workspace, x.shape[0]):
            self.forward(parameters, x[start:stop], logits)
            cross_entropy_backward(logits, targets[start:stop], scale, losses[start:stop])
            self.backward(parameters, gradients, logits, x[start:stop], dx[start:stop])
        return losses
