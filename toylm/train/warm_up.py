"""Compile or load every kernel of a training run before its first step, so that every process computes with the same code.

A process that compiles a kernel runs another machine code than one that loads it from the cache: what a kernel calls is
optimised by itself and once more as part of the kernel. The first is what the process runs that compiled both, the second what
is loaded, and the two may round sums differently. So the kernels are compiled in a process of their own, once for a machine,
and always loaded here, in the same order. A run that is stopped and resumed then has the bits of one that was not.
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


def use_all_kernels(*kinds):
    """One training step, one evaluation and one text of a model that is as small as they come."""
    model, tokens, step, passes = _smallest(*kinds)
    model.loss_and_gradients(tokens, tokens, scale=1.0, **passes)
    step()
    model.loss(tokens, tokens)
    _generate(model)


def _generate(model):
    model.generate([0], 3, temperature=1.0, seed=0)


def _use_forward(model, tokens):
    """The kernels of a forward pass, products first."""
    import numpy as np

    x, logits = np.zeros((tokens.size, model.config.d_model), model.dtype), np.zeros((tokens.size, 16), model.dtype)
    model.unembedding.forward(model.parameters, x, logits, model.log_counts(tokens))
    model.loss(tokens, tokens)


def _use_backward(model, tokens, step, dropout, folds):
    """The kernels of a training step without most of the forward ones: the activations are zeros.

    First those that share nothing with the forward pass, and products last: the process that compiles them (`_use_forward`) is then
    through with them, and this one loads them.
    """
    import numpy as np

    from ..model.dropout import Dropout

    masks = Dropout(dropout, 0, 1, model.workspace) if dropout else None
    a = model.workspace.activations(*tokens.shape)
    for buffer in model.workspace.pool.buffers.values():
        buffer.fill(0)
    a.tokens, dnorm = tokens, np.zeros_like(a.final_norm)
    step()
    model.embedding.backward(model.gradients, tokens, dnorm)
    model._backward_from_norm(a, dnorm, masks)
    model.unembedding.losses_and_gradients(
        model.parameters, model.gradients, model.workspace, dnorm, tokens.reshape(-1), 1.0, dnorm.copy(),
        model.log_counts(tokens, folds),
    )  # fmt: skip


def _smallest(positions, precision, optimizer, norm, feed_forward, biases, dropout, counts):
    """(model, tokens, function that takes an optimizer step, dropout and folds of a training pass) of these kinds."""
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
    folds = None
    if config.counts:
        from ..data.token_file import TokenFile
        from ..fitters.counts_offset import attach_counts

        text = np.tile(np.arange(16, dtype=np.uint16), 8)
        attach_counts(model, TokenFile(text, 16, 15), 3, 2)
        folds = np.zeros(2, np.int64)
    stepper = make_optimizer(TrainSettings(optimizer=optimizer), model.parameters)

    def step():
        stepper.step(model.gradients, learning_rate=1e-3, max_norm=1.0)

    return model, np.arange(16, dtype=np.int64).reshape(2, 8), step, {"dropout": float(dropout), "folds": folds}


def _marker(kinds):
    """A file beside the kernel cache that tells: these kernels were compiled for this target by this Numba."""
    import llvmlite
    import numba
    from numba.core.registry import cpu_target

    from ..kernels.jit import CACHE_DIRECTORY

    target = cpu_target.target_context.codegen().magic_tuple()  # by which Numba's cache tells processors apart, overrides included
    versions = [numba.__version__, llvmlite.__version__, platform.python_version()]
    what = [*kinds, *(os.environ.get(name, "") for name in ("TOYLM_MATMUL", "TOYLM_BF16")), *versions, *target]
    return Path(CACHE_DIRECTORY) / f"compiled-{hashlib.sha256(' '.join(what).encode()).hexdigest()[:16]}"


def _touch(marker):
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text("", encoding="utf-8")
    except OSError:
        pass  # a cache that cannot be written: compiled anew in every process


def _compile_apart(kinds):
    """Compile in child processes; whether all succeeded (if not, this process compiles for itself).

    Three at a time, each for a part of the kernels; a last one goes through all of them for what the parts may have missed.
    With -P, since a folder named toylm may lie where they start, as it does in a checkout: they would compile that one's kernels,
    which Numba keeps apart from this one's.
    """
    from ..kernels.jit import CACHE_DIRECTORY

    root = str(Path(__file__).absolute().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}
    # Where the marker will lie, whatever has become of TOYLM_CACHE since.
    environment["NUMBA_CACHE_DIR"] = str(Path(CACHE_DIRECTORY).parent)
    for parts in (("forward", "backward", "text"), ("all",)):
        children = [
            subprocess.Popen(
                [sys.executable, "-P", "-m", "toylm.train.warm_up", part, *kinds], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
            )
            for part in parts
        ]  # fmt: skip
        try:
            failed = [child.wait() for child in children]
        except BaseException:  # Ctrl-C
            for child in children:
                child.kill()
            raise
        if any(failed):
            return False
    return True


def main(part, *kinds):
    """What a child process does."""
    if part == "all":
        return use_all_kernels(*kinds)
    model, tokens, step, passes = _smallest(*kinds)
    if part == "forward":
        _use_forward(model, tokens)
    elif part == "text":
        _generate(model)
    else:
        _use_backward(model, tokens, step, **passes)


if __name__ == "__main__":
    main(*sys.argv[1:])
