"""python -m toylm.closed_form.bench: how fast, how accurate, beside scikit-learn and LAPACK; the sides in turn, in one run.

  --only ridge|accuracy|hilbert|loo    one of the four parts (default: all)
  --n --d                              rows and features of the first two parts (200,000 x 128)
  --loo-rows                           rows of the streamed leave-one-out (1,000,000)
  --threads N --repeats N --json
  --pause                              seconds before each timed call (0.05); 0: what one side's threads, still
                                       spinning, take from the next is counted

Ratios are medians over repeats; seconds only illustrate. A peer that is not installed is skipped by name.
"""

import argparse
import json
import sys
import time

import numpy as np

from ..threads import set_threads
from .linear import LinearRegression, Ridge
from .ridge_path import RidgePath
from .row_sources import ArraySource
from .solvers import least_squares

PAUSE = 0.05  # seconds: longer than OpenBLAS's threads spin after a call


def take_turns(sides, repeats, pause=PAUSE):
    """Median seconds of every side, {name: seconds}: one untimed call each, then `repeats` rounds in turn.

    A short pause before each call lets the threads of the side before go to sleep, so that none pays for another's.
    """
    seconds = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(repeats):
        for name, side in sides.items():
            time.sleep(pause)
            start = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def peak_bytes():
    """Greatest resident memory of this process so far, or None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def ridge(n, d, repeats, pause=PAUSE):
    """Ridge.fit beside scikit-learn's Ridge(solver="cholesky"), equal accuracy."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)) + 1.0
    y = X @ rng.standard_normal(d) + rng.standard_normal(n)
    sides = {"toylm Ridge": lambda: Ridge(1.0).fit(X, y)}
    try:
        from sklearn.linear_model import Ridge as Peer
    except ImportError:
        print("scikit-learn is not installed: its side is skipped")
        return {"seconds": take_turns(sides, repeats, pause)}
    sides["scikit-learn Ridge(solver='cholesky')"] = lambda: Peer(1.0, solver="cholesky").fit(X, y)
    seconds = take_turns(sides, repeats, pause)
    ours, theirs = seconds.values()
    a, b = Ridge(1.0).fit(X, y), Peer(1.0, solver="cholesky").fit(X, y)
    exact = Peer(1.0, solver="svd").fit(X, y).coef_
    scale = np.abs(exact).max()
    return {
        "seconds": seconds,
        "scikit-learn / toylm": theirs / ours,
        "relative difference": float(np.abs(a.coef_ - b.coef_).max() / scale),
        "toylm from the SVD solution": float(np.abs(a.coef_ - exact).max() / scale),
        "scikit-learn from the SVD solution": float(np.abs(b.coef_ - exact).max() / scale),
    }


def ill_conditioned(n, d, condition, seed=0):
    """X = U diag(s) V' with s from 1 to 1 / condition, y = X w + a residual orthogonal to X: (X, y, w)."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((n, d)))[0]
    V = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = (U * np.geomspace(1, 1 / condition, d)) @ V.T
    w = rng.standard_normal(d)
    residual = rng.standard_normal(n) / np.sqrt(n)
    residual -= U @ (U.T @ residual)
    return X, X @ w + 1e-9 * residual, w


def accuracy(n, d, repeats, condition=1e12, pause=PAUSE):
    """What QR-grade accuracy costs: the Cholesky path, the accurate path, LAPACK's QR, on one ill-conditioned matrix."""
    from scipy.linalg import qr, solve_triangular

    X, y, w = ill_conditioned(n, d, condition)

    def lapack():
        Q, R = qr(X, mode="economic", check_finite=False)
        return solve_triangular(R, Q.T @ y)

    well = X + 0.01 * np.random.default_rng(1).standard_normal(X.shape)
    sides = {
        "cholesky path": lambda: LinearRegression(fit_intercept=False).fit(well, y),
        "accurate path": lambda: LinearRegression(fit_intercept=False).fit(X, y),
        "LAPACK QR": lapack,
    }
    seconds = take_turns(sides, repeats, pause)
    model = LinearRegression(fit_intercept=False).fit(X, y)
    relative = lambda v: float(np.linalg.norm(v - w) / np.linalg.norm(w))  # noqa: E731
    return {
        "seconds": seconds,
        "solver_ of the cholesky path": LinearRegression(fit_intercept=False).fit(well, y).solver_,
        "solver_ of the accurate path": model.solver_,
        "accurate / cholesky": seconds["accurate path"] / seconds["cholesky path"],
        "LAPACK QR / accurate": seconds["LAPACK QR"] / seconds["accurate path"],
        "forward error, accurate": relative(model.coef_),
        "forward error, LAPACK QR": relative(lapack()),
        "condition": condition,
    }


def hilbert():
    """Forward errors on 40-row Hilbert matrices of condition 5e5 to 2e13, against exact rational arithmetic."""
    import warnings
    from fractions import Fraction

    from scipy.linalg import qr, solve_triangular

    rng = np.random.default_rng(0)
    out = {}
    for d in (6, 8, 10, 11, 12):
        X = 1.0 / (np.arange(40)[:, None] + np.arange(d) + 1)
        y = X @ rng.standard_normal(d) + 1e-3 * rng.standard_normal(40)
        truth = exact_least_squares(X, y, Fraction)
        Q, R = qr(X, mode="economic")
        answers = {"Householder QR": solve_triangular(R, Q.T @ y)}
        for solver in ("auto", "cholesky", "cholesky_qr", "tsqr", "svd"):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = least_squares(ArraySource(X, y[:, None]), 0.0, False, solver)
                answers[f"{solver} -> {found.solver}" if solver == "auto" else solver] = found.coef[:, 0]
            except ValueError:
                answers[solver] = np.full(d, np.nan)
        errors = {name: float(np.linalg.norm(v - truth) / np.linalg.norm(truth)) for name, v in answers.items()}
        out[f"40 x {d}, condition {np.linalg.cond(X):.0e}"] = errors
    return out


def exact_least_squares(X, y, number):
    """The least-squares solution of the float64 numbers in X and y in exact rational arithmetic, rounded at the end."""
    A = [[number(v) for v in row] for row in X.tolist()]
    b = [number(v) for v in y.tolist()]
    d = len(A[0])
    M = [[sum(r[i] * r[j] for r in A) for j in range(d)] + [sum(r[i] * v for r, v in zip(A, b))] for i in range(d)]
    for i in range(d):
        pivot = M[i][i]
        M[i] = [v / pivot for v in M[i]]
        for j in range(d):
            if j != i:
                factor = M[j][i]
                M[j] = [u - factor * v for u, v in zip(M[j], M[i])]
    return np.array([float(M[i][d]) for i in range(d)])


def loo(rows, d=128, targets=64, lambdas=100, block=20000):
    """Streamed leave-one-out over a path of lambdas: seconds, peak memory; blocks are generated, never all in memory."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((d, targets)).astype(np.float32) / np.float32(np.sqrt(d))
    scales = np.geomspace(1, 0.03, d).astype(np.float32)
    making = [0.0]

    def blocks():
        for i in range(0, rows, block):
            start = time.perf_counter()
            local = np.random.default_rng([1, i])
            X = local.standard_normal((min(block, rows - i), d), dtype=np.float32) * scales
            Y = X @ W + local.standard_normal((len(X), targets), dtype=np.float32)
            making[0] += time.perf_counter() - start
            yield X, Y

    before = peak_bytes()
    start = time.perf_counter()
    model = RidgePath(np.geomspace(1e-6, 1e6, lambdas), per_target=True).fit_blocks(blocks)
    seconds = time.perf_counter() - start
    return {
        "rows": rows,
        "seconds": seconds,
        "of these, making the blocks": making[0],
        "peak memory, MiB": None if peak_bytes() is None else peak_bytes() / 2**20,
        "peak before, MiB": None if before is None else before / 2**20,
        "solver_": model.solver_,
        "median lambda_": float(np.median(model.lambda_)),
        "mean squared error left out": float(model.best_score_.mean()),
    }


def main(argv=None):
    """Run the parts that were asked for and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("ridge", "accuracy", "hilbert", "loo"))
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--d", type=int, default=128)
    parser.add_argument("--loo-rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--pause", type=float, default=PAUSE)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    set_threads(args.threads)
    parts = {
        "loo": lambda: loo(args.loo_rows),  # first: its peak memory must be its own
        "ridge": lambda: ridge(args.n, args.d, args.repeats, args.pause),
        "accuracy": lambda: accuracy(args.n, args.d, max(3, args.repeats // 2), pause=args.pause),
        "hilbert": hilbert,
    }
    results = {name: part() for name, part in parts.items() if args.only in (None, name)}
    if args.json:
        print(json.dumps(results, indent=2))
        return 0
    for name, result in results.items():
        print(f"\n{name}")
        for key, value in result.items():
            if isinstance(value, dict):
                print(f"  {key}")
                for inner, number in value.items():
                    print(f"    {inner:<40} {number:.4g}")
            else:
                print(f"  {key:<42} {value:.4g}" if isinstance(value, float) else f"  {key:<42} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
