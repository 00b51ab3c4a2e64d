"""The pictures of `toylm bench kernels` and `scaling`. Importing this raises UsageError where matplotlib is not installed."""

import contextlib

from ..errors import UsageError
from ..files import atomic_writer

try:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
except ImportError:
    raise UsageError("--picture needs matplotlib: pip install matplotlib") from None

COLORS = {"forward": "#2b6cb0", "backward": "#c2571a", "update": "#4a7c3f"}
MARKERS = {"forward": "o", "backward": "s", "update": "^"}
SHORT = {"cross-entropy + gradient": "cross-entropy + grad", "SGD with momentum": "SGD", "gradient norm": "norm of g"}
GRID = {"color": "#e4e4e4", "linewidth": 0.6}


@contextlib.contextmanager
def _picture(path, columns, size, title, **layout):
    """The panels of a figure that is written to the PNG `path` at the end."""
    # A figure of its own, without pyplot: no window system, no global state, whatever backend the user has set.
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=size, dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.01, ha="left")
        yield figure.subplots(1, columns, squeeze=False, **layout)[0]
        with atomic_writer(path) as file:
            figure.savefig(file, format="png")


def draw_roofline(result, path):
    """A roofline (Williams, Waterman & Patterson 2009), operations a second over operations a byte, of `result`, which is what
    `toylm bench kernels --json` holds.

    Two panels: the kernels at the preset's shapes, whose arrays a cache holds, and on arrays that only memory holds. A kernel
    cannot be above the roof: the copy bandwidth times its operations a byte, or the machine's peak.
    """
    preset = [r for r in result["kernels"] if r["label"] == result["preset"]]
    panels = {f"at the shapes of preset {result['preset']} (in cache)": preset}
    memory = [r for r in result["kernels"] if r["label"] == "memory"]
    if memory:
        panels["on arrays larger than the caches"] = memory
    title = f"toylm kernels on {result['cpu']}, {result['threads']} threads, float32"
    size = (7.5 * len(panels), 7.2)
    with _picture(path, len(panels), size, title) as axes:
        for (panel, rows), each in zip(panels.items(), axes):
            _roofline_panel(each, result["machine"], rows, panel)
        axes[0].figure.draw_without_rendering()  # the layout is known from here on
        for rows, each in zip(panels.values(), axes):
            _label(each, rows)


def _roofline_panel(axes, machine, rows, title):
    rates = {name: value["median"] / 1e9 for name, value in machine.items()}
    peak = rates["peak"]
    corners = {name: peak / rates[name] for name in ("copy in cache", "copy in memory")}
    low, high = min(r["intensity"] for r in rows) / 2, 2.5 * max(*(r["intensity"] for r in rows), *corners.values())
    for (name, corner), style in zip(corners.items(), ("-", "--")):
        axes.plot([low, corner], [low * rates[name], peak], style, color="#444444", linewidth=1.4, zorder=1,
                  label=f"{name} {rates[name]:.0f} GB/s")  # fmt: skip
    axes.plot([min(corners.values()), high], [peak, peak], "-.", color="#444444", linewidth=1.4, zorder=1,
              label=f"multiply-adds {peak:.0f} GFLOP/s")  # fmt: skip
    for direction, color in COLORS.items():
        chosen = [r for r in rows if r["direction"] == direction]
        axes.plot([r["intensity"] for r in chosen], [r["gflops"] for r in chosen], MARKERS[direction], color=color,
                  markersize=6, label=direction, zorder=4)  # fmt: skip
    peers = [(r["intensity"], r["flops"] / r["seconds"]["torch"] / 1e9, r["gflops"]) for r in rows if "torch" in r["seconds"]]
    if peers:
        axes.vlines(*zip(*[(x, min(a, b), max(a, b)) for x, a, b in peers]), color="#bbbbbb", linewidth=1, zorder=2)
        axes.plot([x for x, _, _ in peers], [y for _, y, _ in peers], "_", color="#888888", markersize=8, zorder=3,
                  label="PyTorch")  # fmt: skip
    lowest = min([r["gflops"] for r in rows] + [y for _, y, _ in peers])
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(lowest / 4, peak * 1.7), title=title)
    axes.set(xlabel="operations a byte (least traffic)", ylabel="GFLOP/s")
    axes.grid(which="both", **GRID)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", framealpha=1, edgecolor="none")


def _label(axes, rows):
    """Names beside the points, each at the first of several places where it touches nothing: no point, name, legend or edge.
    Returns the boxes (x0, y0, x1, y1) of the names."""
    frame = axes.get_window_extent()
    taken, placed = [axes.get_legend().get_window_extent()], []
    for row in rows:
        x, y = axes.transData.transform((row["intensity"], row["gflops"]))
        taken.append(matplotlib.transforms.Bbox.from_extents(x - 6, y - 6, x + 6, y + 6))
    for row in sorted(rows, key=lambda r: (r["intensity"], r["gflops"])):
        name = SHORT.get(row["kernel"], row["kernel"]).replace("backward", "bwd")
        point = {"xy": (row["intensity"], row["gflops"]), "textcoords": "offset points", "zorder": 5}
        text = axes.annotate(name, xytext=(0, 0), fontsize=7.5, va="center", color=COLORS[row["direction"]],
                             path_effects=[withStroke(linewidth=2.5, foreground="white")], **point)  # fmt: skip
        for dx, dy, side in _places():
            text.set(position=(dx, dy), ha=side)
            box = text.get_window_extent().padded(1)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not box.count_overlaps(taken):
                break
        if abs(dx) + abs(dy) > 20:
            line = axes.annotate("", xytext=(dx, dy), arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6}, **point)
            line.set_in_layout(False)
        text.set_in_layout(False)
        taken.append(box)
        placed.append(box.extents)
    return placed


def _places():
    """Offsets in points, near before far: right, left, then fanned out below and above."""
    for distance in range(8, 320, 8):
        for rise in (0, -0.6, 0.6, -1.2, 1.2, -2, 2, -4, 4):
            yield distance, rise * distance, "left"
            yield -distance, rise * distance, "right"


def draw_scaling(result, path):
    """The curves of `result`, which is what `toylm bench scaling --json` holds."""
    curves = result["curves"]
    title = f"a training step on {result['cpu']}, {result['threads']} threads"
    with _picture(path, len(curves), (4.2 * len(curves), 3.8), title) as panels:
        for axes, curve in zip(panels, curves):
            x, y = [p["value"] for p in curve["points"]], [p["seconds"] * 1e3 for p in curve["points"]]
            axes.plot(x, y, "o-", color="#2b6cb0", markersize=5, label=f"measured, exponent {curve['exponent']:.2f}")
            last = curve["points"][-1]
            ideal = [y[-1] * p["flops"] / last["flops"] for p in curve["points"]]
            axes.plot(x, ideal, "--", color="#999999", linewidth=1,
                      label=f"arithmetic, exponent {curve['arithmetic_exponent']:.2f}")  # fmt: skip
            axes.set(xscale="log", yscale="log", title=curve["title"], xlabel=curve["size"], ylabel="ms a step")
            axes.set_xticks(x, [f"{v:,}" for v in x])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.grid(**GRID)
            axes.legend(frameon=False, loc="upper left")
