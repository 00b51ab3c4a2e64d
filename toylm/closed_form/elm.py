"""Extreme learning machines: random features, and a ridge head in closed form."""

import numpy as np

from ..checks import check_choice, check_count, check_lambda, check_positive
from ..errors import UsageError
from . import memory
from .estimator import Regressor
from .row_sources import ArraySource, StreamSource
from .solvers import least_squares, require_cholesky
from .whitening import make_whitening

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0.0)}
_BLOCK_BYTES = 64 * 2**20


class DeepELM(Regressor):
    """Layers of random features H_l = phi(H_(l-1) W_l + b_l), H_0 the whitened input, then beta = (H'H + lambda I)^-1 H'Y.

    Formula: W_l and b_l are drawn once, weight_scale N(0, 1), layer by layer from one generator seeded by random_seed, and
    never trained; only the head beta is solved for. weight_scale "fan_in" is 1 / sqrt(inputs of the layer), which keeps
    deep stacks from saturating. Source: G.-B. Huang, Q.-Y. Zhu, C.-K. Siew, Extreme learning machine: theory and
    applications (2006); J. Tang, C. Deng, G.-B. Huang, Extreme learning machine for multilayer perceptron (2016).
    Cost: n (sum of h_(l-1) h_l) for the features, n h^2 + h^3 / 3 for the head; memory 48 h^2 bytes, 8 h^2 a
    thread and a block of rows (16 n h + 24 n^2 where n < h), and 210 h^2 in all where the features are too near to dependent for
    Cholesky; each is named before it is taken.
    Fails: features do not adapt: past a few dozen inputs with structure, a trained network of the same width is better.
    Depth rarely helps (`toylm deep-elm-bench` shows it): each random layer forgets something of the input.

    Parameters: hidden_units, an int or one int a layer; depth, how often an int is repeated; activation "tanh" or "relu";
    weight_scale; random_seed; lambda_reg; fit_intercept, of the head; whiten and whiten_eps (see Whitening; None for raw
    inputs); solver as in LinearRegression.
    Attributes: hidden_weights_ (list of (inputs, h)), hidden_biases_ (list of (h,)), beta_ (h, k), intercept_; solver_,
    rcond_, rank_.
    """

    def __init__(self, hidden_units=128, depth=2, activation="tanh", weight_scale="fan_in", random_seed=0, lambda_reg=1e-6,
                 fit_intercept=False, whiten="features", whiten_eps=1e-12, solver="auto"):  # fmt: skip
        self._keep(locals())

    def _widths(self):
        if np.ndim(self.hidden_units):
            widths = [check_count(h, "hidden_units") for h in self.hidden_units]
            if not widths:
                raise UsageError("hidden_units is empty: give at least one layer")
            return widths
        return [check_count(self.hidden_units, "hidden_units")] * check_count(self.depth, "depth")

    def fit(self, X, y):
        """X (n, d), y (n,) or (n, k). Raises ValueError on bad input, MemoryError where the head would not fit in memory."""
        check_lambda(self.lambda_reg)
        check_choice(self.activation, "activation", tuple(ACTIVATIONS))
        fan_in = isinstance(self.weight_scale, str)
        if fan_in and self.weight_scale != "fan_in":
            raise UsageError(f"weight_scale is {self.weight_scale!r}: it must be a number > 0 or 'fan_in'")
        widths = self._widths()
        X, Y = self._fit_X_y(X, y)
        n, last = len(X), widths[-1]
        inputs = [X.shape[1], *widths[:-1]]
        step = max(256, _BLOCK_BYTES // (8 * max(widths)))
        # A block's features are three arrays while they are made.
        weights = 8 * (sum(a * b for a, b in zip(inputs, widths)) + 3 * min(n, step) * max(widths))
        if n < last:
            memory.require(weights + 8 * (2 * n * last + 3 * n**2), f"hidden_units = {max(widths)}", "use fewer of them")
        else:
            require_cholesky(last, f"hidden_units = {max(widths)}", weights)
        whitening = make_whitening(self.whiten, self.whiten_eps)
        self.whitening_ = whitening.fit(X) if whitening else None
        rng = np.random.default_rng(self.random_seed)
        self.hidden_weights_, self.hidden_biases_ = [], []
        for rows, columns in zip(inputs, widths):
            scale = rows**-0.5 if fan_in else check_positive(self.weight_scale, "weight_scale")
            self.hidden_weights_.append(scale * rng.standard_normal((rows, columns)))
            self.hidden_biases_.append(scale * rng.standard_normal(columns))
        if n < last or n <= step:
            source = ArraySource(self._features(X), Y)
        else:
            source = StreamSource(lambda: ((self._features(X[i : i + step]), Y[i : i + step]) for i in range(0, n, step)))
        found = least_squares(source, self.lambda_reg, self.fit_intercept, self.solver)
        self.beta_, self._intercept = found.coef, found.intercept
        self.intercept_ = float(found.intercept[0]) if self._one_target else found.intercept
        self.solver_, self.rcond_, self.rank_ = found.solver, found.rcond, found.rank
        return self

    def features(self, X):
        """The last hidden layer H, (n, h)."""
        return self._features(self._check_X(X))

    def predict(self, X):
        """H beta + intercept, (n,) or (n, k) like the y of fit."""
        X = self._check_X(X)
        out = np.empty((len(X), self.beta_.shape[1]))
        step = max(256, _BLOCK_BYTES // (8 * max(map(len, self.hidden_biases_))))
        for i in range(0, len(X), step):
            out[i : i + step] = self._features(X[i : i + step]) @ self.beta_ + self._intercept
        return self._shape_like_y(out)

    def _features(self, X):
        H = self.whitening_.transform(X) if self.whitening_ else np.asarray(X, np.float64)
        for W, b in zip(self.hidden_weights_, self.hidden_biases_):
            H = ACTIVATIONS[self.activation](H @ W + b)
        return H


class ELM(DeepELM):
    """One layer of random features H = phi(x W_0 + b_0), then beta = (H'H + lambda I)^-1 H'Y.

    Formula, source, cost and limits: DeepELM, with one layer; weight_scale is a number here, 1 by default.
    Parameters and attributes: as in DeepELM, without depth.
    """

    def __init__(self, hidden_units=128, activation="tanh", weight_scale=1.0, random_seed=0, lambda_reg=1e-6,
                 fit_intercept=False, whiten="features", whiten_eps=1e-12, solver="auto"):  # fmt: skip
        self._keep(locals())

    def _widths(self):
        return [check_count(self.hidden_units, "hidden_units")]
