"""The unembedding, logits = x·Uᵀ with U the token embedding or a matrix of its own, and the cross-entropy behind it.

Where the configuration says so, a bias is added to the logits, and a · log p of a counts model (toylm.fitters.counts), with
the one trained weight a; `log_counts` (N, V) below are these log-probabilities, None for none.

Training never holds all (N, V) logits: rows are taken in chunks that stay in the cache, and logits, loss, and the gradients
of both factors are done with before the next chunk.
"""

import numpy as np

from ..kernels.bias import bias_backward
from ..kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward
from ..kernels.logit_offset import logit_offset_backward, logit_offset_forward

CHUNK_BYTES = 4 * 2**20


class Unembedding:
    """A row of U (V, d) a token: tied, U is token_embed, and its gradient comes on top of the embedding's; else `unembed`."""

    def __init__(self, config, precision):
        self.matmul = precision.matmul
        self.vocab_size, self.d, self.tied = config.vocab_size, config.d_model, config.tied
        self.name = "token_embed" if config.tied else "unembed"
        self.bias = "b_unembed" if config.output_bias else None
        self.scale = "counts_scale" if config.counts else None

    def layout(self):
        entries = [] if self.tied else [(self.name, self.vocab_size, self.d)]
        if self.bias is not None:
            entries.append((self.bias, 1, self.vocab_size))
        return entries if self.scale is None else [*entries, (self.scale, 1, 1)]

    def forward(self, parameters, x, logits, log_counts=None):
        """logits (N, V) = x (N, d) · Uᵀ (+ b) (+ a · log_counts)."""
        bias = None if self.bias is None else np.broadcast_to(parameters[self.bias].flat, logits.shape)
        self.matmul(x, parameters[self.name].array, logits, transpose_b=True, addend=bias)
        self.add_counts(parameters, logits, log_counts)

    def add_counts(self, parameters, logits, log_counts):
        """logits (N, V) += a · log_counts."""
        if log_counts is not None:
            logit_offset_forward(logits, log_counts, parameters[self.scale].flat[0])

    def backward(self, parameters, gradients, dlogits, x, dx, log_counts=None):
        """dx (N, d) = gradient of x, overwritten; dlogits (N, V)."""
        self.matmul(dlogits, parameters[self.name].array, dx)
        self.matmul(dlogits, x, gradients[self.name].array, transpose_a=True, accumulate=True)
        if self.bias is not None:
            bias_backward(dlogits, gradients[self.bias].flat)
        if log_counts is not None:
            gradients[self.scale].flat[0] += logit_offset_backward(dlogits, log_counts)

    def _chunks(self, workspace, rows):
        size = max(64, CHUNK_BYTES // (self.vocab_size * workspace.pool.dtype.itemsize))
        logits = workspace.take("logits_chunk", (min(size, rows), self.vocab_size))
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            yield start, stop, logits[: stop - start]

    def losses(self, parameters, workspace, x, targets, log_counts=None):
        """Nats of every row's target (N,) float64, 0 where targets (N,) < 0; no gradients."""
        losses = workspace.take("losses", (x.shape[0],), np.float64)
        for start, stop, logits in self._chunks(workspace, x.shape[0]):
            self.forward(parameters, x[start:stop], logits, None if log_counts is None else log_counts[start:stop])
            cross_entropy_forward(logits, targets[start:stop], losses[start:stop])
        return losses

    def losses_and_gradients(self, parameters, gradients, workspace, x, targets, scale, dx, log_counts=None):
        """The same, and dx (N, d) = scale · the gradient of the summed losses, overwritten; U's is added to."""
        losses = workspace.take("losses", (x.shape[0],), np.float64)
        for start, stop, logits in self._chunks(workspace, x.shape[0]):
            offset = None if log_counts is None else log_counts[start:stop]
            self.forward(parameters, x[start:stop], logits, offset)
            cross_entropy_backward(logits, targets[start:stop], scale, losses[start:stop])
            self.backward(parameters, gradients, logits, x[start:stop], dx[start:stop], offset)
        return losses
