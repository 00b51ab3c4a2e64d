"""Deep linear networks in closed form: balanced factors of the best linear map, reduced-rank where a layer is narrow."""

import numpy as np

from ..checks import check_count, check_lambda
from ..errors import UsageError
from .estimator import Regressor, as_matrix
from .normal_equations import rank_tolerance
from .row_sources import ArraySource, centred_rows
from .solvers import least_squares


def balanced_factors(W, widths, random_seed=None):
    """W = W_1 W_2 ... W_L with W_l'W_l = W_(l+1) W_(l+1)': a list of L matrices, layer l of width widths[l].

    With W = U diag(s) V': W_1 = U s^(1/L), W_l = diag(s^(1/L)), W_L = s^(1/L) V', padded with zeros to the widths. A balanced
    factorization is what gradient descent from small initial weights converges to (Arora, Cohen, Hazan, On the optimization
    of deep networks, 2018). random_seed: random orthogonal bases between the layers; None: none.
    Raises ValueError where a width is below the rank of W.
    """
    from scipy.linalg import svd

    W = as_matrix(W, "W").astype(np.float64, copy=False)
    U, s, Vt = svd(W, full_matrices=False)
    # Past here the singular values are rounding: dropping them moves W by less than its own rounding.
    rank = int((s > np.finfo(np.float64).eps * max(W.shape) * (s[0] if len(s) else 0.0)).sum())
    layers = len(widths) + 1
    if layers > 1 and min(widths) < rank:
        raise UsageError(f"width {min(widths)} is below the rank {rank} of the map: use DeepLinear, which reduces the rank")
    if layers == 1:
        return [np.array(W)]
    root = s[:rank] ** (1 / layers)
    sizes = [W.shape[0], *widths, W.shape[1]]
    factors = [np.zeros((a, b)) for a, b in zip(sizes[:-1], sizes[1:])]
    factors[0][:, :rank] = U[:, :rank] * root
    for factor in factors[1:-1]:
        factor[:rank, :rank] = np.diag(root)
    factors[-1][:rank] = root[:, None] * Vt[:rank]
    if random_seed is not None:
        rng = np.random.default_rng(random_seed)
        for layer, width in enumerate(widths):
            Q = np.linalg.qr(rng.standard_normal((width, width)))[0]
            factors[layer], factors[layer + 1] = factors[layer] @ Q, Q.T @ factors[layer + 1]
    return factors


def reduced_rank(W, root, rank):
    """The best map of a rank: W V_r V_r', V_r the top right singular vectors of root W, where root' root = X'X + lambda I.

    Truncating the SVD of W itself is best for W, not for the data. Source: A. Izenman, Reduced-rank regression for the
    multivariate linear model (1975). Returns (W_r, the increase of the penalised squared error).
    """
    from scipy.linalg import svd

    _, s, Vt = svd(root @ W, full_matrices=False)
    V = Vt[:rank].T
    return W @ V @ V.T, float((s[rank:] ** 2).sum())


def truncated(W, rank):
    """W without its singular values past `rank`: the nearest matrix of that rank."""
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    return (U[:, :rank] * s[:rank]) @ Vt[:rank]


def gram_root(A, lambda_reg=0.0):
    """R with R'R = A + lambda I, by eigenvectors of the semidefinite A (d, d): what `reduced_rank` asks for."""
    values, Q = np.linalg.eigh(A)
    return np.sqrt(np.maximum(values, 0.0) + lambda_reg)[:, None] * Q.T


class DeepLinear(Regressor):
    """A linear network of L layers, x W_1 ... W_L + b, at the global optimum of its squared error, its weights balanced.

    Formula: W = argmin ||X W + b - Y||^2 + lambda ||W||^2 (ridge on the product), reduced to the narrowest layer by
    reduced-rank regression where that is below the rank of W, then factored as in `balanced_factors`.
    Source: P. Baldi, K. Hornik, Neural networks and principal component analysis: learning from examples without local
    minima (1989); A. Izenman, Reduced-rank regression for the multivariate linear model (1975).
    Cost: ridge, plus SVDs of (d, k) matrices; memory as LinearRegression, and the layers themselves;
    16 n d bytes more where a layer is narrow.
    Fails: depth adds nothing to what a linear map can say; this is the point of comparison for gradient descent, which
    takes thousands of steps to the same error.

    Parameters: n_layers; widths, None (min(d, k) each), an int, or one int a hidden layer; lambda_reg; fit_intercept;
    random_seed, for random bases between layers.
    Attributes: layers_ (list of L matrices), weights_ (their product's closed form), rank_ (of weights_), intercept_,
    excess_error_ (what the narrow layer costs in squared error), solver_, rcond_.
    """

    def __init__(self, n_layers=3, widths=None, lambda_reg=0.0, fit_intercept=True, random_seed=None):
        self._keep(locals())

    def fit(self, X, y):
        """X (n, d), y (n,) or (n, k)."""
        lambda_reg = check_lambda(self.lambda_reg)
        X, Y = self._fit_X_y(X, y)
        hidden = check_count(self.n_layers, "n_layers") - 1
        widths = min(X.shape[1], Y.shape[1]) if self.widths is None else self.widths
        widths = [check_count(w, "widths") for w in (widths if np.ndim(widths) else [widths] * hidden)]
        if len(widths) != hidden:
            raise UsageError(f"widths has {len(widths)} values: {self.n_layers} layers have {hidden} hidden widths")
        found = least_squares(ArraySource(X, Y), lambda_reg, self.fit_intercept)
        W, rank = found.coef, min(found.coef.shape)
        self.excess_error_ = 0.0
        if widths and min(widths) < rank:
            rank = min(widths)
            mean = X.mean(axis=0, dtype=np.float64) if self.fit_intercept else np.zeros(X.shape[1])
            penalty = np.sqrt(lambda_reg) * np.eye(X.shape[1])
            root = np.linalg.qr(np.vstack([centred_rows(X, mean), penalty]), mode="r")
            W, self.excess_error_ = reduced_rank(W, root, rank)
        means = found.intercept
        if self.fit_intercept:
            means = means + X.mean(axis=0, dtype=np.float64) @ (found.coef - W)
        self.layers_ = balanced_factors(truncated(W, rank), widths, self.random_seed)
        # Past this the singular values of W are the rounding of its solution.
        tolerance = rank_tolerance(*X.shape) / (found.rcond**0.5 or 1.0)
        s = np.linalg.svd(W, compute_uv=False)
        self.weights_, self.rank_, self._intercept = W, int((s > tolerance * s[0]).sum()), means
        self.intercept_ = float(means[0]) if self._one_target else means
        self.solver_, self.rcond_ = found.solver, found.rcond
        return self

    def predict(self, X):
        """x W_1 ... W_L + b, (n,) or (n, k)."""
        H = self._check_X(X)
        for W in self.layers_:
            H = H @ W
        return self._shape_like_y(H + self._intercept)
