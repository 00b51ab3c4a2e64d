"""loss.png: the training and the held-out loss of a run, drawn from its metrics.jsonl with matplotlib where it is installed."""

import warnings

import numpy as np

from ..files import atomic_writer
from . import metrics

_TRAINING = "#8fb3d9"
_SMOOTHED = "#2b6cb0"
_HELD_OUT = "#c2571a"


def draw_loss(metrics_path, picture_path, title=""):
    """Draw the loss curves of `metrics_path` into the PNG `picture_path`.

    Returns True, or False without matplotlib or with fewer than two points to draw.
    """
    records = metrics.read(metrics_path)
    training = _centred([(r["step"], r["loss"]) for r in records if r.get("loss") is not None])
    held_out = [(r["step"], r["held_out_loss"]) for r in records if r.get("held_out_loss") is not None]
    if len(training) + len(held_out) < 2:
        return False
    try:
        import matplotlib
    except ImportError:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own, without pyplot: no window system, no global state, whatever backend the user has set.
    with matplotlib.rc_context({"font.size": 10, "axes.spines.top": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name with letters that the font lacks
        figure = Figure(figsize=(8, 5), dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure, training, held_out, title)
        with atomic_writer(picture_path) as file:
            figure.savefig(file, format="png")
    return True


def _draw(figure, training, held_out, title):
    axes = figure.add_subplot()
    if training:
        steps, losses = zip(*training)
        axes.plot(steps, losses, color=_TRAINING, linewidth=1, label="training", zorder=2)
        if len(training) >= 20:
            axes.plot(steps, _smooth(losses), color=_SMOOTHED, linewidth=1.8, label="training, smoothed", zorder=3)
    if held_out:
        steps, losses = zip(*held_out)
        axes.plot(steps, losses, "o-", color=_HELD_OUT, markersize=4.5, linewidth=1.6, label="held-out", zorder=4)
        best = int(np.argmin(losses))
        # Below and left of the point is where a falling curve leaves room.
        axes.annotate(
            f"best {losses[best]:.3f} nats at step {steps[best]:,}\nperplexity {np.exp(losses[best]):,.2f}",
            (steps[best], losses[best]), xytext=(-12, 34), textcoords="offset points", ha="right", color=_HELD_OUT,
            arrowprops={"arrowstyle": "-", "color": _HELD_OUT, "linewidth": 0.8}, zorder=5,
        )  # fmt: skip
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.set_title(title.encode("utf-8", "replace").decode("utf-8"), loc="left", fontsize=11, parse_math=False)
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    axes.legend(frameon=False)
    # One curve, two scales: the right-hand axis reads the same heights as perplexities.
    limits = np.array([_low(axes), axes.get_ylim()[1]])
    axes.set_ylim(*limits)
    right = axes.secondary_yaxis("right", functions=(lambda y: y, lambda y: y))
    ticks = _perplexity_ticks(*limits)
    right.set_yticks(np.log(ticks), [f"{t:,g}" for t in ticks])
    right.set_ylabel("perplexity")


def _centred(points):
    """A logged training loss is the mean since the line before: put it in the middle of those steps, not at their end."""
    before = [0, *(step for step, _ in points)]
    return [((start + step + 1) / 2, loss) for start, (step, loss) in zip(before, points)]


def _low(axes):
    return max(0.0, axes.get_ylim()[0])


def _perplexity_ticks(low, high):
    """1, 2, 5, 10, 20 ... whose logarithms lie within [low, high], thinned to about eight."""
    ticks = [m * 10**e for e in range(0, 8) for m in (1, 2, 5) if low <= np.log(m * 10**e) <= high]
    if len(ticks) < 3:  # a flat curve: round numbers between its ends
        span = np.exp(np.linspace(low, min(high, 20.0), 5))
        ticks = sorted({float(f"{t:.3g}") for t in span if low <= np.log(float(f"{t:.3g}")) <= high})
    while len(ticks) > 9:
        ticks = ticks[::2]
    return ticks


def _smooth(values):
    """Centred moving average over a twentieth of the points, shortened at the ends so that it has no lag."""
    values = np.asarray(values, dtype=np.float64)
    half = max(2, len(values) // 40)
    total = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(len(values))
    reach = np.minimum(half, np.minimum(centre, len(values) - 1 - centre))
    return (total[centre + reach + 1] - total[centre - reach]) / (2 * reach + 1)
