"""Streaming Gram matrices: add blocks of rows, merge two accumulators, remove blocks again, solve at any time.

>>> gram = GramAccumulator().add(X1, Y1).add(X2, Y2)      # any block sizes, float32 or float64
>>> gram.remove(X1, Y1)                                   # exact unlearning: as if X1 had never been there
>>> coef, intercept = gram.solve(lambda_reg=1e-3).weights
"""

import numpy as np

from ..errors import UsageError
from .estimator import as_matrix, as_targets, check_finite
from .normal_equations import solve_moments
from .row_sources import StreamSource, moments

# sum (x - shift)^2 / sum (x - mean)^2 above which a block's sums are taken again around its exact mean.
_AMPLIFICATION = 100.0


_OF_ROWS = ("gram", "cross", "squares", "mean_x", "mean_y", "raw_gram", "raw_cross",
            "_origin_x", "_origin_y", "_off_x", "_off_y")  # fmt: skip


class NoRows(ValueError, AttributeError):
    """What only rows can tell was asked of an accumulator without any; hasattr says False."""


class GramAccumulator:
    """Counts, means and centred second moments of (X, Y), kept in float64.

    gram = sum (x - mean)(x - mean)', cross = sum (x - mean)(y - mean)', squares = sum (y - mean)^2 by target, count an
    exact int. Two blocks a and b are combined by

        gram = gram_a + gram_b + (mean_a - mean_b)(mean_a - mean_b)' n_a n_b / (n_a + n_b)

    which only adds positive matrices, so that a large mean costs no digits (T. Chan, G. Golub, R. LeVeque, Updating
    formulae and a pairwise algorithm for computing sample variances, 1979). Removing inverts the formula; what remains is
    then accurate to the rounding errors of what was there before.

    Time n d (d/2 + k) multiply-adds for n rows, memory 8 (d^2 + d k) bytes whatever n is.
    """

    def __init__(self):
        self.count = 0

    def add(self, X, Y=None):
        """Add the rows of X (n, d) and Y (n,) or (n, k); returns self. Raises ValueError on NaN, infinity or new shapes."""
        return self._combine(block_moments(*self._checked(X, Y)), 1)

    def remove(self, X, Y=None):
        """Take rows that were added before out again; returns self. Raises ValueError where more rows go than are there."""
        X, Y = self._checked(X, Y)
        if len(X) > self.count:
            raise UsageError(f"cannot remove {len(X)} rows: only {self.count} were added")
        return self._combine(block_moments(X, Y), -1)

    def merge(self, other):
        """Add all that another accumulator holds; returns self."""
        if other.count and self.count and (other.gram.shape, other.cross.shape) != (self.gram.shape, self.cross.shape):
            raise UsageError(f"cannot merge: {other.cross.shape} features and targets there, {self.cross.shape} here")
        return self if not other.count else self._combine(other._state(), 1)

    def add_blocks(self, blocks, total=None, progress=None):
        """Add every (X, Y) of an iterable or of a callable that returns one. progress: True, False, or None (a terminal)."""
        for X, Y in StreamSource(blocks, total, progress).blocks():
            self.add(X, Y)
        return self

    def copy(self):
        """An accumulator with the same content."""
        return GramAccumulator().merge(self)

    @property
    def raw_gram(self):
        """sum x x', about zero instead of about the mean."""
        return self.gram + self.count * np.outer(self.mean_x, self.mean_x)

    @property
    def raw_cross(self):
        """sum x y', about zero."""
        return self.cross + self.count * np.outer(self.mean_x, self.mean_y)

    def __getattr__(self, name):
        # Reached only where the attribute is not there: nothing was added yet.
        if name in _OF_ROWS:
            raise NoRows("this GramAccumulator has no rows: add some first (add, add_blocks or merge)")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def normal_equations(self, fit_intercept=True):
        """(A, B) of A W = B: centred moments with an intercept, moments about zero without."""
        return (self.gram, self.cross) if fit_intercept else (self.raw_gram, self.raw_cross)

    def solve(self, lambda_reg=0.0, fit_intercept=True):
        """Ridge from the moments alone: a `Solution`. lambda_reg may be an array with one value a target."""

        return solve_moments(self, lambda_reg, fit_intercept)

    def _checked(self, X, Y):
        X = as_matrix(X, finite=False)
        Y = np.empty((len(X), 0)) if Y is None else as_targets(Y, len(X))
        Y = Y.reshape(len(X), -1)
        if self.count and (X.shape[1], Y.shape[1]) != self.cross.shape:
            raise UsageError(f"this block has {X.shape[1]} features and {Y.shape[1]} targets, those before {self.cross.shape}")
        return X, Y

    @property
    def mean_x(self):
        """Mean of the rows of X, (d,)."""
        return self._origin_x + self._off_x

    @property
    def mean_y(self):
        """Mean of the targets, (k,)."""
        return self._origin_y + self._off_y

    def _state(self):
        origins = (self._origin_x, self._origin_y)
        return self.count, origins, self._off_x, self._off_y, self.gram, self.cross, self.squares

    def _combine(self, state, sign):
        count, origins, off_x, off_y, gram, cross, squares = state
        total = self.count + sign * count
        if not self.count or not total:
            # Means are kept as an origin and an offset from it: the difference of two means then keeps its digits where
            # the mean itself is large.
            self.count, (self._origin_x, self._origin_y) = total, origins
            self._off_x, self._off_y = off_x.copy(), off_y.copy()
            keep = 1.0 if total else 0.0
            self.gram, self.cross, self.squares = keep * gram, keep * cross, keep * squares
            return self
        step_x = (origins[0] - self._origin_x) + off_x - self._off_x
        step_y = (origins[1] - self._origin_y) + off_y - self._off_y
        if sign > 0:
            weight = self.count * count / total
        else:
            # The block's distance to what remains, whose mean is not known yet, is n / (n - b) times that to the whole.
            step_x, step_y = step_x * (self.count / total), step_y * (self.count / total)
            weight = -count * total / self.count
        shift = sign * count / (total if sign > 0 else self.count)
        self._off_x, self._off_y = self._off_x + shift * step_x, self._off_y + shift * step_y
        self.gram = self.gram + sign * gram + weight * np.outer(step_x, step_x)
        self.cross = self.cross + sign * cross + weight * np.outer(step_x, step_y)
        self.squares = self.squares + sign * squares + weight * step_y**2
        self.count = total
        return self


def block_moments(X, Y):
    """(n, origins, offsets of the means from them, gram, cross, squares) of one block about its own mean.

    The sums are taken about the mean of a sample of rows and then moved to the exact mean, which reads X once. Where the
    sample's mean was too far off for that to keep all digits, they are taken again about the exact mean.
    """
    n = len(X)
    sample = slice(None, None, max(1, n // 512))
    shift_x = np.asarray(X[sample], np.float64).mean(axis=0)
    shift_y = Y[sample].mean(axis=0)
    for _ in range(2):
        if not np.isfinite(shift_x).all():
            check_finite(X, "X")
        gram, cross, squares, sum_x, sum_y = moments(X, Y, shift_x, shift_y)
        # One NaN or infinity in a column makes its diagonal entry NaN or infinite: no separate pass to look for them.
        if not np.isfinite(np.diag(gram)).all():
            check_finite(X, "X")
            raise UsageError("X is too large: the sum of its squares overflows; scale it down")
        off_x, off_y = sum_x / n, sum_y / n
        spread = np.diag(gram) - n * off_x**2
        if not (np.diag(gram) > _AMPLIFICATION * spread).any():
            break
        shift_x, shift_y = shift_x + off_x, shift_y + off_y
    gram = gram - n * np.outer(off_x, off_x)
    cross = cross - n * np.outer(off_x, off_y)
    # A constant column leaves only the rounding of its mean; what is below that is nothing.
    noise = np.diag(gram) <= n * (4 * np.finfo(np.float64).eps * np.abs(shift_x)) ** 2
    gram[noise], gram[:, noise], cross[noise] = 0.0, 0.0, 0.0
    return n, (shift_x, shift_y), off_x, off_y, gram, cross, np.maximum(squares - n * off_y**2, 0.0)
