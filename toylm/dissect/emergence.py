"""Coupling during training: a few figures now and then, so that one can see whether and when it emerges.

`coupling_every = 250` in a recipe (or --coupling-every 250) writes them into metrics.jsonl and draws coupling.png.
"""

import numpy as np

from .coupling_analysis import same_token_jacobians, spread
from .coupling_metric import Decomposed, coupling_of, null_level, off_diagonal_mean, projections
from .html_page import draw

TOKENS = 64  # of the prompt, at most
POSITIONS = 4  # at which Jacobians are taken


def coupling_record(model, prompt):
    """The coupling of the blocks of `model` along a prompt (T,), as flat figures for metrics.jsonl:

    coupling, coupling_signed: mean m_K between different layers at the same token; coupling_neighbours: between neighbouring
    layers; coupling_random, coupling_signed_random: the levels of random matrices; coupling_k: K, a tenth of d. NaN for a model
    of one block.
    """
    d, K = model.config.d_model, max(1, round(model.config.d_model / 10))
    prompt = np.asarray(prompt)[:TOKENS]
    jacobians = same_token_jacobians(model, prompt, spread(len(prompt), POSITIONS))[0]["block"]
    decomposed = Decomposed(jacobians, K)
    absolute, signed = [], []
    for t in range(jacobians.shape[1]):
        at = decomposed.at(t)
        projected = projections(jacobians[:, t], at)
        absolute.append(coupling_of(projected, at.s, K))
        signed.append(coupling_of(projected, at.s, K, signed=True))
    absolute = np.stack(absolute)
    return {
        "coupling": float(off_diagonal_mean(absolute).mean()),
        "coupling_signed": float(off_diagonal_mean(np.stack(signed)).mean()),
        "coupling_neighbours": float(off_diagonal_mean(absolute, neighbours=True).mean()),
        "coupling_random": null_level(d, K)[0],
        "coupling_signed_random": null_level(d, K, True)[0],
        "coupling_k": K,
    }


def draw_emergence(records, picture_path, title=""):
    """Draw coupling over steps from the records of a run's metrics.jsonl. Returns the path.

    None without two records that have coupling, and without matplotlib.
    """
    records = [r for r in records if r.get("coupling") is not None]
    if len(records) < 2:
        return None

    def paint(figure):
        axes = figure.add_subplot()
        steps = [r["step"] for r in records]
        for name, label, colour in (
            ("coupling", "different layers", "#2b6cb0"), ("coupling_neighbours", "neighbouring layers", "#2f8f5b"),
            ("coupling_signed", "different layers, signed", "#8a4fbf"),
        ):  # fmt: skip
            axes.plot(steps, [r[name] for r in records], "o-", markersize=3.5, color=colour, label=label)
        axes.axhline(records[0]["coupling_random"], color="#2b6cb0", linestyle=":", label="random matrices")
        axes.axhline(records[0]["coupling_signed_random"], color="#8a4fbf", linestyle=":", label="random matrices, signed")
        axes.set_xlabel("step")
        axes.set_ylabel(f"mean m_K, K = {records[0]['coupling_k']} (lower: more coupled)")
        axes.set_title(title, loc="left")
        axes.grid(color="#e5e5e5", linewidth=0.7)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))

    return draw(picture_path, (9.5, 4.5), paint)
