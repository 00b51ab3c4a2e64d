"""Compile or load every kernel of a training run before its first step, so that every process computes with the same code.

A process that compiles a parallel kernel runs another machine code than one that loads it from the cache: Numba optimises the
body of a prange twice, uses the first result where it compiled it and the second where it loads it, and the two may round
sums differently. So the kernels are compiled in a process of their own, once for a machine, and always loaded here, in the
same order. A run that is stopped and resumed then has the bits of one that was not.
"""

import hashlib
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

_KINDS = ("positions", "precision", "optimizer", "norm", "feed_forward", "biases")


def load_kernels(settings, console):
    """Load all kernels that the settings need, compiling them first where this machine has not yet. Returns the seconds
    that compiling took.
    """
    from ..kernels.jit import compile_seconds

    kinds = [*(str(getattr(settings, name)) for name in _KINDS), "0.5" if settings.dropout else "0"]
    kinds.append(str(settings.counts is not None))
    began = time.perf_counter()
    marker = _marker(kinds)
    compiled = 0.0
    if not marker.exists():
        console.say("compiling kernels, once for this machine (up to a minute) ...")
        if _compile_apart(kinds):
            _touch(marker)
        compiled = time.perf_counter() - began
    before = compile_seconds()
    use_all_kernels(*kinds)
    compiled += compile_seconds() - before
    if compiled > 0.05:
        console.say(f"kernels compiled in {compiled:.1f} s (kept on disk for the next time)")
    return compiled


def use_all_kernels(positions, precision, optimizer, norm, feed_forward, biases, dropout, counts):
    """One training step, one evaluation and one text of a model that is as small as they come."""
    import numpy as np

    from ..config import ModelConfig
    from ..model.transformer import TransformerLM
    from .settings import TrainSettings
    from .setup import make_optimizer

    config = ModelConfig(
        vocab_size=16, d_model=8, d_ff=16, n_heads=2, n_layers=1, context_length=8, positions=positions, norm=norm,
        feed_forward=feed_forward, biases=biases == "True", counts=counts == "True",
    )  # fmt: skip
    model = TransformerLM(config, seed=0, precision=precision)
    tokens = np.arange(16, dtype=np.int64).reshape(2, 8)
    folds = None
    if config.counts:
        from ..data.token_file import TokenFile
        from ..fitters.counts_offset import attach_counts

        text = np.tile(np.arange(16, dtype=np.uint16), 8)
        attach_counts(model, TokenFile(text, 16, 15), 3, 2)
        folds = np.zeros(2, np.int64)
    stepper = make_optimizer(TrainSettings(optimizer=optimizer), model.parameters)
    model.loss_and_gradients(tokens, tokens, scale=1.0, dropout=float(dropout), folds=folds)
    stepper.step(model.gradients, learning_rate=1e-3, max_norm=1.0)
    model.loss(tokens, tokens)
    model.generate([0], 3, temperature=1.0, seed=0)


def _marker(kinds):
    """A file beside the kernel cache that tells: these kernels were compiled for this processor by this Numba."""
    import llvmlite
    import llvmlite.binding as llvm
    import numba

    from ..kernels.jit import CACHE_DIRECTORY

    processor = [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    versions = [numba.__version__, llvmlite.__version__, platform.python_version()]
    what = [*kinds, os.environ.get("TOYLM_MATMUL", ""), *versions, *processor]
    return Path(CACHE_DIRECTORY) / f"compiled-{hashlib.sha256(' '.join(what).encode()).hexdigest()[:16]}"


def _touch(marker):
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text("", encoding="utf-8")
    except OSError:
        pass  # a cache that cannot be written: compiled anew in every process


def _compile_apart(kinds):
    """Compile in a child process; whether it succeeded (if not, this process compiles for itself)."""
    root = str(Path(__file__).absolute().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "toylm.train.warm_up", *kinds]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return done.returncode == 0


if __name__ == "__main__":
    use_all_kernels(*sys.argv[1:])
