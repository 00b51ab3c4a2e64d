"""Linear maps in closed form: LinearRegression (minimum norm) and Ridge; in memory, in blocks, with rows taken out again."""

import warnings

import numpy as np

from ..checks import check_lambda
from ..errors import UsageError
from .estimator import Regressor
from .gram import GramAccumulator
from .normal_equations import solve_moments
from .row_sources import ArraySource, StreamSource
from .solvers import least_squares


class _Linear(Regressor):
    def predict(self, X):
        """X W + b, (n,) or (n, k) like the y of fit."""
        X = self._check_X(X)
        return self._shape_like_y(X @ self.weights_ + self._intercept)

    def _store(self, solution):
        self.weights_, self._intercept = solution.coef, solution.intercept
        self.coef_ = solution.coef[:, 0] if self._one_target else solution.coef.T
        self.intercept_ = float(solution.intercept[0]) if self._one_target else solution.intercept
        self.solver_, self.rcond_, self.rank_ = solution.solver, solution.rcond, solution.rank
        self.passes_ = solution.passes
        return self


class LinearRegression(_Linear):
    """Least squares: W, b = argmin ||X W + b - Y||_F^2; of several minimisers the one of least norm.

    Formula: W = X+ Y for centred X and Y, X+ the pseudo-inverse. Source: Golub and Van Loan, Matrix Computations, 5.3, 5.5.
    Cost: n d^2 multiply-adds by Cholesky, 3 to 4 times that where X is ill-conditioned (see `solvers`); memory beside X
    48 d^2 bytes and 8 d^2 a thread; 210 d^2 where Cholesky cannot be trusted; 8 n d + 24 n^2 where n < d, 32 n d + 16 n^2 where
    then the rank is deficient too. Each is named before it is taken.
    Fails: nothing is unique when columns depend on each other (fewer rows than columns, a repeated feature): the answer is
    the one of least norm, with a RankWarning that names the rank. Least squares trusts every row: one wild outlier moves it.

    Parameters: fit_intercept; solver, one of "auto", "cholesky", "cholesky_qr", "tsqr", "svd".
    Attributes: weights_ (d, k); coef_ (d,) or (k, d) as in scikit-learn; intercept_; solver_ (the one really used);
    rcond_, an estimate of the reciprocal condition number of X'X; rank_; passes_ over the rows.
    """

    def __init__(self, fit_intercept=True, solver="auto"):
        self.fit_intercept = fit_intercept
        self.solver = solver

    def fit(self, X, y):
        """X (n, d), y (n,) or (n, k). Raises ValueError on NaN, infinity, mismatched rows."""
        X, Y = self._fit_X_y(X, y, finite=_small(X))
        return self._store(least_squares(ArraySource(X, Y), 0.0, self.fit_intercept, self.solver))

    def fit_blocks(self, blocks, total=None, progress=None):
        """Fit rows that do not fit in memory: see Ridge.fit_blocks."""
        source = block_source(self, blocks, total, progress)
        return self._store(least_squares(source, 0.0, self.fit_intercept, self.solver))


class Ridge(_Linear):
    """Ridge regression: W, b = argmin ||X W + b - Y||_F^2 + lambda ||W||_F^2, the intercept b not penalised.

    Formula (X, Y centred): W = (X'X + lambda I)^-1 X'Y, or with fewer rows than features W = X'(XX' + lambda I)^-1 Y.
    Source: A. Hoerl, R. Kennard, Ridge regression: biased estimation for nonorthogonal problems (1970).
    Cost: n d^2 multiply-adds (n^2 d in the dual form) and d^3 / 3; memory as LinearRegression.
    Fails: it shrinks every direction by s^2 / (s^2 + lambda), so features of small scale vanish first: whiten them
    (`Whitening`) where scales mean nothing. lambda has no good default: `RidgePath` chooses it.

    Parameters: lambda_reg >= 0, or an array with one value a target (all from one eigendecomposition); fit_intercept;
    solver as in LinearRegression.
    Attributes: as in LinearRegression; solver_ may also be "dual_cholesky" or "eigh".

    Learning in blocks: partial_fit(X, y) adds rows, forget(X, y) removes rows that were added, merge(other) adds all of
    another model's rows. The result equals a fit on what remains (to rounding), and `count_` is exact.
    """

    def __init__(self, lambda_reg=1e-3, fit_intercept=True, solver="auto"):
        self.lambda_reg = lambda_reg
        self.fit_intercept = fit_intercept
        self.solver = solver

    def fit(self, X, y):
        """X (n, d), y (n,) or (n, k). Raises ValueError on NaN, infinity, mismatched rows, lambda < 0."""
        X, Y = self._fit_X_y(X, y, finite=_small(X))
        return self._fit(ArraySource(X, Y))

    def fit_blocks(self, blocks, total=None, progress=None):
        """Fit rows that do not fit in memory, in memory of one block.

        blocks: a list of (X, Y), or a callable that returns a fresh iterator of them; it is called once a pass (passes_).
        progress: show a bar for each pass; None on a terminal only. total: the number of rows, where known.
        """
        return self._fit(block_source(self, blocks, total, progress))

    def _fit(self, source):
        self.__dict__.pop("gram_", None)
        if not np.ndim(self.lambda_reg):
            return self._store(least_squares(source, self.lambda_reg, self.fit_intercept, self.solver))
        self._check_for_moments()
        gram = GramAccumulator()
        for X, Y in source.blocks():
            gram.add(X, Y)
        return self._store(solve_moments(gram, self.lambda_reg, self.fit_intercept))

    def partial_fit(self, X, y):
        """Add rows and solve again: d^3 / 3 beside the rows' own n d^2.

        A model of fit or fit_blocks, which keep no sums, starts anew, with a warning.
        """
        self._check_for_moments()
        if hasattr(self, "gram_"):
            return self._solve(self.gram_.copy().add(self._check_X(X), y))
        if self.__sklearn_is_fitted__():
            warnings.warn(
                "partial_fit starts anew: fit keeps no Gram matrix to add rows to, so its rows are not counted; "
                "give those to partial_fit too",
                stacklevel=3,
            )
        return self._solve(GramAccumulator().add(*self._fit_X_y(X, y)))

    def forget(self, X, y):
        """Remove rows that partial_fit had added, and solve again."""
        self._need_blocks("forget")
        return self._solve(self.gram_.copy().remove(self._check_X(X), y))

    def merge(self, other):
        """Add all rows that another partially fitted Ridge has seen, and solve again."""
        self._need_blocks("merge")
        other._need_blocks("merge")
        return self._solve(self.gram_.copy().merge(other.gram_))

    @property
    def count_(self):
        """How many rows partial_fit has seen, less those forgotten."""
        return self.gram_.count

    def _need_blocks(self, what):
        if not hasattr(self, "gram_"):
            raise UsageError(f"{what} needs a model that learned by partial_fit: fit keeps no Gram matrix")

    def _check_for_moments(self):
        for value in np.atleast_1d(self.lambda_reg):
            check_lambda(value)
        if self.solver != "auto":
            raise UsageError(f"solver is {self.solver!r}: partial_fit and one lambda a target solve by 'auto' only")

    def _solve(self, gram):
        if not gram.count:
            raise UsageError("every row would be forgotten: leave some, or start with a new Ridge")
        self.gram_ = gram
        return self._store(solve_moments(gram, self.lambda_reg, self.fit_intercept))


def _small(X):
    """Small input is checked for NaN up front; for large input the Gram matrix shows it without another pass."""
    return np.asarray(X).size < 1_000_000


def block_source(model, blocks, total=None, progress=None):
    """A StreamSource of `blocks`, after the model has learned the shapes from the first of them."""
    if not callable(blocks):
        blocks = list(blocks)
    X, Y = next(iter(blocks() if callable(blocks) else blocks), (None, None))
    if X is None:
        raise UsageError("no blocks to fit: Found array with 0 sample(s)")
    model._fit_X(X)
    model._one_target = np.ndim(Y) == 1
    return StreamSource(blocks, total, progress)
