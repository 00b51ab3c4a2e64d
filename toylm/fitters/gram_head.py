"""A ridge head that learns a story, or forgets one, without refitting: the moments of its features are kept.

The result is that of a fit on what remains, to rounding. `toylm fit RUN --add FILE` and `--remove FILE` use it.
"""

from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from .activations import head_features
from .data import DocumentWindows
from .output_heads import GRAM, moments_beside, write_head
from .token_gram import TokenGram


class GramHead:
    """A model whose output matrix is the ridge solution of `gram` times beta: `add(ids)` and `remove(ids)` change both.

    context_length: of the windows that the moments are of. A document is ids closed by the end token.
    """

    def __init__(self, model, gram, beta, lambda_reg, context_length):
        self.model, self.gram, self.beta, self.lambda_reg = model, gram, beta, lambda_reg
        self.context_length = context_length

    @classmethod
    def open(cls, checkpoint):
        """Of a Checkpoint with moments beside it. Raises CheckpointError where the two do not belong together."""
        gram, metadata = TokenGram.load(Path(checkpoint.path) / GRAM)
        config = checkpoint.model.config
        if gram.S.shape != (config.vocab_size, config.d_model + config.output_bias) or config.tied:
            raise CheckpointError(f"{checkpoint.path}: the moments in {GRAM} are of another head than the model's")
        numbers = (float(metadata[name]) for name in ("beta", "lambda_reg"))
        return cls(checkpoint.model, gram, *numbers, int(metadata["context_length"]))

    def load_kernels(self, end_id):
        """Run each step once, so that what follows can be timed: the first allocates, and loads kernels and scipy."""
        self.features([end_id], end_id)
        self.gram.solve(self.lambda_reg)

    def features(self, ids, end_id):
        """(X, targets) of one document; it is read by itself, after an end token."""
        ids = np.asarray(ids, np.int64)
        windows = DocumentWindows([ids], self.context_length, 16, int(end_id))
        return head_features(self.model, windows)

    def add(self, ids):
        """Learn one document; returns self."""
        self.gram.add(*self.features(ids, ids[-1]))
        self.gram.documents.add(ids)
        return self._solve()

    def remove(self, ids):
        """Forget one document that was learned; returns self. Raises ValueError where it was not."""
        learned = self.gram.documents.as_learned(ids)
        self.gram.remove(*self.features(learned, ids[-1]))
        self.gram.documents.remove(learned)
        return self._solve()

    def _solve(self):
        W, self.solver, self.rcond = self.gram.solve(self.lambda_reg)
        write_head(self.model, self.beta * W)
        return self

    def beside(self):
        """See Fitter.beside."""
        return moments_beside(self.gram, self.beta, self.lambda_reg, self.context_length)
