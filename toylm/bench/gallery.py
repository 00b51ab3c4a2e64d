"""`toylm bench kernels`: every kernel as naive loops, NumPy, toylm and PyTorch, against the machine's copy and float32 peak.

The sides run in processes of their own and take turns, the machine's roofs among them; medians. "Python" are plain loops
run by Python on a small case and scaled by the operations; "njit" are the same loops compiled by Numba without a word more
(one thread). Rows and elements are held against a copy of as many bytes as the kernel must move, products and attention
against the peak of fused multiply-adds. Size "memory" are arrays that no cache holds.
"""

import importlib.util
import math
import statistics
import time
from types import SimpleNamespace

from ..errors import UsageError
from ..files import write_json
from ..host import cpu_name
from ..threads import physical_cores
from .cases import KERNELS, SMALL, cases_of
from .presets import PRESETS
from .sides import Side, median_ratio, parse_names

SIDES = {"python": "Python", "njit": "njit", "numpy": "NumPy", "torch": "PyTorch", "toylm": "toylm"}
PAUSE = 0.03  # seconds: the threads of OpenBLAS and PyTorch go on spinning for a while, at the expense of whoever is next
SLOW_LOOPS = 5e8  # operations from which the compiled loops are left out: a case would take a minute
LARGE_PRODUCT = {"N": 2048, "d": 2048, "ff": 2048}
CACHE_BYTES, LEAST_MEMORY = 4 * 2**20, 64 * 2**20  # of the copies
# Left alone, OpenBLAS's threads spin for 0.1 s after a product. 2^20 cycles, some 0.4 ms, still reach from one product to the next.
VARIABLES = {"OPENBLAS_THREAD_TIMEOUT": "20"}


def chosen_sides(names):
    """(sides to run, toylm last; names that are not installed). Raises UsageError for an unknown name."""
    asked = parse_names(names, SIDES, "side")
    missing = [name for name in asked if name == "torch" and importlib.util.find_spec("torch") is None]
    return [name for name in SIDES if (name in asked or name == "toylm") and name not in missing], missing


def run(args):
    """Returns the exit status."""
    if args.picture:
        from .pictures import draw_roofline  # first of all, since it says where matplotlib is missing
    cases = cases_of(args.preset, PRESETS, args.memory_mib * 2**20)
    cases = [case for case in cases if args.only.lower() in case.kernel.lower()]
    if not cases:
        raise UsageError(f"no kernel has {args.only!r} in its name; there are: {', '.join(KERNELS)}")
    threads = args.threads or physical_cores()
    names, missing = chosen_sides(args.sides)
    for name in missing:
        print(f"skipped {SIDES[name]}: it is not installed")
    print(f"{cpu_name()}, {threads} threads, float32; medians of {args.rounds} turns", flush=True)
    sides = {}
    try:
        for name in ("roofs", *names):
            sides[name] = Side(name, {"threads": threads}, "toylm.bench.worker_gallery", VARIABLES)
        machine = measure_machine(sides["roofs"], sides["toylm"], args.rounds, args.memory_mib)
        print_machine(machine)
        print_header(names)
        rows = []
        for case in cases:
            rows.append(measure_case(case, sides, args.rounds, args.seconds))
            print_row(rows[-1], names)
    finally:
        for side in sides.values():
            side.close()
    print_summary(rows, names)
    result = {"cpu": cpu_name(), "threads": threads, "preset": args.preset, "machine": machine, "kernels": rows}
    if args.json:
        write_json(args.json, result)
    if args.picture:
        draw_roofline(result, args.picture)
        print(f"picture: {args.picture}")
    return 0


def measure_machine(roofs, toylm, rounds, memory_mib):
    """The roofs once, for the table's head and the picture: copies in cache and memory (bytes/s), peak (operations/s)."""
    copies = {"copy in cache": CACHE_BYTES, "copy in memory": max(memory_mib * 2**20, LEAST_MEMORY)}
    flops = KERNELS["product A·B"].flops(SimpleNamespace(**LARGE_PRODUCT))
    toylm.ask(kernel="product A·B", sizes=LARGE_PRODUCT)
    rates = {name: [] for name in (*copies, "peak", "large product")}
    for _ in range(rounds):
        for name, nbytes in copies.items():
            rates[name].append(nbytes / roofs.ask(copy=nbytes, repeat=20 if nbytes == CACHE_BYTES else 2)["seconds"])
        rates["peak"].append(roofs.ask(peak=True, repeat=30)["flops"])
        rates["large product"].append(flops / toylm.ask(repeat=1)["seconds"])
    return {name: {"median": statistics.median(values), "best": max(values)} for name, values in rates.items()}


def measure_case(case, sides, rounds, seconds):
    """One row: seconds of every side, and the share of its roof that toylm reaches, both as medians over the turns."""
    kernel = KERNELS[case.kernel]
    repeats = {}
    for name, side in sides.items():
        slow = case.label == "memory" or case.flops > SLOW_LOOPS
        if name == "python" and case.label != "memory":
            side.ask(kernel=case.kernel, sizes=SMALL)
            repeats[name] = 1
        elif name not in ("roofs", "python") and not (name == "njit" and slow):
            repeats[name] = max(1, min(500, round(seconds / side.ask(kernel=case.kernel, sizes=case.sizes)["seconds"])))
    times, roof = {name: [] for name in repeats}, []
    copies = max(1, round(seconds / sides["roofs"].ask(copy=case.nbytes, repeat=1)["seconds"]))
    for turn in range(rounds):
        for name, repeat in repeats.items():
            if turn > 1 and times[name][0] * repeat > 0.25:
                continue  # two turns of a slow side are enough
            times[name].append(sides[name].ask(repeat=repeat)["seconds"])
            if name in ("numpy", "torch"):
                time.sleep(PAUSE)
        if kernel.bound == "copy":
            roof.append(sides["roofs"].ask(copy=case.nbytes, repeat=copies)["seconds"])
        else:
            roof.append(case.flops / sides["roofs"].ask(peak=True, repeat=10)["flops"])
    if "python" in times:
        scale = case.flops / kernel.flops(SimpleNamespace(**SMALL))
        times["python"] = [taken * scale for taken in times["python"]]
    ours = statistics.median(times["toylm"])
    return {
        "kernel": case.kernel,
        "label": case.label,
        "sizes": case.sizes,
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
        "roof_share": median_ratio(roof, times["toylm"]),
        "roof_seconds": statistics.median(roof),
        "faster_than": {name: median_ratio(values, times["toylm"]) for name, values in times.items() if name != "toylm"},
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
           for row in rows if row["bound"] == "copy" and row["roof_share"] < 0.7]  # fmt: skip
    if low:
        print("below 70 % of the copy bandwidth: " + ", ".join(low))
