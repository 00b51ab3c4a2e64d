"""What the tests of training and of its commands share: a little text, settings for a very small model, one trained run."""

import pytest
from small_run import SMALL, make_text

from toylm.cli import run_verb


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
        return run_verb("train", [*text, *settings, *map(str, flags)])

    return run


@pytest.fixture(scope="session")
def trained_run(text_file, tmp_path_factory):
    """The folder of a finished run of 20 steps. Read only."""
    path = tmp_path_factory.mktemp("trained") / "run"
    flags = ["--data", str(text_file), "--out", str(path), "--steps", "20", "--sample-every", "10", "--sample-tokens", "8"]
    assert run_verb("train", [*SMALL, *flags, "--quiet"]) == 0
    return path
