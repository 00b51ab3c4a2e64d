"""JAX's side: the same model as one jitted training step with AdamW written out."""

import os

from .sides import serve


def prepare(task):
    threads = task["threads"]
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    import jax
    import jax.numpy as jnp
    import numpy as np

    s = task["shape"]
    d, L, H, ff, V, T = (s[k] for k in ("d_model", "n_layers", "n_heads", "d_ff", "vocab_size", "length"))
    rng = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(rng.standard_normal(shape) * 0.02, jnp.float32)

    params = {"tokens": normal(V, d), "positions": normal(T, d), "norm": jnp.ones(d), "blocks": []}
    for _ in range(L):
        block = {"norm1": jnp.ones(d), "qkv": normal(d, 3 * d), "out": normal(d, d)}
        params["blocks"].append(block | {"norm2": jnp.ones(d), "up": normal(d, ff), "down": normal(ff, d)})

    def norm(x, gain):
        return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5) * gain

    def loss_of(p, x, y):
        B = x.shape[0]
        h = p["tokens"][x] + p["positions"]
        mask = jnp.tril(jnp.ones((T, T), bool))
        for block in p["blocks"]:
            q, k, v = (
                part.reshape(B, T, H, d // H).transpose(0, 2, 1, 3)
                for part in jnp.split(norm(h, block["norm1"]) @ block["qkv"], 3, -1)
            )
            scores = jnp.where(mask, q @ k.swapaxes(-1, -2) / (d // H) ** 0.5, -jnp.inf)
            z = (jax.nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(B, T, d)
            h = h + z @ block["out"]
            h = h + jax.nn.gelu(norm(h, block["norm2"]) @ block["up"], approximate=True) @ block["down"]
        logits = norm(h, p["norm"]) @ p["tokens"].T
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1).mean()

    @jax.jit
    def update(p, m, v, count, x, y):
        loss, g = jax.value_and_grad(loss_of)(p, x, y)
        length = jnp.sqrt(sum(jnp.sum(t * t) for t in jax.tree.leaves(g)))
        g = jax.tree.map(lambda t: t * jnp.minimum(1.0, 1.0 / length), g)
        m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = jax.tree.map(lambda a, b: 0.95 * a + 0.05 * b * b, v, g)
        c1, c2 = 1 - 0.9**count, 1 - 0.95**count
        p = jax.tree.map(
            lambda w, a, b: w * (1 - 1e-4 * (w.ndim == 2)) - 1e-3 * (a / c1) / (jnp.sqrt(b / c2) + 1e-8), p, m, v
        )
        return p, m, v, loss

    batch = rng.integers(0, V, (s["batch"], T + 1))
    x, y = jnp.asarray(batch[:, :-1]), jnp.asarray(batch[:, 1:])
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = [params, zeros, zeros, 0]

    def step():
        state[3] += 1
        state[0], state[1], state[2], loss = update(state[0], state[1], state[2], state[3], x, y)
        return float(loss)

    return step


if __name__ == "__main__":
    serve(prepare)
