"""Choosing lambda in one shot: exact leave-one-out and generalised cross-validation over a path of lambdas, one factorization.

With the thin SVD of the centred X = U diag(s) V', c = U'Y and the filter g_j = lambda / (s_j^2 + lambda):

    y_i - yhat_i = p_i + sum_j u_ij g_j c_j          p = Y - U c: what no lambda can fit
    1 - h_ii     = q_i + sum_j u_ij^2 g_j            q_i = 1 - 1/n - sum_j u_ij^2
    leave-one-out error of row i = (y_i - yhat_i) / (1 - h_ii)
    GCV = n sum_i (y_i - yhat_i)^2 / (n - tr H)^2

Only q, and p with it, is a difference of nearly equal numbers, in rows that the others hardly explain (the one row of a
category, say). Those rows, never many more than features, get w = e_i less its projection on U and the constant, projected
twice: q = w'w, p = w'Y. Where w is rounding (all rows, with fewer rows than features) p = q = 0 exactly, and lambda cancels:
g = 1 / (s^2 + lambda) gives the same ratio down to lambda = 0, the minimum-norm fit.
Sources: D. Allen, The relationship between variable selection and data augmentation (1974), for PRESS; G. Golub, M. Heath,
G. Wahba, Generalized cross-validation as a method for choosing a good ridge parameter (1979).
"""

import collections
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..checks import check_choice, check_lambda
from ..errors import UsageError
from ..threads import get_threads
from .estimator import as_matrix, as_targets, warn_at_edge
from .gram import GramAccumulator
from .linear import _Linear, block_source
from .normal_equations import Solution, factor_spd, rank_tolerance
from .row_sources import ArraySource, centred_rows
from .solvers import precondition, require_cholesky, require_tsqr, tsqr

_NEAR = 1e-3  # 1 - h at lambda = 0 below which p and q are not taken as differences
_DIRECT_WORK = 1e9  # n d min(n, d) up to which the SVD of X itself is taken
_WELL_CONDITIONED = 1e-4  # rcond of X'X above which it gives U to twelve digits
_ROWS = 504  # a multiple of the register tiles' 12 and 6 rows
_FUSED_WORK = 2e9  # multiply-adds from which the Numba loop and threads pay


class Spectrum:
    """Means, singular values s (r,), right vectors V (d, r), coordinates c = U'Y (r, k), and how to get the rows of U."""

    def __init__(self, source, fit_intercept):
        self.fit_intercept = fit_intercept
        self.source = source
        self.U = self.R = None
        if isinstance(source, ArraySource) and source.X.size * min(source.X.shape) <= _DIRECT_WORK:
            self._direct(source.X, source.Y)
        else:
            self._streamed()
        if self.n < 2:
            raise UsageError(f"leave-one-out needs at least 2 rows, got n_samples = {self.n} (1 sample)")

    def _direct(self, X, Y):
        from scipy.linalg import svd

        self.n, self.solver, self.passes = len(X), "svd", 1
        self.mean_x = X.mean(axis=0, dtype=np.float64) if self.fit_intercept else np.zeros(X.shape[1])
        self.mean_y = Y.mean(axis=0) if self.fit_intercept else np.zeros(Y.shape[1])
        U, s, Vt = svd(centred_rows(X, self.mean_x), full_matrices=False, check_finite=False)
        keep = s > rank_tolerance(self.n, X.shape[1]) * s[0]
        self.U, self.s, self.V = U[:, keep], s[keep], Vt[keep].T
        self.c = self.U.T @ (Y - self.mean_y)

    def _streamed(self):
        from scipy.linalg import cholesky, eigh, solve_triangular, svd

        gram = GramAccumulator()
        for X, Y in self.source.blocks():
            if not gram.count:
                require_cholesky(X.shape[1])
            gram.add(X, Y)
        self.n, self.squares = gram.count, gram.squares
        self.mean_x = gram.mean_x if self.fit_intercept else np.zeros_like(gram.mean_x)
        self.mean_y = gram.mean_y if self.fit_intercept else np.zeros_like(gram.mean_y)
        A, B = gram.normal_equations(self.fit_intercept)
        factored = factor_spd(A)
        if factored is not None and factored[2] > _WELL_CONDITIONED:
            self.passes = 1
            values, self.V = eigh(A, check_finite=False)
            if values[0] > _WELL_CONDITIONED * values[-1]:
                self.solver, self.s = "eigh", np.sqrt(values)
                self.M = self.V / self.s
            else:  # features of different scale, which `factored` took out
                self.solver, R = "cholesky", np.triu(factored[0]) / factored[1]
                left, self.s, Vt = svd(R)
                self.V, self.M = Vt.T, solve_triangular(R, left)
            self.c = self.M.T @ B
            return
        require_tsqr(len(A))
        found = precondition(self.source, gram, 0.0, self.fit_intercept)
        if found is not None:
            self.R, G, C, steps = found
            self.solver, self.passes = "cholesky_qr", 1 + steps
            T = cholesky(G)
            left, self.s, Vt = svd(T @ self.R)
            self.V, self.M = Vt.T, solve_triangular(T, left)
            self.c = self.M.T @ C
            return
        self.solver, self.passes = "tsqr", 2
        R, C = tsqr(self.source, self.mean_x, self.mean_y)
        left, s, Vt = svd(R, full_matrices=False)
        keep = s > rank_tolerance(self.n, len(self.mean_x)) * s[0]
        self.s, self.V = s[keep], Vt[keep].T
        self.M = self.V / self.s
        self.c = left[:, keep].T @ C

    def pieces(self):
        """What `parts` needs for a few rows at a time, in order, each with the number of its first row."""
        if self.U is not None:
            yield from ((i, slice(i, i + _ROWS)) for i in range(0, self.n, _ROWS))
            return
        first = 0
        for X, Y in self.source.blocks():
            yield from ((first + i, (X[i : i + _ROWS], Y[i : i + _ROWS])) for i in range(0, len(X), _ROWS))
            first += len(X)

    def parts(self, piece):
        """U (b, r), Y (b, k) less its mean, p (b, k) and q (b, 1) of one of `pieces`; `left_over` has p and q where q is small."""
        if self.U is not None:
            U, Y = self.U[piece], self.source.Y[piece] - self.mean_y
        else:
            U, Y = centred_rows(piece[0], self.mean_x, self.R) @ self.M, piece[1] - self.mean_y
        if self.saturated:
            return U, Y, np.zeros(Y.shape), np.zeros((len(Y), 1))
        return U, Y, Y - U @ self.c, 1 - self.fit_intercept / self.n - np.einsum("ij,ij->i", U, U)[:, None]

    def left_over(self, rows, U):
        """p (m, k) and q (m, 1) of the m rows with these numbers and rows of U, without cancellation. Reads all rows twice."""

        def projected(steps):
            for first, piece in self.pieces():
                U_piece, Y, _, _ = self.parts(piece)
                W = (np.arange(first, first + len(Y))[:, None] == rows).astype(np.float64)
                for along, mean in steps:
                    W -= U_piece @ along + mean
                yield U_piece, Y, W

        steps = [(U.T, self.fit_intercept / self.n)]
        again, total = 0.0, 0.0
        for U_piece, _, W in projected(steps):
            again, total = again + U_piece.T @ W, total + W.sum(axis=0)
        steps.append((again, self.fit_intercept * total / self.n))
        p, q = 0.0, 0.0
        for _, Y, W in projected(steps):
            p, q = p + W.T @ Y, q + np.einsum("ij,ij->j", W, W)
        # A change of X by rounding moves e_i from or into the span of U by this much.
        rounding = rank_tolerance(self.n, len(self.mean_x)) * self.s[0] * np.linalg.norm(U / self.s, axis=1)
        outside = q > rounding**2
        return np.where(outside[:, None], p, 0.0), np.where(outside, q, 0.0)[:, None]

    @property
    def saturated(self):
        """Whether U spans every direction that the rows have, so that p and q are exactly zero."""
        return len(self.s) == self.n - self.fit_intercept

    def coef(self, lambdas):
        """W (d, k) for one lambda, or for one lambda a target (k,)."""
        s = self.s[:, None]
        return self.V @ (s / (s**2 + np.atleast_1d(lambdas)) * self.c)

    def filters(self, lambdas):
        """g (r, m): lambda / (s^2 + lambda); 1 / (s^2 + lambda) where p = q = 0 in every row."""
        return (1.0 if self.saturated else lambdas) / (self.s[:, None] ** 2 + lambdas)


class _NearRows:
    """`spectrum.parts` of the rows, less those whose q is small: their leave-one-out errors come afterwards, from `errors`."""

    def __init__(self, spectrum):
        self.spectrum, self.found = spectrum, []

    def parts(self, numbered):
        """U, p, q of one of `pieces`, and which of its rows are left for later, (b, 1) bool."""
        first, piece = numbered
        U, _, p, q = self.spectrum.parts(piece)
        near = (q < _NEAR) & (not self.spectrum.saturated)
        if near.any():
            where = np.flatnonzero(near)
            self.found.append((first + where, U[where]))
        return U, p, q, near

    def errors(self, lambdas):
        """For each target the errors (rows, m) left out; before that the rows' numbers and 1 - h (rows, m)."""
        self.found.sort(key=lambda found: found[0][0])  # threads found them
        rows, U = (np.concatenate(part) for part in zip(*self.found))
        p, q = self.spectrum.left_over(rows, U)
        g = 1 / (self.spectrum.s[:, None] ** 2 + lambdas)
        scale = np.where(q > 0, lambdas, 1.0)
        kept = q + scale * (U**2 @ g)
        yield rows, np.where(q > 0, kept, lambdas * kept)
        for t in range(p.shape[1]):
            yield (p[:, t, None] + scale * (U @ (self.spectrum.c[:, t, None] * g))) / kept


def loo_errors(spectrum, lambdas):
    """Mean squared leave-one-out error, (m, k), of every lambda and target, exact.

    Every row is read once, and twice more where there are rows that no other row explains (`left_over`).
    Large problems use that sum_i (y_i - yhat_i)^2 = sum p^2 + sum_j (g_j c_j)^2 needs no pass, so that only the difference
    that 1 / (1 - h)^2 makes, of the order of d / n, is summed over rows.
    """
    g = spectrum.filters(lambdas)
    k, m = spectrum.c.shape[1], len(lambdas)
    rows = _NearRows(spectrum)
    if spectrum.saturated or spectrum.n * k * m * min(m, len(g)) < _FUSED_WORK:

        def errors(piece):
            U, p, q, near = rows.parts(piece)
            inverse = np.where(near, 0.0, 1 / np.where(near, 1.0, q + U**2 @ g))
            total = np.empty((k, m))
            for t in range(k):
                error = (U @ (spectrum.c[:, t, None] * g) + p[:, t, None]) * inverse
                total[t] = np.einsum("ij,ij->j", error, error)
            return total

        total = sum(map(errors, spectrum.pieces()))
        if rows.found:
            _, *late = rows.errors(lambdas)
            total = total + np.stack([np.einsum("ij,ij->j", error, error) for error in late])
        return total.T / spectrum.n

    from .loo_kernels import squared_errors

    all_patterns, few_patterns = _Patterns(g, spectrum.c, 1e-16), _Patterns(g, spectrum.c, 1e-9)

    def corrections(piece):
        U, p, q, near = rows.parts(piece)
        kept = np.where(near, 1.0, q + U**2 @ g)
        h = np.maximum(1 - kept, 0.0)
        excess = h * (2 - h) / kept**2  # 1 / (1 - h)^2 - 1
        # Where the correction is below 1 / 500 of the sum, patterns to nine digits leave it right to twelve.
        patterns = few_patterns if excess.max() < 2e-3 else all_patterns
        total = squared_errors(patterns.of(U), p, patterns.right, np.sqrt(excess))
        return total + np.einsum("ij,ij->j", p, p)[:, None]

    total = _sum_over(corrections, spectrum.pieces())
    if rows.found:
        (_, kept), *late = rows.errors(lambdas)
        total = total + np.stack([np.einsum("ij,ij->j", error**2, 1 - kept**2) for error in late])
    return (total.T + (g[:, :, None] ** 2 * spectrum.c[:, None, :] ** 2).sum(axis=0)) / spectrum.n


class _Patterns:
    """m filters g (r, m) that differ little from each other are a few patterns: g = left right, to a tolerance."""

    def __init__(self, g, c, tolerance):
        W, values, Zt = np.linalg.svd(g, full_matrices=False)
        few = max(1, int((values > tolerance * values[0]).sum()))
        left, self.right = W[:, :few] * values[:few], np.ascontiguousarray(Zt[:few])
        self.targets = c.shape[1]
        self.left = np.ascontiguousarray((c.T[:, None, :] * left.T).reshape(self.targets * few, -1).T)

    def of(self, U):
        """sum_j u_ij left_jr c_jt, (b, k, few)."""
        return (U @ self.left).reshape(len(U), self.targets, -1)


def _sum_over(function, pieces):
    """Sum of function(piece) in the order of pieces; one thread takes a piece, and BLAS one thread in it."""
    import threadpoolctl

    threads = get_threads()
    total, waiting = 0.0, collections.deque()
    with threadpoolctl.threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for piece in pieces:
            waiting.append(pool.submit(function, piece))
            if len(waiting) > 4 * threads:
                total = total + waiting.popleft().result()
        for future in waiting:
            total = total + future.result()
    return total


def loo_residuals(X, y, lambda_reg, fit_intercept=True):
    """Leave-one-out residuals y_i - yhat_(-i), (n,) or (n, k), of ridge with one lambda: as if n models had been fitted."""
    X = as_matrix(X)
    Y = as_targets(y, len(X))
    spectrum = Spectrum(ArraySource(X, Y.reshape(len(Y), -1)), fit_intercept)
    lambdas = np.array([check_lambda(lambda_reg)])
    g = spectrum.filters(lambdas)
    rows, out = _NearRows(spectrum), []
    for piece in spectrum.pieces():
        U, p, q, near = rows.parts(piece)
        out.append((p + U @ (g * spectrum.c)) / np.where(near, 1.0, q + U**2 @ g))
    out = np.concatenate(out)
    if rows.found:
        (numbers, _), *late = rows.errors(lambdas)
        out[numbers] = np.hstack(late)
    return out.reshape(Y.shape)


def gcv_scores(spectrum, lambdas):
    """GCV, (m, k): n ||r||^2 / (n - tr H)^2, the intercept counted in tr H."""
    g = spectrum.filters(lambdas)
    n = spectrum.n
    if spectrum.saturated:
        left_over = 0.0
    else:
        left_over = sum((spectrum.parts(piece)[2] ** 2).sum(axis=0) for _, piece in spectrum.pieces())
    residual = left_over + (g[:, :, None] ** 2 * spectrum.c[:, None, :] ** 2).sum(axis=0)
    free = n - spectrum.fit_intercept - (1 - g).sum(axis=0)
    if spectrum.saturated:
        free = g.sum(axis=0)
    return n * residual / free[:, None] ** 2


class RidgePath(_Linear):
    """Ridge whose lambda is chosen from a path by exact leave-one-out or by GCV, all from one factorization.

    Formula and sources: at the top of this module. Leave-one-out costs what one fit costs plus one pass over the rows;
    n fits would cost n times as much.
    Cost: n d^2 for the factorization, one pass of n (d^2 + d m + k (d q + q m)) multiply-adds for leave-one-out with m
    lambdas, k targets, q <= m patterns that the m filters consist of (10 to 30); memory up to 10^9
    multiply-adds 44 n d bytes, else that of LinearRegression.
    Fails: leave-one-out answers for rows drawn independently. Neighbouring rows that know each other (windows of one text)
    make it choose too small a lambda. A given path that is too narrow: PathEdgeWarning where its first or last value is best.

    Parameters: lambdas, the path (None: 60 values from 1e-12 to 100 times the mean squared singular value); criterion "loo"
    or "gcv"; per_target, one lambda for each target or one for all; fit_intercept.
    Attributes: lambda_ (float, or (k,) per target); lambdas_ (m,); scores_ (m, k), mean squared error left out, or GCV;
    best_score_; those of Ridge, with solver_ "svd" (of X itself) or, past 10^9
    multiply-adds, "eigh" (of X'X, rcond > 1e-4), "cholesky" (the same, where features differ in scale), "cholesky_qr" or "tsqr"
    and an SVD of R; passes_, before those for the errors.
    """

    def __init__(self, lambdas=None, criterion="loo", per_target=False, fit_intercept=True):
        self._keep(locals())

    def fit(self, X, y):
        """X (n, d), y (n,) or (n, k). Raises ValueError on NaN, infinity, mismatched rows, lambda < 0."""
        X, Y = self._fit_X_y(X, y)
        return self._choose(Spectrum(ArraySource(X, Y), self.fit_intercept))

    def fit_blocks(self, blocks, total=None, progress=None):
        """Fit rows that do not fit in memory: see Ridge.fit_blocks; the rows are read two to four times."""
        return self._choose(Spectrum(block_source(self, blocks, total, progress), self.fit_intercept))

    def _choose(self, spectrum):
        check_choice(self.criterion, "criterion", ("loo", "gcv"))
        if self.lambdas is None:
            scale = (spectrum.s**2).mean() if len(spectrum.s) else 1.0
            self.lambdas_ = np.logspace(-12, 2, 60) * scale
        else:
            self.lambdas_ = np.array([check_lambda(value, "lambdas") for value in np.atleast_1d(self.lambdas)])
        if not len(self.lambdas_):
            raise UsageError("lambdas is empty: give at least one value")
        score = loo_errors if self.criterion == "loo" else gcv_scores
        with np.errstate(invalid="ignore", divide="ignore"):
            self.scores_ = score(spectrum, self.lambdas_)
        usable = np.where(np.isfinite(self.scores_), self.scores_, np.inf)
        if self.per_target:
            best = usable.argmin(axis=0)
            self.lambda_ = self.lambdas_[best]
            self.best_score_ = usable[best, np.arange(len(best))]
        else:
            best = int(usable.mean(axis=1).argmin())
            self.lambda_, self.best_score_ = float(self.lambdas_[best]), float(usable[best].mean())
        if self.lambdas is not None:  # the default path goes from no penalty to nothing but the penalty
            warn_at_edge("lambda", self.lambdas_, self.lambda_)
        coef = spectrum.coef(self.lambda_)
        low = spectrum.s[-1] ** 2 if len(spectrum.s) == len(spectrum.mean_x) else 0.0
        smallest = np.min(self.lambda_)
        high = spectrum.s.max(initial=0.0) ** 2 + smallest
        rcond = (low + smallest) / high if high else 0.0
        intercept = spectrum.mean_y - spectrum.mean_x @ coef
        self.spectrum_ = spectrum
        self._store(Solution(coef, intercept, spectrum.solver, rcond, len(spectrum.s), spectrum.passes))
        if self.per_target and self._one_target:
            self.lambda_, self.best_score_ = float(self.lambda_[0]), float(self.best_score_[0])
        spectrum.source = spectrum.U = None
        return self

    def coef_path(self, lambdas=None):
        """W for every lambda of a path, (m, d, k), from the factorization of fit."""
        lambdas = self.lambdas_ if lambdas is None else np.atleast_1d(lambdas)
        return np.stack([self.spectrum_.coef(value) for value in lambdas])
