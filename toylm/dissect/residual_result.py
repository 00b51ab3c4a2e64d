"""What the residual-attention analysis found: figures with intervals, verdicts, and everything as JSON."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from .attention_heads import Runner
from .bootstrap import interval, resampled_means, unit_sums
from .plain import plain
from .replacements import Full, LowRank

THRESHOLD = 0.90  # share of the top-1 loss that a low-rank rest must recover


@dataclass
class Side:
    """One model's part of the analysis: `rows` (Row), `sums` (rows, units) nats and `counts` (units,), its calibration."""

    rows: list
    sums: np.ndarray
    counts: np.ndarray
    calibration: object
    overlaps: dict
    dimensions: dict

    @classmethod
    def of(cls, rows, nats, units, calibration, overlap_rank):
        """From nats (rows, n, T) and the unit (n, T) of every target."""
        sums, counts = unit_sums(nats.reshape(len(rows), -1), units.reshape(-1))
        dimensions = {name: calibration.dimensions(name) for name in ("censored", "regression", "trimmed")}
        return cls(rows, sums, counts, calibration, calibration.overlaps(overlap_rank), dimensions)

    def find(self, **fields):
        """Index of the first row with these fields. Raises KeyError."""
        for i, row in enumerate(self.rows):
            if all(getattr(row, name) == value for name, value in fields.items()):
                return i
        raise KeyError(f"no row with {fields}")

    def table(self, resamples, seed):
        """One dictionary a row: perplexity, its change and the recovered share of the top-1 loss, with 95 % intervals.

        recovered = (PPL of top-1 - PPL) / (PPL of top-1 - PPL of the model), for the row's own layers; recovered_nats the same
        of losses. Where top-1 itself costs nothing that can be told from noise, there is nothing to recover: None.
        """
        nats = self.sums.sum(axis=1) / self.counts.sum()
        draws = resampled_means(self.sums, self.counts, resamples, seed)
        original = self.find(kind="original")
        table = []
        for i, row in enumerate(self.rows):
            change = np.exp(draws[i]) - np.exp(draws[original])
            entry = {k: v for k, v in dataclasses.asdict(row).items() if v is not None}
            entry |= {
                "nats": float(nats[i]), "perplexity": float(np.exp(nats[i])),
                "change": float(np.exp(nats[i]) - np.exp(nats[original])), "change_interval": _pair(interval(change)),
            }  # fmt: skip
            if row.kind != "original":
                top1 = self.find(kind="top-k", k=1, layers=row.layers)
                gap = np.exp(draws[top1]) - np.exp(draws[original])
                entry |= _recovered(np.exp(nats), np.exp(draws), i, top1, original, gap, "recovered")
                entry |= _recovered(nats, draws, i, top1, original, draws[top1] - draws[original], "recovered_nats")
            table.append(entry)
        return table

    def recovered_draws(self, index, resamples, seed):
        """Bootstrap draws of the recovered share of one row."""
        ppl = np.exp(resampled_means(self.sums, self.counts, resamples, seed))
        top1, original = self.find(kind="top-k", k=1, layers=self.rows[index].layers), self.find(kind="original")
        return (ppl[top1] - ppl[index]) / (ppl[top1] - ppl[original])


def _recovered(values, draws, i, top1, original, gap, name):
    if not interval(gap)[0] > 0:
        return {name: None, f"{name}_interval": None}
    share = (values[top1] - values[i]) / (values[top1] - values[original])
    return {name: float(share), f"{name}_interval": _pair(interval((draws[top1] - draws[i]) / gap))}


def _pair(low_high):
    return [None if np.isnan(x) else float(x) for x in low_high]


@dataclass
class ResidualResult:
    """The analysis of a model (`trained`), of one with random weights (`untrained`, or None), and how it was done."""

    trained: Side
    untrained: Side | None
    layers: tuple
    definitions: tuple
    bases: tuple
    length: int
    calibration_tokens: int
    evaluation_tokens: int
    unit: str
    units: int
    resamples: int
    seed: int
    exactness: dict = dataclasses.field(default_factory=dict)

    def table(self, side="trained"):
        """One dictionary a replacement model (see `Side.table`), of the "trained" or the "untrained" side."""
        return getattr(self, side).table(self.resamples, self.seed)

    def curve(self, definition, basis, side="trained", table=None):
        """[(rank, table row)] of one definition and basis on the chosen layers; rank 0 first where there is one."""
        rows = [
            row for row in (table or self.table(side))
            if row["kind"] == "low-rank" and row["scope"] == "chosen"
            and row["definition"] == definition and row["basis"] == basis
        ]  # fmt: skip
        return [(row["rank"], row) for row in rows]

    def verdicts(self, table=None):
        """One dictionary a definition and basis: is the rest low-rank at 90 %?

        answer "yes": some rank of at most half the head recovers 90 %, the interval's low end included, and more than a
        random basis of that rank does (paired, low end above 0). "point estimate only": the estimate reaches 90 %, the
        interval or the control does not. "no": no such rank. "nothing to recover": top-1 costs nothing measurable.
        """
        table = table or self.table()
        side, half = self.trained, self.trained.calibration.model.config.d_head // 2
        pairs = {(r.definition, r.basis) for r in side.rows if r.kind == "low-rank" and r.scope == "chosen"}
        ordered = [(d, b) for d in self.definitions for b in self.bases if (d, b) in pairs and b != "random"]
        return [self._verdict(d, b, half, table) for d, b in ordered]

    def _verdict(self, definition, basis, half, table):
        curve = self.curve(definition, basis, table=table)
        found = {"definition": definition, "basis": basis, "threshold": THRESHOLD, "largest_rank_asked": half}
        if curve[0][1]["recovered"] is None:
            return found | {"answer": "nothing to recover", "rank": None}
        reaching = [(r, row) for r, row in curve if row["recovered"] >= THRESHOLD]
        found |= {"rank": reaching[0][0] if reaching else None}
        low = [(r, row) for r, row in reaching if r <= half]
        if not low:
            return found | {"answer": "no"}
        for rank, row in low:
            beyond = self._beyond_random(definition, basis, rank)
            if row["recovered_interval"][0] >= THRESHOLD and beyond is not None and beyond[0] > 0:
                return found | {"answer": "yes", "rank": rank, "recovered": row["recovered"], "beyond_random": beyond}
        return found | {"answer": "point estimate only", "recovered": low[0][1]["recovered"],
                        "interval": low[0][1]["recovered_interval"]}  # fmt: skip

    def _beyond_random(self, definition, basis, rank):
        """95 % interval of the recovered share less that of the random basis at the same rank; None without that row."""
        side = self.trained
        fields = {"kind": "low-rank", "scope": "chosen", "definition": definition}
        try:
            control = side.find(basis="random", rank=max(rank, 1), **fields)
        except KeyError:
            return None
        row = side.find(basis=basis, rank=rank, **fields)
        difference = side.recovered_draws(row, self.resamples, self.seed)
        return _pair(interval(difference - side.recovered_draws(control, self.resamples, self.seed)))

    def to_dict(self):
        """Every number, JSON-able; an undefined one is None."""
        about = {name: plain(getattr(self, name)) for name in (
            "layers", "definitions", "bases", "length", "calibration_tokens", "evaluation_tokens", "unit", "units",
            "resamples", "seed", "exactness")}  # fmt: skip
        about["model"] = self.trained.calibration.model.config.to_dict()
        table = self.table()
        sides = {"trained": self._side(self.trained, table)}
        if self.untrained is not None:
            sides["untrained"] = self._side(self.untrained, self.table("untrained"))
        return {"settings": about, "verdicts": self.verdicts(table), **sides}

    def _side(self, side, table):
        c = side.calibration
        spectra = {
            definition: {
                basis: {"spectrum": c.spectra(definition, basis), "r90": c.ranks(definition, basis)}
                for basis in self.bases
            }
            for definition in self.definitions
        }
        predictor = {
            str(layer): {name: found[1] for name, found in of.items()} for layer, of in sorted(c.predictors.items())
        }
        return plain({
            "replacements": table, "spectra": spectra, "measures": c.measures, "overlap": side.overlaps,
            "intrinsic_dimension": side.dimensions, "predictor_explained": predictor,
        })  # fmt: skip


def exactness_of(model, tokens, side, layers, definitions, bases):
    """How far a rest of full rank, r = d_head, is from the model itself: it must be rounding alone, and need not be.

    perplexity (and relative): largest |PPL - PPL of the model| over bases and definitions on the evaluation text, in the model's
    precision.
    logits_float64: largest |difference of logits| in float64 on one block, over all definitions and bases; full_float64 the
    same of sum_j p_j V_j computed apart from the model's attention.
    """
    nats = side.sums.sum(axis=1) / side.counts.sum()
    original = np.exp(nats[side.find(kind="original")])
    h = model.config.d_head
    ranked = [i for i, row in enumerate(side.rows) if row.kind == "full" or (row.kind == "low-rank" and row.rank == h)]
    double = model.astype("float64")
    runner = Runner(double, tokens, (layers[0],))
    expected = runner.logits()
    worst = 0.0
    for definition in definitions:
        for basis in bases:
            ready = {i: LowRank(definition, side.calibration.basis(i, definition, basis), h) for i in layers}
            worst = max(worst, float(np.abs(runner.logits(ready) - expected).max()))
    full = float(np.abs(runner.logits({i: Full() for i in layers}) - expected).max())
    worst_perplexity = float(np.abs(np.exp(nats[ranked]) - original).max())
    return {
        "perplexity": worst_perplexity, "perplexity_relative": worst_perplexity / float(original),
        "logits_float64": worst, "full_float64": full,
    }  # fmt: skip
