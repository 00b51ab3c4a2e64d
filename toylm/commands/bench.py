"""Time toylm beside other engines: same shapes, same threads, the sides in turn within one run, medians and ratios.

  toylm bench train --preset tiny --peers torch-eager,torch-compile
  toylm bench train --beside loop
  toylm bench generate --preset tiny --peers torch-eager
  toylm bench matmul
  toylm bench kernels --picture roofline.png
  toylm bench kernels --preset small --only GELU
  toylm bench ablate
  toylm bench scaling --picture scaling.png
  toylm bench startup

A peer that is not installed, or that measures training only where text is generated, is named and skipped. Every engine runs in
a process of its own, so that peak memory and thread settings are its own.
"""

import argparse
import importlib

from ..bench.presets import NOT_RECIPES, PRESETS
from ..bench.sides import peers_of
from ..errors import UsageError
from ..help import HelpFormatter

# sub-command -> (module of toylm.bench, what it measures)
KINDS = {
    "train": ("engines", "training steps with AdamW"),
    "generate": ("engines", "one stream, greedy, with a key-value cache"),
    "matmul": ("products", "the Numba products beside BLAS, over the presets' shapes"),
    "kernels": ("gallery", "every kernel against naive loops, NumPy, PyTorch and the machine's limits"),
    "ablate": ("ablate", "the training step with and without each mechanism of the engine"),
    "scaling": ("scaling", "time a step against sequence length, width, vocabulary and batch"),
    "startup": ("startup", "seconds to --help, to the first step warm, and with a cold compile"),
}


def build_parser(parser):
    """A sub-command for every one of KINDS."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="|".join(KINDS))
    subs = {}
    for kind, (_, line) in KINDS.items():
        sub = subs[kind] = kinds.add_parser(kind, help=line, description=line, formatter_class=HelpFormatter)
        sub.set_defaults(beside=None)
    for kind in ("train", "generate"):
        _preset(subs[kind], "tiny", "shape of the model and the batch")
        subs[kind].add_argument("--peers", default="torch-eager", help=f"comma-separated: {', '.join(peers_of(kind))}")
        _turns(subs[kind], rounds=7, seconds=1.5)
        subs[kind].add_argument("--precision", default="float32", choices=("float32", "bf16", "auto"), help="toylm's precision")
    subs["train"].add_argument("--beside", choices=("loop", "self"), default=None,
                               help="every turn once more beside a busy loop on one core, or beside a second toylm")  # fmt: skip
    subs["generate"].add_argument("--tokens", type=int, default=96, help="tokens a text")

    sub = subs["kernels"]
    _preset(sub, "tiny", "shapes of all kernels but the products")
    sub.add_argument("--only", default="", metavar="TEXT", help="kernels whose name contains TEXT")
    sub.add_argument("--sides", default="python,njit,numpy,torch,toylm", metavar="NAMES",
                     help="comma-separated; toylm is always there")  # fmt: skip
    _turns(sub, rounds=7, seconds=0.01)
    sub.add_argument("--memory-mib", type=int, default=128, metavar="N",
                     help="MiB moved by the cases that no cache holds, 0: none")  # fmt: skip

    sub = subs["ablate"]
    names = f"comma-separated: {', '.join(PRESETS)}; {NOT_RECIPES}"
    sub.add_argument("--preset", default="nano,tiny,small", metavar="NAMES", help=names)
    sub.add_argument("--only", default="", metavar="NAMES", help="comma-separated mechanisms (default: all)")
    _turns(sub, rounds=7, seconds=0.2)
    sub.add_argument("--beside-loop", action="store_true", help="every turn once more beside a busy loop on one core")
    sub.add_argument("--cold-rounds", type=int, default=1, help="cold compiles with and without the warm-up process, 0 for none")

    sub = subs["scaling"]
    sub.add_argument("--only", default="T,d,V,B", metavar="SIZES", help="comma-separated: T, d, V, B")
    _turns(sub, rounds=5, seconds=0.2)
    sub.add_argument("--precision", default="float32", help="toylm's precision")

    sub = subs["startup"]
    sub.add_argument("--rounds", type=int, default=5, help="processes of each warm kind")
    sub.add_argument("--cold-rounds", type=int, default=3, help="cold compiles, 0 for none")

    for kind, sub in subs.items():
        if kind != "startup":
            sub.add_argument("--threads", type=int, default=None, help="threads of every side (default: physical cores)")
        if kind in ("kernels", "scaling"):
            sub.add_argument("--picture", metavar="FILE", help="draw a picture there (PNG)")
        sub.add_argument("--json", metavar="FILE", help="write every number there")
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _preset(sub, default, what):
    sub.add_argument("--preset", default=default, choices=list(PRESETS), help=f"{what}; {NOT_RECIPES}")


def _turns(sub, rounds, seconds):
    sub.add_argument("--rounds", type=int, default=rounds, help="how often the sides take turns")
    sub.add_argument("--seconds", type=float, default=seconds, help="how long a turn lasts")


def run(args):
    """Returns the exit status."""
    if getattr(args, "rounds", 1) < 1:
        raise UsageError(f"--rounds is {args.rounds}; it must be at least 1")
    return importlib.import_module(f"toylm.bench.{KINDS[args.kind][0]}").run(args)
