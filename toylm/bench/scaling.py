"""`toylm bench scaling`: how the time of a training step grows with sequence length, width, vocabulary and batch.

A curve changes one size of a model with 4 blocks, d 128, d_ff = 4 d, 2,048 tokens of vocabulary. Every point is a process of
its own; the points of a curve take turns; medians. The exponent is the slope of a straight line through the logarithms:
1 is proportional, 2 quadratic. Beside it the slope between the last two points, where overheads weigh least, and the slope of
the model's arithmetic. The longest sequence, T = 4096 at d 128, is the one that must train within 1 GiB.
"""

import dataclasses
import math
import statistics

from ..errors import UsageError
from ..files import write_json
from ..host import cpu_name
from ..threads import physical_cores
from .presets import PRESETS
from .sides import Side, parse_names, take_turns

MEMORY_LIMIT = 2**30
TINY = PRESETS["tiny"]


@dataclasses.dataclass(frozen=True)
class Curve:
    """One size that grows: its name on the axis, the values, and the Shape at each."""

    size: str
    title: str
    values: tuple
    shape: object


CURVES = {
    "T": Curve("T", "sequence length, B 1", (128, 256, 512, 1024, 2048, 4096),
               lambda v: dataclasses.replace(TINY, length=v, batch=1)),
    "d": Curve("d", "width (d_ff = 4 d, heads of 32), B 4", (64, 128, 256, 512, 1024),
               lambda v: dataclasses.replace(TINY, d_model=v, d_ff=4 * v, n_heads=v // 32, batch=4)),
    "V": Curve("V", "vocabulary, B 16", (512, 2048, 8192, 32768), lambda v: dataclasses.replace(TINY, vocab_size=v)),
    "B": Curve("B", "batch", (1, 2, 4, 8, 16, 32, 64), lambda v: dataclasses.replace(TINY, batch=v)),
}  # fmt: skip


def exponent(sizes, seconds):
    """The b of the least-squares line log seconds = a + b log size. Raises ValueError for fewer than two sizes."""
    if len(set(sizes)) < 2:
        raise UsageError(f"an exponent takes at least two different sizes, not {list(sizes)}")
    x, y = [math.log(s) for s in sizes], [math.log(s) for s in seconds]
    return statistics.linear_regression(x, y).slope


def measure(curve, rounds, seconds, threads, precision):
    """One curve: a point a value, with ms a step, tokens/s, GFLOP/s, peak MiB, and the exponents."""
    task = {"kind": "train", "threads": threads, "precision": precision}
    sides = []
    try:
        for value in curve.values:
            sides.append(Side("toylm", task | {"shape": dataclasses.asdict(curve.shape(value))}))
        take_turns(sides, rounds, seconds)
        points = [_point(value, curve.shape(value), side) for value, side in zip(curve.values, sides)]
    finally:
        for side in sides:
            side.close()
    times, flops = [p["seconds"] for p in points], [p["flops"] for p in points]
    return {
        "size": curve.size,
        "title": curve.title,
        "points": points,
        "exponent": exponent(curve.values, times),
        "last_exponent": exponent(curve.values[-2:], times[-2:]),
        "arithmetic_exponent": exponent(curve.values, flops),
    }


def _point(value, shape, side):
    return {
        "value": value,
        "seconds": side.seconds,
        "tokens_per_second": shape.tokens / side.seconds,
        "flops": shape.flops,
        "gflops": shape.flops / side.seconds / 1e9,
        "peak_bytes": side.peak_bytes,
        "all_seconds": [a["seconds"] for a in side.answers],
    }


def run(args):
    """Returns the exit status: 1 where the longest sequence does not train within the limit, as far as the system tells."""
    if args.picture:
        from .pictures import draw_scaling  # first of all, since it says where matplotlib is missing
    curves = [CURVES[name] for name in parse_names(args.only, CURVES, "size to grow")]
    threads = args.threads or physical_cores()
    print(f"{cpu_name()}, {threads} threads, {args.precision}; a step of training with AdamW, medians of {args.rounds} turns")
    # Compiling takes memory of its own, which a first process spends, so that the points do not.
    Side("toylm", {"kind": "train", "threads": threads, "precision": args.precision,
                   "shape": dataclasses.asdict(dataclasses.replace(TINY, batch=1))}).close()  # fmt: skip
    results = []
    for curve in curves:
        results.append(measure(curve, args.rounds, args.seconds, threads, args.precision))
        _print(results[-1])
    status = 0
    longest = next((r["points"][-1] for r in results if r["size"] == "T"), None)
    if longest:
        status = 1 if longest["peak_bytes"] > MEMORY_LIMIT else 0
        verdict = f"{_mib(longest)} MiB at the peak: {'NOT within' if status else 'within'} 1 GiB"
        if not longest["peak_bytes"]:
            verdict = "memory that this system does not tell: whether within 1 GiB is not known"
        print(f"\nT = {longest['value']} at d {TINY.d_model} trains in {verdict}")
    result = {"cpu": cpu_name(), "threads": threads, "precision": args.precision, "curves": results}
    if args.json:
        write_json(args.json, result)
    if args.picture:
        draw_scaling(result, args.picture)
        print(f"picture: {args.picture}")
    return status


def _print(result):
    print(f"\n{result['size']} ({result['title']}): exponent {result['exponent']:.2f}, "
          f"at the end {result['last_exponent']:.2f}, of the arithmetic {result['arithmetic_exponent']:.2f}")  # fmt: skip
    print(f"{result['size']:>8}{'ms/step':>10}{'tokens/s':>11}{'GFLOP/s':>9}{'peak MiB':>10}")
    for p in result["points"]:
        print(f"{p['value']:>8}{p['seconds'] * 1e3:10.2f}{p['tokens_per_second']:11,.0f}{p['gflops']:9.0f}"
              f"{_mib(p):>10}", flush=True)  # fmt: skip


def _mib(point):
    return f"{point['peak_bytes'] / 2**20:.0f}" if point["peak_bytes"] else "?"
