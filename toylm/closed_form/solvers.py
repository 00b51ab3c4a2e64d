"""Least squares with a penalty: min ||X W + b - Y||^2 + lambda ||W||^2, by a solver as careful as the data demand, and named.

The policy of `solver="auto"`, with rcond an estimate of the reciprocal condition number of A = X'X + lambda I after its
diagonal was scaled to one:

| solver_ | when | error in W | cost, d features, n rows |
|---|---|---|---|
| cholesky | rcond > 1e-10 | eps cond(A); below rcond 1e-4 corrected, then that of QR | n d^2; 2 n d k a correction |
| dual_cholesky | fewer rows than features, rcond of XX' + lambda I > 1e-10 | eps cond | n^2 d |
| cholesky_qr | else, large problems | that of Householder QR | 3 to 4 x cholesky |
| tsqr | else, small problems | that of Householder QR | 2 n d^2, about 20 x cholesky in time |
| svd | X has no full column rank: minimum norm, with a warning that names the rank | that of LAPACK's gelsd | tsqr + d^3 |

Sources: Golub and Van Loan, Matrix Computations, 5.3; Fukaya, Kannan, Nakatsukasa, Yamamoto, Yanagisawa, Shifted Cholesky
QR for computing the QR factorization of ill-conditioned matrices (2020); Demmel, Grigori, Hoemmen, Langou,
Communication-optimal parallel and sequential QR (2012); Rokhlin and Tygert, A fast randomized algorithm for overdetermined
linear least-squares regression (2008), for the sketch.
"""

import itertools

import numpy as np

from ..checks import check_choice, check_lambda
from ..errors import UsageError
from ..threads import get_threads
from . import memory, row_sources
from .estimator import check_finite, warn_rank
from .gram import GramAccumulator
from .normal_equations import (
    EPS,
    RCOND_CHOLESKY,
    SMALL,
    blas_for,
    factor_spd,
    means_of,
    penalised,
    rank_tolerance,
    solution,
    solve_by_cholesky,
    solve_factored,
)
from .row_sources import ArraySource, centred_rows

RCOND_REFINE = 1e-4  # below this one more pass corrects what squaring the condition number lost
SOLVERS = ("auto", "cholesky", "cholesky_qr", "tsqr", "svd")


def require_cholesky(d, what=None, extra=0):
    """Raise MemoryError where one pass over the rows and Cholesky of d features would not fit, with `extra` bytes beside them."""
    if d > SMALL:  # else some megabytes; and asking for the threads loads Numba
        threads = get_threads()
        extra += 8 * 6 * d**2 + max(8 * threads * d**2, min(8 * 6 * threads * d**2, memory.SUMS_BYTES))
    memory.require(extra, what or f"a fit of {d} features", "use fewer of them")


def least_squares(source, lambda_reg=0.0, fit_intercept=True, solver="auto"):
    """Solve min ||X W + b - Y||^2 + lambda ||W||^2 over a source (see `row_sources`): a `Solution`.

    The intercept b is not penalised (X and Y are centred). One pass over the rows where Cholesky is good enough, two or
    three more otherwise. Raises ValueError where a solver that was asked for by name cannot solve this system.
    """
    lambda_reg = check_lambda(lambda_reg)
    check_choice(solver, "solver", SOLVERS)
    gram = None
    if isinstance(source, ArraySource):
        n, d = source.X.shape
        if n < d:
            return _wide(source.X, source.Y, lambda_reg, fit_intercept, solver)
        if solver in ("tsqr", "svd"):
            require_tsqr(d)
            gram = _MeansOnly(source.X, source.Y, fit_intercept)
    if gram is None:
        gram = GramAccumulator()
        for X, Y in source.blocks():
            if not gram.count:
                require_cholesky(X.shape[1])
            gram.add(X, Y)
        if not gram.count:
            raise UsageError("no rows to fit: Found array with 0 sample(s)")
    found = None
    if solver in ("auto", "cholesky"):
        found = solve_by_cholesky(gram, lambda_reg, fit_intercept, required=solver == "cholesky")
        if found is not None and solver == "auto" and found.rcond < RCOND_REFINE:
            found = _refine(source, gram, found, lambda_reg, fit_intercept)
    if found is None and (solver == "cholesky_qr" or (solver == "auto" and _is_large(gram))):
        found = _cholesky_qr(source, gram, lambda_reg, fit_intercept)
        if found is None and solver == "cholesky_qr":
            raise UsageError("solver 'cholesky_qr' needs full column rank, X has less: use solver 'svd' or lambda_reg > 0")
    if found is None:
        found = _tsqr(source, gram, lambda_reg, fit_intercept, solver)
    return found


def require_tsqr(d):
    what = f"an orthogonal factor of {d} features, which are too near to dependent for Cholesky,"
    memory.require(8 * 26 * d**2, what, "use fewer features or a larger lambda_reg")


def _is_large(gram):
    return gram.count * gram.gram.shape[0] ** 2 >= row_sources.KERNEL_WORK


class _MeansOnly:
    """What the orthogonal solvers need to know first: the means."""

    def __init__(self, X, Y, fit_intercept):
        self.count = len(X)
        mean_x = X.mean(axis=0, dtype=np.float64)
        if not np.isfinite(mean_x).all():  # large X was not looked at before
            check_finite(X, "X")
        self.mean_x = mean_x if fit_intercept else np.zeros(X.shape[1])
        self.mean_y = Y.mean(axis=0) if fit_intercept else np.zeros(Y.shape[1])


def _refine(source, gram, found, lambda_reg, fit_intercept):
    """Corrected normal equations: W += (X'X + lambda I)^-1 (X'(Y - X W) - lambda W), the residual taken from the rows.

    The error shrinks by eps cond(X'X) a step, to that of an orthogonal solver. A. Bjorck, Stability analysis of the method
    of seminormal equations for linear least squares problems (1987).
    """
    mean_x, mean_y = means_of(gram, fit_intercept)
    A, _ = gram.normal_equations(fit_intercept)
    factored = factor_spd(penalised(A, lambda_reg))
    coef = found.coef
    steps = 1 if found.rcond > 1e-7 else 2
    for _ in range(steps):
        gradient = -lambda_reg * coef
        for X, Y in source.blocks():
            for i in range(0, len(X), 8192):
                Z = centred_rows(X[i : i + 8192], mean_x)
                gradient = gradient + Z.T @ (Y[i : i + 8192] - mean_y - Z @ coef)
        coef = coef + solve_factored(factored, gradient)
    return solution(coef, mean_x, mean_y, "cholesky", found.rcond, found.rank, passes=1 + steps)


def _wide(X, Y, lambda_reg, fit_intercept, solver):
    """Fewer rows than features: W = Xc' (Xc Xc' + lambda I)^-1 Yc, or the minimum-norm answer by SVD."""
    n, d = X.shape
    remedy = "use fewer rows or features"
    memory.require(8 * (n * d + 3 * n**2), f"a fit of {n} rows of {d} features", remedy)
    means = _MeansOnly(X, Y, fit_intercept)
    Xc, Yc = centred_rows(X, means.mean_x), Y - means.mean_y
    if solver == "cholesky_qr":
        raise UsageError(f"solver 'cholesky_qr' needs at least as many rows as features, not {X.shape}: use 'auto'")
    if lambda_reg > 0 and solver in ("auto", "cholesky"):
        factored = factor_spd(penalised(Xc @ Xc.T, lambda_reg))
        if factored is not None and (factored[2] > RCOND_CHOLESKY or solver == "cholesky"):
            coef = Xc.T @ solve_factored(factored, Yc)
            return solution(coef, means.mean_x, means.mean_y, "dual_cholesky", factored[2], len(X))
    if solver == "cholesky":
        raise UsageError("solver 'cholesky' failed: XX' + lambda I is singular in float64; use solver 'auto'")
    memory.require(8 * (4 * n * d + 2 * n**2), f"a singular value decomposition of {n} rows of {d} features", remedy)
    return _svd(Xc, Yc, means.mean_x, means.mean_y, lambda_reg, len(X))


def _svd(A, B, mean_x, mean_y, lambda_reg, rows):
    """From a thin SVD of A: W = V diag(s / (s^2 + lambda)) U'B, singular values at rounding level dropped if lambda is 0."""
    from scipy.linalg import svd

    U, s, Vt = svd(A, full_matrices=False, check_finite=False)
    largest = s[0] if len(s) else 0.0
    keep = s > rank_tolerance(rows, A.shape[1]) * largest
    rank = int(keep.sum())
    if rank < A.shape[1] and lambda_reg == 0:
        warn_rank(rank, A.shape[1], "the system is singular")
    filtered = np.where(keep, s, 0.0) / (s**2 + lambda_reg + ~keep)
    coef = Vt.T @ (filtered[:, None] * (U.T @ B))
    smallest = s[-1] if len(s) == A.shape[1] else 0.0
    rcond = (smallest**2 + lambda_reg) / (largest**2 + lambda_reg) if largest > 0 or lambda_reg > 0 else 0.0
    return solution(coef, mean_x, mean_y, "svd", rcond, rank)


def tsqr(source, mean_x, mean_y, lambda_reg=0.0, rows=None):
    """R (d, d) and Q'Y (d, k) of the centred rows, by Householder QR of one block under the R of those before.

    The penalty is sqrt(lambda) I as d further rows. Reads the source once; memory of one block.
    """
    from scipy.linalg import qr

    d, k = len(mean_x), len(mean_y)
    R, C = np.zeros((0, d)), np.zeros((0, k))
    rows = rows or max(4 * d, 2048)
    blocks = (
        (centred_rows(X[i : i + rows], mean_x), Y[i : i + rows] - mean_y)
        for X, Y in source.blocks()
        for i in range(0, len(X), rows)
    )
    penalty = [(np.sqrt(lambda_reg) * np.eye(d), np.zeros((d, k)))] if lambda_reg > 0 else []
    for top, right in itertools.chain(blocks, penalty):
        Q, R = qr(np.vstack([R, top]), mode="economic", overwrite_a=True, check_finite=False)
        C = Q.T @ np.vstack([C, right])
    return R, C


def _tsqr(source, gram, lambda_reg, fit_intercept, solver):
    from scipy.linalg import lapack, solve_triangular

    mean_x, mean_y = means_of(gram, fit_intercept)
    require_tsqr(len(mean_x))
    one_block = isinstance(source, ArraySource) and source.X.size <= 4_000_000
    R, C = tsqr(source, mean_x, mean_y, lambda_reg, rows=gram.count if one_block else None)
    rcond = 0.0
    if R.shape[0] == R.shape[1]:
        rcond, _ = lapack.dtrcon(R, norm="1")
    if rcond > rank_tolerance(gram.count, len(mean_x)) and solver != "svd":
        coef = solve_triangular(R, C, check_finite=False)
        return solution(coef, mean_x, mean_y, "tsqr", rcond**2, len(mean_x), passes=2)
    # The penalty is in R already.
    found = _svd(R, C, mean_x, mean_y, 0.0, gram.count)
    found.passes = 2
    return found


def precondition(source, gram, lambda_reg, fit_intercept, use_sketch=None, limit=100.0):
    """R such that the columns of Q = (X - mean_x) R^-1 are nearly orthonormal: (R, Q'Q, Q'Y, passes), or None.

    A first R comes from a QR of a sketch of the rows, or from a Cholesky factor of X'X + shift I. One pass then forms Q
    block by block (substitution, so each row is backward stable; Q is never stored) and Q'Q + lambda R^-T R^-1; while that
    is worse conditioned than `limit`, R is replaced by its Cholesky factor times R and another pass follows. So the
    answer does not depend on luck: a bad sketch costs passes, not digits. None where X has no full column rank.
    """
    from scipy.linalg import lapack, qr, solve_triangular, svdvals

    mean_x, mean_y = means_of(gram, fit_intercept)
    A, _ = gram.normal_equations(fit_intercept)
    d = len(A)
    root = np.sqrt(lambda_reg) * np.eye(d)
    large = use_sketch if use_sketch is not None else _is_large(gram)
    steps = 0
    if large:
        S, offset = np.zeros((9 * d, d)), 0
        for X, _ in source.blocks():
            row_sources.sketch(X, mean_x, S[: 8 * d], offset)
            offset += len(X)
        S[8 * d :] = root
        S = np.asfortranarray(S)  # which LAPACK can overwrite
        with blas_for(d):
            R = np.asfortranarray(qr(S, mode="raw", overwrite_a=True, check_finite=False)[1])
        del S
        steps = 1
    else:
        R = _shifted_cholesky(penalised(A, lambda_reg))
    for _ in range(5):
        rcond, _ = lapack.dtrcon(R, norm="1")
        if rcond <= rank_tolerance(gram.count, d) / d:
            return None
        G, C = 0.0, 0.0
        for X, Y in source.blocks():
            part = row_sources.moments(X, np.asarray(Y, np.float64), mean_x, mean_y, R)
            G, C = G + part[0], C + part[1]
        steps += 1
        if lambda_reg > 0:
            extra = solve_triangular(R, root, trans="T", check_finite=False)
            G = G + extra @ extra.T
        factored = factor_spd(G)
        if factored is not None and factored[2] > 1 / limit / d:
            # The factor's scale hides a column of Q that is rounding alone: the rank is that of both triangles together.
            whole = np.triu(factored[0]) / factored[1] @ R
            tolerance = rank_tolerance(gram.count, d)
            if lapack.dtrcon(whole, norm="1")[0] <= d * tolerance:
                s = svdvals(whole, check_finite=False)
                if s[-1] <= tolerance * s[0]:
                    return None
            return R, G, C, steps
        with blas_for(d):
            R = np.triu(_shifted_cholesky(G) @ R)
    return None


def _shifted_cholesky(A):
    """Upper Cholesky factor of A + s I, with the smallest s of a few that lets it succeed."""
    from scipy.linalg import lapack

    scale = np.sqrt(np.where(np.diag(A) > 0, np.diag(A), 1.0))
    scaled = A / scale / scale[:, None]
    shift = 0.0
    while True:
        factor, info = lapack.dpotrf(penalised(scaled, shift), lower=0)
        if info == 0:
            return np.asfortranarray(np.triu(factor) * scale)
        shift = max(10 * shift, 4 * EPS * len(A))


def _cholesky_qr(source, gram, lambda_reg, fit_intercept):
    from scipy.linalg import lapack, solve_triangular

    mean_x, mean_y = means_of(gram, fit_intercept)
    require_tsqr(len(mean_x))
    found = precondition(source, gram, lambda_reg, fit_intercept)
    if found is None:
        return None
    R, G, C, steps = found
    factored = factor_spd(G)
    coef = solve_triangular(R, solve_factored(factored, C), check_finite=False)
    rcond, _ = lapack.dtrcon(R, norm="1")
    return solution(coef, mean_x, mean_y, "cholesky_qr", rcond**2, len(mean_x), passes=1 + steps)


