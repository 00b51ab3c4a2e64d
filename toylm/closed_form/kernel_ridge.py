"""Kernel ridge regression, and the choice of its lambda and length scale by exact leave-one-out."""

import numpy as np

from ..checks import check_choice, check_lambda, check_positive
from ..errors import UsageError
from . import memory
from .estimator import Regressor, warn_at_edge, warn_rank
from .kernel_functions import KERNELS, kernel_matrix, squared_distances
from .normal_equations import EPS, RCOND_CHOLESKY, factor_spd, rank_tolerance, solve_factored
from .whitening import make_whitening


class KernelRidge(Regressor):
    """f(x) = k(x)' alpha with alpha = (K + lambda I)^-1 Y: ridge regression in the kernel's feature space.

    Formula: K_ij = k(x_i, x_j), see `kernel_functions`; there is no intercept. Equal to scikit-learn's KernelRidge
    with alpha = lambda_reg / variance and gamma = 1 / (2 length_scale^2) for rbf, 1 / length_scale for laplacian,
    1 / length_scale^2 for polynomial.
    Source: C. Saunders, A. Gammerman, V. Vovk, Ridge regression learning algorithm in dual variables (1998).
    Cost: n^2 d + n^3 / 3 multiply-adds, 16 n^2 bytes (named before they are taken); prediction n d a row.
    Fails: past some 20,000 rows on one machine (memory). With a length scale far too small it is a dictionary, far too
    large a constant: `KernelRidgePath` chooses it. A polynomial with coef0 < 0 may be no kernel: where Cholesky fails on
    K + lambda I and K has a negative eigenvalue, that is an error.

    Parameters: lambda_reg; kernel "rbf", "laplacian", "matern", "polynomial", "linear"; length_scale; variance; nu (Matérn);
    degree, coef0 (polynomial); whiten None, "features", "full" or "zca" and whiten_eps (see Whitening).
    Attributes: dual_coef_ (n,) or (n, k); X_fit_; solver_ "cholesky" or, where rcond <= 1e-10, "eigh"; rcond_; rank_.
    """

    def __init__(self, lambda_reg=1e-3, kernel="rbf", length_scale=1.0, variance=1.0, nu=1.5, degree=3, coef0=1.0, whiten=None,
                 whiten_eps=1e-12):  # fmt: skip
        self._keep(locals())

    def fit(self, X, y):
        """X (n, d), y (n,) or (n, k). Raises ValueError on bad input, MemoryError where K would not fit."""
        lambda_reg = check_lambda(self.lambda_reg)
        X, Y = self._fit_X_y(X, y)
        require_kernel(len(X), 2)
        self._prepare(X)
        alpha, self.solver_, self.rcond_, self.rank_ = solve_kernel(self._kernel(self.X_fit_), Y, lambda_reg)
        self.dual_coef_ = self._shape_like_y(alpha)
        return self

    def predict(self, X):
        """k(x)' alpha, (n,) or (n, k) like the y of fit."""
        X = self._check_X(X)
        alpha = self.dual_coef_.reshape(len(self.X_fit_), -1)
        out = np.empty((len(X), alpha.shape[1]))
        rows = max(1, 20_000_000 // len(alpha))
        for i in range(0, len(X), rows):
            out[i : i + rows] = self._kernel(self._whitened(X[i : i + rows]), self.X_fit_) @ alpha
        return self._shape_like_y(out)

    def _prepare(self, X):
        whitening = make_whitening(self.whiten, self.whiten_eps)
        self.whitening_ = whitening.fit(X) if whitening else None
        self.X_fit_ = self._whitened(X) if self.whitening_ else np.array(X, np.float64)  # its own: predict reads it

    def _whitened(self, X):
        return self.whitening_.transform(X) if self.whitening_ else np.asarray(X, np.float64)

    def _kernel(self, A, B=None):
        return kernel_matrix(
            A, B, self.kernel, self.length_scale, self.variance, nu=self.nu, degree=self.degree, coef0=self.coef0
        )


def require_kernel(rows, copies):
    """Raise MemoryError where so many (rows, rows) matrices would not fit."""
    remedy = "take fewer rows, or ELM or Ridge, which do not grow"
    memory.require(8 * copies * rows**2, f"the kernel matrix of {rows} rows", remedy)


def solve_kernel(K, Y, lambda_reg):
    """alpha = (K + lambda I)^-1 Y: (alpha, solver, rcond, rank); eigenvalues where Cholesky cannot be trusted.

    K is overwritten; beside it one more matrix of its size is taken. Raises ValueError for NaN, infinity, K not semidefinite.
    """
    n, diagonal = len(K), np.diag(K).copy()
    check_kernel(K)
    K[np.diag_indices(n)] += lambda_reg
    factored = factor_spd(K)
    if factored is not None and factored[2] > RCOND_CHOLESKY:
        return solve_factored(factored, Y), "cholesky", factored[2], n
    del factored
    K[np.diag_indices(n)] = diagonal
    values, Q = spectrum_of(K)
    keep = values > 0
    denominator = values + lambda_reg
    inverse = np.divide(1.0, denominator, out=np.zeros_like(denominator), where=denominator > 0)
    rank = int(keep.sum())
    if rank < n and lambda_reg == 0:
        warn_rank(rank, n, "the kernel matrix is singular")
    high = values[-1] + lambda_reg
    rcond = (values[0] + lambda_reg) / high if high > 0 else 0.0
    return Q @ (inverse[:, None] * (Q.T @ Y)), "eigh", float(rcond), rank


def check_kernel(K):
    """Raise ValueError where K has NaN or infinity, whatever the rows were."""
    if not np.isfinite(K.sum()) and not np.isfinite(K).all():
        raise UsageError("the kernel matrix contains NaN or infinity: scale X down, or give a larger length_scale")


def spectrum_of(K):
    """Eigenvalues of a semidefinite K, ascending, those at rounding level 0, and eigenvectors. K is overwritten."""
    from scipy.linalg import eigh

    values, Q = eigh(K.T, overwrite_a=True, check_finite=False)  # LAPACK's order: no copy
    largest = max(values[-1], -values[0])
    if values[0] < -(EPS**0.5) * largest:
        raise UsageError(
            f"the kernel matrix has the eigenvalue {values[0]:.3g} beside {values[-1]:.3g}, so this is no kernel: "
            "a polynomial needs coef0 >= 0 (or a larger lambda_reg)"
        )
    return np.where(values > rank_tolerance(len(K), len(K)) * largest, values, 0.0), Q


def kernel_loo(K, Y, lambdas):
    """Mean squared leave-one-out errors (m, k) of kernel ridge for every lambda, from one eigendecomposition of K.

    With K = Q diag(v) Q': alpha_i / [(K + lambda I)^-1]_ii, both sums over 1 / (v + lambda) without cancellation.
    Also returns (v, Q, Q'Y). K is overwritten. Cost 9 n^3 for eigh and n^2 (m + k m).
    """
    n = len(K)
    check_kernel(K)
    values, Q = spectrum_of(K)
    del K
    projected = Q.T @ Y
    squares = Q**2
    scores = np.empty((len(lambdas), Y.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, value in enumerate(lambdas):
            inverse = 1 / (values + value)
            error = (Q @ (inverse[:, None] * projected)) / (squares @ inverse)[:, None]
            scores[i] = np.einsum("ij,ij->j", error, error) / n
    return scores, (values, Q, projected)


class KernelRidgePath(KernelRidge):
    """Kernel ridge whose length scale and lambda are those with the least exact leave-one-out error.

    Formula: e_i = alpha_i / [(K + lambda I)^-1]_ii (Wahba, Spline models for observational data, 1990, section 4.2); one
    eigendecomposition of K for each length scale gives all lambdas.
    Cost: 9 n^3 for each length scale, n^2 (m + k m) for m lambdas and k targets; 24 n^2 bytes.
    Fails: as KernelRidge; and see RidgePath about rows that know each other. Lambda 0 is passed over where K is singular.

    Parameters: length_scales (None: 9 values from 1/8 to 8 times the median distance); lambdas (None: 25 from 1e-12 to 1
    times the variance); the others as in KernelRidge.
    Attributes: length_scale_, lambda_, scores_ (length scales, m, k), best_score_; those of KernelRidge.
    """

    def __init__(self, lambdas=None, length_scales=None, kernel="rbf", variance=1.0, nu=1.5, degree=3, coef0=1.0, whiten=None,
                 whiten_eps=1e-12):  # fmt: skip
        self._keep(locals())

    def fit(self, X, y):
        """X (n, d), y (n,) or (n, k)."""
        X, Y = self._fit_X_y(X, y)
        if len(X) < 2:
            raise UsageError(f"leave-one-out needs at least 2 rows, got n_samples = {len(X)} (1 sample)")
        check_choice(self.kernel, "kernel", KERNELS)
        require_kernel(len(X), 3)
        self._prepare(X)
        lambdas, scales = self.lambdas, self.length_scales
        if lambdas is None:
            lambdas = np.logspace(-12, 0, 25) * check_positive(self.variance, "variance")
        if scales is None:
            scales = np.geomspace(1 / 8, 8, 9) * median_distance(self.X_fit_)
        self.lambdas_ = np.array([check_lambda(value, "lambdas") for value in np.atleast_1d(lambdas)])
        scales = np.array([check_positive(value, "length_scales") for value in np.atleast_1d(scales)])
        for name, values in (("lambdas", self.lambdas_), ("length_scales", scales)):
            if not len(values):
                raise UsageError(f"{name} is empty: give at least one value")
        self.length_scales_ = np.ones(1) if self.kernel == "linear" else scales
        self.scores_ = np.empty((len(self.length_scales_), len(self.lambdas_), Y.shape[1]))
        best, kept, spectrum = np.inf, None, None
        for i, scale in enumerate(self.length_scales_):
            self.length_scale_, spectrum = float(scale), None  # what is not kept goes before the next comes
            self.scores_[i], spectrum = kernel_loo(self._kernel(self.X_fit_), Y, self.lambdas_)
            means = self.scores_[i].mean(axis=1)
            means = np.where(np.isfinite(means), means, np.inf)
            if means.min() < best:
                best, kept = means.min(), (float(scale), int(means.argmin()), spectrum)
        if kept is None:
            raise UsageError("with every one of lambdas the kernel matrix is singular (equal rows): give a lambda > 0")
        self.length_scale_, index, (values, Q, projected) = kept
        self.lambda_, self.best_score_ = float(self.lambdas_[index]), float(best)
        for name, given, path, best in (
            ("lambda", self.lambdas, self.lambdas_, self.lambda_),
            ("length scale", self.length_scales, self.length_scales_, self.length_scale_),
        ):
            if given is not None:
                warn_at_edge(name, path, best)
        denominator = (values + self.lambda_)[:, None]
        safe = np.divide(projected, denominator, out=np.zeros_like(projected), where=denominator > 0)
        self.dual_coef_ = self._shape_like_y(Q @ safe)
        self.solver_, self.rank_ = "eigh", int((values > 0).sum())
        self.rcond_ = float((values[0] + self.lambda_) / (values[-1] + self.lambda_)) if values[-1] > 0 else 0.0
        return self

    def _kernel(self, A, B=None):
        return kernel_matrix(
            A, B, self.kernel, self.length_scale_, self.variance, nu=self.nu, degree=self.degree, coef0=self.coef0
        )


def median_distance(X):
    """The median distance between pairs of (at most 1,000) rows; 1 where all are equal."""
    sample = np.ascontiguousarray(X[:: max(1, len(X) // 1000)])
    distances = np.sqrt(squared_distances(sample, sample))
    distances = distances[np.triu_indices(len(sample), 1)]
    median = float(np.median(distances)) if len(distances) else 0.0
    return median if median > 0 else 1.0
