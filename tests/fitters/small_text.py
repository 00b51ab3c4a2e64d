"""A little text for the fitters' tests."""

import random


def make_text(documents=160, seed=0):
    """Documents of a few sentences each, every one closed by <|endoftext|>."""
    rng = random.Random(seed)
    words = ["cat", "dog", "bird", "tree", "house", "river", "boat", "apple"]
    verbs = ["saw", "liked", "found", "carried", "painted", "followed"]
    texts = []
    for i in range(documents):
        sentences = [f"The {rng.choice(words)} {rng.choice(verbs)} the {rng.choice(words)} {i}." for _ in range(rng.randint(2, 5))]
        texts.append(" ".join(sentences) + "\n<|endoftext|>\n")
    return "".join(texts)
