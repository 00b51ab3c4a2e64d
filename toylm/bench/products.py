"""`toylm bench matmul`: the Numba matrix products beside NumPy's BLAS, over the shapes that a training step multiplies."""

import statistics
import time

import numpy as np

from ..files import write_json
from ..kernels.matmul import matmul
from ..threads import set_threads
from .gallery import geometric_mean
from .presets import PRESETS
from .sides import median_ratio


def shapes_of(shape):
    """(name, m, k, n, transpose_a, transpose_b) of the products of one training step, each kind once."""
    N, d, ff = shape.tokens, shape.d_model, shape.d_ff
    rows = min(N, 512)
    for name, k, n in (("qkv", d, 3 * d), ("out", d, d), ("ff1", d, ff), ("ff2", ff, d)):
        yield f"{name} forward", N, k, n, False, False
        yield f"{name} d input", N, n, k, False, True
        yield f"{name} d weight", k, N, n, True, False
    yield "logits", rows, d, shape.vocab_size, False, True
    yield "logits d input", rows, shape.vocab_size, d, False, False
    yield "logits d weight", shape.vocab_size, rows, d, True, False


WORK = 2e9  # operations of a turn, after as many that are not counted: they wake the threads and fill the caches
LONGEST_REST = 1.0  # seconds


def _rest():
    """Sleep until no thread of this process works: those of OpenBLAS go on spinning for some 0.1 s after a product, on the core
    that the other side's threads want, which then run at half their speed or less."""
    start = time.perf_counter()
    while time.perf_counter() - start < LONGEST_REST:
        before = time.process_time()
        time.sleep(0.01)
        if time.process_time() - before < 0.001:
            return


def _time(f, flops):
    _rest()
    repeat = max(1, int(WORK / flops))
    for _ in range(repeat):
        f()
    start = time.perf_counter()
    for _ in range(repeat):
        f()
    return (time.perf_counter() - start) / repeat


def run(args):
    """Returns the exit status. Prints a line a shape and the geometric mean a preset; the two sides take turns, medians of 9."""
    threads = set_threads(args.threads)
    print(f"float32 products on {threads} threads, GFLOP/s: Numba, BLAS, ratio")
    rng, results = np.random.default_rng(0), []
    for preset, shape in PRESETS.items():
        for name, m, k, n, ta, tb in shapes_of(shape):
            a = rng.standard_normal((k, m) if ta else (m, k), np.float32)
            b = rng.standard_normal((n, k) if tb else (k, n), np.float32)
            out, flops = np.empty((m, n), np.float32), 2.0 * m * k * n
            ours, theirs, a_blas, b_blas = [], [], a.T if ta else a, b.T if tb else b
            for _ in range(9):
                ours.append(_time(lambda: matmul(a, b, out, ta, tb), flops))  # noqa: B023
                theirs.append(_time(lambda: np.matmul(a_blas, b_blas, out=out), flops))  # noqa: B023
            ratio = median_ratio(theirs, ours)
            speed = [flops / statistics.median(side) / 1e9 for side in (ours, theirs)]
            results.append({"preset": preset, "product": name, "shape": [m, k, n], "gflops": speed, "ratio": ratio})
            print(f"{preset:6} {name:16} {m:5} x {k:5} x {n:5} {speed[0]:7.0f} {speed[1]:7.0f} {ratio:6.2f}", flush=True)
        mean = geometric_mean([r["ratio"] for r in results if r["preset"] == preset])
        print(f"{preset:6} geometric mean of the ratios: {mean:.2f}")
    mean = geometric_mean([r["ratio"] for r in results])
    print(f"all    geometric mean of the ratios: {mean:.2f}")
    if args.json:
        write_json(args.json, {"threads": threads, "geometric_mean": mean, "products": results})
    return 0
