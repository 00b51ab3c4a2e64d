"""instant and ipredict: every architecture behind one call.

| arch | estimator | keywords that it reads |
|---|---|---|
| dict | DictionaryModel | conflict |
| barycentric_1d | Barycentric1D | |
| linear | LinearRegression | fit_intercept |
| ridge | Ridge | lambda_reg, fit_intercept |
| kernel_ridge | KernelRidge | length_scale, variance, lambda_reg, kernel, nu, degree, coef0, whiten, whiten_eps |
| elm | ELM | hidden_units, activation, weight_scale, random_seed, lambda_reg, fit_intercept, whiten, whiten_eps |
| deep_elm | DeepELM | those of elm, depth |
| autoencoder | LinearAutoencoder | hidden_units |
| deep_linear | DeepLinear | n_layers, widths, lambda_reg, fit_intercept, random_seed |
| collapse:NAME | Collapse of NAME | those of NAME, start_seed |

The shared keywords (SHARED_KEYWORDS) that an architecture has no use for, length_scale for "linear" say, are accepted and
ignored, so that one set of settings can be tried on all; an unknown keyword is an error. whiten_eps given to kernel_ridge
turns whitening by feature on.
"""

import inspect

from ..errors import UsageError, nearest
from .autoencoder import LinearAutoencoder
from .barycentric import Barycentric1D
from .collapse import COLLAPSIBLE, Collapse
from .deep_linear import DeepLinear
from .dictionary import DictionaryModel
from .elm import ELM, DeepELM
from .kernel_ridge import KernelRidge
from .linear import LinearRegression, Ridge

_ESTIMATORS = {
    "dict": DictionaryModel,
    "barycentric_1d": Barycentric1D,
    "linear": LinearRegression,
    "ridge": Ridge,
    "kernel_ridge": KernelRidge,
    "elm": ELM,
    "deep_elm": DeepELM,
    "autoencoder": LinearAutoencoder,
    "deep_linear": DeepLinear,
}
ARCHITECTURES = (*_ESTIMATORS, *(f"collapse:{name}" for name in COLLAPSIBLE))

# What may always be given: one set of settings for every architecture.
SHARED_KEYWORDS = frozenset(
    [
        "lambda_reg",
        "length_scale",
        "variance",
        "hidden_units",
        "activation",
        "weight_scale",
        "random_seed",
        "whiten_eps",
        "fit_intercept",
    ]
)


def make_estimator(arch="ridge", **keywords):
    """The estimator of an architecture with its keywords set. Raises ValueError for an unknown arch or keyword."""
    if arch not in ARCHITECTURES:
        raise UsageError(f"arch is {arch!r}: unknown{nearest(arch, ARCHITECTURES)}")
    collapsing, _, name = arch.rpartition(":")
    kind = (COLLAPSIBLE if collapsing else _ESTIMATORS)[name]
    known = set(inspect.signature(kind.__init__).parameters) - {"self"}
    start_seed = keywords.pop("start_seed", 0) if collapsing else 0
    unknown = set(keywords) - known - SHARED_KEYWORDS
    if unknown:
        worst = sorted(unknown)[0]
        raise UsageError(f"arch {arch!r} has no keyword {worst!r}{nearest(worst, sorted(known))}")
    chosen = {key: value for key, value in keywords.items() if key in known}
    if kind is KernelRidge and "whiten_eps" in chosen:
        chosen.setdefault("whiten", "features")
    return Collapse(name, start_seed, chosen) if collapsing else kind(**chosen)


def instant(X, Y, X_test, arch="ridge", **keywords):
    """Fit `arch` to (X, Y) in closed form and return its predictions on X_test.

    X (n, d) (or (n,) for barycentric_1d), Y (n,) or (n, k); predictions (m,) or (m, k), float64. For the autoencoder Y may
    be None; the prediction is the reconstruction of X_test.
    """
    return make_estimator(arch, **keywords).fit(X, Y).predict(X_test)


def ipredict(X, Y, X_test, arch="ridge", **keywords):
    """The same as `instant`: predictions on X_test of `arch` fitted to (X, Y)."""
    return instant(X, Y, X_test, arch, **keywords)
