"""Heads that are no linear map of the features: kernel ridge (Nyström), ELM, deep ELM. Measured beside the model.

Each is a map of features, phi(x), and a ridge on one-hot targets over it. A TransformerLM's output is linear, and what loads,
decodes and exports it knows no other: these heads are evaluated on the same held-out text, and the model is left as it is.
"""

import numpy as np

from ..closed_form.elm import DeepELM
from ..closed_form.kernel_functions import kernel_matrix
from ..closed_form.kernel_ridge import median_distance
from ..evaluation import Evaluation
from .activations import head_features
from .fitter import Outcome
from .output_heads import HeadFitter
from .probabilities import best_beta, best_floor, both_losses, clipped_loss, softmax_loss
from .token_gram import TokenGram

_ROWS = 8192


class _FeatureHead(HeadFitter):
    """Ridge over phi. A subclass has `_features(X, data) -> (phi, details, number of values)`; phi maps rows (n, d) to (n, h)."""

    changes_model = False

    def _fit(self, model, data, progress):
        X, y, Xv, yv = self._rows(model, data, progress)
        phi, details, parameters = self._features(X, data)
        gram = None
        for i in range(0, len(X), _ROWS):
            rows = phi(X[i : i + _ROWS])
            gram = gram or TokenGram(rows.shape[1], model.config.vocab_size)
            gram.add(rows, y[i : i + _ROWS])
            if progress:
                progress(min(i + _ROWS, len(X)), len(X), "moments")
        W, solver, rcond = gram.solve(self.lambda_reg)

        def score(rows):
            return phi(rows) @ W.T

        scores = np.vstack([score(Xv[i : i + _ROWS]) for i in range(0, len(Xv), _ROWS)])
        beta, floor = best_beta(scores, yv), best_floor(scores, yv)
        clips = clipped_loss(scores, yv, floor) < softmax_loss(scores, yv, beta)
        details |= {"rows": len(X), "lambda_reg": self.lambda_reg, "beta": beta, "floor": floor,
                    "probabilities": "clipped scores" if clips else "softmax"}  # fmt: skip

        def evaluate(data):
            batches = data.held_out_batches()
            Xh, yh = head_features(model, batches)
            losses = both_losses(score, Xh, yh, beta, floor)
            details["held_out_loss_of_softmax"], details["held_out_loss_of_clipped_scores"] = losses
            return Evaluation(losses[int(clips)], len(yh), round(batches.bytes), 0.0)

        written = W.size + parameters
        return Outcome((), solver, rcond, details, written, 8 * written, evaluate=evaluate)


class KernelRidgeHead(_FeatureHead):
    """Kernel ridge on one-hot targets: f(x) = k(x, Z) (K_ZX K_XZ + lambda n K_ZZ)^-1 K_ZX Y, Z landmarks among the rows X.

    That is the Nyström approximation (C. Williams, M. Seeger, Using the Nyström method to speed up kernel machines, 2001), and
    kernel ridge itself where all rows are landmarks. Solved as ridge on phi(x) = L^-1 k(Z, x), LL' = K_ZZ.

    landmarks: at most; kernel: "rbf", "laplacian", "matern", "polynomial", "linear"; length_scale: None for the median distance
    of the rows; lambda_reg: the penalty, a row; max_rows: training tokens read.
    """

    def _features(self, X, data):
        from scipy.linalg import solve_triangular


        count = min(self.landmarks, len(X))
        chosen = np.sort(np.random.default_rng(data.seed).choice(len(X), count, replace=False))
        Z = X[chosen].astype(np.float64)
        scale = median_distance(Z) if self.length_scale is None else self.length_scale
        K = kernel_matrix(Z, None, self.kernel, scale)
        K[np.diag_indices_from(K)] += 1e-12 * count * K.diagonal().max()  # repeated rows make K_ZZ singular
        L = np.linalg.cholesky(K)

        def phi(rows):
            k = kernel_matrix(rows.astype(np.float64), Z, self.kernel, scale)
            return np.ascontiguousarray(solve_triangular(L, k.T, lower=True, check_finite=False).T)

        details = {"landmarks": count, "exact": count == len(X), "kernel": self.kernel, "length_scale": float(scale)}
        return phi, details, Z.size


class ElmHead(_FeatureHead):
    """An extreme learning machine on the features: random hidden units, ridge on one-hot targets (see closed_form.elm).

    hidden_units; activation "tanh" or "relu"; weight_scale: a number, or "fan_in"; lambda_reg; max_rows. `deep-elm` has `depth`
    random layers of hidden_units.
    """

    def _features(self, X, data):
        depth = self.settings.depth
        elm = DeepELM(self.hidden_units, depth, self.activation, self.weight_scale, data.seed, lambda_reg=1.0)
        sample = X[:: max(1, len(X) // 4096)]
        elm.fit(sample, np.zeros(len(sample)))  # draws the layers and measures the whitening; its own head is not used
        details = {"hidden_units": self.hidden_units, "depth": depth, "activation": self.activation}
        return elm.features, details, sum(W.size + b.size for W, b in zip(elm.hidden_weights_, elm.hidden_biases_))
