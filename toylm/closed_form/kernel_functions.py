"""Kernel functions k(a, b), vectorised over all pairs of rows.

| name | k(a, b) / variance |
|---|---|
| rbf | exp(-||a - b||^2 / (2 l^2)) |
| laplacian | exp(-||a - b||_1 / l) |
| matern | 2^(1-nu) / Gamma(nu) z^nu K_nu(z), z = sqrt(2 nu) ||a - b|| / l; nu = 0.5, 1.5, 2.5 without special functions |
| polynomial | (a'b / l^2 + coef0)^degree, degree a whole number; positive definite where coef0 >= 0 |
| linear | a'b |

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapter 4.
"""

import numpy as np

from ..checks import check_choice, check_count, check_number, check_positive

KERNELS = ("rbf", "laplacian", "matern", "polynomial", "linear")
_BLOCK = 200_000  # numbers that are looked at at a time
_CANCELLED = 1e-6  # ||a - b||^2 / (||a||^2 + ||b||^2) below which the difference has lost six digits
_LARGE_NU = 100  # past which K_nu leaves the range of float64 where the kernel is not yet near 1


def squared_distances(A, B):
    """||a - b||^2 for all pairs, (n, m), as ||a||^2 + ||b||^2 - 2 a'b about a common centre; term by term where that cancels."""
    centre = np.median(A, axis=0)  # one far row does not move it
    left = A - centre
    right = left if A is B else B - centre
    squares = np.einsum("ij,ij->i", left, left)
    other = squares if A is B else np.einsum("ij,ij->i", right, right)
    distances = left @ right.T
    distances *= -2
    distances += squares[:, None]
    distances += other
    if A is B:
        np.fill_diagonal(distances, np.inf)
    for i in np.flatnonzero(distances.min(axis=1) <= _CANCELLED * (squares + other.max())):  # few rows have such a pair
        j = np.flatnonzero(distances[i] <= _CANCELLED * (squares[i] + other))
        difference = A[i] - B[j]
        distances[i, j] = np.einsum("ij,ij->i", difference, difference)
    if A is B:
        np.fill_diagonal(distances, 0.0)
    return distances


def _row_blocks(K):
    step = max(1, _BLOCK // K.shape[1])
    return (slice(i, i + step) for i in range(0, len(K), step))


def kernel_matrix(A, B=None, kernel="rbf", length_scale=1.0, variance=1.0, nu=1.5, degree=3, coef0=1.0):
    """K (n, m) in float64 between the rows of A (n, d) and B (m, d); B None is A. n m d multiply-adds, 8 n m bytes."""
    check_choice(kernel, "kernel", KERNELS)
    length_scale, variance = check_positive(length_scale, "length_scale"), check_positive(variance, "variance")
    A = np.asarray(A, np.float64)
    B = A if B is None else np.asarray(B, np.float64)
    if kernel == "linear":
        K = A @ B.T
    elif kernel == "polynomial":
        degree, coef0 = check_count(degree, "degree"), check_number(coef0, "coef0")
        K = A @ B.T
        K /= length_scale**2
        K += coef0
        K **= degree
    elif kernel == "rbf":
        K = squared_distances(A, B)
        K *= -0.5 / length_scale**2
        np.exp(K, out=K)
    elif kernel == "laplacian":
        from scipy.spatial.distance import cdist

        K = cdist(A, B, "cityblock")
        K /= -length_scale
        np.exp(K, out=K)
    else:
        nu = check_positive(nu, "nu")
        K = squared_distances(A, B)
        for rows in _row_blocks(K):
            K[rows] = _matern(np.sqrt(K[rows]) / length_scale, nu)
    if variance != 1.0:
        K *= variance
    return K


def _matern(r, nu):
    z = np.minimum(np.sqrt(2 * nu) * r, 1e100)  # no infinity times exp(-infinity)
    if nu == 0.5:
        return np.exp(-z)
    if nu == 1.5:
        return (1 + z) * np.exp(-z)
    if nu == 2.5:
        return (1 + z + z**2 / 3) * np.exp(-z)
    if nu > _LARGE_NU:
        # K_nu by Debye's expansion, uniform in z; Gamma(nu) and the powers cancel. Abramowitz and Stegun, 9.7.8.
        x = z / nu
        root = np.sqrt(1 + x**2)
        decay = x**2 / (1 + root)  # root - 1
        return np.exp(nu * (np.log1p(decay / 2) - decay)) / np.sqrt(root) * _debye(1 / root, nu) / _debye(1.0, nu)
    from scipy.special import gammaln, kve

    z = np.maximum(z, 1e-300)
    scaled = kve(nu, z)
    with np.errstate(divide="ignore", invalid="ignore"):
        K = np.exp((1 - nu) * np.log(2) - gammaln(nu) + nu * np.log(z) + np.log(scaled) - z)
        near_zero = 1 - z**2 / (4 * (nu - 1))
    return np.where(np.isinf(scaled), near_zero, np.minimum(K, 1.0))


def _debye(t, nu):
    u1 = (3 * t - 5 * t**3) / 24
    u2 = (81 * t**2 - 462 * t**4 + 385 * t**6) / 1152
    u3 = (30375 * t**3 - 369603 * t**5 + 765765 * t**7 - 425425 * t**9) / 414720
    return 1 - u1 / nu + u2 / nu**2 - u3 / nu**3
