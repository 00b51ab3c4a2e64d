"""`toylm bench ablate`: the training step with and without each mechanism of the engine, in turn, in one run.

A mechanism stays in the engine only if it pays: it makes the step at least 5 % faster at tiny or at small, or 10 % beside a busy
loop on one of the cores, or spares a tenth of the memory. A factor is the time of the step without it over the time with it,
the median of the turns. The first line measures the unchanged step against itself: what differs from 1 there is noise.
"""

import dataclasses
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

from .. import reference
from ..files import write_json
from ..host import cpu_name
from ..model import attention_part, feed_forward_part, workspace
from ..model.precision import Precision
from ..threads import physical_cores
from .presets import PRESETS
from .sides import Neighbour, Side, median_ratio, parse_names, take_turns
from .startup import cold_seconds, train_seconds

PAYS, PAYS_BESIDE_LOOP, PAYS_IN_MEMORY = 1.05, 1.10, 1.10
SMALLEST = "nano"  # where a factor decides only if no other preset is measured


@dataclass(frozen=True)
class Mechanism:
    """what: the mechanism | what stands in for it; replacements: function that returns a list of (owner, name, what it is set to),
    and variables: environment variables, both of which switch it off before a model is made."""

    what: str
    replacements: Callable = list
    variables: dict = field(default_factory=dict)

    def switch_off(self):
        """Put the replacements in place, in a process that is thrown away afterwards."""
        for owner, name, value in self.replacements():
            if not hasattr(owner, name):
                raise AttributeError(f"{owner.__name__} has no {name}: the mechanism is gone or has another name")
            setattr(owner, name, value)


class _Apart(Precision):
    """A precision whose products may not be part of larger kernels."""

    fused = False


def feed_forward_apart():
    """The feed-forward part operation by operation: product, activation, product."""
    make = feed_forward_part.FeedForward.__init__

    def make_apart(self, config, prefix, precision):
        make(self, config, prefix, _Apart(precision.name, precision.dtype))

    return [(feed_forward_part.FeedForward, "__init__", make_apart)]


def attention_backward_apart():
    """The backward pass of attention, its projections and its norm, kernel by kernel."""
    return [(workspace, "attention_in_one_kernel", lambda *sizes: False)]


def stored_attention():
    """Attention as reference.py computes it: all (T, T) probabilities are kept for the backward pass."""
    kept = {}  # the address of a block's qkv -> its probabilities

    def sizes(qkv, z, T, H):
        return T, H, (qkv.shape[1] * H // z.shape[1] - H) // 2

    def forward(qkv, z, log_sums, T, H, bf16=False):
        z[:], kept[qkv.ctypes.data] = reference.attention_forward(qkv, *sizes(qkv, z, T, H))

    def backward(qkv, z, dz, log_sums, dqkv, T, H, bf16=False):
        dqkv[:] = reference.attention_backward(dz, qkv, kept[qkv.ctypes.data], *sizes(qkv, z, T, H))

    return [
        (attention_part, "attention_forward", forward),
        (attention_part, "attention_backward", backward),
        *attention_backward_apart(),
    ]


def whole_logits():
    """The logits of all rows at once."""
    return [(workspace, "chunk_rows", lambda *sizes: 2**62)]


MECHANISMS = {
    "nothing": Mechanism("the unchanged step once more"),
    "products": Mechanism("toylm's products | NumPy's BLAS, nothing fused", variables={"TOYLM_MATMUL": "blas"}),
    "feed-forward": Mechanism("feed-forward in one kernel | operation by operation", feed_forward_apart),
    "attention": Mechanism("attention without (T, T) matrices | reference.py's, which keeps them", stored_attention),
    "attention backward": Mechanism("attention, projections, norm backward in one kernel | in several", attention_backward_apart),
    "chunks": Mechanism("loss in chunks of rows | all logits at once", whole_logits),
    "short spinning": Mechanism("waiting threads soon sleep | OpenMP's default", variables={"GOMP_SPINCOUNT": "300000"}),
}
WARM_UP = "kernels compiled by two processes at once | by the training process"
WITHOUT_WARM_UP = """
import sys
from toylm.cli import main
from toylm.train import warm_up
warm_up._compile_apart = lambda settings: None
sys.exit(main(sys.argv[1:]))
"""


def run(args):
    """Returns the exit status."""
    presets = list(dict.fromkeys(parse_names(args.preset, PRESETS, "preset")))
    names = parse_names(args.only, MECHANISMS, "mechanism") or list(MECHANISMS)
    threads = args.threads or physical_cores()
    print(f"{cpu_name()}, {threads} threads; time of a training step without over with, medians of {args.rounds} turns", flush=True)
    rows = {name: {"what": MECHANISMS[name].what, "factor": {}, "beside_loop": {}, "memory": {}} for name in names}
    for preset in presets:
        measure(preset, rows, threads, args)
        print(f"  {preset} is measured", flush=True)
    print(f"\n{'with | without':<72}{''.join(f'{preset:>8}' for preset in presets)}")
    for name, row in rows.items():
        row["verdict"] = "(noise)" if name == "nothing" else verdict(row)
        print(f"{name + ': ' + row['what']:<72}{_cells(row['factor'])}  {row['verdict']}")
        if args.beside_loop:
            print(f"{'    beside a busy loop':<72}{_cells(row['beside_loop'])}")
    if args.cold_rounds:
        rows["warm-up"] = row = measure_warm_up(args.cold_rounds)
        print(f"warm-up: {WARM_UP}: the first step of a cold start after {row['with']:.1f} | {row['without']:.1f} s")
    if args.json:
        write_json(args.json, {"cpu": cpu_name(), "threads": threads, "rounds": args.rounds, "mechanisms": rows})
    return 0


def _cells(factors):
    return "".join(f"{factor:8.2f}" for factor in factors.values())


def measure(preset, rows, threads, args):
    """Fill in the factors of all `rows`, mechanism -> row, at one preset."""
    task = {"kind": "train", "shape": dataclasses.asdict(PRESETS[preset]), "threads": threads, "positions": "rope"}
    sides, neighbour = [], None
    try:
        sides.append(Side("toylm", task))
        for name in rows:
            sides.append(Side(name, task | {"without": name}, "toylm.bench.worker_toylm", MECHANISMS[name].variables))
        if args.beside_loop:
            neighbour = Neighbour("loop", task)
        take_turns(sides, args.rounds, args.seconds, neighbour)
    finally:
        for side in filter(None, (*sides, neighbour)):
            side.close()
    ours, *others = sides
    for row, side in zip(rows.values(), others):
        for key, times in (("factor", "seconds"), ("beside_loop", "beside")):
            if times in side.answers[0]:
                row[key][preset] = median_ratio([a[times] for a in side.answers], [a[times] for a in ours.answers])
        row["memory"][preset] = side.peak_bytes / ours.peak_bytes if ours.peak_bytes else 1.0


def verdict(row):
    """Whether a mechanism pays, by its factors: {"factor", "beside_loop", "memory"}, each by preset."""
    for key, bar, where in (("factor", PAYS, ""), ("beside_loop", PAYS_BESIDE_LOOP, " beside a busy loop"),
                            ("memory", PAYS_IN_MEMORY, " in memory")):  # fmt: skip
        factors = [factor for preset, factor in row[key].items() if preset != SMALLEST or len(row[key]) == 1]
        if factors and max(factors) >= bar:
            return f"pays{where} ({max(factors):.2f} x)"
    return "does not pay"


def measure_warm_up(rounds):
    """Seconds to the first step of `toylm train` with no compiled kernel at hand, with and without warm-up processes; medians."""
    times = {"with": [], "without": []}
    with tempfile.TemporaryDirectory() as folder:
        train_seconds(folder)  # prepares the text
        for _ in range(rounds):
            times["with"].append(cold_seconds(folder))
            times["without"].append(cold_seconds(folder, ("-c", WITHOUT_WARM_UP)))
    return {"what": WARM_UP, **{way: statistics.median(seconds) for way, seconds in times.items()}}
