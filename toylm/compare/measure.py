"""Losses by document, and intervals of differences that are paired by document.

Two contestants meet the same documents, some easy, some hard for both. Resampling documents, the same draws for both sides, gives
the interval of their difference; resampling tokens would treat neighbours as independent and promise too much.
"""

import numpy as np

from ..dissect.bootstrap import interval, resampled_means


def document_losses(predictor, data):
    """(sums of nats (documents,), counted tokens (documents,)) over the held-out text of a FitData, in its windows."""
    losses, targets_seen = [], []
    for tokens, targets in data.held_out_batches():
        counted = targets >= 0
        losses.append(predictor.token_losses(tokens, targets)[counted])
        targets_seen.append(targets[counted])
    losses, targets_seen = np.concatenate(losses), np.concatenate(targets_seen)
    ends = targets_seen == data.held_out.end_id
    document = np.cumsum(ends) - ends  # an end token belongs to the document that it closes
    return np.bincount(document, weights=losses), np.bincount(document)


def paired_interval(sums, other_sums, counts, level=0.95):
    """(difference, low, high) in nats per token of two contestants' mean over seeds, sums (seeds, documents) each."""
    difference = np.mean(sums, axis=0) - np.mean(other_sums, axis=0)
    low, high = interval(resampled_means(difference[None], counts), level)
    return float(difference.sum() / counts.sum()), float(low[0]), float(high[0])
