"""Deep ELM over depths, widths and lambdas: error tables and plots, beside linear and kernel ridge.

  toylm deep-elm-bench --depths 2,3,4 --hidden 128,256,512 --lambdas 1e-4,1e-3,1e-2 --n-train 400 --n-test 300 --d 8 --seed 7

The target is a smooth nonlinear function of d features with noise of standard deviation 0.1. Writes results.csv, and
PNG plots where matplotlib is installed, into --out.
"""

from pathlib import Path


def _numbers(kind, name):
    def parse(text):
        import argparse

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
    from ..closed_form.estimator import check_count
    from ..errors import UsageError
    from ..files import write_text

    for name in ("n_train", "n_test", "d"):
        if getattr(args, name) < 2:
            raise UsageError(f"--{name.replace('_', '-')} is {getattr(args, name)}: at least 2 is needed")
    check_count(args.seed, "--seed", 0)
    out = Path(args.out).resolve()
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; --out names a folder")
    rows, peers = sweep(args)
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
    best = min(rows, key=lambda row: row["loo_mse"])  # the test rows choose nothing that is then tested on them
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
        for path in plots(rows, args, out):
            print(path)
    return 0


def make_data(args):
    """X_train, y_train, X_test, y_test: y = sum of sines, a product and a bump of random projections, noise 0.1."""
    import numpy as np

    rng = np.random.default_rng(args.seed)
    X = rng.standard_normal((args.n_train + args.n_test, args.d))
    directions = rng.standard_normal((args.d, 4)) / np.sqrt(args.d)
    P = X @ directions
    clean = np.sin(2 * P[:, 0]) + P[:, 1] * P[:, 2] + np.exp(-(P[:, 3] ** 2))
    y = clean + 0.1 * rng.standard_normal(len(X))
    return X[: args.n_train], y[: args.n_train], X[args.n_train :], y[args.n_train :]


def sweep(args):
    """One dict a setting (depth, hidden, lambda, train_mse, loo_mse, test_mse, test_r2, seconds, solver), and the peers' test MSE.

    loo_mse leaves rows out of the head's fit, which is all that is fitted but for the features' means and scales.
    """
    import time

    from ..closed_form.elm import DeepELM
    from ..closed_form.estimator import r2
    from ..closed_form.kernel_ridge import KernelRidgePath
    from ..closed_form.ridge_path import RidgePath, loo_residuals

    X, y, X_test, y_test = make_data(args)
    rows = []
    for depth in args.depths:
        for hidden in args.hidden:
            for value in args.lambdas:
                model = DeepELM(
                    hidden, depth=depth, lambda_reg=value, activation=args.activation, random_seed=args.seed, fit_intercept=True
                )
                start = time.perf_counter()
                model.fit(X, y)
                seconds = time.perf_counter() - start
                predicted = model.predict(X_test)
                rows.append(
                    {
                        "depth": depth,
                        "hidden": hidden,
                        "lambda": value,
                        "train_mse": float(((model.predict(X) - y) ** 2).mean()),
                        "loo_mse": float((loo_residuals(model.features(X), y, value) ** 2).mean()),
                        "test_mse": float(((predicted - y_test) ** 2).mean()),
                        "test_r2": r2(y_test, predicted),
                        "seconds": seconds,
                        "solver": model.solver_,
                    }
                )
    peers = {}
    for name, peer in (
        ("ridge (lambda by leave-one-out)", RidgePath()),
        ("kernel ridge (by leave-one-out)", KernelRidgePath()),
    ):
        peers[name] = float(((peer.fit(X, y).predict(X_test) - y_test) ** 2).mean())
    return rows, peers


def plots(rows, args, out):
    """Write test error against width and against lambda; returns the paths, none where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print("no plots: matplotlib is not installed (pip install matplotlib)")
        return []
    paths = []
    for axis, others, name in (("hidden", "lambda", "width"), ("lambda", "hidden", "lambda")):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for depth in args.depths:
            values = sorted({row[axis] for row in rows})
            best = [min(r["test_mse"] for r in rows if r["depth"] == depth and r[axis] == v) for v in values]
            axes.plot(values, best, marker="o", label=f"{depth} layers")
        axes.set(xscale="log", yscale="log", xlabel=name, ylabel=f"test MSE (best {others})", title="Deep ELM")
        axes.legend()
        axes.grid(alpha=0.3)
        path = out / f"test-mse-by-{name}.png"
        figure.savefig(path, dpi=120)
        paths.append(path)
    return paths
