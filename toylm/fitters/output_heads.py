"""Heads on frozen features, the model's final_norm rows: cross-entropy, and the least-squares heads of closed-form fitting."""

import numpy as np

from ..counts.documents import Documents
from .activations import head_features
from .fitter import Fitter, Outcome, refuse_counts
from .probabilities import best_beta, best_floor, both_losses
from .softmax_regression import SoftmaxRegression, bohning_step, minimise
from .surgery import untie
from .token_gram import TokenGram

VALIDATION_ROWS = 16384
ROWS = 1_000_000  # read by a ridge head, where not by document
GRAM = "head_gram.safetensors"


class HeadFitter(Fitter):
    """What heads share: the rows to fit on and those to choose by."""

    def check(self, model):
        """See Fitter.check; what a counts model adds to the logits would have to be left out of its own training text."""
        super().check(model)
        refuse_counts(model, self.name)

    def _rows(self, model, data, progress, batches=None):
        X, y = head_features(model, data.batches(self.max_rows) if batches is None else batches, progress)
        cap = data.validation.windows(data.context_length, data.batch_size, VALIDATION_ROWS)
        return X, y, *head_features(model, cap)

    def _read(self, model):
        """The output matrix (V, d), with the output bias behind it where there is one, float64."""
        W = model.parameters[model.unembedding.name].array.astype(np.float64)
        bias = model.unembedding.bias
        return W if bias is None else np.column_stack([W, model.parameters[bias].flat.astype(np.float64)])

    def _write(self, model, W):
        """write_head, and what to say of it: (names, details)."""
        untied = model.config.tied
        names = write_head(model, W)
        return names, ({"untied": "the output matrix is no longer the embedding"} if untied else {})


def write_head(model, W):
    """Put W (V, d), or (V, d + 1) with an output bias, into an output matrix of the model's own; returns the names written."""
    d = model.config.d_model
    untie(model)
    model.parameters["unembed"].array[:] = W[:, :d]
    bias = model.unembedding.bias
    if bias is None:
        return ("unembed",)
    model.parameters[bias].flat[:] = W[:, d]
    return "unembed", bias


def moments_beside(gram, beta, lambda_reg, context_length):
    """See Fitter.beside: the file of moments that gram_head.GramHead.open reads."""
    metadata = dict(beta=repr(beta), lambda_reg=repr(lambda_reg), context_length=str(context_length))
    return {GRAM: lambda path: gram.save(path, **metadata)}


class CrossEntropyHead(HeadFitter):
    """The output matrix of least cross-entropy on frozen features, by preconditioned L-BFGS (see softmax_regression).

    l2: penalty on the distance to the start, in nats a token. start: "current", the model's own output matrix, or "zero".
    iterations: at most. max_rows: training tokens read. validate: stop where the validation text (the end of the training text)
    gets no better; else run to the end, or to `tolerance`. A tied model gets an output matrix of its own, because its
    embedding, which the features come from, must stay.
    """

    def _objective(self, model, X, y):
        W = centre = self._read(model)
        if self.start == "zero":
            W, centre = np.zeros_like(W), None
        return SoftmaxRegression(X, y, model.config.vocab_size, self.l2, centre), W

    def _fit(self, model, data, progress):
        X, y, Xv, yv = self._rows(model, data, progress)
        objective, W = self._objective(model, X, y)
        validation = SoftmaxRegression(Xv, yv, model.config.vocab_size) if self.validate else None
        before = objective.data_loss(W)
        W, details = minimise(objective, W, self.iterations, self.tolerance, validation, progress=progress)
        rcond = details.pop("rcond")
        details |= {"rows": len(X), "l2": self.l2, "training_loss_before": before, "training_loss_after": objective.data_loss(W)}
        changed, note = self._write(model, W)
        return Outcome(changed, "preconditioned L-BFGS", rcond, details | note)


class BohningHead(CrossEntropyHead):
    """The same minimum by Böhning's monotone steps: every step lowers the loss, and there are many. For comparison."""

    def _fit(self, model, data, progress):
        X, y, _, _ = self._rows(model, data, progress)
        objective, W = self._objective(model, X, y)
        factor, values = None, []
        for i in range(self.iterations):
            W, value, factor = bohning_step(objective, W, factor)
            values.append(value)
            if progress:
                progress(i + 1, self.iterations, f"loss {value:.4f}")
        changed, note = self._write(model, W)
        details = {"rows": len(X), "l2": self.l2, "iterations": self.iterations, "objective_curve": values,
                   "training_loss_after": objective.data_loss(W)}  # fmt: skip
        return Outcome(changed, "Böhning's fixed-curvature steps", factor[2], details | note)


class RidgeHead(HeadFitter):
    """The output matrix of least squared error on one-hot targets, times the inverse temperature that suits validation text.

    lambda_reg: the penalty, on moments a row. max_rows: training tokens read (None: all by document, else 1,000,000). There is no
    intercept: the model's logits are a linear map of its features, and of an output bias where it has one. details: beta, and the
    held-out loss of the other way to probabilities (see probabilities). by_document: read every document by itself and keep the
    moments beside the checkpoint (`gram`, a TokenGram), so that `toylm fit RUN --add FILE` and `--remove FILE` can change them
    (see gram_head).
    """

    gram = None

    def beside(self):
        """What belongs beside the checkpoint: the moments, where they are of whole documents."""
        return moments_beside(self.gram, self.beta, self.lambda_reg, self.context_length) if self.by_document else {}

    def _fit(self, model, data, progress):
        batches = data.document_batches(self.max_rows) if self.by_document else data.batches(self.max_rows or ROWS)
        X, y, Xv, yv = self._rows(model, data, progress, batches)
        self.gram, self.context_length = TokenGram(X.shape[1], model.config.vocab_size).add(X, y), data.context_length
        if self.by_document:
            self.gram.documents = Documents.of(batches.documents)
        W, solver, rcond = self.gram.solve(self.lambda_reg)
        narrow = np.ascontiguousarray(W.T, X.dtype)
        scores = Xv @ narrow
        self.beta, floor = best_beta(scores, yv), best_floor(scores, yv)
        changed, note = self._write(model, self.beta * W)
        details = {"rows": len(X), "lambda_reg": self.lambda_reg, "beta": self.beta, "floor": floor, **note}

        def evaluate(data):
            losses = both_losses(lambda rows: rows @ narrow, *head_features(model, data.held_out_batches()), self.beta, floor)
            details["held_out_loss_of_softmax"], details["held_out_loss_of_clipped_scores"] = losses
            return data.evaluate(model)

        return Outcome(changed, solver, rcond, details, evaluate=evaluate)
