"""Holistic collapse: the optimum as the fixed point of theta <- theta + f(D, A, theta), reached in one application.

f is the Newton map of the ridge objective, f(theta) = A^-1 (B - A theta) with A theta = B the normal equations. It is
applied from a random theta by eigenvectors of A, while the closed forms of this package solve by Cholesky or QR. So that
both land on the same theta is a statement about two computations, not about one done twice; and a second application may
move theta only by rounding:

    ||f(theta*)|| <= c eps cond(A) ||theta*||.

| arch | theta | f |
|---|---|---|
| linear, ridge | W (d, k) on centred data | A = X'X + lambda I, B = X'Y |
| kernel_ridge | alpha (n, k) | A = K + lambda I, B = Y |
| elm, deep_elm | beta (h, k) | A = H'H + lambda I, B = H'Y |
| deep_linear | L balanced layers | the Newton map on their product, then balanced again |
| autoencoder | V (d, h) | the spectral projector of the covariance applied to V, then made orthonormal |

For the autoencoder theta is a basis of a subspace: one application lands on the right subspace from almost every start.
"""

from dataclasses import dataclass

import numpy as np

from ..checks import check_choice, check_lambda
from . import memory
from .autoencoder import LinearAutoencoder
from .deep_linear import DeepLinear, balanced_factors, gram_root, truncated
from .elm import ELM, DeepELM
from .estimator import Regressor
from .kernel_ridge import KernelRidge
from .linear import LinearRegression, Ridge

EPS = np.finfo(np.float64).eps
COLLAPSIBLE = {
    "linear": LinearRegression,
    "ridge": Ridge,
    "kernel_ridge": KernelRidge,
    "elm": ELM,
    "deep_elm": DeepELM,
    "deep_linear": DeepLinear,
    "autoencoder": LinearAutoencoder,
}


@dataclass
class CollapseReport:
    """What the two applications of the map did, and what the condition number allows."""

    start_distance: float  # ||theta_0 - theta*|| / ||theta*||
    first_distance: float  # ||theta_1 - theta*|| / ||theta*||, theta* by the closed form's factorization
    second_step: float  # ||theta_2 - theta_1|| / ||theta_1||
    condition: float  # cond(A)
    bound: float  # c eps cond(A)

    @property
    def proves(self):
        """Whether one application landed on the optimum and the second was a no-op, both within the bound."""
        return self.first_distance <= self.bound and self.second_step <= self.bound


class NewtonMap:
    """f(theta) = A^-1 (B - A theta), A^-1 by eigenvectors; directions at rounding level are left alone (pseudo-inverse)."""

    def __init__(self, A, B):
        from scipy.linalg import eigh

        self.A, self.B = A, B
        values, self.Q = eigh(A, driver="evd")  # MRRR, the default, gives up two digits of orthogonality
        keep = values > 16 * EPS * len(A) * max(values[-1], 0.0)
        self.inverse = np.where(keep, 1 / np.where(keep, values, 1.0), 0.0)
        kept = values[keep]
        self.condition = float(kept[-1] / kept[0]) if len(kept) else 1.0
        self.full_rank = bool(keep.all())

    def __call__(self, theta):
        residual = self.B - self.A @ theta
        return self.Q @ (self.inverse[:, None] * (self.Q.T @ residual))

    def null_part(self, theta):
        """What f cannot see: the component of theta in the null space of A (zero at full rank)."""
        dead = self.Q[:, self.inverse == 0]
        return dead @ (dead.T @ theta)


class Collapse(Regressor):
    """An estimator whose parameters are the fixed point of its own update, found from a random start.

    Formula: the table at the top of this module. Source of the bound: N. Higham, Accuracy and Stability of
    Numerical Algorithms (2002), chapter 7.
    Cost: an eigendecomposition instead of a Cholesky factor, 9 d^3 (n^3 for kernel ridge); memory 32 d^2 bytes and a
    centred copy of the features.
    Fails: where cond(A) eps is no longer small, and says so: report_.proves is False.
    Parameters: arch, one of the table; start_seed, the random start; parameters, a dict for the closed-form estimator.
    Attributes: model_ (the estimator with the fixed point's parameters), closed_form_ (the same one solved directly),
    report_ (CollapseReport).
    """

    def __init__(self, arch="ridge", start_seed=0, parameters=None):
        self.arch = arch
        self.start_seed = start_seed
        self.parameters = parameters

    def fit(self, X, y=None):
        """X (n, d), y (n,) or (n, k); the autoencoder needs no y."""
        check_choice(self.arch, "arch", tuple(COLLAPSIBLE))
        self.closed_form_ = COLLAPSIBLE[self.arch](**(self.parameters or {})).fit(X, y)
        self.model_, self.report_ = collapse_of(self.closed_form_, X, y, self.start_seed)
        self.n_features_in_ = self.closed_form_.n_features_in_
        return self

    def predict(self, X):
        """The predictions of the fixed point's model."""
        self._check_X(X)
        return self.model_.predict(X)


def collapse_of(closed_form, X, y=None, start_seed=0, slack=50.0):
    """Apply the fixed-point map of a fitted closed-form estimator twice from a random start: (model, CollapseReport)."""
    rng = np.random.default_rng(start_seed)
    model = _copy(closed_form)
    X = np.asarray(X, np.float64)
    if isinstance(closed_form, LinearAutoencoder):
        return _collapse_autoencoder(closed_form, model, X, rng, slack)
    Y = np.asarray(y, np.float64).reshape(len(X), -1)
    if isinstance(closed_form, KernelRidge):
        _require(len(X), "rows", "take fewer rows")
        K = closed_form._kernel(closed_form.X_fit_)
        K[np.diag_indices_from(K)] += closed_form.lambda_reg
        step = NewtonMap(K, Y)
        optimum = closed_form.dual_coef_.reshape(len(K), -1)
        theta, report = _two_steps(step, optimum, rng, slack)
        model.dual_coef_ = closed_form._shape_like_y(theta)
        return model, report
    features = closed_form._features(X) if isinstance(closed_form, DeepELM) else X
    optimum = closed_form.beta_ if isinstance(closed_form, DeepELM) else closed_form.weights_
    mean_x, mean_y = (features.mean(axis=0), Y.mean(axis=0)) if closed_form.fit_intercept else (0.0, 0.0)
    d = features.shape[1]
    _require(d, "features", "use fewer features or hidden units")
    H, centred = features - mean_x, Y - mean_y
    A = H.T @ H
    A[np.diag_indices(d)] += check_lambda(getattr(closed_form, "lambda_reg", 0.0))
    step = NewtonMap(A, H.T @ centred)
    if isinstance(closed_form, DeepLinear):
        return _collapse_deep_linear(closed_form, model, step, optimum, mean_x, mean_y, rng, slack)
    theta, report = _two_steps(step, optimum, rng, slack)
    intercept = mean_y - mean_x @ theta if closed_form.fit_intercept else np.zeros(Y.shape[1])
    if isinstance(closed_form, DeepELM):
        model.beta_, model._intercept = theta, intercept
        model.intercept_ = float(intercept[0]) if model._one_target else intercept
    else:
        model.weights_, model._intercept = theta, intercept
        model.coef_ = theta[:, 0] if model._one_target else theta.T
        model.intercept_ = float(intercept[0]) if model._one_target else intercept
    return model, report


def _require(size, what, remedy):
    memory.require(4 * 8 * size**2, f"the eigendecomposition of {size} {what}", remedy)


def _copy(estimator):
    twin = type(estimator)(**estimator.get_params())
    twin.__dict__.update(estimator.__dict__)
    return twin


def _relative(difference, reference):
    norm = np.linalg.norm(reference)
    return float(np.linalg.norm(difference) / norm) if norm > 0 else float(np.linalg.norm(difference))


def _two_steps(step, optimum, rng, slack):
    # A random start of the optimum's size; in directions that the data do not determine it starts (and stays) at zero,
    # where the minimum-norm optimum is.
    size = np.linalg.norm(optimum) / np.sqrt(optimum.size) or 1.0
    theta0 = size * rng.standard_normal(optimum.shape)
    theta0 -= step.null_part(theta0)
    theta1 = theta0 + step(theta0)
    theta2 = theta1 + step(theta1)
    report = CollapseReport(
        _relative(theta0 - optimum, optimum),
        _relative(theta1 - optimum, optimum),
        _relative(theta2 - theta1, theta1),
        step.condition,
        slack * EPS * max(step.condition, np.sqrt(len(theta0))),
    )
    return theta1, report


def _collapse_deep_linear(closed_form, model, step, optimum, mean_x, mean_y, rng, slack):
    full = NewtonMap(step.A, step.B)

    def product(layers):
        return np.linalg.multi_dot(layers) if len(layers) > 1 else layers[0]

    def apply(layers):
        W = product(layers)
        W = W + full(W)
        if closed_form.rank_ < min(W.shape):
            W = W @ _top_right(gram_root(full.A) @ W, closed_form.rank_)
        return balanced_factors(truncated(W, closed_form.rank_), widths)

    widths = [layer.shape[1] for layer in closed_form.layers_[:-1]]
    sizes = [optimum.shape[0], *widths, optimum.shape[1]]
    start = [rng.standard_normal((a, b)) / np.sqrt(a) for a, b in zip(sizes[:-1], sizes[1:])]
    if not full.full_rank:
        start[0] -= full.null_part(start[0])
    first = apply(start)
    second = apply(first)
    W0, W1, W2 = product(start), product(first), product(second)
    report = CollapseReport(
        _relative(W0 - optimum, optimum),
        _relative(W1 - optimum, optimum),
        _relative(W2 - W1, W1),
        full.condition,
        slack * EPS * max(full.condition, np.sqrt(len(optimum))),
    )
    model.layers_, model.weights_ = first, W1
    model._intercept = mean_y - mean_x @ W1 if closed_form.fit_intercept else np.zeros(optimum.shape[1])
    return model, report


def _top_right(M, rank):
    # Eigenvectors of M'M instead of the closed form's SVD of M.
    _, vectors = np.linalg.eigh(M.T @ M)
    V = vectors[:, len(vectors) - rank :]
    return V @ V.T


def _collapse_autoencoder(closed_form, model, X, rng, slack):
    from scipy.linalg import eigh

    Xc = X - X.mean(axis=0)
    h = len(closed_form.components_)
    values, vectors = eigh(Xc.T @ Xc)
    projector = vectors[:, -h:] @ vectors[:, -h:].T
    optimum = closed_form.encoder_ @ closed_form.decoder_

    def apply(V):
        return np.linalg.qr(projector @ V)[0]

    start = np.linalg.qr(rng.standard_normal((X.shape[1], h)))[0]
    first = apply(start)
    second = apply(first)
    # The subspace is as well determined as the gap below its last singular value is wide.
    gap = (values[-h] - values[-h - 1]) / values[-1] if h < len(values) else 1.0
    condition = 1 / gap if gap > 0 else np.inf
    # From a random start the subspace is seen through the smallest cosine to it.
    cosine = np.linalg.svd(closed_form.decoder_ @ start, compute_uv=False)[-1]
    report = CollapseReport(
        _relative(start @ start.T - optimum, optimum),
        _relative(first @ first.T - optimum, optimum),
        _relative(second @ second.T - first @ first.T, first @ first.T),
        condition,
        slack * EPS * max(condition, np.sqrt(X.shape[1]) / max(cosine, EPS)),
    )
    # The fixed point's basis, turned to the principal axes within its subspace.
    _, _, Vt = np.linalg.svd((Xc @ first), full_matrices=False)
    components = Vt @ first.T
    signs = np.sign(np.einsum("ij,ij->i", components, closed_form.components_))
    model.components_ = components * np.where(signs == 0, 1.0, signs)[:, None]
    model.encoder_, model.decoder_ = model.components_.T, model.components_
    return model, report
