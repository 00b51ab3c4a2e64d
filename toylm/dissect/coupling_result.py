"""What the coupling analysis found: maps, levels and depth curves, everything as JSON."""

from dataclasses import dataclass

import numpy as np

from .bootstrap import interval
from .coupling_metric import null_level, off_diagonal_mean
from .plain import plain
from .trajectories import growth


def _error_of_mean(values):
    """The standard error of the mean of values (n,); None for one value, which tells nothing of it."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None


@dataclass
class CouplingSide:
    """One model's part, over P prompts.

    depth[part][sign, normalisation, order] (P, len(ks), L, L): m_K(layer i, layer j), mean over tokens. singular_values[part]
    (P, L, d), mean over tokens. by_token: a prompt's (positions, (n, len(ks)) mean off the diagonal). pairs: a prompt's
    {kind: {"pairs", "absolute" and "signed" (L, len(ks), n, n)}}. line_shape, spacing: a prompt's (n,). norms (P, L + 1) of the
    stream. example (L, L, K, K): U_j' J_i V_j over s_1 at the last token of the first prompt. rotated[part] (draws, L,
    len(ks)): the level of the same singular values with random directions.
    """

    depth: dict
    singular_values: dict
    by_token: list
    pairs: list
    line_shape: list
    spacing: list
    norms: np.ndarray
    example: np.ndarray
    rotated: dict

    def off_diagonal(self, part="block", variant=("absolute", "norm", "uv")):
        """(P, len(ks)): mean over pairs of different layers."""
        return off_diagonal_mean(self.depth[part][variant])

    def neighbours(self, part="block", variant=("absolute", "norm", "uv")):
        """(P, len(ks)): mean over pairs of neighbouring layers."""
        return off_diagonal_mean(self.depth[part][variant], neighbours=True)

    def pair_levels(self, kind, sign="absolute"):
        """(P, L, len(ks)): mean m_K between different token pairs of one kind within a layer; None where no prompt has any."""
        found = [p[kind][sign] for p in self.pairs if kind in p]
        if not found:
            return None
        return np.stack([off_diagonal_mean(m) for m in found])


@dataclass
class CouplingResult:
    """The coupling of a model (`trained`), of one with random weights (`untrained`, or None), and how it was measured."""

    trained: CouplingSide
    untrained: CouplingSide | None
    ks: tuple
    config: object
    prompt_lengths: list
    positions: list
    seed: int
    resamples: int

    @property
    def headline_k(self):
        """The index in `ks` of the K nearest to a tenth of d."""
        return int(np.argmin(np.abs(np.array(self.ks) - self.config.d_model / 10)))

    def map(self, part="block", K=None, sign="absolute", normalisation="norm", order="uv", side="trained"):
        """(L, L) of m_K(layer i, layer j), mean over prompts and tokens; K None: nearest to a tenth of d."""
        k = self.headline_k if K is None else self.ks.index(K)
        return getattr(self, side).depth[part][sign, normalisation, order][:, k].mean(axis=0)

    def summary(self, part="block"):
        """One dictionary a K: mean m_K over different layers (absolute and signed) with an interval over prompts, beside the
        levels of random matrices, of random directions, and of the untrained model."""
        rows = []
        for k, K in enumerate(self.ks):
            row = {
                "part": part,
                "pairs": self.config.n_layers * (self.config.n_layers - 1),
                "K": K,
                "share_of_d": K / self.config.d_model,
            }
            for sign in ("absolute", "signed"):
                variant = (sign, "norm", "uv")
                mean, low, high = self._over_prompts(self.trained.off_diagonal(part, variant)[:, k])
                row[sign] = mean
                row[f"{sign}_interval"] = [low, high]
                row[f"{sign}_error"] = _error_of_mean(self.trained.off_diagonal(part, variant)[:, k])
                row[f"{sign}_neighbours"] = float(self.trained.neighbours(part, variant)[:, k].mean())
                row[f"{sign}_random"], row[f"{sign}_random_std"] = null_level(self.config.d_model, K, sign == "signed")
                if self.untrained is not None:
                    row[f"{sign}_untrained"] = float(self.untrained.off_diagonal(part, variant)[:, k].mean())
            rotated = self.trained.rotated[part][..., k].mean(axis=1)  # over layers: (draws,)
            row["absolute_rotated"] = float(rotated.mean())
            row["absolute_rotated_error"] = _error_of_mean(rotated)
            rows.append(row)
        return rows

    def _over_prompts(self, values):
        """(mean, low, high) over prompts; without an interval where there is one prompt."""
        mean = float(values.mean())
        if len(values) < 2:
            return mean, None, None
        draws = np.random.default_rng(self.seed).choice(values, (self.resamples, len(values))).mean(axis=1)
        low, high = interval(draws)
        return mean, float(low), float(high)

    def trajectories(self, side="trained"):
        """Depth curves and shapes of one side: singular values, fits, line-shape score, exponential spacing, norms."""
        s = getattr(self, side)
        spectra = s.singular_values["block"].mean(axis=0)
        first = len(spectra) // 3
        finite = np.concatenate(s.spacing)
        finite = finite[np.isfinite(finite)]
        return {
            "singular_values": {part: of.mean(axis=0)[:, :15] for part, of in s.singular_values.items()},
            "growth_all_blocks": growth(spectra), "growth_first_block": first, "growth_later_blocks": growth(spectra, first),
            "line_shape_score": float(np.concatenate(s.line_shape).mean()),
            "exponential_spacing": float(np.median(finite)) if len(finite) else None,
            "norms": s.norms.mean(axis=0),
        }  # fmt: skip

    def to_dict(self):
        """Every number, JSON-able; an undefined one is None."""
        d, levels = self.config.d_model, {}
        for sign in ("absolute", "signed"):
            for normalisation in ("norm", "trace"):
                levels[f"{sign}/{normalisation}"] = [null_level(d, K, sign == "signed", normalisation) for K in self.ks]
        sides = {"trained": self._side("trained")}
        if self.untrained is not None:
            sides["untrained"] = self._side("untrained")
        return plain({
            "settings": {
                "ks": self.ks, "prompt_lengths": self.prompt_lengths, "positions": self.positions, "seed": self.seed,
                "model": self.config.to_dict(), "headline_K": self.ks[self.headline_k],
            },
            "summary": [row for part in self.trained.depth for row in self.summary(part)],
            "random_levels_mean_std": levels, **sides,
        })  # fmt: skip

    def _side(self, side):
        s = getattr(self, side)
        return {
            "maps": {
                part: {"/".join(variant): maps.mean(axis=0) for variant, maps in of.items()}
                for part, of in s.depth.items()
            },
            "rotated_level": {part: levels.mean(axis=0) for part, levels in s.rotated.items()},
            "by_token": [{"positions": p, "mean": m} for p, m in s.by_token],
            "token_pairs": s.pairs,
            "trajectories": self.trajectories(side),
            "all_singular_values": {part: of.mean(axis=0) for part, of in s.singular_values.items()},
        }
