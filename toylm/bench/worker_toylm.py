"""toylm's side of a benchmark: python -m toylm.bench.worker_toylm, driven by toylm.bench.sides."""

import numpy as np

import toylm

from ..kernels.matmul import matmul
from ..threads import set_threads
from .ablate import MECHANISMS
from .sides import serve


def prepare(task):
    """The step of a task. kind: "train", "generate" or "product"; without: the name of a mechanism to switch off first."""
    if task["kind"] == "product":
        return _product(task["size"], task["threads"])
    if task.get("without"):
        MECHANISMS[task["without"]].switch_off()
    s = task["shape"]
    sizes = [s[name] for name in ("vocab_size", "d_model", "d_ff", "n_heads", "n_layers", "length")]
    config = toylm.ModelConfig(*sizes, positions=task.get("positions", "learned"))
    model = toylm.TransformerLM(config, seed=0, precision=task.get("precision", "float32"), threads=task["threads"])
    if task["kind"] == "generate":
        return lambda: len(model.generate(task["prompt"], task["tokens"], temperature=0))
    optimizer = toylm.AdamW(model.parameters, 1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    batch = np.random.default_rng(0).integers(0, s["vocab_size"], (s["batch"], s["length"] + 1))
    tokens, targets = batch[:, :-1].copy(), batch[:, 1:].copy()

    def step():
        loss = model.loss_and_gradients(tokens, targets)
        optimizer.step(model.gradients, max_norm=1.0)
        model.gradients.zero_()
        return loss

    return step


def _product(size, threads):
    """The float32 product of two square matrices: what a training step, most of which is products, can hope for."""
    set_threads(threads)
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    out = np.empty_like(a)
    return lambda: matmul(a, b, out)[0, 0]


if __name__ == "__main__":
    serve(prepare)
