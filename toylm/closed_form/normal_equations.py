"""Positive definite systems: Cholesky with an estimate of the condition number, and ridge from moments alone.

What `gram` (which accumulates moments) and `solvers` (which choose how to solve) both stand on. `gram` below is
anything with count, mean_x, mean_y, cross and normal_equations(fit_intercept): a `gram.GramAccumulator`.
"""

import contextlib
from dataclasses import dataclass, field

import numpy as np

from ..checks import check_lambda
from ..errors import UsageError
from ..threads import one_blas_thread
from .estimator import warn_rank

EPS = np.finfo(np.float64).eps
RCOND_CHOLESKY = 1e-10
SMALL = 512  # features up to which two threads gain less than their spinning costs the next pass over the rows


def rank_tolerance(rows, columns):
    """Singular values below this times the largest one are rounding: their error grows as sqrt(n), not as n."""
    return EPS * max(columns, np.sqrt(rows), 16)


@dataclass
class Solution:
    """W (d, k) and intercept (k,), the solver that found them, an estimate of rcond(X'X + lambda I), the rank of X."""

    coef: np.ndarray
    intercept: np.ndarray
    solver: str
    rcond: float
    rank: int
    passes: int = 1
    details: dict = field(default_factory=dict)

    @property
    def weights(self):
        return self.coef, self.intercept


def blas_for(d):
    """A context in which BLAS uses the threads that d features deserve."""
    return one_blas_thread() if d <= SMALL else contextlib.nullcontext()


def factor_spd(A):
    """Cholesky factor of a symmetric matrix scaled to unit diagonal: (factor, scale, rcond), or None where it fails.

    rcond is LAPACK's 1-norm estimate for the scaled matrix; the scaling is within a factor d of the best one.
    """
    from scipy.linalg import lapack

    diagonal = np.diag(A)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = A * scale
    scaled *= scale[:, None]
    scaled = scaled.T  # LAPACK's order, so that it works in place
    norm = lapack.dlange("1", scaled)
    with blas_for(len(A)):
        factor, info = lapack.dpotrf(scaled, lower=0, overwrite_a=1)
        if info != 0:
            return None
        rcond, _ = lapack.dpocon(factor, norm)
    return factor, scale, float(rcond)


def solve_factored(factored, B):
    """A^-1 B from `factor_spd`."""
    from scipy.linalg import cho_solve

    factor, scale, _ = factored
    with blas_for(len(factor)):
        return scale[:, None] * cho_solve((factor, False), scale[:, None] * B, check_finite=False)


def means_of(gram, fit_intercept):
    """(mean of x, mean of y), zero without an intercept."""
    if fit_intercept:
        return gram.mean_x, gram.mean_y
    return np.zeros_like(gram.mean_x), np.zeros_like(gram.mean_y)


def solution(coef, mean_x, mean_y, solver, rcond, rank, **extra):
    """The Solution of coefficients for centred data."""
    return Solution(coef, mean_y - mean_x @ coef, solver, float(rcond), int(rank), **extra)


def penalised(A, lambda_reg):
    """A + lambda I, a copy."""
    A = A.copy()
    A[np.diag_indices_from(A)] += lambda_reg
    return A


def solve_by_cholesky(gram, lambda_reg, fit_intercept, required=False):
    """A Solution, or None where rcond <= 1e-10; `required`: ValueError where there is no factor at all."""
    A, B = gram.normal_equations(fit_intercept)
    factored = factor_spd(penalised(A, lambda_reg))
    if factored is None and required:
        raise UsageError("solver 'cholesky' failed: X'X + lambda I is singular in float64; use solver 'auto'")
    if factored is None or (factored[2] <= RCOND_CHOLESKY and not required):
        return None
    coef = solve_factored(factored, B)
    return solution(coef, *means_of(gram, fit_intercept), "cholesky", factored[2], len(A))


def solve_moments(gram, lambda_reg=0.0, fit_intercept=True):
    """Ridge from accumulated moments alone, by Cholesky, or by eigenvalues where rcond <= 1e-10 or lambda is by target."""
    from scipy.linalg import eigh

    per_target = np.ndim(lambda_reg) > 0
    lambdas = np.array([check_lambda(value) for value in np.atleast_1d(lambda_reg)])
    if per_target and len(lambdas) != gram.cross.shape[1]:
        raise UsageError(f"lambda_reg has {len(lambdas)} values for {gram.cross.shape[1]} targets: give one a target")
    if not (np.isfinite(gram.cross).all() and np.isfinite(gram.normal_equations(fit_intercept)[0]).all()):
        raise UsageError("the moments contain NaN or infinity: leave such rows out, or scale them down")
    if not per_target:
        found = solve_by_cholesky(gram, lambdas[0], fit_intercept)
        if found is not None:
            return found
    A, B = gram.normal_equations(fit_intercept)
    values, V = eigh(A, check_finite=False)
    largest = max(values[-1], 0.0)
    if values[0] < -(EPS**0.5) * max(largest, -values[0]):
        raise UsageError(
            f"the moments are no longer those of any rows (eigenvalue {values[0]:.3g} beside {values[-1]:.3g}): rounding has "
            f"eaten what removals left; add the rows that remain to new moments"
        )
    keep = values > rank_tolerance(gram.count, len(A)) * largest
    if lambdas.min() == 0 and not keep.all():
        warn_rank(int(keep.sum()), len(A), "the system is singular")
    denominator = np.where(keep, values, 0.0)[:, None] + lambdas
    inverse = np.divide(1.0, denominator, out=np.zeros_like(denominator), where=denominator > 0)
    coef = V @ (inverse * (V.T @ B))
    low = max(values[0], 0.0) + lambdas.min()
    rcond = low / (largest + lambdas.min()) if largest + lambdas.min() > 0 else 0.0
    return solution(coef, *means_of(gram, fit_intercept), "eigh", rcond, int(keep.sum()))
