"""Compile or load every kernel of a training run before its first step, so that every process computes with the same code.

A process that compiles a kernel runs another machine code than one that loads it from the cache: what a kernel calls is
optimised by itself and once more as part of the kernel. The first is what the process runs that compiled both, the second what
is loaded, and the two may round sums differently. So the kernels are compiled in processes of their own, once for a machine
and a model's shape, and always loaded here. A run that is stopped and resumed then has the bits of one that was not.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..console import Console
from ..data import prepare
from ..kernels.jit import compile_seconds, compile_target, kernel_folder
from .interrupt import StopRequest
from .loop import Trainer
from .run_folder import RunFolder
from .settings import FIELDS, MODEL_FIELDS, TrainSettings
from .setup import set_up

PARTS = ("training", "sampling")  # which hardly share a kernel: two processes compile them in less time
# One step of one block on a little text; what a run does now and then it does at once. The widths stay: kernels are chosen by them.
SHORTEST = {
    "data": ("text",), "separator": None, "tokenizer": "byte", "vocab_size": None, "held_out": None, "held_out_data": None,
    "limit": None, "start_from": None, "n_layers": 1, "counts_folds": 2, "counts_share": 0.5, "learning_rate": 1e-6,
    "final_learning_rate": 0.0, "warmup": 0.0, "weight_decay": 0.0, "schedule": "cosine", "cooldown": 0.3,
    "grad_accum": 1, "steps": 1, "minutes": None, "tokens": None,
    "patience": None, "fit_every": None, "fit_tokens": 200, "eval_tokens": 100, "sample_every": 1, "sample_tokens": 3,
    "sample_prompt": "", "seed": 0, "threads": None,
}  # fmt: skip


_loaded = set()  # markers of what this process has rehearsed


def load_kernels(settings, console):
    """Load all kernels that the settings need, compiling them first where this machine has not yet. Returns the seconds
    that compiling took.
    """
    began, compiled = time.perf_counter(), 0.0
    marker = _marker(settings)
    if not marker.exists():
        console.say("preparing kernels for a model of this shape (up to a minute where they must be compiled) ...")
        apart = _compile_apart(settings)
        kept = apart is not None and _touch(marker)
        if apart is None or apart > 0.05:
            compiled = time.perf_counter() - began
            console.say(f"kernels compiled in {compiled:.1f} s{' (kept on disk for the next time)' if kept else ''}")
    before = compile_seconds()
    if marker not in _loaded:
        rehearse(settings)
        _loaded.add(marker)
    return compiled + compile_seconds() - before


def rehearse(settings, parts=PARTS):
    """What a run of these settings does, once, with one block and a little text."""
    short = shortest(settings)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        numbers = range(40 + short.model.context_length // 10)
        lines = (f"{i} is a number, and {i * i} is its square.\n<|endoftext|>\n" for i in numbers)
        text.write_text("".join(lines), encoding="utf-8")
        prepared = prepare(str(text), out=Path(folder, "data"), tokenizer="byte", held_out=0.2, progress=False)
        with RunFolder.create(Path(folder, "run")) as run_folder:
            trainer = Trainer(short, set_up(short, prepared), prepared, run_folder, Console(quiet=True), StopRequest())
            trainer.rehearse(parts)
        del trainer, prepared  # Windows removes no file that is mapped


def shortest(settings):
    """The settings with everything small that only says how often or how long."""
    return settings.updated(SHORTEST | {"counts": settings.counts and 3})


def _marker(settings):
    """A file beside the kernel cache that tells: these kernels were compiled for this target.

    Of the model's shape and of a setting that is a choice the value counts; of any other whether it is set and not zero.
    """
    kinds = {}
    for name, value in shortest(settings).to_dict().items():
        kinds[name] = value if name in MODEL_FIELDS or name == "batch_size" or FIELDS[name].metadata["choices"] else bool(value)
    switches = [os.environ.get(name, "") for name in ("TOYLM_MATMUL", "TOYLM_BF16")]
    what = json.dumps([kinds, switches, compile_target()], sort_keys=True)
    return kernel_folder() / f"compiled-{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def _touch(marker):
    """Make the marker; whether that could be done, and so whether what was compiled is kept."""
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text("", encoding="utf-8")
    except OSError:
        return False
    return True


def _compile_apart(settings):
    """Compile in child processes, one for each part of a run; the seconds the longer one spent on that, or None where one failed:
    then this process compiles for itself.

    With -P, since a folder named toylm may lie where they start, as it does in a checkout: they would compile that one's kernels,
    which are kept apart from this one's.
    """
    root = str(Path(__file__).absolute().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}
    # Where the marker will lie, whatever has become of TOYLM_CACHE since.
    environment["NUMBA_CACHE_DIR"] = str(kernel_folder().parent)
    command = [sys.executable, "-P", "-m", "toylm.train.warm_up", json.dumps(shortest(settings).to_dict())]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "encoding": "utf-8"}
    children = [subprocess.Popen([*command, part], env=environment, **pipes) for part in PARTS]
    try:
        said = [child.communicate()[0] for child in children]
    except BaseException:  # Ctrl-C
        for child in children:
            child.kill()
        raise
    return None if any(child.returncode for child in children) else max(map(float, said))


if __name__ == "__main__":
    rehearse(TrainSettings.from_dict(json.loads(sys.argv[1])), sys.argv[2:])
    print(compile_seconds())
