"""Closed-form pieces of a transformer: attention's output projection, linear blocks, heads on frozen features, LoRA by SVD.

X has a row a position, (T, d); weights are (inputs, outputs), y = x W. Float64 throughout.
"""

from dataclasses import dataclass

import numpy as np

from ..checks import check_choice, check_count, check_lambda
from ..errors import InputTypeError, UsageError
from .deep_linear import reduced_rank
from .estimator import as_matrix, as_targets, check_finite
from .kernel_functions import kernel_matrix
from .kernel_ridge import require_kernel, solve_kernel
from .linear import Ridge
from .row_sources import ArraySource
from .solvers import least_squares


def ridge_fit_closed_form(X, Y, lambda_reg=1e-3):
    """W = (X'X + lambda I)^-1 X'Y, without intercept: (d, k), or (d,) for Y (n,).

    n d^2 + d^3 / 3 multiply-adds (n^2 d where n < d). Raises ValueError on NaN, infinity, mismatched rows, lambda < 0.
    """
    X = as_matrix(X)
    Y = as_targets(Y, len(X), "Y")
    coef = least_squares(ArraySource(X, Y.reshape(len(X), -1)), lambda_reg, fit_intercept=False).coef
    return coef[:, 0] if Y.ndim == 1 else coef


def krr_fit(X, Y, lambda_reg=1e-3, kernel="rbf", length_scale=1.0, variance=1.0):
    """alpha = (K + lambda I)^-1 Y: a dict with alpha (n, k), X, and the configuration; `krr_predict` applies it.

    Keys: alpha, X, kernel, length_scale, variance, lambda_reg, solver, rcond.
    """
    X = as_matrix(X).astype(np.float64)
    Y = as_targets(Y, len(X), "Y")
    require_kernel(len(X), 2)
    K = kernel_matrix(X, None, kernel, length_scale, variance)
    alpha, solver, rcond, _ = solve_kernel(K, Y.reshape(len(X), -1), check_lambda(lambda_reg))
    return {
        "alpha": alpha,
        "X": X,
        "kernel": kernel,
        "length_scale": length_scale,
        "variance": variance,
        "lambda_reg": lambda_reg,
        "solver": solver,
        "rcond": rcond,
    }


def krr_predict(fitted, X):
    """k(X, X_fit) alpha, (m, k), with what krr_fit returned."""
    X = as_matrix(X)
    return kernel_matrix(X, fitted["X"], fitted["kernel"], fitted["length_scale"], fitted["variance"]) @ fitted["alpha"]


@dataclass
class BlockCollapseTrainer:
    """Replaces a block by the linear map that imitates it best on its own activations.

    lambda_reg: the ridge penalty; fit_intercept: whether a bias is allowed (then `intercept_` holds it).
    """

    lambda_reg: float = 1e-3
    fit_intercept: bool = False

    def solve_linear_block(self, X, Y):
        """W (d, k) with X W ~ Y; X (n, d) what goes into the block, Y (n, k) what comes out."""
        fitted = Ridge(self.lambda_reg, fit_intercept=self.fit_intercept).fit(X, Y)
        self.intercept_, self.solver_, self.rcond_ = fitted.intercept_, fitted.solver_, fitted.rcond_
        return fitted.weights_[:, 0] if np.ndim(Y) == 1 else fitted.weights_


def compute_qkv_attn(X, W_Q, W_K, W_V, *, mask=None):
    """Single-head attention: (Q, K, V, A, Z) with A = softmax(Q K' / sqrt(d_k)) row by row and Z = A V.

    X (..., T, d); W_Q, W_K (d, d_k); W_V (d, d_v); A (..., T, T).
    mask: None; "causal"; a bool array that broadcasts to (..., T, T), True where attention is allowed; or a float array
    that is added to the scores (-inf forbids). Raises ValueError where a row allows nothing, on NaN, infinity and shapes
    that disagree, TypeError for a mask of integers, which could mean either.
    """
    X = np.asarray(X, np.float64)
    W_Q, W_K, W_V = (np.asarray(W, np.float64) for W in (W_Q, W_K, W_V))
    for name, W in (("W_Q", W_Q), ("W_K", W_K), ("W_V", W_V)):
        if W.ndim != 2 or W.shape[0] != X.shape[-1]:
            raise UsageError(f"{name} has shape {W.shape}: X has {X.shape[-1]} features, so it must be ({X.shape[-1]}, ...)")
        check_finite(W, name)
    check_finite(X, "X")
    if W_Q.shape[1] != W_K.shape[1]:
        raise UsageError(f"W_Q has {W_Q.shape[1]} columns and W_K {W_K.shape[1]}: they must agree")
    Q, K, V = X @ W_Q, X @ W_K, X @ W_V
    scores = Q @ np.swapaxes(K, -1, -2) / np.sqrt(W_Q.shape[1])
    if isinstance(mask, str):
        check_choice(mask, "mask", ("causal",))
        mask = np.tril(np.ones(scores.shape[-2:], dtype=bool))
    if mask is not None:
        mask = np.asarray(mask)
        if mask.dtype.kind not in "bf":
            raise InputTypeError(f"mask has dtype {mask.dtype}: give bool (True allows) or float (added to the scores)")
        if mask.dtype != bool and not (mask < np.inf).all():
            raise UsageError("mask contains NaN or +infinity: only -infinity, which forbids, and finite numbers can be added")
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    highest = scores.max(axis=-1, keepdims=True)
    if np.isneginf(highest).any():
        raise UsageError(f"the mask leaves position {int(np.argwhere(np.isneginf(highest))[0][-2])} nothing to attend to")
    A = np.exp(scores - highest)
    A /= A.sum(axis=-1, keepdims=True)
    return Q, K, V, A, A @ V


def solve_output_projection_from_attn(Z, H_attn, *, lambda_reg=1e-3):
    """W_O = (Z'Z + lambda I)^-1 Z'H, (d_v, d_model): the output projection that maps head outputs to a target.

    Z (..., T, d_v), the outputs of all heads side by side; H_attn (..., T, d_model).
    """
    Z, H_attn = np.asarray(Z, np.float64), np.asarray(H_attn, np.float64)
    if Z.shape[:-1] != H_attn.shape[:-1]:
        raise UsageError(f"Z {Z.shape} and H_attn {H_attn.shape} must agree in all but the last axis")
    return ridge_fit_closed_form(Z.reshape(-1, Z.shape[-1]), H_attn.reshape(-1, H_attn.shape[-1]), lambda_reg)


def solve_attention_output_projection(X, W_Q, W_K, W_V, H_attn_target, *, lambda_reg=1e-3, mask=None):
    """Attention with given W_Q, W_K, W_V, and the best W_O for a target: (Q, K, V, A, W_O)."""
    Q, K, V, A, Z = compute_qkv_attn(X, W_Q, W_K, W_V, mask=mask)
    return Q, K, V, A, solve_output_projection_from_attn(Z, H_attn_target, lambda_reg=lambda_reg)


def lora_from_residual_svd(residual, rank, *, scaling=1.0):
    """A (d, r) = U_r S_r^1/2 and B (r, k) = S_r^1/2 V_r': A B is the best approximation of rank r to `residual` (d, k).

    `scaling` multiplies BOTH factors, so that the product A B is scaled by scaling^2; with 1 it is the Eckart-Young optimum
    and ||residual - A B||_F^2 is the sum of the squared singular values past r. rank is at most min(d, k).
    """
    residual = as_matrix(residual, "residual").astype(np.float64, copy=False)
    rank = _check_rank(rank, residual.shape)
    U, s, Vt = np.linalg.svd(residual, full_matrices=False)
    root = np.sqrt(s[:rank])
    return scaling * U[:, :rank] * root, scaling * root[:, None] * Vt[:rank]


def lora_from_activations(X, residual, rank, *, lambda_reg=0.0):
    """A (d, r), B (r, k) with the least ||X (residual - A B)||_F^2 + lambda ||residual - A B||_F^2.

    Best for the data rather than for the matrix: residual V_r V_r' with V_r the top right singular vectors of L' residual,
    LL' = X'X + lambda I (reduced-rank regression). Its error on X is never above lora_from_residual_svd's.
    """
    X = as_matrix(X).astype(np.float64, copy=False)
    residual = as_matrix(residual, "residual").astype(np.float64, copy=False)
    if X.shape[1] != residual.shape[0]:
        raise UsageError(f"X has {X.shape[1]} features, residual {residual.shape[0]} rows: they must agree")
    rank = _check_rank(rank, residual.shape)
    penalty = np.sqrt(check_lambda(lambda_reg)) * np.eye(X.shape[1])
    best, _ = reduced_rank(residual, np.linalg.qr(np.vstack([X, penalty]), mode="r"), rank)
    return lora_from_residual_svd(best, rank)


def _check_rank(rank, shape):
    rank = check_count(rank, "rank")
    if rank > min(shape):
        raise UsageError(f"rank is {rank}: a matrix of shape {shape} has rank {min(shape)} at most")
    return rank


def apply_lora_update_inplace(W, A, B):
    """W += A B in place (W may be float32: the product is taken in its dtype); returns W.

    Raises ValueError on shapes, TypeError where W is no floating-point array.
    """
    if not isinstance(W, np.ndarray):
        raise InputTypeError(f"W must be a NumPy array to be changed in place, not {type(W).__name__}")
    A, B = np.asarray(A), np.asarray(B)
    if A.ndim != 2 or B.ndim != 2 or A.shape[1] != B.shape[0] or W.shape != (A.shape[0], B.shape[1]):
        raise UsageError(f"W {W.shape} cannot take A {A.shape} times B {B.shape}")
    if not np.issubdtype(W.dtype, np.floating):
        raise InputTypeError(f"W has dtype {W.dtype}: an update in place needs a floating-point one, or it would be rounded away")
    W += (A @ B).astype(W.dtype, copy=False)
    return W


@dataclass
class LoRATrainer:
    """A low-rank correction of a frozen weight matrix W, solved for: X (W + A B) ~ Y.

    First the full-rank correction D = argmin ||X (W + D) - Y||^2 + lambda ||D||^2 by ridge, then its best rank-r part:
    for the data (activation_aware) or for the matrix.
    """

    rank: int = 8
    lambda_reg: float = 1e-3
    activation_aware: bool = True

    def fit(self, X, W, Y):
        """A (d, r), B (r, k); X (n, d) inputs, W (d, k) frozen, Y (n, k) wanted outputs."""
        X, W = np.asarray(X, np.float64), np.asarray(W, np.float64)
        delta = ridge_fit_closed_form(X, np.asarray(Y, np.float64) - X @ W, self.lambda_reg)
        if self.activation_aware:
            return lora_from_activations(X, delta, self.rank, lambda_reg=self.lambda_reg)
        return lora_from_residual_svd(delta, self.rank)
