"""Low-rank corrections solved for in one shot, W + A B, from three sources; merged into the weights or kept beside them.

    lora-svd         D = argmin ||X (W + D) - Y||^2 by ridge, then its best rank r in the matrix norm (Eckart-Young)
    lora-activation  the best rank r for the data, ||X (D - A B)||: reduced-rank regression; never worse on the data
    lora-gradient    the top r singular directions of one full-batch gradient, -dL/dW (LoRA-One, arXiv 2502.01235), with the
                     length that lowers the loss of the validation text most

For the first two Y is a teacher's: what the same matrix of the teacher makes of its own inputs. Details report, for every
matrix, the Eckart-Young error sqrt(sum_{i>r} s_i^2) / ||D||, and for the first two the share of ||X D||^2 that is missed.
"""

import numpy as np

from ..closed_form.deep_linear import gram_root, reduced_rank
from ..closed_form.gram import GramAccumulator
from ..closed_form.transformer import lora_from_residual_svd
from ..errors import UsageError
from ..evaluation import evaluate
from ..formats import adapters
from ..formats.adapters import Adapter
from .fitter import Fitter, Outcome, refuse_counts
from .reconstruction import open_teacher
from .streams import Stream, batches_of
from .surgery import copy_of

ROLES = {"attention": ("w_qkv", "w_o"), "feed-forward": ("w_ff1", "w_ff2")}


def eckart_young(D, rank):
    """sqrt(sum_{i>r} s_i^2) / ||D||_F: the least relative error that any matrix of the rank can have."""
    s = np.linalg.svd(D, compute_uv=False)
    return float(np.sqrt((s[rank:] ** 2).sum() / max((s**2).sum(), 1e-300)))


class _Lora(Fitter):
    adapter = None

    def beside(self):
        """With keep_beside, the factors: the checkpoint's own weights are then those without them."""
        return {adapters.FOLDER: lambda folder: self.adapter.save(folder, self._base.config)} if self.keep_beside else {}

    def to_save(self, model):
        """See Fitter.to_save."""
        return self._base if self.keep_beside else model

    def matrices(self, model):
        """The names of the matrices that the part covers."""
        numbers = self.part.numbers or range(model.config.n_layers)
        roles = ROLES.get(self.part.kind, ROLES["attention"] + ROLES["feed-forward"])
        return [f"blocks.{i}.{role}" for i in numbers for role in roles]

    def check(self, model):
        """See Fitter.check; the rank must fit the matrices."""
        super().check(model)
        smallest = min(min(model.parameters[name].shape) for name in self.matrices(model))
        if self.rank > smallest:
            raise UsageError(f"rank is {self.rank}; the smallest matrix of {self.part} has rank {smallest} at most")

    def _outcome(self, model, factors, solver, rcond, details):
        self.adapter = Adapter(factors)
        self._base = copy_of(model) if self.keep_beside else None
        self.adapter.merge(model)
        full = sum(model.parameters[name].array.size for name in factors)
        details = {"rank": self.rank, "values_of_the_matrices": full, **details}
        return Outcome(tuple(factors), solver, rcond, details, written=self.adapter.size, n_bytes=4 * self.adapter.size)


class LoraFromTeacher(_Lora):
    """lora-svd and lora-activation: the correction that takes each matrix to what the teacher's does, cut to rank r.

    teacher: a run, a checkpoint or a TransformerLM of the same shape; rank; lambda_reg: of the full correction, a row;
    max_rows: training tokens read. After `fit`, `adapter` holds the factors, which are merged into the model. keep_beside: save
    them in the folder adapter/ (PEFT's format) beside the weights as they were; loading the checkpoint merges them.
    """

    def __init__(self, part, settings, name="lora-activation"):
        super().__init__(part, settings, name)
        if self.teacher is None:
            raise UsageError(f"{name} corrects towards a teacher: --teacher RUN (lora-gradient needs none)")

    def _fit(self, model, data, progress):
        teacher = self.teacher if hasattr(self.teacher, "parameters") else open_teacher(self.teacher, model, data)
        if teacher.parameters.layout != model.parameters.layout:
            raise UsageError("the teacher of a low-rank correction must have the model's own shape")
        names, batches = self.matrices(model), batches_of(data, self.max_rows)
        student, teaching = Stream(model, batches), Stream(teacher, batches)
        factors, errors, missed, rconds, solver = {}, {}, {}, [], ""
        for i in range(model.config.n_layers):
            grams = {name: GramAccumulator() for name in names if name.startswith(f"blocks.{i}.")}
            for b in range(len(student)) if grams else ():
                rows, a, t = student.counted(b), student.run(b), teaching.run(b)
                for name, gram in grams.items():
                    role = name.rpartition(".")[2]
                    X = _inputs(a, role)[rows].astype(np.float64)
                    wanted = _inputs(t, role)[rows].astype(np.float64) @ teacher.parameters[name].array
                    gram.add(X, wanted - X @ model.parameters[name].array)
            for name, gram in grams.items():
                found = gram.solve(self.lambda_reg * gram.count, fit_intercept=False)
                D, d = found.coef, len(found.coef)
                root, best = gram_root(gram.raw_gram), D
                if self.name == "lora-activation":
                    best, _ = reduced_rank(D, gram_root(gram.raw_gram, self.lambda_reg * gram.count), self.rank)
                A, B = lora_from_residual_svd(best, min(self.rank, d))
                factors[name] = A, B
                errors[name] = eckart_young(D, self.rank)
                left, whole = np.linalg.norm(root @ (D - A @ B)) ** 2, np.linalg.norm(root @ D) ** 2
                missed[name] = float(left / max(whole, 1e-300))
                rconds.append(found.rcond)
                solver = found.solver
            student.advance()
            teaching.advance()
            if progress:
                progress(i + 1, model.config.n_layers, f"block {i}")
        details = {"eckart_young_error": errors, "missed_on_data": missed}
        return self._outcome(model, factors, f"{solver}, svd", min(rconds), details)


def _inputs(a, role):
    """What a matrix multiplies, from BlockActivations."""
    return {"w_qkv": a.norm1, "w_o": a.head_outputs, "w_ff1": a.norm2}[role] if role != "w_ff2" else a.ff_hidden


class LoraFromGradient(_Lora):
    """lora-gradient: one pass over the fitting text, the SVD of every matrix's gradient, one length for all.

    A = -U_r s_r^1/2, B = s_r^1/2 V_r' of dL/dW, each matrix's gradient first scaled to norm one, times the length from a line
    search on validation text: none where no length helps. rank; max_rows: training tokens read.
    """

    name = "lora-gradient"

    def check(self, model):
        """See Fitter.check."""
        super().check(model)
        refuse_counts(model, self.name)

    def _fit(self, model, data, progress):
        names, batches = self.matrices(model), batches_of(data, self.max_rows)
        total = sum(int((targets >= 0).sum()) for _, targets in batches)
        model.gradients.zero_()
        for i, (tokens, targets) in enumerate(batches):
            model.loss_and_gradients(tokens, targets, scale=int((targets >= 0).sum()) / total)
            if progress:
                progress(i + 1, len(batches), "one gradient")
        factors, errors, norms = {}, {}, {}
        for name in names:
            gradient = model.gradients[name].array.astype(np.float64)
            norms[name] = float(np.linalg.norm(gradient))
            A, B = lora_from_residual_svd(-gradient / max(norms[name], 1e-300), self.rank)
            factors[name], errors[name] = (A, B), eckart_young(gradient, self.rank)
        model.gradients.zero_()
        length, losses = self._line_search(model, data, factors, norms, progress)
        root = np.sqrt(length)
        factors = {name: (root * A, root * B) for name, (A, B) in factors.items()}
        details = {"length": length, "validation_losses": losses, "rows": total, "eckart_young_error": errors}
        return self._outcome(model, factors, "svd of the gradient", None, details)

    def _line_search(self, model, data, factors, norms, progress):
        """The length with the least validation loss: doubled from a first-order guess of 0.02 nats while it gets better."""
        part = data.validation.windows(data.context_length, data.batch_size, 8192)

        def loss():
            return evaluate(model, part).loss

        before = model.parameters.flat.copy()

        def at(length):
            if length not in seen:
                Adapter({name: (length * A, B) for name, (A, B) in factors.items()}).merge(model)
                seen[length] = loss()
                model.parameters.flat[:] = before
            return seen[length]

        seen = {0.0: loss()}
        length = 0.02 / max(sum(norms.values()), 1e-300)
        while at(length) > seen[0.0] and length * sum(norms.values()) > 1e-4:
            length /= 2
        while at(2 * length) < at(length):
            length *= 2
        best = min(seen, key=seen.get)
        for trial in (best / 1.4142, best * 1.4142):
            if best:
                at(trial)
        best = min(seen, key=seen.get)
        return best, [[size, seen[size]] for size in sorted(seen)]
