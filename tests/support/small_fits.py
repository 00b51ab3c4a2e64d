"""What the tests of fitters share: a text with structure, a small model trained on it, its data."""

import numpy as np

import toylm
from toylm.data.token_file import TokenFile
from toylm.fitters import FitData, make_fitter

VOCABULARY = 40
SHAPES = {
    "rms, rope, gelu": {},
    "GPT-2": dict(norm="layer", positions="learned", biases=True),
    "Llama, shared heads": dict(feed_forward="swiglu", n_kv_heads=2, tied=False),
    "squared ReLU, output bias": dict(feed_forward="relu2", output_bias=True),
}


def chain_text(documents=260, seed=0):
    """Ids of documents drawn from a Markov chain in which each token prefers three others; 0 closes a document."""
    rng = np.random.default_rng(seed)
    following = 1 + np.random.default_rng(99).integers(0, VOCABULARY - 1, (VOCABULARY, 3))
    parts = []
    for _ in range(documents):
        ids = [int(rng.integers(1, VOCABULARY))]
        for _ in range(int(rng.integers(10, 30))):
            ids.append(int(rng.choice(following[ids[-1]])) if rng.random() < 0.9 else int(rng.integers(1, VOCABULARY)))
        parts.append([*ids, 0])
    return np.concatenate(parts)


def small_data(**settings):
    """A FitData of chains: some 4,500 training and 500 held-out tokens."""
    ids = chain_text().astype(np.uint16)
    cut = int(np.flatnonzero(ids == 0)[233]) + 1
    train, held_out = TokenFile(ids[:cut], VOCABULARY), TokenFile(ids[cut:], VOCABULARY)
    for file in (train, held_out):
        file.byte_lengths = np.full(VOCABULARY, 2)
    return FitData(train, held_out, **(dict(context_length=16, batch_size=16) | settings))


def small_model(precision="float64", seed=0, **fields):
    """An untrained model of 3 blocks, width 16."""
    shape = dict(vocab_size=VOCABULARY, d_model=16, d_ff=32, n_heads=4, n_layers=3, context_length=16) | fields
    return toylm.TransformerLM(toylm.ModelConfig(**shape), seed=seed, precision=precision)


def trained_model(data, precision="float64", steps=120, **fields):
    """The same after some steps of Adam."""
    model = small_model(precision, **fields)
    make_fitter("all", "adam", steps=steps, learning_rate=1e-2).fit(model, data)
    return model
