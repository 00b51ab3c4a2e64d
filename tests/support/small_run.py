"""A very small run: its flags and its text."""

import random

SMALL = [
    *("--vocab-size", "300", "--held-out", "0.2"),
    *("--d-model", "16", "--n-heads", "2", "--n-layers", "1", "--context-length", "16"),
    *("--batch-size", "4", "--learning-rate", "0.01", "--threads", "1"),
    *("--log-every", "4", "--eval-every", "10", "--save-every", "10", "--sample-every", "none"),
]


def make_text(documents=120, seed=0):
    """Documents of a few sentences each, every one closed by <|endoftext|>."""
    rng = random.Random(seed)
    words = ["cat", "dog", "bird", "tree", "house", "river", "boat", "apple"]
    verbs = ["saw", "liked", "found", "carried", "painted", "followed"]
    lines = []
    for i in range(documents):
        sentences = [
            f"The {rng.choice(words)} {rng.choice(verbs)} the {rng.choice(words)} number {i}." for _ in range(rng.randint(2, 5))
        ]
        lines.append(" ".join(sentences) + "\n<|endoftext|>\n")
    return "".join(lines)
