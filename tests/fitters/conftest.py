"""What the tests of toylm fit share: a finished run of a very small model."""

import random

import pytest

from toylm.cli import run_verb


@pytest.fixture(scope="session")
def stories(tmp_path_factory):
    """A UTF-8 text of short documents."""
    rng = random.Random(0)
    words, verbs = ["cat", "dog", "bird", "tree", "house", "boat"], ["saw", "liked", "found", "carried"]
    path = tmp_path_factory.mktemp("text") / "animals.txt"
    documents = []
    for i in range(120):
        said = [f"The {rng.choice(words)} {rng.choice(verbs)} the {rng.choice(words)} number {i}." for _ in range(3)]
        documents.append(" ".join(said) + "\n<|endoftext|>\n")
    path.write_text("".join(documents), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_run(stories, tmp_path_factory):
    """The folder of a finished run of 20 steps: 3 blocks, width 16. Read only."""
    path = tmp_path_factory.mktemp("trained") / "run"
    flags = ["--data", str(stories), "--out", str(path), "--steps", "20", "--vocab-size", "300", "--held-out", "0.2", "--d-model",
             "16", "--n-heads", "2", "--n-layers", "3", "--context-length", "16", "--batch-size", "8", "--learning-rate", "0.01",
             "--log-every", "10", "--eval-every", "20", "--save-every", "20", "--sample-every", "none", "--quiet"]  # fmt: skip
    assert run_verb("train", flags) == 0
    return path
