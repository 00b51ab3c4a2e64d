"""Softmax regression on fixed features: the loss of an output matrix, its gradient, and two ways to its minimum.

    f(W) = 1/n sum_i [log sum_v exp(z_iv) - z_i,y_i] + l2/2 ||W - C||^2,    z_i = x_i W' (+ offset_i),  W (V, d)

The gradient is (P'X - S) / n + l2 (W - C) with P the probabilities and S = Y'X the sums of the features by target.

`minimise` is L-BFGS (scipy's, with its line search) in coordinates in which the Hessian is near the identity: it is bounded by
and close to the block diagonal of kappa_v X'X / n + l2 I, kappa_v the mean of p_v (1 - p_v), and with X'X / n = Q diag(s) Q'
that is W_v = Q diag(kappa_v s + l2)^-1/2 u_v. Eight passes then do what hundreds do without (measured in the tests).

`bohning_step` is the guaranteed-monotone fixed-curvature step W -= 2 (X'X/n + 2 l2 I)^-1 gradient, from H <= 1/2 (I - 11'/V) x X'X
(D. Böhning, Multinomial logistic regression algorithm, 1992): slow, and an oracle for the other one.
"""

import numpy as np

from ..closed_form.gram import GramAccumulator
from ..closed_form.normal_equations import factor_spd, solve_factored
from ..errors import UsageError
from ..kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward, softmax_forward
from ..kernels.matmul import matmul
from ..model.ids import target_ids
from ..model.workspace import chunk_rows

KAPPA_FLOOR = 1e-4  # rare tokens have nearly no curvature at the start; what they get must not run away
EIGENVALUE_FLOOR = 1e-10


class SoftmaxRegression:
    """The objective above on features X (n, d), float32 or float64, and targets y (n,) int64.

    l2: the penalty; centre: C (V, d), or None for zero. offset: None, or a callable (start, stop, logits) that adds to the
    logits (stop - start, V) of these rows, for a head beside another model's log probabilities.
    """

    def __init__(self, X, y, vocab_size, l2=0.0, centre=None, offset=None):
        if len(X) != len(y):
            raise UsageError(f"X has {len(X)} rows, y {len(y)}: one target a row")
        if not len(X):
            raise UsageError("no rows to fit")
        if not l2 >= 0:
            raise UsageError(f"l2 is {l2}; it must be 0 or above")
        self.X, self.y, self.vocab_size = np.ascontiguousarray(X), target_ids(y, vocab_size), int(vocab_size)
        self.l2, self.centre, self.offset = float(l2), centre, offset
        rows = min(chunk_rows(self.vocab_size, self.X.itemsize), len(X))
        self._logits = np.empty((rows, self.vocab_size), self.X.dtype)
        self._losses = np.empty(len(self._logits))

    def _chunks(self, W):
        rows = len(self._logits)
        for start in range(0, len(self.X), rows):
            stop = min(start + rows, len(self.X))
            logits = self._logits[: stop - start]
            matmul(self.X[start:stop], W, logits, transpose_b=True)
            if self.offset is not None:
                self.offset(start, stop, logits)
            yield start, stop, logits, self._losses[: stop - start]

    def data_loss(self, W):
        """Mean nats a row, without the penalty. W (V, d)."""
        W, total = np.ascontiguousarray(W, self.X.dtype), 0.0
        for start, stop, logits, losses in self._chunks(W):
            cross_entropy_forward(logits, self.y[start:stop], losses)
            total += losses.sum()
        return float(total / len(self.X))

    def value_and_gradient(self, W):
        """f(W) and its gradient (V, d), float64."""
        exact = np.asarray(W, np.float64)
        W = np.ascontiguousarray(W, self.X.dtype)
        gradient, total = np.zeros_like(W), 0.0
        for start, stop, logits, losses in self._chunks(W):
            cross_entropy_backward(logits, self.y[start:stop], 1 / len(self.X), losses)
            total += losses.sum()
            matmul(logits, self.X[start:stop], gradient, transpose_a=True, accumulate=True)
        gradient, value = gradient.astype(np.float64), float(total / len(self.X))
        if self.l2:
            away = exact if self.centre is None else exact - self.centre
            value += 0.5 * self.l2 * float((away * away).sum())
            gradient += self.l2 * away
        return value, gradient

    def gram(self):
        """X'X / n, (d, d) float64."""
        return GramAccumulator().add(self.X).raw_gram / len(self.X)

    def curvatures(self, W, rows=8192):
        """kappa (V,): the mean of p_v (1 - p_v) under W over a sample of rows, at least as large as the targets' shares say."""
        share = np.bincount(self.y, minlength=self.vocab_size) / len(self.y)
        sample = slice(None, None, max(1, len(self.X) // rows))
        part = SoftmaxRegression(self.X[sample], self.y[sample], self.vocab_size)
        kappa, n = np.zeros(self.vocab_size), len(part.X)
        for _, _, logits, _ in part._chunks(np.ascontiguousarray(W, self.X.dtype)):
            softmax_forward(logits, logits)
            kappa += (logits * (1 - logits)).sum(axis=0, dtype=np.float64) / n
        return np.maximum(np.maximum(kappa, 0.25 * share), KAPPA_FLOOR)


class Preconditioner:
    """The change of coordinates W = (u * scale) Q' of this module's head, and back."""

    def __init__(self, objective, W):
        from scipy.linalg import eigh

        values, self.Q = eigh(objective.gram())
        self.values = np.maximum(values, EIGENVALUE_FLOOR * max(values[-1], 0.0) + 1e-300)
        self.rcond = float(self.values[0] / self.values[-1])
        curvature = objective.curvatures(W)[:, None] * self.values + objective.l2
        self.scale = 1 / np.sqrt(curvature)

    def weights(self, u):
        """W (V, d) of coordinates u (V, d)."""
        return (u * self.scale) @ self.Q.T

    def coordinates(self, W):
        """u (V, d) of weights W (V, d)."""
        return (np.asarray(W, np.float64) @ self.Q) / self.scale

    def gradient(self, dW):
        """The gradient in u of a gradient in W."""
        return (dW @ self.Q) * self.scale


def minimise(objective, W, iterations=30, tolerance=1e-5, validation=None, patience=3, progress=None):
    """Minimise `objective` from W (V, d) by preconditioned L-BFGS: (W, details).

    iterations: at most; tolerance: largest entry of the preconditioned gradient to stop at. validation: None, or a
    SoftmaxRegression whose data loss decides: the W with the least is returned, and `patience` iterations without a better one
    end it. details: iterations, passes (evaluations of loss and gradient), objective, gradient (largest entry, of W),
    stopped ("validation", "converged", "iterations", "precision"), curve (validation loss an iteration), rcond.
    """
    from scipy.optimize import minimize

    if iterations < 1:
        raise UsageError(f"iterations is {iterations}; it must be at least 1")
    coordinates = Preconditioner(objective, W)
    shape, curve, best = W.shape, [], {"W": np.array(W, np.float64), "loss": np.inf, "at": 0}
    state = {"passes": 0, "stopped": None}
    if validation is not None:
        best["loss"] = validation.data_loss(W)
        curve.append(best["loss"])

    def value(u):
        state["passes"] += 1
        f, dW = objective.value_and_gradient(coordinates.weights(u.reshape(shape)))
        return f, coordinates.gradient(dW).reshape(-1)

    def after(intermediate_result):
        state["iterations"] = state.get("iterations", 0) + 1
        if progress:
            progress(min(state["iterations"], iterations), iterations, f"L-BFGS, loss {intermediate_result.fun:.4f}")
        if validation is None:
            return
        here = coordinates.weights(intermediate_result.x.reshape(shape))
        curve.append(validation.data_loss(here))
        if curve[-1] < best["loss"]:
            best.update(W=here, loss=curve[-1], at=len(curve) - 1)
        elif len(curve) - 1 - best["at"] >= patience:
            state["stopped"] = "validation"
            raise StopIteration

    found = minimize(
        value, coordinates.coordinates(W).reshape(-1), jac=True, method="L-BFGS-B", callback=after,
        options={"maxiter": iterations, "maxfun": 4 * iterations + 20, "gtol": tolerance, "ftol": 0.0, "maxcor": 10},
    )  # fmt: skip
    W = best["W"] if validation is not None else coordinates.weights(found.x.reshape(shape))
    stopped = state["stopped"] or {0: "converged", 1: "iterations"}.get(found.status, "precision")
    f, gradient = objective.value_and_gradient(W)
    details = {
        "iterations": state.get("iterations", 0), "passes": state["passes"], "objective": f,
        "gradient": float(np.abs(gradient).max()), "stopped": stopped, "rcond": coordinates.rcond,
    }  # fmt: skip
    if validation is not None:
        details |= {"best_iteration": best["at"], "validation_curve": curve}
    return W, details


def bohning_step(objective, W, factor=None):
    """(W, f(W) before the step, factor): one monotone step; hand `factor` (Cholesky of the bound) back in for the next."""
    if factor is None:
        bound = objective.gram() / 2
        bound[np.diag_indices_from(bound)] += objective.l2
        factor = factor_spd(bound)
        if factor is None:
            raise UsageError("the features have no full column rank: give l2 above 0")
    value, gradient = objective.value_and_gradient(W)
    return W - solve_factored(factor, gradient.T).T, value, factor
