"""Reading attention head by head, and running a model whose head outputs are replaced.

A head's output at position t is sum_j p_tj V_j. `read_heads` gives p, V and the outputs of a block; `Runner` computes a model's
logits or losses with the head outputs of chosen blocks replaced, everything else untouched. Both go through the model's own
parts, so they follow any architecture the model has: head counts, shared key-value heads, norms, biases, rotary positions.
"""

import numpy as np

from ..errors import UsageError
from ..model.ids import target_ids

P_BYTES = 32 * 2**20  # attention probabilities of one batch


class Reading:
    """The heads of one block on (B, T) tokens: B sequences, H heads, h values a head. Arrays are copies.

    probabilities (B, H, T, T); values (B, H, T, h), shared key-value heads repeated; context (B, H, T, h), the head outputs
    sum_j p_j V_j; star (B, H, T), the position i* of the largest probability; p_star (B, H, T, 1); v_star (B, H, T, h).
    """

    def __init__(self, activations):
        a = activations
        B, T, H = a.batch, a.length, a.config.n_heads
        self.probabilities = a.attention_probabilities
        self.values = np.repeat(a.values, H // a.config.n_kv_heads, axis=1)
        self.context = a.head_outputs.reshape(B, T, H, -1).transpose(0, 2, 1, 3).copy()
        self.star = self.probabilities.argmax(axis=-1)
        self.p_star = np.take_along_axis(self.probabilities, self.star[..., None], axis=-1)
        self.v_star = np.take_along_axis(self.values, self.star[..., None], axis=2)


def head_output_matrix(model, layer):
    """The rows of w_o by head: (H, h, d), so that attention adds sum over heads of output (h) · matrix (h, d)."""
    w_o = model.parameters[model.blocks[layer].attention.output.weight].array
    return w_o.reshape(model.config.n_heads, model.config.d_head, -1)


def join_heads(heads):
    """(B, H, T, h) -> (B·T, H·h)."""
    return heads.transpose(0, 2, 1, 3).reshape(heads.shape[0] * heads.shape[2], -1)


def batch_rows(config, length, itemsize=4):
    """Sequences of `length` tokens that one batch may hold, so that attention probabilities stay near 32 MB."""
    return max(1, P_BYTES // (config.n_heads * length * length * itemsize))


def run_blocks(model, tokens, before=None, after=None):
    """Run the model up to its final norm on tokens (B, T) and return its Activations; no logits are made.

    before, after: called with (layer, activations of the block) around every block.
    """
    tokens = model._tokens(tokens)
    a = model.activations = model.workspace.activations(*tokens.shape)
    a.tokens = tokens
    model.embedding.forward(model.parameters, tokens, a.embedded)
    for layer, block in enumerate(model.blocks):
        if before:
            before(layer, a.blocks[layer])
        block.forward(model.parameters, a.blocks[layer])
        if after:
            after(layer, a.blocks[layer])
    model.norm_final.forward(model.parameters, a.last_residual, a.final_norm, a.final_rstd)
    return a


class Runner:
    """Runs `model` on one batch of tokens (B, T) again and again, with the head outputs of chosen blocks replaced.

    A replacement is a function Reading -> (B, H, T, h). It reads what the patched model itself computes up to that block.
    What lies before the first replaced block is computed once.
    """

    def __init__(self, model, tokens, keep=()):
        """keep: blocks where runs will start; their input and their reading are kept."""
        self.model, self.tokens = model, np.ascontiguousarray(np.atleast_2d(tokens), np.int64)
        self._inputs, self._readings = {}, {}

        def keep_input(layer, a):
            if layer in keep:
                self._inputs[layer] = a.residual_in.copy()

        def keep_reading(layer, a):
            if layer in keep:
                self._readings[layer] = Reading(a)

        self.activations = run_blocks(model, self.tokens, keep_input, keep_reading)
        self._final_norm = self.activations.final_norm.copy()

    def reading(self, layer):
        """The heads of an untouched block, one of those in `keep`."""
        return self._readings[layer]

    def _run(self, replacements):
        """The final norm (N, d) with the replacements in place."""
        if not replacements:
            return self._final_norm
        model, a = self.model, self.activations
        first = min(replacements)
        if first not in self._inputs:
            raise UsageError(f"block {first} was not among the blocks to keep, {sorted(self._inputs)}")
        a.blocks[first].residual_in[...] = self._inputs[first]
        for layer in range(first, len(model.blocks)):
            block, b = model.blocks[layer], a.blocks[layer]
            block.forward(model.parameters, b)
            if layer in replacements:
                # What attention computed is overwritten, and the block goes on from there.
                reading = self._readings[layer] if layer == first else Reading(b)
                b.head_outputs[...] = join_heads(replacements[layer](reading))
                block.attention.output.forward(model.parameters, b.head_outputs, b.residual_mid, b.residual_in)
                block.norm2.forward(model.parameters, b.residual_mid, b.norm2, b.rstd2)
                block.feed_forward.forward(model.parameters, b.norm2, b.residual_mid, b, b.residual_out)
        model.norm_final.forward(model.parameters, a.last_residual, a.final_norm, a.final_rstd)
        return a.final_norm

    def losses(self, targets, replacements=None):
        """Nats of every target, float64, in the shape of targets (B, T); 0 where it is below zero. None: the model as it is."""
        model, flat = self.model, target_ids(targets, self.model.config.vocab_size)
        offset = model.log_counts(self.tokens)
        losses = model.unembedding.losses(model.parameters, self.activations.buffers, self._run(replacements), flat, offset)
        return losses.reshape(np.shape(targets)).copy()

    def logits(self, replacements=None):
        """Logits (B, T, V) with the replacements in place."""
        logits = np.empty((self.tokens.size, self.model.config.vocab_size), self.model.dtype)
        offset = self.model.log_counts(self.tokens)
        self.model.unembedding.forward(self.model.parameters, self._run(replacements), logits, offset)
        return logits.reshape(*self.tokens.shape, -1)
