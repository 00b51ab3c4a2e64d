"""The gallery's picture: a roofline (Williams, Waterman & Patterson 2009), operations a second over operations a byte.

Two panels: the kernels at their preset's shapes, whose arrays a cache holds, and on arrays that only memory holds. A kernel
cannot be above the roof: the copy bandwidth times its operations a byte, or the machine's peak.
"""

import math

from ..files import atomic_writer

COLORS = {"forward": "#2b6cb0", "backward": "#c2571a", "update": "#4a7c3f"}
MARKERS = {"forward": "o", "backward": "s", "update": "^"}
SHORT = {
    "cross-entropy + gradient": "cross-entropy + grad", "residual add": "residual", "residual add backward": "residual bwd",
    "SGD with momentum": "SGD", "gradient norm": "norm of g",
}  # fmt: skip


def short_name(row):
    """What a point is labelled with."""
    name = SHORT.get(row["kernel"], row["kernel"]).replace("product ", "").replace("backward", "bwd")
    return f"{name} {row['label']}" if row["kind"] == "product" else name


def draw_roofline(result, path):
    """Draw `result` (what --json holds) into the PNG `path`. Needs matplotlib."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own, without pyplot: no window system, no global state, whatever backend the user has set.
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        rows = result["kernels"]
        panels = [("at the presets' shapes (in cache)", [r for r in rows if r["label"] != "memory"])]
        if any(r["label"] == "memory" for r in rows):
            panels.append(("on arrays larger than the caches", [r for r in rows if r["label"] == "memory"]))
        figure = Figure(figsize=(15, 7.2) if len(panels) == 2 else (9.5, 7.2), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        widths = [1.35, 1][: len(panels)]
        for (title, chosen), axes in zip(panels, figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0]):
            _draw_panel(figure, axes, result, chosen, title)
        figure.suptitle(f"toylm kernels on {result['cpu']}, {result['threads']} threads, float32", x=0.01, ha="left")
        with atomic_writer(path) as file:
            figure.savefig(file, format="png")


def _draw_panel(figure, axes, result, rows, title):
    machine = result["machine"]
    peak = machine["peak"]["median"] / 1e9
    in_cache, in_memory = (machine[f"copy in {where}"]["median"] / 1e9 for where in ("cache", "memory"))
    low, high = min(r["intensity"] for r in rows) / 2, max(r["intensity"] for r in rows) * 2.5
    high = max(high, 1.6 * peak / min(in_cache, in_memory)) if len(rows) > 20 else high
    along = []
    for bandwidth, style, name in ((in_cache, "-", "copy in cache"), (in_memory, "--", "copy in memory")):
        corner = peak / bandwidth
        ends = [low, min(corner, high)]
        axes.plot(ends, [x * bandwidth for x in ends], style, color="#444444", linewidth=1.4, zorder=1)
        start = low * 1.15
        along.append(axes.annotate(f"{name} {bandwidth:.0f} GB/s", (start, start * bandwidth), xytext=(0, 4), color="#444444",
                                   textcoords="offset points", rotation_mode="anchor"))  # fmt: skip
    if high > peak / in_cache:
        axes.plot([peak / in_cache, high], [peak, peak], color="#444444", linewidth=1.4, zorder=1)
        axes.annotate(f"multiply-adds {peak:.0f} GFLOP/s", (high, peak), xytext=(-4, 4), textcoords="offset points",
                      ha="right", color="#444444")  # fmt: skip
    for direction, color in COLORS.items():
        chosen = [r for r in rows if r["direction"] == direction]
        axes.plot([r["intensity"] for r in chosen], [r["gflops"] for r in chosen], MARKERS[direction], color=color,
                  markersize=6, label=direction, zorder=4)  # fmt: skip
    peers = [(r["intensity"], r["flops"] / r["seconds"]["torch"] / 1e9, r["gflops"]) for r in rows if "torch" in r["seconds"]]
    if peers:
        axes.vlines(*zip(*[(x, min(a, b), max(a, b)) for x, a, b in peers]), color="#bbbbbb", linewidth=1, zorder=2)
        axes.plot([x for x, _, _ in peers], [y for _, y, _ in peers], "_", color="#888888", markersize=8, zorder=3,
                  label="PyTorch")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(low, high), title=title)
    axes.set_xlabel("operations a byte (least traffic)")
    axes.set_ylabel("GFLOP/s")
    axes.grid(color="#e4e4e4", linewidth=0.6, which="both")
    axes.set_axisbelow(True)
    lowest = min([r["gflops"] for r in rows] + [y for _, y, _ in peers])
    axes.set_ylim(lowest / 1.6, peak * 1.7 if high > peak / in_cache else None)
    axes.legend(loc="lower right", frameon=False)
    figure.draw_without_rendering()  # the layout is known from here on
    for text in along:
        (x, y), (x2, y2) = axes.transData.transform([text.xy, [2 * v for v in text.xy]])
        text.set_rotation(math.degrees(math.atan2(y2 - y, x2 - x)))
    _label(figure, axes, rows)


def _label(figure, axes, rows):
    """Names beside the points, each at the first of several places that is still free."""
    from matplotlib.patheffects import withStroke

    renderer, halo = figure.canvas.get_renderer(), [withStroke(linewidth=2, foreground="white")]
    taken = []
    for row in rows:
        x, y = axes.transData.transform((row["intensity"], row["gflops"]))
        taken.append((x - 5, y - 5, x + 5, y + 5))
    for row in sorted(rows, key=lambda r: (r["intensity"], r["gflops"])):
        best = None
        for dx, dy, side in _places():
            text = axes.annotate(short_name(row), (row["intensity"], row["gflops"]), xytext=(dx, dy), fontsize=7.5,
                                 textcoords="offset points", ha=side, va="center", color=COLORS[row["direction"]])  # fmt: skip
            box = text.get_window_extent(renderer).extents
            clash = sum(_overlap(box, other) for other in taken)
            text.remove()
            if best is None or clash < best[0]:
                best = (clash, dx, dy, side, box)
            if clash == 0:
                break
        _, dx, dy, side, box = best
        line = {"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6} if abs(dx) + abs(dy) > 14 else None
        axes.annotate(short_name(row), (row["intensity"], row["gflops"]), xytext=(dx, dy), textcoords="offset points",
                      fontsize=7.5, ha=side, va="center", color=COLORS[row["direction"]], arrowprops=line, zorder=5,
                      path_effects=halo)  # fmt: skip
        taken.append(tuple(box))


def _places():
    """Offsets in points, near before far: right, left, then fanned out below and above."""
    for distance in (7, 14, 24, 36, 50, 66, 84):
        for rise in (0, -0.6, 0.6, -1.2, 1.2, -2, 2):
            yield distance, rise * distance, "left"
            yield -distance, rise * distance, "right"


def _overlap(a, b):
    """Area that two boxes (x0, y0, x1, y1) share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
