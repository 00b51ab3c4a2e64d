"""Deep ELM over depths, widths and lambdas: error tables and plots, beside linear and kernel ridge.

  toylm deep-elm-bench --depths 2,3,4 --hidden 128,256,512 --lambdas 1e-4,1e-2

The target is a smooth nonlinear function of d features with noise of standard deviation 0.1. Writes results.csv, and
PNG plots where matplotlib is installed, into --out.
"""

import argparse
from pathlib import Path

from ..checks import check_count
from ..errors import UsageError
from ..files import atomic_writer, write_text


def _numbers(kind, name):
    def parse(text):
        try:
            values = [kind(part) for part in text.split(",") if part]
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a comma-separated list of {name}") from None
        if not values or min(values) < 0 or (kind is int and min(values) < 1):
            raise argparse.ArgumentTypeError(f"{text!r}: {name} must be positive")
        return values

    return parse


def build_parser(parser):
    """Add the arguments of `toylm deep-elm-bench`."""
    parser.add_argument("--depths", type=_numbers(int, "depths"), default="2,3,4", metavar="N,...", help="hidden layers")
    parser.add_argument("--hidden", type=_numbers(int, "widths"), default="128,256,512", metavar="N,...", help="widths")
    parser.add_argument(
        "--lambdas", type=_numbers(float, "lambdas"), default="1e-4,1e-3,1e-2", metavar="X,...", help="lambdas"
    )
    parser.add_argument("--n-train", type=int, default=400, metavar="N", help="training rows")
    parser.add_argument("--n-test", type=int, default=300, metavar="N", help="test rows")
    parser.add_argument("--d", type=int, default=8, metavar="N", help="features")
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="seed of data and random features")
    parser.add_argument("--activation", choices=("tanh", "relu"), default="tanh", help="activation")
    parser.add_argument("--out", default="deep-elm-bench", metavar="DIR", help="folder for results.csv and plots")
    parser.add_argument("--no-plots", action="store_true", help="write no plots")


def run(args):
    """Run `toylm deep-elm-bench`; returns the exit status."""
    from ..closed_form.deep_elm_sweep import chosen, curves, make_data, sweep

    for name in ("n_train", "n_test", "d"):
        if getattr(args, name) < 2:
            raise UsageError(f"--{name.replace('_', '-')} is {getattr(args, name)}: at least 2 is needed")
    check_count(args.seed, "--seed", 0)
    out = Path(args.out).resolve()
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; --out names a folder")
    data = make_data(args.n_train, args.n_test, args.d, args.seed)
    rows, peers = sweep(data, args.depths, args.hidden, args.lambdas, args.activation, args.seed)
    print(
        f"deep ELM, {args.activation}, {args.n_train} training and {args.n_test} test rows, {args.d} features, seed {args.seed}"
    )
    print(
        f"{'depth':>5} {'hidden':>7} {'lambda':>8} {'train MSE':>11} {'LOO MSE':>11} {'test MSE':>11} {'test R2':>8} "
        f"{'seconds':>8} solver"
    )
    for row in rows:
        print(
            f"{row['depth']:>5} {row['hidden']:>7} {row['lambda']:>8g} {row['train_mse']:>11.3e} {row['loo_mse']:>11.3e} "
            f"{row['test_mse']:>11.3e} {row['test_r2']:>8.4f} {row['seconds']:>8.4f} {row['solver']}"
        )
    best = chosen(rows)
    print(
        f"best by leave-one-out: depth {best['depth']}, {best['hidden']} units, lambda {best['lambda']:g}: "
        f"test MSE {best['test_mse']:.3e}"
    )
    for name, error in peers.items():
        print(f"beside it, {name}: test MSE {error:.3e}")
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    write_text(out / "results.csv", "\n".join(lines) + "\n")
    print(out / "results.csv")
    if not args.no_plots:
        for path in plots(curves(rows), out):
            print(path)
    return 0


def plots(found, out):
    """Write test error against width and against lambda; returns the paths, none where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print("no plots: matplotlib is not installed (pip install matplotlib)")
        return []
    paths = []
    for (axis, other), by_depth in found.items():
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes, name = figure.subplots(), {"hidden": "width"}.get(axis, axis)
        for depth, points in by_depth.items():
            axes.plot(*zip(*points), marker="o", label=f"{depth} layers")
        axes.set(xscale="log", yscale="log", xlabel=name, ylabel=f"test MSE ({other} by leave-one-out)", title="Deep ELM")
        axes.legend()
        axes.grid(alpha=0.3)
        path = out / f"test-mse-by-{name}.png"
        with atomic_writer(path) as file:
            figure.savefig(file, format="png", dpi=120)
        paths.append(path)
    return paths
