"""A contest's files: table.md, compare.json, samples.txt, curves.png."""

import json
import math

from ..console import size
from ..files import atomic_writer, write_json, write_text
from .row import Row

_SAME = ("text", "train", "held_out", "vocab_size", "minutes", "shape")  # what rows of one table have in common
COLUMNS = ("", "fit", "values", "bytes", "nats/token", "perplexity", "bits/byte")


def table(rows):
    """The rows as a Markdown table, the best loss last."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in sorted(rows, key=lambda row: -row.loss):
        bits = "" if row.bits_per_byte is None else f"{row.bits_per_byte:.4f}"
        seconds = f"{row.seconds:.2f} s" if row.seconds < 10 else f"{row.seconds:.0f} s"
        cells = (row.name, seconds, f"{row.parameters:,}", size(row.n_bytes), f"{row.loss:.4f}", f"{row.perplexity:,.2f}", bits)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_pages(folder, about, rows, said):
    """Write table, samples and JSON into `folder`. about: JSON-able facts of the run; said: the sentences of `answers`."""
    write_json(folder / "compare.json", {**about, "rows": [row.to_dict() for row in rows], "answers": said})
    sentences = "\n".join(f"- {sentence}" for sentence in said)
    write_text(folder / "table.md", f"{table(rows)}\n\n{sentences}\n")
    samples = [f"=== {row.name} (perplexity {row.perplexity:.2f}, {row.seconds:.2f} s) ===\n{row.sample}\n" for row in rows]
    write_text(folder / "samples.txt", "\n".join(samples))


def read_rows(folder, about):
    """The rows that an earlier run left in `folder`, [] where there are none or they are of another text or other settings."""
    try:
        found = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
        if all(found[name] == json.loads(json.dumps(about[name])) for name in _SAME):
            return [Row.from_dict(row) for row in found["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent, or of another version: everything is run again
    return []


def draw_curves(path, rows, title):
    """Held-out perplexity against seconds of fitting, both on logarithmic axes; False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colours = {"gradient descent": ("#2b6cb0", "#7a7f87"), "both": ("#c2571a", "#8a5fb0"), "one-shot": ("#2f855a",)}
    used = dict.fromkeys(colours, 0)
    with matplotlib.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(9, 5.5), dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        shown = [row for row in rows if math.isfinite(row.perplexity)]
        latest = max((row.curve[-1][0] for row in shown), default=1)
        for row in shown:
            colour = colours[row.kind][used[row.kind] % len(colours[row.kind])]
            used[row.kind] += 1
            points = [(max(t, 0.05), math.exp(loss)) for t, loss in row.curve]
            if len(points) > 1:
                axes.plot(*zip(*points), color=colour, linewidth=1.8, label=row.name)
            else:
                axes.plot(*zip(*points), "o", color=colour, markersize=6, zorder=4)
                late = points[0][0] > latest / 8  # no room to the right
                axes.annotate(row.name, points[0], xytext=(-7 if late else 7, 3), textcoords="offset points", color=colour,
                              fontsize=8, ha="right" if late else "left")  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if value < 30 or value in (50, 200, 500) else "")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("seconds of fitting, evaluation excluded")
        axes.set_ylabel("held-out perplexity")
        axes.set_title(f"{title}: gradient descent, one-shot fits, and both", loc="left", fontsize=11)
        axes.grid(color="#dddddd", linewidth=0.7, which="both")
        if any(len(row.curve) > 1 for row in shown):
            axes.legend(frameon=False, loc="best")
        with atomic_writer(path) as file:
            figure.savefig(file, format="png")
    return True
