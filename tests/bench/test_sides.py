"""Peers and their processes: which are measured at what, and a worker that fails."""

import importlib.util
import subprocess
import sys
import types

import pytest

from toylm.bench import sides
from toylm.cli import main
from toylm.errors import UsageError

TASK = {"kind": "train", "shape": {}, "threads": 1}


def test_peers_that_only_train_are_named_and_skipped_at_generating(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    everyone = "torch-eager, torch-compile,torch-bf16,torch-compile-bf16,jax"
    available, skipped = sides.choose(everyone, "generate")
    assert available == ["torch-eager"]
    assert skipped == [(name, "measures training only") for name in everyone.replace(" ", "").split(",")[1:]]
    assert sides.choose(everyone) == (everyone.replace(" ", "").split(","), [])
    with pytest.raises(UsageError, match="no peer 'jaxx'; did you mean 'jax'"):
        sides.choose("jaxx", "generate")


def test_peers_that_are_not_installed_are_named_and_skipped(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert sides.choose("torch-eager,jax") == ([], [("torch-eager", "torch is not installed"), ("jax", "jax is not installed")])


def test_generate_runs_the_peers_that_generate(monkeypatch, capsys):
    started = []

    class Started(Exception):
        pass

    def side(name, task):
        started.append(name)
        if len(started) == 2:
            raise Started
        return types.SimpleNamespace(ready={"first_step_seconds": 0.0}, close=lambda: None)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr("toylm.bench.engines.Side", side)
    peers = "jax,torch-compile-bf16,torch-eager"
    with pytest.raises(Started):
        main(["bench", "generate", "--debug", "--preset", "nano", "--threads", "1", "--peers", peers])
    assert started == ["toylm", "torch-eager"]
    said = capsys.readouterr().out
    assert "skipped jax: measures training only\nskipped torch-compile-bf16: measures training only\n" in said


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """A function that makes `code` the program that is run as toylm's side."""

    def install(code):
        (tmp_path / "broken_worker.py").write_text(code, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setitem(sides.PEERS, "toylm", ("broken_worker", ()))

    return install


def test_a_worker_that_fails_at_once_is_one_line(worker, capfd):
    worker("raise SystemExit('no such instruction')")
    assert main(["bench", "train", "--preset", "nano", "--threads", "1", "--peers", ""]) == 2
    error = capfd.readouterr().err
    assert error.splitlines()[-1] == "toylm bench: the worker of toylm ended with status 1; its message is above"
    assert "no such instruction" in error and "Traceback" not in error


def test_a_worker_that_dies_between_two_requests(worker):
    worker("import sys\nsys.stdin.readline()\nprint('{\"answer\": 1}', flush=True)\nsys.stdin.close()\n")
    side = sides.Side("toylm", TASK)
    side.process.wait()
    with pytest.raises(UsageError, match="the worker of toylm ended with status 0"):
        side.measure(1)
    side.close()  # again, as run_sides does
    assert side.process.stdin.closed and side.process.stdout.closed


def test_help_names_every_peer_and_says_each_default_once(capsys):
    peers = {"train": "torch-eager, torch-compile, torch-bf16, torch-compile-bf16, jax", "generate": "torch-eager"}
    for kind, names in peers.items():
        with pytest.raises(SystemExit):
            main(["bench", kind, "-h"])
        said = " ".join(capsys.readouterr().out.split())
        assert f": {names} (default: torch-eager) " in said
        assert "None" not in said and "(default: physical cores) " in said
        assert "recipes of the same names have other shapes (default: tiny) " in said


def test_a_peer_s_process_loads_no_kernels():
    """Its threads, and how they wait, are its own."""
    code = "import sys, toylm.bench.sides, toylm.bench.worker_gallery; sys.exit('toylm.kernels.jit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=sides.environment(), check=False).returncode == 0
