"""Every kernel as naive loops, NumPy, toylm and PyTorch, against this machine's copy bandwidth and float32 peak.

  toylm bench kernels --picture roofline.png
  toylm bench kernels --preset small --only GELU

The sides run in processes of their own and take turns, the machine's roofs among them; medians. "Python" are plain loops
run by Python on a small case and scaled by the operations; "njit" are the same loops compiled by Numba without a word more
(one thread). Rows and elements are held against a copy of as many bytes as the kernel must move, products and attention
against the peak of fused multiply-adds. Size "memory" are arrays that no cache holds.
"""

import importlib.util
import math
import statistics
import subprocess
import sys
import time
from types import SimpleNamespace

from ..errors import UsageError
from .cases import KERNELS, SMALL, cases_of
from .presets import NOT_RECIPES, PRESETS
from .quiet import BUSY, busy_share, wait_until_quiet
from .sides import Side
from .startup import environment

SIDES = {"python": "Python", "njit": "njit", "numpy": "NumPy", "torch": "PyTorch", "toylm": "toylm"}
MEMORY_MIB = 128
PAUSE = 0.03  # seconds: the threads of OpenBLAS and PyTorch go on spinning for a while, at the expense of whoever is next
SLOW_LOOPS = 5e8  # operations from which the compiled loops are left out: a case would take a minute
LARGE_PRODUCT = {"N": 2048, "d": 2048, "ff": 2048}
# Left alone, OpenBLAS's threads spin for 0.1 s after a product. 2^20 cycles, some 0.4 ms, still reach from one product to the next.
SPIN = "20"


def add_arguments(parser):
    """The arguments of `toylm bench kernels`."""
    parser.add_argument("--preset", default="tiny", choices=list(PRESETS),
                        help=f"shapes of all kernels but the products; {NOT_RECIPES} (default: %(default)s)")  # fmt: skip
    parser.add_argument("--only", default="", metavar="TEXT", help="kernels whose name contains TEXT")
    parser.add_argument("--sides", default=",".join(SIDES), metavar="NAMES",
                        help="comma-separated; toylm is always there (default: %(default)s)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7, help="how often the sides take turns (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.01, help="how long a turn lasts (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=None, help="threads of every side (default: physical cores)")
    parser.add_argument("--memory-mib", type=int, default=MEMORY_MIB, metavar="N",
                        help="MiB moved by the cases that no cache holds, 0: none (default: %(default)s)")  # fmt: skip
    parser.add_argument("--quiet", type=float, default=0, metavar="SECONDS",
                        help="on a shared machine: wait at most so long a kernel for it to be idle (default: 0)")  # fmt: skip
    parser.add_argument("--json", default=None, metavar="FILE", help="write every number there")
    parser.add_argument("--picture", default=None, metavar="FILE", help="draw a roofline there (PNG)")


class GallerySide(Side):
    """One side's process. Its requests are those of worker_gallery."""

    def __init__(self, name, threads):
        self.name, self.answers = name, []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "toylm.bench.worker_gallery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            env={"OPENBLAS_THREAD_TIMEOUT": SPIN, **environment()},
        )  # fmt: skip
        self.ready = self.ask(side=name, threads=threads)

    def ask(self, **request):
        return self._ask(request)


def chosen_sides(names):
    """(sides to run, toylm last; names that are not installed). Raises UsageError for an unknown name."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in SIDES:
            raise UsageError(f"no side {name!r}; valid: {', '.join(SIDES)}")
    missing = [name for name in asked if name == "torch" and importlib.util.find_spec("torch") is None]
    return [name for name in SIDES if (name in asked or name == "toylm") and name not in missing], missing


def run(args):
    """Returns the exit status."""
    from ..host import cpu_name
    from ..threads import physical_cores

    if args.picture and importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--picture needs matplotlib: pip install matplotlib")
    cases = cases_of(args.preset, PRESETS, args.memory_mib * 2**20)
    cases = [case for case in cases if args.only.lower() in case.kernel.lower()]
    if not cases:
        raise UsageError(f"no kernel has {args.only!r} in its name; there are: {', '.join(KERNELS)}")
    if args.rounds < 1:
        raise UsageError(f"rounds is {args.rounds}; it must be at least 1")
    threads = args.threads or physical_cores()
    names, missing = chosen_sides(args.sides)
    for name in missing:
        print(f"skipped {SIDES[name]}: it is not installed")
    print(f"{cpu_name()}, {threads} threads, float32; medians of {args.rounds} turns", flush=True)
    sides = {}
    try:
        for name in ("roofs", *names):
            sides[name] = GallerySide(name, threads)
        machine = quietly(lambda: measure_machine(sides["roofs"], sides["toylm"], args.rounds, args.memory_mib), args.quiet)
        print_machine(machine)
        print_header(names)
        rows = []
        for case in cases:
            rows.append(quietly(lambda: measure_case(case, sides, args.rounds, args.seconds), args.quiet))  # noqa: B023
            print_row(rows[-1], names)
    finally:
        for side in sides.values():
            side.close()
    print_summary(rows, names)
    result = {"cpu": cpu_name(), "threads": threads, "preset": args.preset, "machine": machine, "kernels": rows}
    if args.json:
        from ..files import write_json

        write_json(args.json, result)
    if args.picture:
        from .roofline import draw_roofline

        draw_roofline(result, args.picture)
        print(f"picture: {args.picture}")
    return 0


def measure_machine(roofs, toylm, rounds, memory_mib):
    """The roofs once, for the table's head and the picture: copies in cache and memory (bytes/s), peak (operations/s)."""
    cache, memory = 4 * 2**20, max(memory_mib, 64) * 2**20
    copies = {"copy in cache": cache, "copy in memory": memory}
    case = SimpleNamespace(**LARGE_PRODUCT)
    toylm.ask(case={"kernel": "product A·B", "sizes": LARGE_PRODUCT})
    times = {name: [] for name in (*copies, "peak", "large product")}
    for _ in range(rounds):
        for name, nbytes in copies.items():
            times[name].append(nbytes / roofs.ask(copy=nbytes, repeat=20 if nbytes == cache else 2)["seconds"])
        times["peak"].append(roofs.ask(peak=True, repeat=30)["flops"])
        times["large product"].append(KERNELS["product A·B"].flops(case) / toylm.ask(repeat=1)["seconds"])
    return {name: {"median": statistics.median(values), "best": max(values)} for name, values in times.items()}


def quietly(measure, limit):
    """What `measure()` returns once the machine is idle, and again if it no longer is afterwards; without waiting where
    `limit`, the seconds that all of this may take, is 0.
    """
    start = time.monotonic()
    while limit:
        wait_until_quiet(max(0, limit - (time.monotonic() - start)))
        result = measure()
        if (busy_share() or 0) <= BUSY or time.monotonic() - start > limit:
            return result
    return measure()


def measure_case(case, sides, rounds, seconds):
    """One row: seconds of every side, and the share of its roof that toylm reaches, both as medians over the turns."""
    kernel = KERNELS[case.kernel]
    small = kernel.flops(SimpleNamespace(**SMALL))
    taking_part = {}
    for name, side in sides.items():
        if name in ("roofs", "python") or (name == "njit" and (case.label == "memory" or case.flops > SLOW_LOOPS)):
            continue
        once = side.ask(case=case.to_dict())["seconds"]
        taking_part[name] = max(1, min(500, round(seconds / once)))
    if "python" in sides and case.label != "memory":
        sides["python"].ask(case={"kernel": case.kernel, "sizes": SMALL})
        taking_part["python"] = 1
    times, roof = {name: [] for name in taking_part}, []
    copies = max(1, round(seconds / sides["roofs"].ask(copy=case.nbytes, repeat=1)["seconds"]))
    for turn in range(rounds):
        for name, repeat in taking_part.items():
            if turn > 1 and times[name][0] * repeat > 0.25:
                continue  # two turns of a slow side are enough
            taken = sides[name].ask(repeat=repeat)["seconds"]
            times[name].append(taken)
            if name in ("numpy", "torch"):
                time.sleep(PAUSE)
        if kernel.bound == "copy":
            roof.append(sides["roofs"].ask(copy=case.nbytes, repeat=copies)["seconds"])
        else:
            roof.append(case.flops / sides["roofs"].ask(peak=True, repeat=10)["flops"])
    if "python" in times:
        times["python"] = [taken * case.flops / small for taken in times["python"]]
    ours = statistics.median(times["toylm"])
    return case.to_dict() | {
        "kind": kernel.kind,
        "direction": kernel.direction,
        "bound": kernel.bound,
        "flops": case.flops,
        "bytes": case.nbytes,
        "intensity": case.intensity,
        "seconds": {name: statistics.median(values) for name, values in times.items()},
        "all_seconds": times,
        "gflops": case.flops / ours / 1e9,
        "gbytes": case.nbytes / ours / 1e9,
        "roof_share": statistics.median(best / own for best, own in zip(roof, times["toylm"])),
        "roof_seconds": statistics.median(roof),
        "best_roof_share": min(roof) / min(times["toylm"]),
        "faster_than": {
            name: statistics.median(theirs / own for theirs, own in zip(values, times["toylm"]))
            for name, values in times.items()
            if name != "toylm"
        },
    }


def print_machine(machine):
    """The roofs, in words."""
    rate = {name: f"{value['median'] / 1e9:.0f}" for name, value in machine.items()}
    print(f"copy {rate['copy in cache']} GB/s in cache (4 MiB), {rate['copy in memory']} in memory; "
          f"multiply-adds {rate['peak']} GFLOP/s, a product of 2048 x 2048 x 2048 {rate['large product']}\n")  # fmt: skip


def print_header(names):
    """The table's columns: milliseconds a side, then toylm's rates and its share of its roof."""
    columns = "".join(f"{SIDES[name]:>10}" for name in names)
    print(f"{'ms':<26}{'size':<8}{columns}{'GFLOP/s':>9}{'GB/s':>7}{'of peak':>9}{'of copy':>9}", flush=True)


def print_row(row, names):
    """One kernel."""
    cells = "".join(f"{_milliseconds(row['seconds'].get(name)):>10}" for name in names)
    share = f"{row['roof_share']:9.0%}"
    if row["bound"] == "copy":
        share = f"{'':9}{share}"
    print(f"{row['kernel']:<26}{row['label']:<8}{cells}{row['gflops']:9.1f}{row['gbytes']:7.1f}{share}", flush=True)


def _milliseconds(seconds):
    if seconds is None:
        return ""
    ms = seconds * 1e3
    return f"{ms:,.0f}" if ms >= 1000 else f"{ms:.3g}" if ms >= 1 else f"{ms:.3f}"


def geometric_mean(values):
    """exp of the mean logarithm."""
    return math.exp(statistics.fmean(map(math.log, values)))


def print_summary(rows, names):
    """How many times faster toylm is than each side, geometric means over the kernels; and what stays below the bar."""
    for name in names:
        ratios = [row["faster_than"][name] for row in rows if name in row["faster_than"]]
        if ratios:
            print(f"toylm over {SIDES[name]:8}{geometric_mean(ratios):10,.2f} x (geometric mean of {len(ratios)})")
    low = [f"{row['kernel']} ({row['label']}) {row['roof_share']:.0%}"
           for row in rows if row["kind"] in ("row", "element") and row["roof_share"] < 0.7]  # fmt: skip
    if low:
        print("below 70 % of the copy bandwidth: " + ", ".join(low))
