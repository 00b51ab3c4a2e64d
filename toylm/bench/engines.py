"""`toylm bench train` and `generate`: toylm beside other engines, medians and ratios of turns."""

import dataclasses
import statistics

from ..files import write_json
from ..threads import physical_cores
from .presets import PRESETS
from .sides import Neighbour, Side, choose, median_ratio, take_turns

PRODUCT = 1024  # rows and columns of the product that a training step is held against


def run(args):
    """Returns the exit status."""
    threads = args.threads or physical_cores()
    shape = PRESETS[args.preset]
    task = {"kind": args.kind, "shape": dataclasses.asdict(shape), "threads": threads, "precision": args.precision}
    per_step = shape.tokens
    if args.kind == "generate":
        task |= {"tokens": min(args.tokens, shape.length - 8), "prompt": list(range(1, 9))}
        per_step = task["tokens"]
    peers, skipped = choose(args.peers, args.kind)
    for name, reason in skipped:
        print(f"skipped {name}: {reason}")
    print(f"{args.kind} {args.preset}: {shape}, {threads} threads", flush=True)
    sides, neighbour = [], None
    try:
        for name in ("toylm", *peers):
            sides.append(Side(name, task))
            print(f"  {name} is warm, first step {sides[-1].ready['first_step_seconds']:.1f} s", flush=True)
        engines = list(sides)
        if args.kind == "train":
            sides.append(Side("toylm", {"kind": "product", "size": PRODUCT, "threads": threads}))
        if args.beside:
            neighbour = Neighbour(args.beside, task)
        take_turns(sides, args.rounds, args.seconds, neighbour)
        rows = [_row(side, engines[0], shape, per_step, args.kind) for side in engines]
    finally:
        for side in filter(None, (*sides, neighbour)):
            side.close()
    _print(rows, args)
    if args.kind == "train":
        rows[0] |= _product_share(engines[0], sides[-1], shape)
    if args.json:
        result = {"kind": args.kind, "preset": args.preset, "threads": threads, "shape": task["shape"], "beside": args.beside}
        write_json(args.json, result | {"sides": rows, "skipped": dict(skipped)})
    return 0


def _row(side, ours, shape, per_step, kind):
    times = [a["seconds"] for a in side.answers]
    row = {
        "side": side.name,
        "ms_per_step": side.seconds * 1e3,
        "tokens_per_second": per_step / side.seconds,
        "toylm_is_faster_by": median_ratio(times, [a["seconds"] for a in ours.answers]),
        "peak_mib": side.peak_bytes / 2**20,
        "all_ms": [t * 1e3 for t in times],
    }
    if "beside" in side.answers[0]:
        beside = [a["beside"] for a in side.answers]
        row |= {"beside_ms": statistics.median(beside) * 1e3, "share_of_idle_speed": median_ratio(times, beside)}
    if kind == "train":
        row |= {"gflops": shape.flops / side.seconds / 1e9, "loss": side.answers[-1]["loss"]}
    return row


def _product_share(ours, product, shape):
    """The speed of a large product, and the share of it that the step reaches; printed."""
    flops = 2 * PRODUCT**3
    peak = flops / product.seconds / 1e9
    shares = [a["seconds"] / flops * shape.flops for a in product.answers]
    share = median_ratio(shares, [a["seconds"] for a in ours.answers])
    print(f"a product of {PRODUCT} x {PRODUCT} x {PRODUCT} in float32, in the same turns: {peak:.0f} GFLOP/s; "
          f"toylm's step reaches {share:.0%} of it")  # fmt: skip
    return {"product_gflops": peak, "share_of_product": share}


NEIGHBOURS = {"loop": "a busy loop", "self": "a second toylm"}


def _print(rows, args):
    beside = f"  beside {NEIGHBOURS[args.beside]}, of its own idle speed" if args.beside else ""
    print(f"\n{'':20}{'ms':>9}{'tokens/s':>11}{'GFLOP/s':>9}{'peak MiB':>10}  time over toylm (median of the rounds){beside}")
    for row in rows:
        gflops = f"{row['gflops']:9.0f}" if args.kind == "train" else " " * 9
        peak = f"{row['peak_mib']:.0f}" if row["peak_mib"] else "?"  # 0: the system does not tell
        ratio = "" if row["side"] == "toylm" else f"{row['toylm_is_faster_by']:12.2f} x"
        share = f"{'':{41 - len(ratio)}}{row['beside_ms']:9.1f} ms{row['share_of_idle_speed']:8.2f}" if args.beside else ""
        print(f"{row['side']:20}{row['ms_per_step']:9.1f}{row['tokens_per_second']:11,.0f}{gflops}{peak:>10}{ratio}{share}")
