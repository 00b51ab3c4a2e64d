"""Fixtures that several folders share: little texts, and finished runs of very small models."""

import random

import pytest
from small_run import SMALL, make_text

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


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    """A UTF-8 text of 120 short documents."""
    path = tmp_path_factory.mktemp("text") / "animals.txt"
    path.write_text(make_text(), encoding="utf-8")
    return path


@pytest.fixture
def train(text_file, tmp_path, monkeypatch):
    """train(*flags, out="run", small=True) runs `toylm train` in this process and returns its status; runs/ is temporary."""
    monkeypatch.chdir(tmp_path)

    def run(*flags, data=text_file, small=True):
        text = [] if "--resume" in flags or data is None else ["--data", str(data)]
        settings = SMALL if small and "--resume" not in flags else []
        if str(data).startswith("task:"):  # it has no tokenizer
            settings = SMALL[2:]
        return run_verb("train", [*text, *settings, *map(str, flags)])

    return run


@pytest.fixture(scope="session")
def trained_run(text_file, tmp_path_factory):
    """The folder of a finished run of 20 steps. Read only."""
    path = tmp_path_factory.mktemp("trained") / "run"
    flags = ["--data", str(text_file), "--out", str(path), "--steps", "20", "--sample-every", "10", "--sample-tokens", "8"]
    assert run_verb("train", [*SMALL, *flags, "--quiet"]) == 0
    return path
