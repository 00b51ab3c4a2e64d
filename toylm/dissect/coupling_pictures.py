"""Pictures of the coupling analysis, as PNG files."""

import numpy as np

from .coupling_metric import null_level
from .html_page import draw

_TRAINED, _UNTRAINED, _RANDOM, _ROTATED = "#2b6cb0", "#c2571a", "#888888", "#2f8f5b"
KINDS = ("same token", "output fixed", "input fixed", "both moving")


def draw_coupling(result, folder):
    """Draw all pictures of a CouplingResult into `folder`; name -> path (None without matplotlib)."""
    return {
        "maps": draw(folder / "maps.png", (10, 5.6 if result.untrained else 3.2), lambda f: _maps(f, result)),
        "levels": draw(folder / "levels.png", (10, 3.8), lambda f: _levels(f, result)),
        "depth": draw(folder / "depth.png", (10, 3.4), lambda f: _depth(f, result)),
        "tokens": draw(folder / "tokens.png", (10, 5.4), lambda f: _tokens(f, result)),
        "directions": draw(folder / "directions.png", (8.5, 7.5), lambda f: _directions(f, result)),
    }


def _maps(figure, result):
    sides = ["trained", *(["untrained"] if result.untrained is not None else [])]
    parts = list(result.trained.depth)
    K = result.ks[result.headline_k]
    level, spread = null_level(result.config.d_model, K)
    found = {(side, part): result.map(part, K, side=side) for side in sides for part in parts}
    L = result.config.n_layers
    off = ~np.eye(L, dtype=bool)
    far = max([3 * spread, *(np.abs(m[off] - level).max() for m in found.values() if L > 1)])
    axes = np.atleast_2d(figure.subplots(len(sides), len(parts)))
    for i, side in enumerate(sides):
        for j, part in enumerate(parts):
            shown = np.where(off, found[side, part], np.nan)
            image = axes[i, j].imshow(shown, cmap="RdBu", vmin=level - far, vmax=level + far)
            axes[i, j].set_title(f"{part}, {side}", loc="left", fontsize=9)
            axes[i, j].set_xticks(range(L), range(L) if L <= 16 else [""] * L)
            axes[i, j].set_yticks(range(L), range(L) if L <= 16 else [""] * L)
            axes[i, j].spines[:].set_visible(False)
            axes[i, j].tick_params(length=0)
            if L <= 8:
                for (a, b), value in np.ndenumerate(shown):
                    if np.isfinite(value):
                        dark = abs(value - level) > 0.6 * far
                        axes[i, j].text(
                            b,
                            a,
                            f"{value:.2f}",
                            ha="center",
                            va="center",
                            fontsize=7,
                            color="white" if dark else "black",
                        )
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label(f"m_K, K = {K}: red is coupled; white, random matrices ({level:.3f})")
    figure.supxlabel("layer j, whose singular vectors are used", fontsize=9)
    figure.supylabel("layer i", fontsize=9)


def _levels(figure, result):
    axes = figure.subplots(1, 2, sharey=True)
    for a, sign in zip(axes, ("absolute", "signed")):
        rows = result.summary("block")
        ks = [row["K"] for row in rows]
        a.plot(ks, [row[sign] for row in rows], "o-", color=_TRAINED, markersize=4, label="trained, different layers")
        a.plot(
            ks,
            [row[f"{sign}_neighbours"] for row in rows],
            "o:",
            color=_TRAINED,
            markersize=3,
            label="trained, neighbours",
        )
        if result.untrained is not None:
            a.plot(
                ks, [row[f"{sign}_untrained"] for row in rows], "s--", color=_UNTRAINED, markersize=4, label="untrained"
            )
        level = np.array([row[f"{sign}_random"] for row in rows])
        spread = np.array([row[f"{sign}_random_std"] for row in rows])
        a.fill_between(
            ks,
            level - 2 * spread,
            level + 2 * spread,
            color=_RANDOM,
            alpha=0.35,
            linewidth=0,
            label="random matrices ±2 sd",
        )
        if sign == "absolute":
            a.plot(
                ks,
                [row["absolute_rotated"] for row in rows],
                color=_ROTATED,
                linestyle="-.",
                label="own singular values, random directions",
            )
        a.set_title(f"{sign} metric (block)", loc="left")
        a.set_xlabel(f"K of d = {result.config.d_model}")
        a.grid(color="#e5e5e5", linewidth=0.7)
    axes[0].set_ylabel("mean m_K (lower: more coupled)")
    axes[0].legend(frameon=False, fontsize=8)


def _depth(figure, result):
    axes = figure.subplots(1, 3)
    sides = [("trained", _TRAINED, "-"), *([("untrained", _UNTRAINED, "--")] if result.untrained is not None else [])]
    for side, colour, style in sides:
        found = result.trajectories(side)
        s = found["singular_values"]["block"]
        x = np.arange(len(s))
        axes[0].plot(x, s[:, 1:], color=colour, linestyle=style, linewidth=0.6, alpha=0.5)
        axes[0].plot(x, s[:, 0], color=colour, linestyle=style, marker="o", markersize=3.5, label=side)
        with np.errstate(divide="ignore"):  # a block that does nothing
            inverse = 1 / s[:, 0]
        axes[1].plot(x, inverse, "o", color=colour, markersize=4, label=side)
        first, fit = found["growth_first_block"], found["growth_later_blocks"]["inverse_fit"]
        if fit:
            at = np.arange(len(s) - first)
            axes[1].plot(
                at + first, fit["intercept"] + fit["slope"] * at, color=colour, linestyle=style, linewidth=1,
                label=f"line from block {first}, R² {fit['r2']:.2f}",
            )  # fmt: skip
        axes[2].plot(found["norms"], color=colour, linestyle=style, marker="o", markersize=3.5, label=side)
    axes[0].set_yscale("log")
    axes[0].set_title("15 largest singular values of J", loc="left")
    axes[1].set_title("1 / σ₁", loc="left")
    axes[2].set_yscale("log")
    axes[2].set_title("norm of the stream", loc="left")
    for a, label in zip(axes, ("block", "block", "after so many blocks")):
        a.set_xlabel(label)
        a.xaxis.get_major_locator().set_params(integer=True)
        a.grid(color="#e5e5e5", linewidth=0.7)
        a.legend(frameon=False, fontsize=8)


def _tokens(figure, result):
    axes = figure.subplots(2, 2, sharex=True, sharey=True).reshape(-1)
    k = result.headline_k
    K = result.ks[k]
    level, spread = null_level(result.config.d_model, K)
    names = {
        "same token": "J from t to t, between tokens", "output fixed": "J from t to the last token",
        "input fixed": "J from the first token to t", "both moving": "J from t to t', both vary",
    }  # fmt: skip
    for a, kind in zip(axes, KINDS):
        for side, colour, style in (("trained", _TRAINED, "o-"), ("untrained", _UNTRAINED, "s--")):
            s = getattr(result, side)
            found = None if s is None else s.pair_levels(kind)
            if found is not None:
                a.plot(found[:, :, k].mean(axis=0), style, color=colour, markersize=4, label=side)
        a.axhspan(
            level - 2 * spread, level + 2 * spread, color=_RANDOM, alpha=0.35, linewidth=0, label="random matrices"
        )
        a.set_title(f"{kind}: {names[kind]}", loc="left", fontsize=9)
        a.grid(color="#e5e5e5", linewidth=0.7)
        a.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("block", fontsize=9)
    figure.supylabel(f"mean m_K between token pairs, K = {K}", fontsize=9)


def _directions(figure, result):
    from matplotlib.colors import PowerNorm

    example = np.abs(result.trained.example)
    L = min(len(example), 8)
    chosen = np.unique(np.round(np.linspace(0, len(example) - 1, L)).astype(int))
    figure.set_layout_engine("compressed")  # the pictures are square
    axes = np.atleast_2d(figure.subplots(L, L))
    for i in range(L):
        for j in range(L):
            # No entry is above 1; the root shows what is far below it.
            image = axes[i, j].imshow(example[chosen[i], chosen[j]], cmap="magma", norm=PowerNorm(0.5, 0, 1))
            axes[i, j].set_xticks([])
            axes[i, j].set_yticks([])
        axes[i, 0].set_ylabel(f"i = {chosen[i]}", fontsize=8)
        axes[0, i].set_title(f"j = {chosen[i]}", fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.6).set_label("|U_j' J_i V_j| / σ₁ of J_i")
    figure.suptitle(f"the top {example.shape[-1]} directions, at the last token of the first prompt", fontsize=9)
