"""Time toylm beside other engines: same shapes, same threads, the sides in turn within one run, medians and ratios.

  toylm bench train --preset tiny --peers torch-eager,torch-compile
  toylm bench generate --preset tiny --peers torch-eager
  toylm bench matmul
  toylm bench kernels --picture roofline.png
  toylm bench fusions
  toylm bench scaling --picture scaling.png
  toylm bench startup
  toylm bench variants

A peer that is not installed, or that measures training only where text is generated, is named and skipped. Every engine runs in
a process of its own, so that peak memory and thread settings are its own.
"""

import argparse
import dataclasses
import importlib
import statistics

from ..bench.presets import NOT_RECIPES, PRESETS
from ..bench.sides import Side, choose, peers_of
from ..help import HelpFormatter

PRODUCT = 1024  # rows and columns of the product that a training step is held against
# sub-commands with a module of their own: add_arguments(parser), run(args)
MODULES = {
    "kernels": ("gallery", "every kernel against naive loops, NumPy, PyTorch and the machine's limits"),
    "fusions": ("fusions", "what each fused kernel saves in time and memory"),
    "scaling": ("scaling", "time a step against sequence length, width, vocabulary and batch"),
    "startup": ("startup", "seconds to --help, to the first step warm, and with a cold compile"),
    "variants": ("variants", "how far apart loss and gradients are between the ways to compute a step"),
}


def build_parser(parser):
    """Sub-commands train, generate and matmul, and those of MODULES."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="|".join(("train", "generate", "matmul", *MODULES)))
    for kind, (name, line) in MODULES.items():
        module = importlib.import_module(f"toylm.bench.{name}")
        sub = kinds.add_parser(kind, help=line, description=module.__doc__, formatter_class=HelpFormatter)
        module.add_arguments(sub)
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    for kind, line in (("train", "training steps with AdamW"), ("generate", "one stream, greedy, with a key-value cache")):
        sub = kinds.add_parser(kind, help=line, description=line, formatter_class=HelpFormatter)
        sub.add_argument("--preset", default="tiny", choices=list(PRESETS), help=f"shape of the model and the batch; {NOT_RECIPES}")
        sub.add_argument("--peers", default="torch-eager", help=f"comma-separated: {', '.join(peers_of(kind))}")
        sub.add_argument("--rounds", type=int, default=7, help="how often the sides take turns")
        sub.add_argument("--seconds", type=float, default=1.5, help="how long a turn lasts")
        sub.add_argument("--threads", type=int, default=None, help="threads of every side (default: physical cores)")
        sub.add_argument("--precision", default="float32", choices=("float32", "bf16", "auto"), help="toylm's precision")
        sub.add_argument("--tokens", type=int, default=96, help="tokens a text (generate)")
        sub.add_argument("--json", default=None, metavar="FILE", help="write every number there")
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    sub = kinds.add_parser("matmul", help="the Numba products beside BLAS, over the presets' shapes")
    sub.add_argument("--threads", type=int, default=None, help="threads of both sides")
    sub.add_argument("--json", default=None, metavar="FILE", help="write every number there")
    sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(args):
    """Returns the exit status."""
    if args.kind in MODULES:
        return importlib.import_module(f"toylm.bench.{MODULES[args.kind][0]}").run(args)
    if args.kind == "matmul":
        from ..bench.products import run_products

        return run_products(args)
    return run_sides(args)


def run_sides(args):
    """`train` and `generate`."""
    from ..threads import physical_cores

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
    sides = []
    try:
        for name in ("toylm", *peers):
            sides.append(Side(name, task))
            print(f"  {name} is warm, first step {sides[-1].ready['first_step_seconds']:.1f} s", flush=True)
        if args.kind == "train":
            product = Side("toylm", {"kind": "product", "size": PRODUCT, "threads": threads})
            sides.append(product)
        repeats = [max(1, round(args.seconds / side.measure(3)["seconds"])) for side in sides]
        for side in sides:
            side.answers.clear()
        for _ in range(args.rounds):
            for side, repeat in zip(sides, repeats):
                side.measure(repeat)
        engines = sides[: 1 + len(peers)]
        rows = [_row(side, engines[0], shape, per_step, args.kind) for side in engines]
    finally:
        for side in sides:
            side.close()
    _print(rows, args.kind)
    if args.kind == "train":
        peak = 2 * PRODUCT**3 / product.seconds / 1e9
        share = statistics.median(
            shape.flops / own["seconds"] / (2 * PRODUCT**3 / alone["seconds"])
            for own, alone in zip(engines[0].answers, product.answers)
        )
        print(f"a product of {PRODUCT} x {PRODUCT} x {PRODUCT} in float32, in the same turns: {peak:.0f} GFLOP/s; "
              f"toylm's step reaches {share:.0%} of it")  # fmt: skip
        rows[0] |= {"product_gflops": peak, "share_of_product": share}
    if args.json:
        from ..files import write_json

        result = {"kind": args.kind, "preset": args.preset, "threads": threads, "shape": task["shape"], "sides": rows}
        write_json(args.json, result | {"skipped": dict(skipped)})
    return 0


def _row(side, ours, shape, per_step, kind):
    ratios = [theirs["seconds"] / own["seconds"] for theirs, own in zip(side.answers, ours.answers)]
    row = {
        "side": side.name,
        "ms_per_step": side.seconds * 1e3,
        "tokens_per_second": per_step / side.seconds,
        "toylm_is_faster_by": statistics.median(ratios),
        "peak_mib": side.peak_bytes / 2**20,
        "all_ms": [a["seconds"] * 1e3 for a in side.answers],
    }
    if kind == "train":
        row |= {"gflops": shape.flops / side.seconds / 1e9, "loss": side.answers[-1]["loss"]}
    return row


def _print(rows, kind):
    print(f"\n{'':20}{'ms':>9}{'tokens/s':>11}{'GFLOP/s':>9}{'peak MiB':>10}{'  time over toylm (median of the rounds)'}")
    for row in rows:
        gflops = f"{row['gflops']:9.0f}" if kind == "train" else " " * 9
        peak = f"{row['peak_mib']:.0f}" if row["peak_mib"] else "?"  # 0: the system does not tell
        ratio = "" if row["side"] == "toylm" else f"{row['toylm_is_faster_by']:12.2f} x"
        print(
            f"{row['side']:20}{row['ms_per_step']:9.1f}{row['tokens_per_second']:11,.0f}{gflops}{peak:>10}{ratio}"
        )

