"""Kernel functions k(a, b), vectorised over all pairs of rows.

| name | k(a, b) / variance |
|---|---|
| rbf | exp(-||a - b||^2 / (2 l^2)) |
| laplacian | exp(-||a - b||_1 / l) |
| matern | 2^(1-nu) / Gamma(nu) z^nu K_nu(z), z = sqrt(2 nu) ||a - b|| / l; nu = 0.5, 1.5, 2.5 without special functions |
| polynomial | (a'b / l^2 + coef0)^degree |
| linear | a'b |

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapter 4.
"""

import numpy as np

from .estimator import check_choice, check_positive

KERNELS = ("rbf", "laplacian", "matern", "polynomial", "linear")


def squared_distances(A, B):
    """||a - b||^2 for all pairs, (n, m), as ||a||^2 + ||b||^2 - 2 a'b about a common centre, never below zero."""
    centre = A.mean(axis=0)
    same = A is B
    A = A - centre
    B = A if same else B - centre
    squares = np.einsum("ij,ij->i", A, A)
    other = squares if same else np.einsum("ij,ij->i", B, B)
    distances = A @ B.T
    distances *= -2
    distances += squares[:, None]
    distances += other
    np.maximum(distances, 0, out=distances)
    if same:
        np.fill_diagonal(distances, 0.0)
    return distances


def kernel_matrix(A, B=None, kernel="rbf", length_scale=1.0, variance=1.0, nu=1.5, degree=3, coef0=1.0):
    """K (n, m) in float64 between the rows of A (n, d) and B (m, d); B None is A. n m d multiply-adds, 8 n m bytes or twice."""
    check_choice(kernel, "kernel", KERNELS)
    length_scale, variance = check_positive(length_scale, "length_scale"), check_positive(variance, "variance")
    A = np.asarray(A, np.float64)
    B = A if B is None else np.asarray(B, np.float64)
    if kernel == "linear":
        return variance * (A @ B.T)
    if kernel == "polynomial":
        return variance * (A @ B.T / length_scale**2 + coef0) ** degree
    if kernel == "rbf":
        K = squared_distances(A, B)
        K *= -0.5 / length_scale**2
        np.exp(K, out=K)
    elif kernel == "laplacian":
        from scipy.spatial.distance import cdist

        K = np.exp(cdist(A, B, "cityblock") / -length_scale)
    else:
        K = _matern(np.sqrt(squared_distances(A, B)) / length_scale, check_positive(nu, "nu"))
    if variance != 1.0:
        K *= variance
    return K


def _matern(r, nu):
    z = np.sqrt(2 * nu) * r
    if nu == 0.5:
        return np.exp(-z)
    if nu == 1.5:
        return (1 + z) * np.exp(-z)
    if nu == 2.5:
        return (1 + z + z**2 / 3) * np.exp(-z)
    from scipy.special import gammaln, kv

    z = np.maximum(z, 1e-300)
    with np.errstate(over="ignore", invalid="ignore"):
        K = np.exp((1 - nu) * np.log(2) - gammaln(nu) + nu * np.log(z)) * kv(nu, z)
    return np.where(np.isfinite(K), K, 1.0)
