"""Counts inside a transformer: log p = a · log p_counts + b · transformer, normalised; it starts as the counts, a = 1, b = 0.

A transformer that is trained on top of counts must not see what the counts know of the very text it is trained on: they know
that by heart, nothing would be left to learn, and on other text they know less. So the training text is cut in folds of whole
documents, and a window of one fold is offered the counts of all others (cross-fitting; the idea of adding the n-gram's
log-probabilities to neural logits is Li et al. 2022, arXiv 2210.14431). Evaluation and generation use all counts.

The weights a and b are fitted in closed form on the end of the training text, which the transformer is not trained on
(expert_weights.py). Only a share of the windows is predicted with the counts; the others the transformer predicts alone. A
transformer that is only ever asked for what the counts leave over learns that by heart on a small text, and is worse in the
end than one that knows the language by itself.
"""

import numpy as np

from ..counts.language_model import CountsLM
from ..counts.views import word_symbols
from ..errors import UsageError
from ..model.transformer import NO_COUNTS
from .expert_weights import fit_expert_weights


def attach_counts(model, text, order, folds, tokenizer=None):
    """Give `model` (config.counts true) the counts of a TokenFile, cross-fitted in `folds`; returns the CountsLM.

    tokenizer: the text's, for the counts' view of whole words; None for n-grams of tokens alone.
    Raises ValueError where the model has no place for them or another vocabulary, UsageError for a text of too few documents.
    """
    c = model.config
    if not c.counts:
        raise UsageError("this model adds no counts to its logits: make it with counts=True in its ModelConfig")
    if text.vocab_size > c.vocab_size:
        raise UsageError(f"the text has {text.vocab_size} tokens and the model {c.vocab_size}; they do not belong together")
    model.counts = CountsLM.fit(
        text.tokens, c.vocab_size, text.end_id, order=order, folds=folds, context_length=c.context_length,
        words=None if tokenizer is None else word_symbols(tokenizer),
    )  # fmt: skip
    return model.counts


def counts_for(model, batches, share=0.25, seed=0):
    """The `folds` of a training pass on the last of `batches`: (B,), or None where the model has no counts.

    A window belongs to the fold of its first token, which is left out; counts without folds were made of another text, and
    nothing is left out. Of B windows, round(share · B) are predicted with counts, drawn from seed (an integer or several).
    """
    if not model.config.counts:
        return None
    folds = model.counts.fold_of(batches.starts)
    alone = np.random.default_rng(seed).permutation(len(folds))[round(share * len(folds)) :]
    folds[alone] = NO_COUNTS
    return folds


def validation_fold(starts, data):
    """The fold, of those that begin at `starts`, that holds the validation part of a FitData. Raises UsageError: not one alone."""
    first, last = np.searchsorted(starts, [len(data.fitting), len(data.train) - 1], side="right") - 1
    if first != last:
        raise UsageError(
            f"the counts have {len(starts)} folds, the last of which is shorter than the {len(data.validation):,} tokens at the "
            f"end of the text that decide how much the counts weigh; choose fewer"
        )
    return int(last)


class Calibration:
    """Re-fits the weights of counts and transformer on the end of the training text, which the transformer is not trained on.

    model: one with cross-fitted counts; data: the FitData whose training text was counted, and whose validation part this reads.
    `__call__(model)` sets the weights and returns the loss there, in nats; the counts of the fold that holds this text are left
    out. Raises UsageError where that text is not all in one fold: the counts would know some of it by heart.
    """

    def __init__(self, model, data):
        self.fold, self.windows = validation_fold(model.counts.fold_starts, data), data.validation_batches()

    def __call__(self, model):
        return fit_expert_weights(model, self.windows, self.fold)[2]
