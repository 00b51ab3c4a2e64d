"""toylm's side of a benchmark: python -m toylm.bench.worker_toylm, driven by toylm.bench.sides."""

import numpy as np

from .sides import serve


def prepare(task):
    import toylm

    if task["kind"] == "product":
        return _product(task["size"], task["threads"])
    s = task["shape"]
    config = toylm.ModelConfig(
        s["vocab_size"], s["d_model"], s["d_ff"], s["n_heads"], s["n_layers"], s["length"], positions="learned"
    )
    model = toylm.TransformerLM(config, seed=0, precision=task.get("precision", "float32"), threads=task["threads"])
    if task["kind"] == "generate":
        prompt = task["prompt"]

        def generate():
            return len(model.generate(prompt, task["tokens"], temperature=0))

        return generate, {}
    optimizer = toylm.AdamW(model.parameters, 1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    batch = np.random.default_rng(0).integers(0, s["vocab_size"], (s["batch"], s["length"] + 1))
    tokens, targets = batch[:, :-1].copy(), batch[:, 1:].copy()

    def step():
        loss = model.loss_and_gradients(tokens, targets)
        optimizer.step(model.gradients, max_norm=1.0)
        model.gradients.zero_()
        return loss

    return step, {"parameters": model.n_parameters}


def _product(size, threads):
    """The float32 product of two square matrices: what a training step, most of which is products, can hope for."""
    from ..kernels.matmul import matmul
    from ..threads import set_threads

    set_threads(threads)
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    out = np.empty_like(a)

    def step():
        return matmul(a, b, out)[0, 0]

    return step, {}


if __name__ == "__main__":
    serve(prepare)
