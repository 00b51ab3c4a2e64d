"""The linear autoencoder in closed form: principal component analysis."""

import numpy as np

from ..checks import check_count
from ..errors import UsageError
from .estimator import Transformer
from .gram import GramAccumulator
from .normal_equations import rank_tolerance
from .row_sources import ArraySource, centred_rows
from .solvers import tsqr

_DIRECT_WORK = 1e9


class LinearAutoencoder(Transformer):
    """The best linear code of h numbers: X ~ mean + (X - mean) V_h V_h', V_h the top right singular vectors.

    Formula: with the centred X = U diag(s) V', encoder V_h (d, h), decoder V_h'; the squared error left is
    sum of s_i^2 over i > h, and no rank-h linear code has less. Source: C. Eckart, G. Young, The approximation of one
    matrix by another of lower rank (1936); P. Baldi, K. Hornik, Neural networks and principal component analysis (1989).
    Cost: SVD of X, about 6 n d^2; past 10^9 multiply-adds eigenvectors of X'X (n d^2 / 2, fused and streamed) while the
    kept s stay above 1e-2 of the largest, else Householder QR first. Memory 8 n d bytes in the first case.
    Fails: nothing nonlinear is seen. Where s_h = s_(h+1) the code is not unique (the error is).

    Parameters: hidden_units h (None: all, min(n, d)).
    Attributes: mean_ (d,), components_ (h, d), encoder_ (d, h), decoder_ (h, d), singular_values_ (h,),
    explained_variance_ (h,), reconstruction_error_ (the sum above), solver_.
    """

    def __init__(self, hidden_units=None):
        self.hidden_units = hidden_units

    def fit(self, X, y=None):
        """X (n, d). Raises ValueError where hidden_units exceeds min(n, d)."""
        from scipy.linalg import svd

        X = self._fit_X(X)
        most = min(X.shape)
        h = most if self.hidden_units is None else check_count(self.hidden_units, "hidden_units")
        if h > most:
            raise UsageError(f"hidden_units is {h}: at most min(rows, features) = {most} components exist")
        if X.size * most <= _DIRECT_WORK:
            self.mean_ = X.mean(axis=0, dtype=np.float64)
            _, s, Vt = svd(centred_rows(X, self.mean_), full_matrices=False, check_finite=False)
            self.solver_ = "svd"
        else:
            s, Vt = self._large(X, h)
        # Signs as in scikit-learn: the largest entry of each component is positive.
        largest = np.abs(Vt).argmax(axis=1)
        Vt = Vt * np.where(Vt[np.arange(len(Vt)), largest] < 0, -1.0, 1.0)[:, None]
        self.components_ = np.ascontiguousarray(Vt[:h])
        self.encoder_, self.decoder_ = np.ascontiguousarray(self.components_.T), self.components_
        self.singular_values_ = s[:h]
        self.explained_variance_ = s[:h] ** 2 / max(1, len(X) - 1)
        self.reconstruction_error_ = float((s[h:] ** 2).sum())
        self.rank_ = int((s > rank_tolerance(*X.shape) * s[0]).sum())
        return self

    def _large(self, X, h):
        from scipy.linalg import eigh, svd

        gram = GramAccumulator().add(X)
        self.mean_ = gram.mean_x
        values, V = eigh(gram.gram)
        values, V = np.maximum(values[::-1], 0.0), V[:, ::-1]
        if values[h - 1] > 1e-4 * values[0]:
            self.solver_ = "eigh"
            return np.sqrt(values), V.T
        R, _ = tsqr(ArraySource(X, np.empty((len(X), 0))), self.mean_, np.empty(0))
        _, s, Vt = svd(R)
        self.solver_ = "tsqr"
        return s, Vt

    def transform(self, X):
        """The code, (n, h)."""
        return centred_rows(self._check_X(X), self.mean_) @ self.encoder_

    def inverse_transform(self, codes):
        """What the code says X was, (n, d)."""
        return np.asarray(codes, np.float64) @ self.decoder_ + self.mean_

    def predict(self, X):
        """The reconstruction of X, (n, d)."""
        return self.inverse_transform(self.transform(X))

    def score(self, X, y=None):
        """Minus the mean squared reconstruction error of a row."""
        return -float(((np.asarray(X) - self.predict(X)) ** 2).sum(axis=1).mean())
