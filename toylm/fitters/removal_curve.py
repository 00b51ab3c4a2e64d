"""What taking out blocks costs, for 1 to N blocks fewer: the curve of the fitter "collapse", and its picture.

Which block goes next is decided on validation text (the end of the training text), by trying each with the linear replacement
and the repair behind it. Every choice is then measured on held-out text in five ways, from nothing put in its place to all that
collapse can do.
"""

import math

from ..errors import UsageError
from ..files import atomic_writer
from .parts import Part
from .registry import make_fitter
from .surgery import copy_of

# label -> settings of the fitter "collapse"
WAYS = {
    "nothing in their place": dict(replacement="none", repair=False),
    "a linear map of the output (ReplaceMe)": dict(replacement="linear", repair=False),
    "w_ff2 before them solved for": dict(replacement="refit", repair=False),
    "... and the blocks behind repaired": dict(replacement="refit", repair=True),
    "... and a cross-entropy head": dict(replacement="refit", repair=True, head=True),
}


def measure(model, data, count, max_rows=40_000, progress=None):
    """The curve as a JSON-able dictionary: for 1 to `count` blocks fewer which ones, and the held-out loss of every way."""
    layers = model.config.n_layers
    if not 1 <= count < layers:
        raise UsageError(f"--curve is {count}; a model of {layers} blocks can lose 1 to {layers - 1}")
    whole, removed, rows, done = data.evaluate(model), [], [], 0
    total = sum(layers - n for n in range(count)) + count * len(WAYS)

    def step(what):
        nonlocal done
        done += 1
        if progress:
            progress(done, total, what)

    for _ in range(count):
        losses = {}
        for i in range(layers):
            if i not in removed:
                trial = copy_of(model)
                part = Part("blocks", tuple(sorted([*removed, i])))
                make_fitter(part, "collapse", replacement="linear", max_rows=min(max_rows, 10_000))._fit(trial, data, None)
                losses[i] = data.validation_loss(trial, 6000)
                step(f"without {part}")
        removed.append(min(losses, key=losses.get))
        part, ways = Part("blocks", tuple(sorted(removed))), []
        for what, settings in WAYS.items():
            trial = copy_of(model)
            report = make_fitter(part, "collapse", max_rows=max_rows, **settings).fit(trial, data)
            ways.append({"what": what, "loss": report.loss_after, "perplexity": report.perplexity_after,
                         "more": math.expm1(report.loss_after - whole.loss), "seconds": report.seconds,
                         "parameters": trial.parameters.size})  # fmt: skip
            step(f"{part}: {what}")
        rows.append({"removed": sorted(removed), "validation_losses": {str(i): loss for i, loss in losses.items()}, "ways": ways})
    return {"layers": layers, "loss": whole.loss, "perplexity": whole.perplexity, "tokens": whole.tokens,
            "parameters": model.parameters.size, "rows": rows}  # fmt: skip


def draw(found, path):
    """Perplexity against blocks taken out, a line a way; False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import matplotlib.ticker

    figure, axes = plt.subplots(figsize=(7, 4.5))
    numbers = [0, *(len(row["removed"]) for row in found["rows"])]
    for i, what in enumerate(WAYS):
        values = [found["perplexity"], *(row["ways"][i]["perplexity"] for row in found["rows"])]
        axes.plot(numbers, values, marker="o", label=what)
    axes.axhline(1.1 * found["perplexity"], color="grey", linewidth=0.8, linestyle="--")
    axes.text(0, 1.1 * found["perplexity"], "10 % more", color="grey", va="bottom", fontsize=8)
    axes.set(xlabel=f"blocks taken out of {found['layers']}", ylabel="held-out perplexity", yscale="log", xticks=numbers)
    for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        axis(matplotlib.ticker.FormatStrFormatter("%.4g"))
    axes.legend(fontsize=8)
    figure.tight_layout()
    with atomic_writer(path) as file:
        figure.savefig(file, format="png", dpi=120)
    plt.close(figure)
    return True
