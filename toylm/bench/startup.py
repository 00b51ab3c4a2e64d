"""`toylm bench startup`: what a user waits for: --help, the first training step of a warm start, and with a cold compile.

Each is a process timed from its start, medians. The first step is that of `toylm train --config nano`, its text prepared
beforehand, timed until its line is printed; the library's, that of a script which makes a model and takes one step. Cold
means a fresh folder for compiled kernels (NUMBA_CACHE_DIR), so every kernel of training is compiled; prepared text stays.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..errors import UsageError
from ..files import write_json
from ..host import cpu_name
from .sides import environment

SCRIPT = """
import numpy as np, toylm
config = toylm.ModelConfig(vocab_size=1024, d_model=64, d_ff=256, n_heads=4, n_layers=2, context_length=64)
model = toylm.TransformerLM(config, seed=0)
tokens = np.arange(8 * 64).reshape(8, 64) % 1024
model.loss_and_gradients(tokens, tokens)
toylm.AdamW(model.parameters).step(model.gradients)
"""
FIRST_STEP = "step 00001"
# name -> seconds that it may take
BARS = {"toylm --help": None, "warm, library": 2.5, "warm, toylm train": 2.5, "cold, toylm train": 30.0}


def seconds_of(command, folder, variables, until=None):
    """Seconds from the start of a process to its end, or to its first line that starts with `until` (it is then ended).

    Raises UsageError with what it printed if it fails or never prints that line.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace")  # fmt: skip
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if until is not None and line.startswith(until):
                return time.perf_counter() - began
        if process.wait() == 0 and until is None:
            return time.perf_counter() - began
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    raise UsageError(f"{' '.join(command[:4])} ended with status {process.returncode}: {''.join(lines[-3:]).strip()}")


def help_seconds(folder):
    """toylm --help, as a process."""
    return seconds_of([sys.executable, "-m", "toylm", "--help"], folder, environment())


def library_seconds(folder):
    """A script that takes one training step."""
    return seconds_of([sys.executable, "-c", SCRIPT], folder, environment())


def train_seconds(folder, kernel_cache=None, program=("-m", "toylm")):
    """`toylm train --config nano` until the line of its first step, in a run folder that is thrown away; program: Python's
    arguments that are `toylm`."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as fresh:
        command = [sys.executable, *program, "train", "--config", "nano", "--steps", "1"]
        command += ["--out", str(Path(fresh) / "run")]
        changes = {} if kernel_cache is None else {"NUMBA_CACHE_DIR": str(kernel_cache)}
        return seconds_of(command, fresh, environment(**changes), FIRST_STEP)


def cold_seconds(folder, program=("-m", "toylm")):
    """The same with no compiled kernel at hand."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as cache:
        return train_seconds(folder, cache, program)


def run(args):
    """Returns the exit status: 1 where a bar is missed."""
    print(f"{cpu_name()}; processes, medians")
    kinds = {"toylm --help": help_seconds, "warm, library": library_seconds, "warm, toylm train": train_seconds}
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        train_seconds(folder)  # prepares the text, compiles what is not compiled yet
        library_seconds(folder)
        times = {name: [] for name in kinds}
        for _ in range(args.rounds):
            for name, measure in kinds.items():
                times[name].append(measure(folder))
        for name, seconds in times.items():
            results[name] = _report(name, seconds)
        if args.cold_rounds:
            cold = [cold_seconds(folder) for _ in range(args.cold_rounds)]
            results["cold, toylm train"] = _report("cold, toylm train", cold)
    if args.json:
        write_json(args.json, {"cpu": cpu_name(), "startup": results})
    return 0 if all(r["within"] for r in results.values()) else 1


def _report(name, seconds):
    median, bar = statistics.median(seconds), BARS[name]
    within = bar is None or median <= bar
    against = "" if bar is None else f"   bar {bar:g} s: {'kept' if within else 'MISSED'}"
    print(f"{name:<20}{median:8.2f} s   ({min(seconds):.2f} to {max(seconds):.2f}){against}", flush=True)
    return {"median": median, "seconds": seconds, "bar": bar, "within": within}
