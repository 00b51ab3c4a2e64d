"""What every estimator here shares: parameters, validation, scores. scikit-learn's conventions without scikit-learn.

Where scikit-learn is loaded, its NotFittedError and its tags are used, so that pipelines and grid searches work with these
estimators; nothing here imports it by itself.
"""

import functools
import inspect
import sys
import warnings

import numpy as np

from ..errors import InputTypeError, UsageError


class RankWarning(UserWarning):
    """A system is singular: the minimum-norm answer was given; the message names the rank."""


class PathEdgeWarning(UserWarning):
    """The best value of a path is its first or last one: a better one may lie beyond; the message names both."""


class ConflictingTargets(ValueError):
    """Two equal inputs have different targets, so that no function can map one to the other."""


class _NotFitted(ValueError, AttributeError):
    """predict before fit."""


def not_fitted(estimator):
    """The exception for `predict` before `fit` (scikit-learn's own class where it is loaded)."""
    loaded = sys.modules.get("sklearn.exceptions")
    kind = loaded.NotFittedError if loaded else _NotFitted
    name = type(estimator).__name__
    return kind(f"This {name} instance is not fitted yet. Call 'fit' with data before using this estimator.")


def check_finite(array, name):
    """Raise ValueError naming the first NaN or infinity of `array`."""
    if np.isfinite(array).all():
        return
    where = np.argwhere(~np.isfinite(array))[0]
    kind = "NaN" if np.isnan(array[tuple(where)]) else "infinity"
    place = ", ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), where[-2:]))
    place = place if array.ndim <= 2 else f"sequence {where[0]}, {place}"
    raise UsageError(f"Input {name} contains {kind} (first at {place}): remove or replace such values before fitting")


def as_matrix(X, name="X", ndim=2, finite=True):
    """X as a float32 or float64 array of `ndim` dimensions, checked; other number types become float64.

    Raises TypeError for sparse or non-numeric input, ValueError for a wrong number of dimensions, no rows, no columns,
    complex numbers, NaN or infinity.
    """
    if hasattr(X, "toarray") and not hasattr(X, "__array__"):
        raise InputTypeError(f"Sparse data was passed for {name}, but dense data is required: use .toarray()")
    array = np.asarray(X)
    if np.iscomplexobj(array):
        raise UsageError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.dtype != np.float32:
        array = array.astype(np.float64, copy=False)
    if array.ndim != ndim:
        raise UsageError(
            f"Expected {ndim}D array for {name}, got {array.ndim}D array of shape {array.shape} instead. "
            "Reshape your data: .reshape(-1, 1) for a single feature, .reshape(1, -1) for a single sample"
        )
    if array.shape[0] < 1:
        raise UsageError(f"{name}: Found array with 0 sample(s) (shape={array.shape}) while a minimum of 1 is required.")
    if ndim == 2 and array.shape[1] < 1:
        raise UsageError(f"{name}: Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    if finite:
        check_finite(array, name)
    return array


def as_targets(Y, rows, name="y"):
    """Y as a float64 array (n,) or (n, k) with `rows` rows, checked for NaN and infinity."""
    if Y is None:
        raise UsageError(f"requires {name} to be passed, but the target {name} is None")
    Y = np.asarray(Y)
    if np.iscomplexobj(Y):
        raise UsageError(f"Complex data not supported: {name} has dtype {Y.dtype}")
    if Y.dtype.kind in "USO":
        try:
            Y = Y.astype(np.float64)
        except ValueError:
            raise UsageError(f"Unknown label type: {name} holds {Y.dtype} values, numbers are needed") from None
    Y = Y.astype(np.float64, copy=False)
    if Y.ndim not in (1, 2) or (Y.ndim == 2 and Y.shape[1] == 0):
        raise UsageError(f"bad input shape {Y.shape} for {name}: give (n,) or (n, targets)")
    if len(Y) != rows:
        raise UsageError(f"Found input variables with inconsistent numbers of samples: X has {rows} rows, {name} has {len(Y)}")
    check_finite(Y, name)
    return Y


def r2(Y, predicted, sample_weight=None):
    """R^2 = 1 - sum (y - yhat)^2 / sum (y - mean y)^2, averaged over targets; a constant target counts 1 if met, else 0.

    Raises ValueError where Y, predicted (n,) or (n, k), and sample_weight (n,) disagree in shape.
    """
    given, predicted = as_targets(Y, len(predicted)), np.asarray(predicted, np.float64)
    Y, predicted = given.reshape(len(given), -1), predicted.reshape(len(predicted), -1)
    if Y.shape != predicted.shape:
        raise UsageError(f"y has shape {given.shape}, predictions have {predicted.shape}: give as many targets as in fit")
    weight = np.ones(len(Y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weight.shape != (len(Y),):
        raise UsageError(f"sample_weight has shape {weight.shape}: give one weight a row, ({len(Y)},)")
    residual = weight @ (Y - predicted) ** 2
    total = weight @ (Y - np.average(Y, axis=0, weights=weight)) ** 2
    score = 1 - residual / np.where(total > 0, total, 1)
    return float(np.mean(np.where(total > 0, score, residual == 0)))


def _all_or_nothing(fit):
    """A method that, where it raises, leaves its estimator as it was: not fitted, or fitted to what came before."""

    @functools.wraps(fit)
    def fit_or_restore(self, *args, **keywords):
        before = dict(self.__dict__)
        try:
            return fit(self, *args, **keywords)
        except BaseException:
            self.__dict__ = before
            raise

    return fit_or_restore


class Estimator:
    """Parameters are the keyword arguments of __init__, stored as given; fitted attributes end in an underscore."""

    _estimator_type = None

    def __init_subclass__(cls):
        for name in {"fit", "fit_blocks", "partial_fit", "forget", "merge"} & set(vars(cls)):
            setattr(cls, name, _all_or_nothing(vars(cls)[name]))

    @classmethod
    def _parameter_names(cls):
        return sorted(name for name in inspect.signature(cls.__init__).parameters if name != "self")

    def _keep(self, given):
        """Store the arguments of __init__, its `locals()`, as they were given."""
        self.__dict__.update((name, value) for name, value in given.items() if name != "self")

    def get_params(self, deep=True):
        """The parameters by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params):
        """Set parameters by name; raises ValueError for a name that the estimator does not have."""
        for name, value in params.items():
            if name not in self._parameter_names():
                raise UsageError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}. "
                    f"Valid parameters are: {self._parameter_names()!r}."
                )
            setattr(self, name, value)
        return self

    def __repr__(self):
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        changed = []
        for name, value in self.get_params().items():
            if value is not defaults[name] and repr(value) != repr(defaults[name]):
                changed.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(changed)})"

    def _fit_X(self, X, finite=True):
        """X checked for fitting; remembers the number (and names) of its features."""
        names = getattr(X, "columns", None)
        X = as_matrix(X, finite=finite)
        self.n_features_in_ = X.shape[1]
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return X

    def _fit_X_y(self, X, y, finite=True):
        """X and Y checked for fitting: (n, d) and (n, k); `_one_target` remembers that y was (n,)."""
        if y is None:
            raise UsageError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        X = self._fit_X(X, finite)
        y = as_targets(y, len(X))
        self._one_target = y.ndim == 1
        return X, y.reshape(len(y), -1)

    def _check_X(self, X):
        """X checked for prediction: fitted already, as many features as in fit."""
        if not self.__sklearn_is_fitted__():
            raise not_fitted(self)
        names = getattr(X, "columns", None)
        X = as_matrix(X)
        expected = self.n_features_in_
        if X.shape[1] != expected:
            raise UsageError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting {expected} features as input"
            )
        if names is not None and hasattr(self, "feature_names_in_") and list(names) != list(self.feature_names_in_):
            raise UsageError(
                "The feature names should match those that were passed during fit: "
                f"got {list(names)}, fitted with {list(self.feature_names_in_)}"
            )
        return X

    def _shape_like_y(self, predicted):
        return predicted[:, 0] if self._one_target else predicted

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_features_in_")

    def __sklearn_tags__(self):
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags, TransformerTags

        regressor = self._estimator_type == "regressor"
        return Tags(
            estimator_type=self._estimator_type,
            target_tags=TargetTags(required=regressor, multi_output=regressor),
            transformer_tags=TransformerTags() if self._estimator_type == "transformer" else None,
            regressor_tags=RegressorTags() if regressor else None,
            classifier_tags=None,
            input_tags=InputTags(),
        )


class Regressor(Estimator):
    """An estimator with predict(X); score(X, y) is R^2."""

    _estimator_type = "regressor"

    def score(self, X, y, sample_weight=None):
        """R^2 of predict(X) against y (1 is perfect, 0 is as good as the mean)."""
        return r2(y, self.predict(X), sample_weight)


class Transformer(Estimator):
    """An estimator with transform(X)."""

    _estimator_type = "transformer"

    def fit_transform(self, X, y=None):
        """fit(X), then transform(X)."""
        return self.fit(X, y).transform(X)


def warn_at_edge(name, path, chosen):
    """Warn where one of the `chosen` values is the smallest or largest of three or more in `path`."""
    path = np.asarray(path)
    if len(path) < 3:
        return
    for what, edge in (("smallest", path.min()), ("largest", path.max())):
        if np.any(np.asarray(chosen) == edge):
            warnings.warn(
                f"the best {name} is {edge:.3g}, the {what} of the path from {path.min():.3g} to {path.max():.3g}: "
                f"a better one may lie beyond; give a wider path",
                PathEdgeWarning,
                stacklevel=4,
            )


def warn_rank(rank, columns, what):
    """The warning of a singular system that was answered with minimum norm."""
    warnings.warn(
        f"{what}: rank {rank} of {columns}; this is the minimum-norm solution (set lambda_reg > 0 for a unique one)",
        RankWarning,
        stacklevel=4,
    )
