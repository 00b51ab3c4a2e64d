"""Whitening: features of zero mean and unit variance, or of identity covariance."""

import numpy as np

from ..checks import check_choice, check_positive
from .estimator import Transformer

KINDS = ("features", "full", "zca")


class Whitening(Transformer):
    """x -> (x - mean) / std by feature, or x -> L^-1 (x - mean) with LL' the covariance.

    Formula: "features" divides by the standard deviation (1/n) of each feature; it cures scales, not correlation (a Hilbert
    matrix stays as hopeless as it was). "full" multiplies by the inverse Cholesky factor of the covariance, "zca" by its
    inverse symmetric square root (the whitening that moves the data least); both give an identity covariance.
    Source: A. Kessy, A. Lewin, K. Strimmer, Optimal whitening and decorrelation (2018).
    Cost: n d for "features", n d^2 + d^3 else; memory 16 n d bytes in fit (a centred copy, its SVD), 8 d^2 kept.
    Fails: what is constant up to rounding has no scale: it is only centred, so that noise is not blown up to a feature. Such is a
    feature whose standard deviation is at most eps times its largest absolute value ("features"), or a direction whose
    standard deviation is at most eps times the largest of all directions ("full", "zca"). Scaling all of X changes nothing.

    Parameters: kind, "features", "full" or "zca"; eps, at least the rounding of X's own type is taken.
    Attributes: mean_ (d,), matrix_ (d, d) or scale_ (d,).
    """

    def __init__(self, kind="features", eps=1e-12):
        self.kind = kind
        self.eps = eps

    def fit(self, X, y=None):
        """X (n, d)."""
        check_choice(self.kind, "kind", KINDS)
        eps = check_positive(self.eps, "eps")
        X = self._fit_X(X)
        eps = max(eps, 4 * float(np.finfo(X.dtype).eps))
        X = X.astype(np.float64, copy=False)
        # Around a row, so that a constant feature has exactly its value for a mean.
        self.mean_ = X[0] + (X - X[0]).mean(axis=0)
        if self.kind == "features":
            deviation = (X - self.mean_).std(axis=0)
            self.scale_ = np.where(deviation > eps * np.abs(X).max(axis=0), deviation, 1.0)
            return self
        from scipy.linalg import qr, svd

        _, s, Vt = svd((X - self.mean_) / np.sqrt(len(X)), full_matrices=False)
        s = np.concatenate([s, np.zeros(X.shape[1] - len(s))]) if len(s) < X.shape[1] else s
        if len(Vt) < X.shape[1]:
            Vt = np.vstack([Vt, np.linalg.qr(Vt.T, mode="complete")[0].T[len(Vt) :]])
        # Equal rows leave the rounding of their mean, no direction to scale by.
        constant = s[0] <= 4 * np.finfo(np.float64).eps * np.linalg.norm(self.mean_)
        s = np.where((s <= eps * s[0]) | constant, 1.0, s)
        if self.kind == "zca":
            self.matrix_ = (Vt.T / s) @ Vt
            return self
        # Cov = V s^2 V' = R'R with R from a QR of diag(s) V': the Cholesky factor without squaring the condition number.
        R = qr(s[:, None] * Vt, mode="r")[0]
        R = R * np.sign(np.diag(R))[:, None]
        self.matrix_ = np.linalg.inv(R)
        return self

    def transform(self, X):
        """The whitened rows, (n, d)."""
        X = self._check_X(X)
        if self.kind == "features":
            return (X - self.mean_) / self.scale_
        return (X - self.mean_) @ self.matrix_


def make_whitening(kind, eps):
    """A Whitening, or None where kind is None or False."""
    return Whitening(kind, eps) if kind else None
