"""The unembedding, logits = x·Uᵀ with U the token embedding or a matrix of its own, and the cross-entropy behind it.

Where the configuration says so, a bias is added to the logits, or the transformer is combined with a counts model
(toylm.counts): logits = b · x·Uᵀ + a · log p_counts, a product of experts whose two weights are parameters: a,
counts_scale, starts at 1, and b, transformer_scale, at 0. `log_counts` below are (log-probabilities (N, V), rows (N,) bool that
have them), None for none.
"""

import numpy as np

from ..kernels.cross_entropy import (
    cross_entropy_backward,
    cross_entropy_forward,
    logit_offset_backward,
    logit_offset_forward,
)
from ..kernels.matmul import bias_backward

EXPERT_WEIGHTS = ("counts_scale", "transformer_scale")


class Unembedding:
    """A row of U (V, d) a token: tied, U is token_embed, and its gradient comes on top of the embedding's; else `unembed`."""

    def __init__(self, config, precision):
        self.matmul = precision.matmul
        self.name = "token_embed" if config.tied else "unembed"
        self.bias = "b_unembed" if config.output_bias else None

    @staticmethod
    def expert_weights(parameters):
        """(a, b), the weights of the counts and of the transformer."""
        return tuple(float(parameters[name].flat[0]) for name in EXPERT_WEIGHTS)

    def forward(self, parameters, x, logits, log_counts=None):
        """logits (N, V) = x (N, d) · Uᵀ (+ bias); where there are counts, b times that + a · log_counts."""
        bias = None if self.bias is None else parameters[self.bias].flat
        if log_counts is None:
            addend = None if bias is None else np.broadcast_to(bias, logits.shape)
            self.matmul(x, parameters[self.name].array, logits, transpose_b=True, addend=addend)
            return
        scale = self._row_scale(parameters, log_counts)
        addend = None if bias is None else np.outer(scale, bias)
        self.matmul(x * scale[:, None], parameters[self.name].array, logits, transpose_b=True, addend=addend)
        logit_offset_forward(logits, log_counts[0], parameters["counts_scale"].flat[0])

    def complete(self, parameters, logits, log_counts=None):
        """Turn logits that are x·Uᵀ alone, as compiled decoding leaves them, into those of `forward`; in place."""
        if self.bias is not None:
            logits += parameters[self.bias].flat
        if log_counts is not None:
            logits *= self._row_scale(parameters, log_counts)[:, None]
            logit_offset_forward(logits, log_counts[0], parameters["counts_scale"].flat[0])

    def _row_scale(self, parameters, log_counts):
        """The transformer's weight (N,): b in rows that have counts, else 1."""
        scale = parameters["transformer_scale"].flat
        return np.where(log_counts[1], scale[0], 1).astype(scale.dtype)

    def backward(self, parameters, gradients, dlogits, x, dx, log_counts=None):
        """dx (N, d) = gradient of x, overwritten; dlogits (N, V)."""
        self.matmul(dlogits, parameters[self.name].array, dx)
        weight = gradients[self.name].array
        if log_counts is None:
            self.matmul(dlogits, x, weight, transpose_a=True, accumulate=True)
            if self.bias is not None:
                bias_backward(dlogits, gradients[self.bias].flat)
            return
        scale, rows = self._row_scale(parameters, log_counts), log_counts[1]
        # forward: logits = scale · (x·Uᵀ + bias) + a · log_counts, so the gradient of b is the sum of dlogits · (x·Uᵀ + bias)
        db = np.einsum("ij,ij->", dx[rows], x[rows], dtype=np.float64)
        self.matmul(dlogits, x * scale[:, None], weight, transpose_a=True, accumulate=True)
        if self.bias is not None:
            gradients[self.bias].flat[:] += scale @ dlogits
            db += float((dlogits[rows] @ parameters[self.bias].flat).sum())
        gradients["transformer_scale"].flat[0] += db
        gradients["counts_scale"].flat[0] += logit_offset_backward(dlogits, log_counts[0])
        dx *= scale[:, None]

    def losses(self, parameters, buffers, x, targets, log_counts=None):
        """Nats of every row's target (N,) float64, 0 where targets (N,) < 0; no gradients."""
        losses = buffers["losses"]
        for start, stop, logits in _chunks(buffers, len(x)):
            self.forward(parameters, x[start:stop], logits, _rows(log_counts, start, stop))
            cross_entropy_forward(logits, targets[start:stop], losses[start:stop])
        return losses

    def losses_and_gradients(self, parameters, gradients, buffers, x, targets, scale, dx, log_counts=None):
        """The same, and dx (N, d) = scale · the gradient of the summed losses, overwritten; U's is added to."""
        losses = buffers["losses"]
        for start, stop, logits in _chunks(buffers, len(x)):
            offset = _rows(log_counts, start, stop)
            self.forward(parameters, x[start:stop], logits, offset)
            cross_entropy_backward(logits, targets[start:stop], scale, losses[start:stop])
            self.backward(parameters, gradients, logits, x[start:stop], dx[start:stop], offset)
        return losses


def _chunks(buffers, rows):
    """(start, stop, memory for their logits) of as many rows at a time as stay in a cache."""
    logits = buffers["logits_chunk"]
    for start in range(0, rows, len(logits)):
        stop = min(start + len(logits), rows)
        yield start, stop, logits[: stop - start]


def _rows(log_counts, start, stop):
    return None if log_counts is None else (log_counts[0][start:stop], log_counts[1][start:stop])
