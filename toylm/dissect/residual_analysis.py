"""Residual attention: how much of what attention does is the one value it attends to most, and how low-rank is the rest?

Every head output of chosen blocks is replaced by V*, by the mean of its top k values, by V* and a low-rank rest, or by V* and
a rest predicted from it; held-out perplexity says what each replacement costs. Calibration text fits bases and predictors,
other documents measure. The same is done to an untrained model of the same shape.
"""

import dataclasses

import numpy as np

from ..data.progress import Progress
from ..errors import UsageError
from ..model.unembedding import EXPERT_WEIGHTS
from .attention_heads import Runner, batch_rows
from .blocks_of_text import cut_blocks
from .calibration import calibrate
from .decomposition import BASES, DEFINITIONS
from .replacements import Full, LowRank, TopK
from .residual_result import ResidualResult, Side, exactness_of

TOP_K = (1, 2, 4, 8)
OVERLAP_RANK = 7  # dimension of the subspaces whose overlap between heads is reported


@dataclasses.dataclass(frozen=True)
class Row:
    """One replacement model: what stands in for the head outputs of `layers`."""

    kind: str  # "original", "top-k", "full", "low-rank", "predicted"
    layers: tuple = ()
    k: int | None = None
    definition: str | None = None
    basis: str | None = None
    rank: int | None = None
    scope: str = "chosen"  # "chosen" layers together, a "single" layer, or "deepest" layers down from the last

    def replacements(self, calibration):
        """layer -> function for `Runner`, or None for the model as it is."""
        if self.kind == "original":
            return None
        return {layer: self._replacement(calibration, layer) for layer in self.layers}

    def _replacement(self, calibration, layer):
        if self.kind == "top-k":
            return TopK(self.k)
        if self.kind == "full":
            return Full()
        if self.kind == "predicted":
            return calibration.predictors[layer][self.definition][0]
        return LowRank(self.definition, calibration.basis(layer, self.definition, self.basis), self.rank)


def ranks_for(d_head):
    """1, 2, 4 ... and d_head itself."""
    return sorted({*(2**i for i in range(d_head.bit_length()) if 2**i <= d_head), d_head})


def plan(n_layers, d_head, layers, definitions=DEFINITIONS, bases=BASES, cross=False):
    """The rows of an analysis: every basis with the first definition, every definition with the first basis and with the
    random one, its control, which is never left out (cross: all pairs)."""
    rows = [Row("original"), *(Row("top-k", layers, k=k) for k in TOP_K), Row("full", layers)]
    for definition in definitions:
        for basis in dict.fromkeys((*bases, "random")):
            if not cross and definition != definitions[0] and basis not in (bases[0], "random"):
                continue
            # Rank 0 is the base alone, or the base and a mean offset.
            base_differs = definition != "difference" or basis == "centred"
            ranks = [*([0] if base_differs and basis in ("centred", bases[0]) else []), *ranks_for(d_head)]
            rows += [Row("low-rank", layers, definition=definition, basis=basis, rank=r) for r in ranks]
        rows.append(Row("predicted", layers, definition=definition))
    for layer in range(n_layers):
        rows.append(Row("top-k", (layer,), k=1, scope="single"))
        rows += [
            Row("low-rank", (layer,), definition=definitions[0], basis=bases[0], rank=r, scope="single")
            for r in sorted({max(1, d_head // 16), max(1, d_head // 4)})
        ]  # fmt: skip
    for first in range(n_layers - 1, -1, -1):
        rows += [Row("top-k", tuple(range(first, n_layers)), k=k, scope="deepest") for k in (1, 2)]
    return rows


def control_plan(d_head, layers, definition="difference"):
    """The rows for the untrained model: enough for its own recovery curves."""
    rows = [Row("original"), Row("top-k", layers, k=1), Row("full", layers)]
    for basis in ("uncentred", "random"):
        rows += [Row("low-rank", layers, definition=definition, basis=basis, rank=r) for r in ranks_for(d_head)]
    return rows


def residual(
    model, tokens, end_id=None, layers=None, length=None, calibration_blocks=16, evaluation_blocks=30,
    definitions=DEFINITIONS, bases=BASES, cross=False, untrained=True, resamples=2000, seed=0, progress=False,
):  # fmt: skip
    """Take the attention of `model` apart on a text and return a ResidualResult.

    tokens: 1-D ids, documents closed by end_id. layers: blocks whose heads are replaced together (None: the last three).
    length: tokens in a block (None: 256, or the model's context length). calibration_blocks, evaluation_blocks: how many; of
    a text too short for both, shares. definitions, bases: see `toylm.dissect.decomposition`; cross: all pairs of them.
    untrained: also analyse a model of the same shape with random weights. resamples: bootstrap draws of documents.

    Raises ValueError for a layer the model does not have, an unknown name, a seed below 0, or a text that is too short.
    """
    config = model.config
    layers = _check_layers(layers, config.n_layers)
    definitions, bases = _check(definitions, DEFINITIONS, "definition"), _check(bases, BASES, "basis")
    if seed < 0:
        raise UsageError(f"seed is {seed}; it must be 0 or above")
    length = min(length or 256, config.context_length)
    calibration, evaluation = cut_blocks(tokens, length, calibration_blocks, evaluation_blocks, end_id)
    rows = plan(config.n_layers, config.d_head, layers, definitions, bases, cross)
    control_rows = control_plan(config.d_head, layers, definitions[0]) if untrained else []
    total = len(calibration.tokens) * (1 + untrained) * 4 + len(evaluation.tokens) * (len(rows) + len(control_rows))
    with Progress("residual attention", total, unit=" blocks", show=progress) as bar:
        side = _analyse(model, calibration, evaluation, rows, layers, seed, bar)
        other = None
        if untrained:
            other = _analyse(_untrained(model, seed), calibration, evaluation, control_rows, layers, seed, bar, predict=False)
    result = ResidualResult(
        trained=side, untrained=other, layers=layers, definitions=definitions, bases=bases, length=length,
        calibration_tokens=calibration.targets.size, evaluation_tokens=evaluation.targets.size, unit=evaluation.unit,
        units=evaluation.n_units, resamples=resamples, seed=seed,
    )  # fmt: skip
    result.exactness = exactness_of(model, evaluation.tokens[:1], side, layers, definitions, bases)
    return result


def _untrained(model, seed):
    """A model of the same shape with random weights; where there are counts, with the same ones, weighed in the same way."""
    fresh = type(model)(model.config, seed=seed, precision=model.precision)
    if model.config.counts:
        fresh.counts = model.counts
        for name in EXPERT_WEIGHTS:  # a new model's are those of the counts alone: no replacement would make a difference
            fresh.parameters[name].flat[:] = model.parameters[name].flat
    return fresh


def _analyse(model, calibration_blocks, evaluation, rows, layers, seed, bar, predict=True):
    """Calibrate `model`, run every row on the evaluation blocks, and keep the nats of each document."""
    found = calibrate(
        model, calibration_blocks, layers if predict else (), seed=seed, progress=lambda n: bar.update(4 * n)
    )
    replacements = [row.replacements(found) for row in rows]
    keep = sorted({min(r) for r in replacements if r})
    nats = np.empty((len(rows), *evaluation.targets.shape))
    size = batch_rows(model.config, evaluation.tokens.shape[1], model.dtype.itemsize)
    for start in range(0, len(evaluation.tokens), size):
        part = slice(start, start + size)
        runner = Runner(model, evaluation.tokens[part], keep)
        for i, replacement in enumerate(replacements):
            nats[i, part] = runner.losses(evaluation.targets[part], replacement)
            bar.update(len(evaluation.tokens[part]))
    return Side.of(rows, nats, evaluation.units, found, OVERLAP_RANK)


def _check_layers(layers, n_layers):
    if layers is None:
        return tuple(range(max(0, n_layers - 3), n_layers))
    layers = tuple(sorted({int(i) for i in layers}))
    if not layers:
        raise UsageError("layers is empty; give at least one block")
    bad = [i for i in layers if not 0 <= i < n_layers]
    if bad:
        raise UsageError(f"the model has no block {bad[0]}; its blocks are 0 to {n_layers - 1}")
    return layers


def _check(names, valid, what):
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in valid:
            raise UsageError(f"{what} is {name!r}; valid: {', '.join(valid)}")
    if not names:
        raise UsageError(f"no {what} given; valid: {', '.join(valid)}")
    return names
