"""A block's matrices from the model's own loss, without a teacher: curvature-scaled descent on one or two matrices.

The gradient of the loss at a matrix's output, -g, is the change of the output that the model asks for. Least squares towards
out - g is one Gram-preconditioned gradient step:

    argmin ||X W' - (X W - g)||^2 = W - (X'X)^-1 X'g

and with the covariance of g on the other side, W - (X'X)^-1 X'g C^-1, the natural-gradient step of K-FAC (J. Martens, R. Grosse,
Optimizing neural networks with Kronecker-factored approximate curvature, 2015). Here these two factors are the coordinates in
which L-BFGS runs on the cross-entropy of a fixed piece of text; the stream that enters the block is computed once.
"""

import numpy as np

from .fitter import Outcome, refuse_counts
from .streams import Stream, batches_of

VALIDATION_TOKENS, PATIENCE = 6000, 2
# Eigenvalues below this many times the mean one count as that much. So strong a damping leaves curvature to the few directions
# that matter: of the loss that random matrices cost a trained model of 8 blocks, 40,000 tokens brought back 0.57, 0.68, 0.88,
# 0.89, 0.87, 0.87 of w_o's at 0.03, 0.3, 3, 10, 30, 100, and less than half of that of w_ff2's below 1: with less damping the
# steps fit the piece of text and nothing else.
FLOOR = 10.0


class TailLoss:
    """The mean loss over batches as a function of some matrices of block `first` and later ones; the stream before it is fixed."""

    def __init__(self, model, batches, names, first):
        self.model, self.names, self.first = model, names, first
        self.stream = Stream(model, batches).advance(first)
        self.counted = sum(int(self.stream.counted(b).sum()) for b in range(len(self.stream)))
        self.passes = 0

    def value_and_gradients(self, look=None):
        """(loss, {name: gradient}); look(name, inputs, output gradients): see `factors`."""
        model = self.model
        model.gradients.zero_()
        total = 0.0
        for b in range(len(self.stream)):
            a = self.stream.activations(b, True)
            a.blocks[self.first].residual_in[:] = self.stream.rows[b]
            for i in range(self.first, model.config.n_layers):
                model.blocks[i].forward(model.parameters, a.blocks[i])
            model.norm_final.forward(model.parameters, a.last_residual, a.final_norm, a.final_rstd)
            total += self._backward(a, self.stream.targets[b], look)
        self.passes += 1
        return total / self.counted, {name: model.gradients[name].array.astype(np.float64) for name in self.names}

    def _backward(self, a, targets, look):
        model, p, g, buffers = self.model, self.model.parameters, self.model.gradients, a.buffers
        dnorm, dstream = buffers["dnorm"], buffers["dstream"]
        losses = model.unembedding.losses_and_gradients(p, g, buffers, a.final_norm, targets, 1.0 / self.counted, dnorm)
        total = float(losses.sum())
        dstream.fill(0)
        model.norm_final.backward(p, g, buffers, dnorm, a.last_residual, a.final_rstd, dstream)
        for i in range(model.config.n_layers - 1, self.first - 1, -1):
            if look:
                look(i, a.blocks[i], dstream)
            model.blocks[i].backward(p, g, a.blocks[i], dstream)
        return total

    def factors(self):
        """{name: (input covariance, output-gradient covariance)} at the present weights, and the loss.

        The gradient at the block's output stands for the one at each of its matrices' outputs; that of w_ff1 goes back
        through w_ff2, the activation taken as the identity.
        """
        inputs, outputs = {}, {}

        def look(i, a, dstream):
            for role, read in (("w_o", lambda: a.head_outputs), ("w_ff2", lambda: a.ff_hidden), ("w_ff1", lambda: a.norm2)):
                name = f"blocks.{i}.{role}"
                if name in self.names:
                    X, g = read().astype(np.float64), dstream.astype(np.float64) * self.counted
                    inputs[name] = inputs.get(name, 0) + X.T @ X / self.counted
                    outputs[name] = outputs.get(name, 0) + g.T @ g / self.counted

        loss, gradients = self.value_and_gradients(look)
        for name in self.names:
            if name.endswith("w_ff1"):
                # The activation passes about half of a gradient on; a rough scale is all that is asked of it.
                back = self.model.parameters[name.replace("w_ff1", "w_ff2")].array.astype(np.float64)
                through = 0.25 * back @ outputs[name] @ back.T
                columns = self.model.parameters[name].array.shape[1]
                outputs[name] = through if columns == len(through) else np.kron(np.eye(2), through)
        return {name: (inputs[name], outputs[name]) for name in self.names}, loss, gradients


class _Coordinates:
    """W = Q (u / sqrt(a c')) P' with a, c the eigenvalues of the two factors."""

    def __init__(self, factors):
        self.parts = {}
        for name, (A, C) in factors.items():
            (a, Q), (c, P) = np.linalg.eigh(A), np.linalg.eigh(C)
            a, c = (np.maximum(v, FLOOR * v.mean() + 1e-300) for v in (a, c))
            self.parts[name] = Q, P, 1 / np.sqrt(a[:, None] * c)
        self.rcond = min(float(s.min() / s.max()) ** 2 for _, _, s in self.parts.values())

    def weights(self, u):
        found, at = {}, 0
        for name, (Q, P, scale) in self.parts.items():
            found[name] = Q @ (u[at : at + scale.size].reshape(scale.shape) * scale) @ P.T
            at += scale.size
        return found

    def gradient(self, gradients):
        return np.concatenate([((Q.T @ gradients[name] @ P) * s).reshape(-1) for name, (Q, P, s) in self.parts.items()])


def fit_own_gradient(model, data, names, first, iterations, max_rows, progress=None):
    """Fit the matrices `names` of block `first` and later ones to the model's own cross-entropy: an Outcome.

    The steps of a small piece of text soon fit that text alone: the weights with the least loss on validation text are taken,
    and two steps without a lower one end it.
    """
    from scipy.optimize import minimize

    refuse_counts(model, "targets 'gradient'")
    loss = TailLoss(model, batches_of(data, max_rows), names, first)
    factors, before, _ = loss.factors()
    coordinates = _Coordinates(factors)
    start = {name: model.parameters[name].array.astype(np.float64) for name in names}
    curve, validation = [before], [data.validation_loss(model, VALIDATION_TOKENS)]
    size = sum(s.size for _, _, s in coordinates.parts.values())
    best = np.zeros(size)

    def write(u):
        for name, change in coordinates.weights(u).items():
            model.parameters[name].array[:] = start[name] + change

    def value(u):
        write(u)
        f, gradients = loss.value_and_gradients()
        return f, coordinates.gradient(gradients)

    def after(intermediate_result):
        nonlocal best
        curve.append(float(intermediate_result.fun))
        write(intermediate_result.x)
        validation.append(data.validation_loss(model, VALIDATION_TOKENS))
        if progress:
            progress(min(len(curve) - 1, iterations), iterations, f"L-BFGS, loss {curve[-1]:.4f}")
        if validation[-1] <= min(validation):
            best = intermediate_result.x.copy()
        elif len(validation) - 1 - int(np.argmin(validation)) >= PATIENCE:
            raise StopIteration

    minimize(value, np.zeros(size), jac=True, method="L-BFGS-B", callback=after,
             options={"maxiter": iterations, "maxfun": 2 * iterations + 2, "gtol": 1e-8, "ftol": 1e-9})  # fmt: skip
    write(best)
    model.gradients.zero_()
    details = {"targets": "gradient", "rows": loss.counted, "iterations": len(curve) - 1, "passes": loss.passes,
               "training_loss_curve": curve, "validation_curve": validation}  # fmt: skip
    return Outcome(tuple(names), "L-BFGS in Kronecker-factored coordinates", coordinates.rcond, details)
