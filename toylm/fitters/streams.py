"""The residual stream of a model over a text, kept block by block, so that a fit at block K pays for blocks up to K only."""

import numpy as np


class Stream:
    """Where the residual stream of `model` stands over a list of batches (tokens, targets): before block `at`.

    `run(b, i)` computes block i on batch b from the stream as it stands and returns its BlockActivations (views: they hold
    until the next call); `advance()` takes the stream through block `at` with the parameters as they are now.
    Memory: batches · B · T · d values.
    """

    def __init__(self, model, batches):
        self.model, self.batches, self.at = model, batches, 0
        self.targets = [targets.reshape(-1) for _, targets in batches]
        self.rows = []
        for tokens, _ in batches:
            x = np.empty((tokens.size, model.config.d_model), model.dtype)
            model.embedding.forward(model.parameters, model._tokens(tokens), x)
            self.rows.append(x)

    def __len__(self):
        return len(self.batches)

    def activations(self, b, training=False):
        """The workspace for batch b, as the model's Activations; training: with the buffers of a backward pass."""
        a = self.model.workspace.activations(*self.batches[b][0].shape, training)
        a.tokens = self.batches[b][0]
        return a

    def run(self, b, i=None):
        """Block i (None: `at`) on batch b: its BlockActivations."""
        i = self.at if i is None else i
        a = self.activations(b).blocks[i]
        a.residual_in[:] = self.rows[b]
        self.model.blocks[i].forward(self.model.parameters, a)
        return a

    def run_attention(self, b):
        """Attention alone of block `at` on batch b: its BlockActivations, whole up to residual_mid."""
        a, block, p = self.activations(b).blocks[self.at], self.model.blocks[self.at], self.model.parameters
        a.residual_in[:] = self.rows[b]
        block.norm1.forward(p, a.residual_in, a.norm1, a.rstd1)
        block.attention.forward(p, a.norm1, a.residual_in, a, a.residual_mid)
        return a

    def advance(self, to=None):
        """Take the stream through block `at`, or through all blocks before block `to`; returns self."""
        last = self.at + 1 if to is None else to
        while self.at < last:
            for b in range(len(self)):
                self.rows[b] = self.run(b).residual_out.copy()
            self.at += 1
        return self

    def counted(self, b):
        """(N,) bool: the rows of batch b whose target counts; the rest is padding."""
        return self.targets[b] >= 0


class TeacherStream(Stream):
    """The stream of a model that does not change: what block `at` did is computed once and kept until the stream moves on.

    `mid(b)` and `out(b)`: the stream after the block's attention, and after the block, on batch b.
    """

    def __init__(self, model, batches):
        super().__init__(model, batches)
        self._kept = {}

    def _done(self, b):
        if b not in self._kept:
            a = self.run(b)
            self._kept[b] = a.residual_mid.copy(), a.residual_out.copy()
        return self._kept[b]

    def mid(self, b):
        return self._done(b)[0]

    def out(self, b):
        return self._done(b)[1]

    def advance(self, to=None):
        """See Stream.advance."""
        last = self.at + 1 if to is None else to
        while self.at < last:
            for b in range(len(self)):
                self.rows[b] = self.out(b)
            self._kept = {}
            self.at += 1
        return self


def batches_of(data, max_tokens=None):
    """The fitting text as a list of batches, so that several passes see the same rows."""
    return list(data.batches(max_tokens))
