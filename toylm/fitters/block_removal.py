"""Blocks taken out of a model, and what they did put into the matrices that stay: a closed-form replacement of lower depth.

Blocks A to B carry the stream x into y. What stands before them is the feed-forward of block A - 1, which adds h·W2 to the
stream m after its attention. Two replacements, both folded into W2, so that the shallower model has no new part:

    "linear"  T = argmin ||(h W2) T - (y - m)||^2, W2 <- W2 T      (ReplaceMe, arXiv 2505.02819: a d x d map of the output)
    "refit"   W2 = argmin ||h W2 - (y - m)||^2                     the same with all of W2 free: never worse on the data

With A = 0 the embedding is what stands before: "linear" maps its rows, E <- E T, and "refit" takes for every token the mean of
y over its occurrences, which is the least-squares table. "none" takes the blocks out and puts nothing in their place. `repair`
then goes through the blocks behind and solves for their W_O and W2 again, so that their streams come back to what they were
(see reconstruction). `head` ends with a cross-entropy refit of the output matrix.
"""

import numpy as np

from ..closed_form.deep_linear import balanced_factors, gram_root, reduced_rank, truncated
from ..closed_form.gram import GramAccumulator
from ..errors import UsageError
from .fitter import Fitter, Outcome, refuse_counts
from .output_heads import CrossEntropyHead
from .reconstruction import refit_attention, refit_feed_forward
from .settings import CrossEntropy
from .streams import Stream, TeacherStream, batches_of
from .surgery import copy_of, drop_blocks, untie


class BlockRemoval(Fitter):
    """Take out the part's blocks and fold a linear map in their place (see the head of this module).

    replacement: "refit", "linear" or "none"; repair: refit the blocks behind; head: end with a cross-entropy head (which gives a
    tied model an output matrix of its own); lambda_reg: the ridge penalty, a row; max_rows: training tokens read.
    """

    def check(self, model):
        """See Fitter.check; one block must stay."""
        super().check(model)
        if len(self.part.numbers) >= model.config.n_layers:
            raise UsageError(f"part {self.part} is all {model.config.n_layers} blocks of the model: one must stay")
        if self.head:
            refuse_counts(model, "a cross-entropy head")

    def _factor(self, found, gram, fit_intercept):
        """T (d, d) as it is; a subclass writes it as a product. fit_intercept: whether a bias comes with it."""
        return found.coef, {}

    def _fit(self, model, data, progress):
        removed, layers = set(self.part.numbers), model.config.n_layers
        kept = [i for i in range(layers) if i not in removed]
        batches = batches_of(data, self.max_rows)
        teaching = TeacherStream(copy_of(model), batches)
        drop_blocks(model, removed)
        details = {"blocks_before": layers, "blocks_after": len(kept), "replacement": self.replacement, "repaired": self.repair}
        changed, solutions = [], []
        student = Stream(model, batches)
        if kept[0] and self.replacement != "none":
            teaching.advance(kept[0] - 1)
            names, found = self._fold_into_embedding(model, student, teaching, details)
            changed, solutions = names, [found]
            student = Stream(model, batches)
        for at, number in enumerate(kept if self.replacement != "none" else ()):
            after = next((i for i in range(number + 1, layers) if i not in removed), layers) - 1
            teaching.advance(number)
            if self.repair and solutions:
                solutions.append(refit_attention(student, teaching, self.lambda_reg))
                changed += _names(model, at, "o")
            teaching.advance(after)
            if after > number:
                solutions.append(self._fold_into_feed_forward(model, student, teaching, details))
                changed += _names(model, at, "ff2")
            elif self.repair and solutions:
                solutions.append(refit_feed_forward(student, teaching, self.lambda_reg))
                changed += _names(model, at, "ff2")
            student.advance()
            if progress:
                progress(at + 1, len(kept), f"block {number}")
        details["rows"] = sum(int((targets >= 0).sum()) for _, targets in batches)
        if self.head:
            head = CrossEntropyHead("head", CrossEntropy(max_rows=4 * self.max_rows))._fit(model, data, progress)
            changed += head.changed
            details["head"] = {k: head.details[k] for k in ("iterations", "stopped", "best_iteration")}
        worst = min(solutions, key=lambda solution: solution.rcond, default=None)
        # Taking a block out writes nothing, but it is a change: the blocks that moved up are named.
        changed = changed or [name for name in model.parameters.names if name.startswith("blocks.")]
        return Outcome(tuple(dict.fromkeys(changed)), worst.solver if worst else "none", worst and worst.rcond, details)

    def _fold_into_feed_forward(self, model, student, teaching, details):
        part = model.blocks[student.at].feed_forward.ff2
        if self.replacement == "refit":
            found = refit_feed_forward(student, None, self.lambda_reg, wanted=lambda b: teaching.out(b))
            details.setdefault("r2", []).append(found.details["r2"])
            return found
        gram, W2 = GramAccumulator(), model.parameters[part.weight].array.astype(np.float64)
        for b in range(len(student)):
            rows, y = student.counted(b), teaching.out(b)
            a = student.run(b)
            gram.add((a.residual_out - a.residual_mid)[rows], (y - a.residual_mid)[rows])
        biased = part.bias is not None
        found = gram.solve(self.lambda_reg * gram.count, fit_intercept=biased)
        T, more = self._factor(found, gram, biased)
        details |= more
        model.parameters[part.weight].array[:] = W2 @ T
        if biased:
            bias = model.parameters[part.bias].flat
            # The map acts on h·W2 + b, so its intercept is what carries the mean of that to the mean wanted.
            bias[:] = bias.astype(np.float64) @ T + gram.mean_y - gram.mean_x @ T
        return found

    def _fold_into_embedding(self, model, student, teaching, details):
        if model.config.tied:
            untie(model)
            student.model = model
        table = model.parameters["token_embed"]
        E, d = table.array.astype(np.float64), model.config.d_model
        gram, sums, counts = GramAccumulator(), np.zeros_like(E), np.zeros(len(E))
        for b in range(len(student)):
            rows, y = student.counted(b), teaching.out(b).astype(np.float64)
            tokens = student.batches[b][0].reshape(-1)[rows]
            gram.add(student.rows[b][rows], y[rows])
            np.add.at(sums, tokens, y[rows])
            counts += np.bincount(tokens, minlength=len(E))
        found = gram.solve(self.lambda_reg * gram.count, fit_intercept=False)
        T, more = self._factor(found, gram, False)
        details |= more
        table.array[:] = E @ T
        changed = ["token_embed"]
        if "pos_embed" in model.parameters:
            positions = model.parameters["pos_embed"]
            positions.array[:] = positions.array.astype(np.float64) @ T
            changed.append("pos_embed")
            if self.replacement == "refit":
                details["note"] = "with learned positions the embedding is mapped, not averaged"
        elif self.replacement == "refit":
            # A token seen seldom leans on its mapped embedding: as if that had been seen d/10 times.
            prior = d / 10
            table.array[:] = (sums + prior * (E @ T)) / (counts + prior)[:, None]
        return changed, found


def _names(model, at, role):
    """The names of a linear layer's parameters, the bias where there is one."""
    return [f"blocks.{at}.w_{role}"] + ([f"blocks.{at}.b_{role}"] if model.config.biases else [])


class DeepLinearRemoval(BlockRemoval):
    """The linear replacement as a deep linear network: T = T_1 ... T_L, balanced, of rank `rank` (None: d_model).

    T is then the best of its rank for the data (reduced-rank regression, closed_form.deep_linear). depth: L. The product is what
    is folded into the model; its factors, their balance and what a lower rank costs in squared error are reported.
    """

    replacement = "linear"

    def check(self, model):
        """See Fitter.check; the map must have the rank."""
        super().check(model)
        if self.rank is not None and self.rank > model.config.d_model:
            raise UsageError(f"rank is {self.rank}; the map has rank {model.config.d_model} at most")

    def _factor(self, found, gram, fit_intercept):
        d = len(found.coef)
        rank = d if self.rank is None else self.rank
        T, excess = found.coef, 0.0
        if rank < d:
            # Where a bias takes care of the means, what the map must get right is the rest: moments about the mean.
            A, _ = gram.normal_equations(fit_intercept)
            T, excess = reduced_rank(T, gram_root(A, self.lambda_reg * gram.count), rank)
            T = truncated(T, rank)  # of what rounding left
        factors = balanced_factors(T, [rank] * (self.depth - 1))
        balance = [float(np.abs(a.T @ a - b @ b.T).max()) for a, b in zip(factors, factors[1:])]
        product = np.linalg.multi_dot(factors) if len(factors) > 1 else factors[0]
        return product, {"depth": self.depth, "rank": rank, "factor_parameters": sum(f.size for f in factors),
                         "excess_squared_error_a_row": excess / gram.count, "imbalance": max(balance, default=0.0)}  # fmt: skip
