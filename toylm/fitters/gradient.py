"""Gradient descent as a fitter: SGD, Adam and Muon on a part of a model, or on all of it, with the same report as one solve."""

import math
import time

import numpy as np

from ..errors import DivergedError
from ..kernels.jit import compile_seconds
from ..optimizers import SGD, Adam, Muon, scheduled_rate
from .counts_offset import Calibration, counts_for
from .expert_weights import zero_expert_gradients
from .fitter import Fitter, Outcome, refuse_counts

_CALIBRATE_SECONDS = 2.0  # at least so much time between two fits of the weights of counts and transformer


def parameter_names(model, part):
    """The parameters that make up a part, in buffer order: what gradient descent on that part changes."""
    names = model.parameters.names
    if part.kind == "all":
        return names
    if part.kind == "head":
        bias = model.unembedding.bias
        return [model.unembedding.name] if bias is None else [model.unembedding.name, bias]
    blocks = [f"blocks.{i}." for i in part.numbers]
    roles = {"attention": ("norm1_", "w_qkv", "b_qkv", "w_o", "b_o"), "feed-forward": ("norm2_", "w_ff", "b_ff")}
    wanted = roles.get(part.kind, ("",))
    return [n for n in names if any(n.startswith(b + role) for b in blocks for role in wanted)]


class GradientFitter(Fitter):
    """Steps of SGD (momentum), Adam or Muon, warm-up and half a cosine, on shuffled windows of the fitting text.

    part: whose parameters move; the others stay, though their gradients are computed. steps, or seconds (neither: 10 s): how
    long. learning_rate: the peak. batch_size: None for the data's.
    evaluate_every: seconds between measurements of the held-out loss, the first at once, later ones a twentieth of the time so
    far apart where that is more; kept in details["curve"] as (seconds, loss); evaluation does not count as time, and decides
    nothing. whole_text: train on the validation part as well. counts_share: see `counts_for`. weight_decay, momentum (SGD),
    betas, embedding_rate and vector_rate (Adam, Muon), clip, dropout: as in training.
    Raises DivergedError where a loss is not finite.
    """

    def __init__(self, part, settings, name="adam"):
        super().__init__(part, settings, name)
        if self.steps is None and self.seconds is None:
            self.seconds = 10.0

    def check(self, model):
        """See Fitter.check. Counts that were not cut in folds know the text by heart that the transformer would train on."""
        super().check(model)
        if model.counts is None or not len(model.counts.fold_starts):
            refuse_counts(model, self.name)

    def _optimizer(self, model):
        if self.name == "sgd":
            return SGD(model, self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        kind = Muon if self.name == "muon" else Adam
        return kind(model, self.learning_rate, betas=self.betas, weight_decay=self.weight_decay,
                    embedding_rate=self.embedding_rate, vector_rate=self.vector_rate)  # fmt: skip

    def _fit(self, model, data, progress):
        names = parameter_names(model, self.part)
        kept = None if self.part.kind == "all" else _others(model, names)
        before = model.parameters.flat.copy()
        # Where there are counts, the validation part decides how much they weigh.
        whole = self.whole_text and not model.config.counts
        optimizer, batches = self._optimizer(model), data.training_batches(self.batch_size, whole)
        calibrate = Calibration(model, data) if model.config.counts else None
        calibrated = 0.0
        total = self.steps or self.seconds
        rates = (total, self.warmup * total, self.learning_rate, self.final_learning_rate * self.learning_rate)
        done, step, spent, curve, due, losses = 0.0, 0, 0.0, [], self.evaluate_every, []
        if due is not None:
            curve.append((0.0, data.evaluate(model).loss))
        while done < total:
            began, compiled = time.perf_counter(), compile_seconds()
            model.gradients.zero_()
            tokens, targets = batches.next()
            seed = [data.seed, step]
            folds = counts_for(model, batches, self.counts_share, seed)
            losses.append(model.loss_and_gradients(tokens, targets, dropout=self.dropout, dropout_seed=seed, folds=folds))
            for start, stop in kept or ():
                model.gradients.flat[start:stop] = 0
            if calibrate:
                zero_expert_gradients(model)
            try:
                if not math.isfinite(losses[-1]):
                    raise DivergedError(f"the loss is {losses[-1]}")
                optimizer.step(model.gradients, learning_rate=scheduled_rate(done, *rates), max_norm=self.clip)
            except DivergedError as error:
                raise DivergedError(
                    f"diverged at step {step + 1}: {error}; lower --learning-rate (now {self.learning_rate:g})"
                ) from None
            for start, stop in kept or ():  # weight decay reaches them, too
                model.parameters.flat[start:stop] = before[start:stop]
            step += 1
            spent += time.perf_counter() - began - (compile_seconds() - compiled)
            done = step if self.steps else spent
            if calibrate and (spent - calibrated >= max(_CALIBRATE_SECONDS, spent / 20) or done >= total):
                began, compiled = time.perf_counter(), compile_seconds()
                validation_loss = calibrate(model)
                spent += time.perf_counter() - began - (compile_seconds() - compiled)
                calibrated = spent
            if due is not None and (spent >= due or done >= total):
                curve.append((spent, data.evaluate(model).loss))
                due = spent + max(self.evaluate_every, spent / 20)
            if progress:
                progress(min(done, total), total, f"{self.name}, loss {losses[-1]:.3f}")
        model.gradients.zero_()
        details = {
            "steps": step, "tokens": step * batches.batch_size * data.context_length, "learning_rate": self.learning_rate,
            "epochs": batches.epochs, "last_training_loss": float(np.mean(losses[-20:])),
        }  # fmt: skip
        if calibrate:
            weights = model.unembedding.expert_weights(model.parameters)
            details |= {"validation_loss": validation_loss, "counts_weight": weights[0], "transformer_weight": weights[1]}
        if curve:
            details["curve"] = curve
        return Outcome(tuple(names), f"{step} steps", details=details, seconds=spent)


def _others(model, names):
    """The stretches (start, stop) of the flat buffer that belong to none of `names`."""
    stretches, at = [], 0
    for name in model.parameters.names:
        size = model.parameters[name].array.size
        if name not in names:
            if stretches and stretches[-1][1] == at:
                stretches[-1] = (stretches[-1][0], at + size)
            else:
                stretches.append((at, at + size))
        at += size
    return stretches
