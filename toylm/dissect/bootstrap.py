"""Bootstrap intervals over documents: documents, not tokens, are what was drawn independently."""

import numpy as np


def unit_sums(values, units):
    """Sums of values (..., n) over equal units (n,), as (..., number of units), and the counts (number of units,)."""
    _, index = np.unique(units, return_inverse=True)
    n = index.max() + 1
    flat = values.reshape(-1, values.shape[-1])
    sums = np.stack([np.bincount(index, weights=row, minlength=n) for row in flat])
    return sums.reshape(*values.shape[:-1], n), np.bincount(index, minlength=n)


def resampled_means(sums, counts, resamples=2000, seed=0):
    """Means per target of `resamples` draws of documents with replacement: sums (..., n) -> (..., resamples).

    The same draws serve every row, so that differences between rows are paired.
    """
    n = len(counts)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)  # how often each document
    return sums @ draws.T / (draws @ counts)


def interval(samples, level=0.95):
    """(low, high) percentiles of samples (..., resamples) along the last axis; NaN where no sample is finite."""
    tail = 100 * (1 - level) / 2
    finite = np.where(np.isfinite(samples), samples, np.nan)
    empty = np.isnan(finite).all(axis=-1)
    finite = np.where(empty[..., None], 0.0, finite)
    low, high = np.nanpercentile(finite, [tail, 100 - tail], axis=-1)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)
