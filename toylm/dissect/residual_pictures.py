"""Pictures of the residual-attention analysis, as PNG files."""

import numpy as np

from .html_page import draw

COLOURS = {
    "uncentred": "#2b6cb0", "centred": "#2f8f5b", "output-weighted": "#c2571a", "random": "#888888",
    "difference": "#2b6cb0", "tail": "#8a4fbf", "normalised-tail": "#c23a6b",
}  # fmt: skip


def draw_residual(result, folder):
    """Draw all pictures of a ResidualResult into `folder`; name -> path (None without matplotlib)."""
    table = result.table()
    height = 1 + 1.6 * -(-len(result.trained.calibration.samples) // 4)
    return {
        "recovery": draw(folder / "recovery.png", (10, 4.2), lambda f: _recovery(f, result, table)),
        "spectra": draw(folder / "spectra.png", (10, max(3.2, height + 1)), lambda f: _spectra(f, result)),
        "layers": draw(folder / "layers.png", (10, 3.6), lambda f: _layers(f, table)),
        "heads": draw(folder / "heads.png", (10, 5.6), lambda f: _heads(f, result)),
        "overlap": draw(folder / "overlap.png", (10, 3.4), lambda f: _overlap(f, result)),
    }


def _recovery(figure, result, table):
    axes = figure.subplots(1, 2, sharey=True)
    first, base = result.definitions[0], result.bases[0]
    chosen = [row for row in table if row["scope"] == "chosen"]
    if all(row.get("recovered") is None for row in chosen):  # all or none: they share the loss that top-1 causes
        for a in axes:
            a.set_axis_off()
        figure.text(0.5, 0.5, "top-1 costs nothing measurable: there is nothing to recover", ha="center", fontsize=12)
        return
    for basis in result.bases:
        _curve(axes[0], result.curve(first, basis, table=table), basis)
    axes[0].set_title(f"bases (definition: {first})", loc="left")
    for definition in result.definitions:
        _curve(axes[1], result.curve(definition, base, table=table), definition)
    axes[1].set_title(f"definitions of ε (basis: {base})", loc="left")
    predicted = {row["definition"]: row for row in chosen if row["kind"] == "predicted"}
    for a, shown in ((axes[0], [first]), (axes[1], result.definitions)):
        for definition in shown:
            row = predicted.get(definition)
            if row:
                a.axhline(100 * row["recovered"], color=COLOURS[definition], linestyle=":", linewidth=1.2)
        a.axhline(90, color="#444444", linewidth=0.8)
        ranks = sorted({row["rank"] for row in chosen if row["kind"] == "low-rank"})
        a.set_xticks([_place(r) for r in ranks], [str(r) for r in ranks])
        a.set_xlabel("rank r of d_head values kept (dotted: ε predicted from V* by ridge)")
        a.legend(frameon=False, loc="lower right")
        a.grid(color="#e5e5e5", linewidth=0.7)
    top2 = next(row for row in chosen if row["kind"] == "top-k" and row["k"] == 2)
    axes[0].axhline(100 * top2["recovered"], color="#b59b00", linestyle="--", linewidth=1.2)
    axes[0].annotate(
        "top-2", (_place(ranks[0]), 100 * top2["recovered"]), xytext=(2, 3), textcoords="offset points", color="#b59b00"
    )
    axes[0].set_ylabel("top-1 loss recovered (%)")


def _place(rank):
    """Where a rank stands on an axis of doublings, 0 one step before 1."""
    return np.log2(rank) + 1 if rank else 0.0


def _curve(axes, curve, name):
    if not curve:
        return
    places = [_place(r) for r, _ in curve]
    values = 100 * np.array([row["recovered"] for _, row in curve])
    low, high = 100 * np.array([row["recovered_interval"] for _, row in curve]).T
    axes.plot(places, values, "o-", color=COLOURS[name], markersize=3.5, linewidth=1.5, label=name)
    axes.fill_between(places, low, high, color=COLOURS[name], alpha=0.18, linewidth=0)


def _spectra(figure, result):
    definition, basis = result.definitions[0], "uncentred"
    spectra = result.trained.calibration.spectra(definition, basis)
    chance = result.trained.calibration.spectra(definition, "random")
    other = None if result.untrained is None else result.untrained.calibration.spectra(definition, basis)
    L, H, h = spectra.shape
    columns = min(4, L)
    axes = np.atleast_1d(figure.subplots(-(-L // columns), columns, sharex=True, sharey=True)).reshape(-1)
    r = np.arange(1, h + 1)
    ranks = result.trained.calibration.ranks(definition, basis)
    for layer in range(L):
        a = axes[layer]
        a.plot(r, 100 * spectra[layer].T, color=COLOURS["uncentred"], linewidth=0.9, alpha=0.75)
        if other is not None:
            a.plot(r, 100 * other[layer].mean(axis=0), color="#c2571a", linestyle="--", linewidth=1.2)
        a.plot(r, 100 * chance[layer].mean(axis=0), color="#888888", linestyle=":", linewidth=1.2)
        a.axhline(90, color="#444444", linewidth=0.7)
        a.set_title(f"block {layer}: r90 {ranks[layer].min()} to {ranks[layer].max()} of {h}", loc="left", fontsize=9)
        a.set_ylim(0, 102)
    for a in axes[L:]:
        a.set_visible(False)
    for a in axes[max(0, L - columns) : L]:
        a.tick_params(labelbottom=True)
    figure.supxlabel(
        "directions kept, r  (blue: a line a head; orange: untrained, mean; dotted: random basis, mean)", fontsize=9
    )
    figure.supylabel(f"energy of ε ({definition}), %", fontsize=9)


def _layers(figure, table):
    axes = figure.subplots(1, 2)
    single = [row for row in table if row["scope"] == "single"]
    layers = sorted({row["layers"][0] for row in single})
    kinds = [("top-1", lambda row: row["kind"] == "top-k", "#444444")]
    ranks = sorted({row["rank"] for row in single if row["kind"] == "low-rank"})
    for r, colour in zip(ranks, ("#8fb3d9", "#2b6cb0")):
        kinds.append((f"top-1 + rank {r}", lambda row, r=r: row.get("rank") == r, colour))
    width = 0.8 / len(kinds)
    for i, (name, chosen, colour) in enumerate(kinds):
        rows = {row["layers"][0]: row for row in single if chosen(row)}
        x = [layer + (i - (len(kinds) - 1) / 2) * width for layer in layers]
        values = np.array([rows[layer]["change"] for layer in layers])
        ends = np.array([rows[layer]["change_interval"] for layer in layers])
        errors = np.maximum(np.abs(ends.T - values), 0)
        axes[0].bar(
            x, values, width, color=colour, label=name, yerr=errors, error_kw={"linewidth": 0.8, "ecolor": "#999999"}
        )
    axes[0].axhline(0, color="#444444", linewidth=0.7)
    axes[0].set_xticks(layers)
    axes[0].set_xlabel("the one block replaced")
    axes[0].set_ylabel("perplexity added")
    axes[0].set_title("one block at a time", loc="left")
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low, high + 0.12 * (high - low))  # a row for the legend above the tallest bar
    axes[0].legend(frameon=False, fontsize=8, loc="upper center", ncols=len(kinds), columnspacing=1.2, borderaxespad=0.2)
    for k, colour in ((1, "#444444"), (2, "#b59b00")):
        rows = sorted(
            (row for row in table if row["scope"] == "deepest" and row["k"] == k), key=lambda r: len(r["layers"])
        )
        x = [len(row["layers"]) for row in rows]
        values = [row["change"] for row in rows]
        low, high = np.array([row["change_interval"] for row in rows]).T
        axes[1].plot(x, values, "o-", color=colour, markersize=3.5, label=f"top-{k}")
        axes[1].fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes[1].axhline(0, color="#444444", linewidth=0.7)
    axes[1].set_xticks(x)
    axes[1].set_xlabel("deepest blocks replaced together")
    axes[1].set_title("from the last block downwards", loc="left")
    axes[1].legend(frameon=False)
    for a in axes:
        a.grid(color="#e5e5e5", linewidth=0.7, axis="y")


def _heads(figure, result):
    c = result.trained.calibration
    definition = result.definitions[0]
    panels = [
        ("r90 of ε", c.ranks(definition, "uncentred"), "{:.0f}"),
        ("intrinsic dimension (TwoNN)", result.trained.dimensions["censored"], "{:.1f}"),
        ("entropy (nats)", c.measures["entropy"], "{:.2f}"),
        ("effective temperature exp(S)", c.measures["effective_temperature"], "{:.1f}"),
        ("purity", c.measures["purity"], "{:.2f}"),
        ("p2 / p1", c.measures["second_ratio"], "{:.2f}"),
        ("p2 / p1 without the norm (mistake)", c.measures["second_ratio_without_norm"], "{:.2f}"),
        ("V* explains of ε (ridge, R²)", _explained(c, definition), "{:.2f}"),
    ]
    for axes, (title, values, form) in zip(figure.subplots(2, 4).reshape(-1), panels):
        image = axes.imshow(values, cmap="viridis", aspect="auto")
        axes.set_title(title, loc="left", fontsize=8.5)
        axes.set_xticks(range(values.shape[1]))
        axes.set_yticks(range(values.shape[0]))
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if values.size <= 64:
            _write_values(axes, image, values, form)
        else:
            figure.colorbar(image, ax=axes)
    figure.supxlabel("head", fontsize=9)
    figure.supylabel("block", fontsize=9)


def _explained(calibration, definition):
    H = len(calibration.moments[definition][0].count)
    values = np.full((len(calibration.samples), H), np.nan)
    for layer, found in calibration.predictors.items():
        values[layer] = found[definition][1]
    return values


def _write_values(axes, image, values, form):
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = image.norm(value) < 0.6
            axes.text(
                j, i, form.format(value), ha="center", va="center", fontsize=7, color="white" if dark else "black"
            )


def _overlap(figure, result):
    axes = figure.subplots(1, 2, sharey=True)
    found = result.trained.overlaps
    for a, key, title in zip(
        axes, ("own_coordinates", "stream"), ("in each head's own coordinates", "mapped into the stream")
    ):
        layers = np.arange(len(found[key]))
        a.plot(layers, found[key], "o-", color=COLOURS["uncentred"], label="trained")
        if result.untrained is not None:
            a.plot(layers, result.untrained.overlaps[key], "s--", color="#c2571a", markersize=4, label="untrained")
        a.axhline(found[f"chance_{key}"], color="#888888", linestyle=":", label="random subspaces")
        a.set_title(title, loc="left")
        a.set_xlabel("block")
        a.set_xticks(layers)
        a.set_ylim(0, 1)
        a.grid(color="#e5e5e5", linewidth=0.7)
        a.legend(frameon=False)
    axes[0].set_ylabel(f"mean cosine of principal angles\nbetween heads, {found['rank']} directions")
