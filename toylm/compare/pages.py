"""A comparison's files: table.md, compare.json, samples.txt, and the pictures time.png, bytes.png and text.png."""

import math
from dataclasses import asdict

from ..console import size
from ..files import atomic_writer, write_json, write_text
from .contest import describe
from .row import envelope

COLUMNS = ("", "budget", "fit", "chosen", "values", "bytes", "nats/token", "perplexity", "bits/byte", "against adamw (95 %)")
COLOURS = {"gradient descent": ("#2b6cb0", "#1a365d", "#63b3ed", "#718096", "#a0aec0"),
           "both": ("#c2571a", "#8a5fb0", "#d69e2e", "#b83280", "#7b341e", "#975a16"),
           "one-shot": ("#2f855a", "#276749", "#68d391", "#38a169", "#81e6d9", "#234e52")}  # fmt: skip
MARKERS = "osD^vP*X"


def table(rows):
    """The rows as a Markdown table, the best loss last. nats/token: the mean of the seeds ± half of their range."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        name = row.contestant + ("" if row.megabytes is None else f", {row.megabytes:g} MB")
        seconds = f"{row.seconds:.2f} s" if row.seconds < 10 else f"{row.seconds:.0f} s"
        budget = "" if row.budget is None else f"{row.budget:g} s"
        spread = f" ± {row.spread:.4f}" if len(row.losses) > 1 else ""
        bits = "" if row.bits_per_byte is None else f"{row.bits_per_byte:.4f}"
        against = "" if row.against is None else "{:+.4f} ({:+.4f} to {:+.4f})".format(*row.against)
        chosen = describe(row.choice) if row.choice else ""
        cells = (name, budget, seconds, chosen, f"{row.parameters:,}", size(row.n_bytes), f"{row.loss:.4f}{spread}",
                 f"{row.perplexity:,.2f}", bits, against)  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_pages(folder, about, rows, said):
    """Write table, samples and JSON into `folder`. about: JSON-able facts of the comparison; said: the sentences of `answers`."""
    found = [{**asdict(row), "loss": row.loss, "perplexity": row.perplexity} for row in rows]
    write_json(folder / "compare.json", {**about, "rows": found, "answers": said})
    sentences = "\n".join(f"- {sentence}" for sentence in said)
    write_text(folder / "table.md", f"{table(rows)}\n\n{sentences}\n")
    samples = [
        f"=== {row.contestant}{'' if row.budget is None else f', {row.budget:g} s'} (perplexity {row.perplexity:.2f}) ===\n"
        f"{row.sample or '(measured beside the model, which cannot write with it)'}\n"
        for row in rows if row.megabytes is None
    ]  # fmt: skip
    write_text(folder / "samples.txt", "\n".join(samples))


def draw(folder, rows, title):
    """The pictures that the rows allow; returns their names, [] without matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return []
    whole = [row for row in rows if row.megabytes is None and math.isfinite(row.perplexity)]
    names = list(dict.fromkeys(row.contestant for row in whole))
    drawn = []
    if whole:
        curves = {name: envelope(whole, name) for name in names}
        _draw(folder / "time.png", whole, curves, "seconds of fitting", f"{title}: each point is a run that was tuned to end there",
              lambda row: row.clock)  # fmt: skip
        best = {row.contestant: [(row.n_bytes, row.loss)] for row in whole}  # the last of a contestant's rows is its best
        _draw(folder / "bytes.png", whole, best, "bytes of the model", f"{title}: the best of each contestant by its size", None)
        drawn += ["time.png", "bytes.png"]
    sized = [row for row in rows if row.megabytes is not None]
    if sized:
        curves = {}
        for row in sorted(sized, key=lambda row: row.megabytes):
            curves.setdefault(row.contestant, []).append((row.megabytes, row.loss))
        _draw(folder / "text.png", sized, curves, "megabytes of training text", f"{title}: more text, the same clock",
              lambda row: row.megabytes)  # fmt: skip
        drawn.append("text.png")
    return drawn


def _draw(path, rows, curves, x_label, title, x_of):
    """Perplexity against x, both logarithmic; with x_of, bars from the best to the worst seed."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds, used = {row.contestant: row.kind for row in rows}, dict.fromkeys(COLOURS, 0)
    with matplotlib.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 5.5), dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for name, points in sorted(curves.items(), key=lambda item: -item[1][-1][1]):  # the legend in the order of the last points
            kind = kinds[name]
            colour, marker = COLOURS[kind][used[kind] % len(COLOURS[kind])], MARKERS[used[kind] % len(MARKERS)]
            used[kind] += 1
            xs, ys = [x for x, _ in points], [math.exp(loss) for _, loss in points]
            axes.plot(xs, ys, color=colour, marker=marker, markersize=5, linewidth=1.6, label=name, zorder=3)
            for row in rows if x_of else ():
                if row.contestant == name and len(row.losses) > 1:
                    axes.vlines(x_of(row), math.exp(min(row.losses)), math.exp(max(row.losses)), color=colour, linewidth=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: size(round(value)) if x_of is None else f"{value:g}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if value < 10 else "")
        axes.set_xlabel(x_label)
        axes.set_ylabel("test perplexity (lower is better)")
        axes.set_title(title, loc="left", fontsize=11)
        axes.grid(color="#dddddd", linewidth=0.7, which="major")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
        with atomic_writer(path) as file:
            figure.savefig(file, format="png")
