"""Layer-wise reconstruction: the matrices that write into the residual stream, W_O and W2, solved for from targets.

    attention:     W_O = argmin ||Z W - (t - x)||^2,   Z the heads' outputs, x the stream that enters, t the stream wanted after
    feed-forward:  W2  = argmin ||H W - (t' - x')||^2, H the hidden rows, x' the stream after attention, t' the one wanted

The moments Z'Z and Z'(t - x) are streamed (closed_form.gram), so memory does not grow with the text. The stream wanted is a
teacher's, run over the same text: the same model before something was done to it, or another one of the same width. Because
x is the fitted model's own stream, each solve also takes back what the blocks before it got wrong. Without a teacher the
targets come from the model's own loss: see own_gradient.
"""

import numpy as np

from ..closed_form.gram import GramAccumulator
from ..errors import UsageError
from ..formats.checkpoint import load_checkpoint
from ..model.transformer import TransformerLM
from .fitter import Fitter, Outcome
from .own_gradient import fit_own_gradient
from .parts import Part
from .streams import Stream, TeacherStream, batches_of
from .surgery import copy_of, unchanged_on_error

ROWS = {"teacher": 20_000, "gradient": 40_000}  # training tokens read, by the kind of target


def solve_output(model, weight, bias, pairs, lambda_reg):
    """Fit parameter `weight` (and `bias`, unless None) to pairs (X, Y) of batches: the Solution, with `r2` in its details."""
    gram = GramAccumulator()
    for X, Y in pairs:
        gram.add(X, Y)
    found = gram.solve(lambda_reg * gram.count, fit_intercept=bias is not None)
    A, B = gram.normal_equations(bias is not None)
    total = gram.squares + (0 if bias is not None else gram.count * gram.mean_y**2)
    error = total - 2 * np.einsum("ij,ij->j", found.coef, B) + np.einsum("ij,ij->j", found.coef, A @ found.coef)
    found.details["r2"] = float(1 - error.sum() / max(total.sum(), 1e-300))
    model.parameters[weight].array[:] = found.coef
    if bias is not None:
        model.parameters[bias].flat[:] = found.intercept
    return found


def refit_attention(student, teacher, lambda_reg):
    """Solve for w_o of the block that `student` (a Stream) stands before, after the one that `teacher` (a TeacherStream) does."""
    part = student.model.blocks[student.at].attention.output

    def pairs():
        for b in range(len(student)):
            rows = student.counted(b)
            wanted, a = teacher.mid(b), student.run_attention(b)
            yield a.head_outputs[rows], (wanted - a.residual_in)[rows]

    return solve_output(student.model, part.weight, part.bias, pairs(), lambda_reg)


def refit_feed_forward(student, teacher, lambda_reg, wanted=None):
    """Solve for w_ff2 likewise. wanted: None, or a callable (b) -> the stream wanted after the block for batch b."""
    part = student.model.blocks[student.at].feed_forward.ff2

    def pairs():
        for b in range(len(student)):
            rows = student.counted(b)
            target = teacher.out(b) if wanted is None else wanted(b)
            a = student.run(b)
            yield a.ff_hidden[rows], (target - a.residual_mid)[rows]

    return solve_output(student.model, part.weight, part.bias, pairs(), lambda_reg)


def refit_hidden(student, teacher, lambda_reg):
    """Solve for w_ff1 from the teacher's values before the activation, where both have the same hidden width."""
    part = student.model.blocks[student.at].feed_forward.ff1

    def pairs():
        for b in range(len(student)):
            rows = student.counted(b)
            wanted, a = teacher.run(b).ff_pre, student.run(b)
            yield a.norm2[rows], wanted[rows]

    return solve_output(student.model, part.weight, part.bias, pairs(), lambda_reg)


def names_to_reset(model, part, matrices):
    """The matrices that a fit of `part` solves for: w_o, w_ff2, and w_ff1 where `matrices` is "all"."""
    names = []
    for i in part.numbers:
        if part.kind != "feed-forward":
            names.append(f"blocks.{i}.w_o")
        if part.kind != "attention":
            names += [f"blocks.{i}.w_ff2"] + ([f"blocks.{i}.w_ff1"] if matrices == "all" else [])
    return names


def reset(model, names, seed):
    """Give the matrices `names` the random values they had before training, of another seed."""
    fresh = TransformerLM(model.config, seed=seed + 1, precision=model.precision)
    for name in names:
        model.parameters[name].array[:] = fresh.parameters[name].array


def open_teacher(path, model, data):
    """The model to imitate from a run or a checkpoint. Raises UsageError where it reads other tokens or has another width."""
    checkpoint = load_checkpoint(path, precision=model.precision, transformer=True)
    teacher, tokenizer = checkpoint.model, checkpoint.tokenizer
    if tokenizer is not None and data.tokenizer is not None and tokenizer.digest != data.tokenizer.digest:
        raise UsageError(f"the teacher {path} has another tokenizer: its activations belong to other tokens")
    if teacher.config.d_model != model.config.d_model:
        widths = f"d_model {teacher.config.d_model}, the model {model.config.d_model}"
        raise UsageError(f"the teacher {path} has {widths}: they must agree")
    if teacher.config.context_length < data.context_length:
        raise UsageError(f"the teacher {path} takes {teacher.config.context_length} tokens; --context-length of at most that")
    return teacher


class ReconstructionFitter(Fitter):
    """W_O and W2 of a block (or of all blocks, in order) by least squares on a teacher's stream, or from the model's own loss.

    targets: "teacher" or "gradient" (see own_gradient.OwnGradient; None: the teacher's, where there is one). teacher: a run,
    a checkpoint, a TransformerLM, or None: the model as it was before `reset`. reset: set the matrices to random first, and
    report how much of the loss that this cost came back. matrices: "output", or "all": w_ff1 as well, for feed-forward.
    lambda_reg: the penalty, a row. max_rows: training tokens read (None: 20,000 for a teacher, whose matrices a few rows tell, and
    40,000 for the own gradient, which has to learn them). iterations: of targets "gradient", at most.
    """

    name = "ridge"
    def __init__(self, part, settings, name=None):
        super().__init__(part, settings, name)
        if self.targets is None:
            self.targets = "teacher" if self.teacher is not None or self.reset else "gradient"
        if self.max_rows is None:
            self.max_rows = ROWS[self.targets]
        if self.part.kind == "attention" and self.matrices == "all":
            raise UsageError("matrices 'all' is for feed-forward: of attention, w_o alone is the solution of a linear system")
        if self.targets == "teacher" and self.teacher is None and not self.reset:
            raise UsageError("targets of a teacher need one: --teacher RUN, or --reset to imitate the model as it is now")

    def fit(self, model, data, progress=None):
        """See Fitter.fit; with `reset`, loss_before is that of the model with its matrices at random."""
        self.check(model)
        self._original = None
        if not self.reset:
            return super().fit(model, data, progress)
        whole = data.evaluate(model).loss
        self._original = copy_of(model)
        with unchanged_on_error(model):
            reset(model, names_to_reset(model, self._range(model), self.matrices), data.seed)
            report = super().fit(model, data, progress)
        lost = report.loss_before - whole
        report.details["loss_of_the_whole_model"] = whole
        report.details["lost"] = lost
        report.details["recovered"] = (report.loss_before - report.loss_after) / lost if lost > 0 else None
        return report

    def _range(self, model):
        return Part("blocks", tuple(range(model.config.n_layers))) if self.part.kind == "all" else self.part

    def _fit(self, model, data, progress):
        if self.targets == "gradient":
            names = names_to_reset(model, self._range(model), self.matrices)
            return fit_own_gradient(model, data, names, self._range(model).numbers[0], self.iterations, self.max_rows, progress)
        teacher = self.teacher
        if teacher is None:
            teacher = self._original
        elif not hasattr(teacher, "parameters"):
            teacher = open_teacher(teacher, model, data)
        return self._imitate(model, teacher, data, progress)

    def _imitate(self, model, teacher, data, progress):
        part = self._range(model)
        if part.numbers[-1] >= teacher.config.n_layers:
            raise UsageError(f"part {self.part}: the teacher has blocks 0 to {teacher.config.n_layers - 1} only")
        batches = batches_of(data, self.max_rows)
        student, teaching = Stream(model, batches), TeacherStream(teacher, batches)
        changed, found, r2 = [], [], {}

        def note(name, solution):
            changed.append(name)
            found.append(solution)
            r2[name] = solution.details["r2"]
            if model.config.biases:
                changed.append(name.replace(".w_", ".b_"))
            if progress:
                progress(part.numbers.index(student.at) + 1, len(part.numbers), f"solving {name}")

        for i in part.numbers:
            student.advance(i)
            teaching.advance(i)
            if part.kind != "feed-forward":
                note(f"blocks.{i}.w_o", refit_attention(student, teaching, self.lambda_reg))
            if part.kind != "attention":
                if self.matrices == "all":
                    if teacher.config.d_ff_in != model.config.d_ff_in or teacher.config.feed_forward != model.config.feed_forward:
                        raise UsageError("w_ff1 is solved from a teacher of the same feed-forward; leave --matrices out")
                    note(f"blocks.{i}.w_ff1", refit_hidden(student, teaching, self.lambda_reg))
                note(f"blocks.{i}.w_ff2", refit_feed_forward(student, teaching, self.lambda_reg))
        rows = sum(int(student.counted(b).sum()) for b in range(len(student)))
        worst = min(found, key=lambda solution: solution.rcond)
        details = {"targets": "teacher", "rows": rows, "lambda_reg": self.lambda_reg, "r2": r2}
        return Outcome(tuple(changed), worst.solver, worst.rcond, details)
