"""Small models whose weights are large enough for attention to choose, and a text for them."""

import numpy as np

import toylm

ARCHITECTURES = {
    "rms, rope, gelu": {},
    "GPT-2": dict(norm="layer", positions="learned", biases=True),
    "Llama, shared heads": dict(feed_forward="swiglu", n_kv_heads=2),
    "own head size, squared ReLU": dict(d_head=10, feed_forward="relu2"),
}


def small_model(precision="float64", seed=1, **fields):
    """A model of 3 blocks with 4 heads, width 24, its weights spread enough for the softmax to be uneven."""
    shape = dict(vocab_size=50, d_model=24, d_ff=40, n_heads=4, n_layers=3, context_length=32) | fields
    model = toylm.TransformerLM(toylm.ModelConfig(**shape), seed=seed, precision=precision)
    rng = np.random.default_rng(seed)
    for _, mat in model.parameters.items():
        mat.flat[:] += (0.3 * rng.standard_normal(mat.flat.size)).astype(mat.flat.dtype)
    return model


def token_text(documents=60, seed=0, vocab_size=50):
    """A flat array of ids: documents of 8 to 30 tokens, each closed by 0."""
    rng = np.random.default_rng(seed)
    parts = [np.append(rng.integers(1, vocab_size, rng.integers(8, 31)), 0) for _ in range(documents)]
    return np.concatenate(parts)
