"""The commands that toylm prints for the next step run where the last one did."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from toylm.invocation import command_line

posix = pytest.mark.skipif(os.name == "nt", reason="a script with a #! line, a shell's quotes")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script(tmp_path):
    """An installed toylm, as pip writes it, in .venv/bin."""
    path = tmp_path / ".venv" / "bin" / "toylm"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!{sys.executable}\nimport sys\nfrom toylm.cli import main\nsys.exit(main())\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def next_command(tmp_path, *command, **variables):
    """The command that `toylm data` prints for the next step, as words."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run([*command, "stories", "--count", "3", "--out", "more stories.txt"], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, encoding="utf-8", check=True)  # fmt: skip
    return shlex.split(done.stdout.partition("train on them: ")[2])


@posix
def test_an_installed_program_is_named_as_it_was_typed(script, tmp_path):
    expected = ["train", "--data", "more stories.txt"]
    assert next_command(tmp_path, ".venv/bin/toylm", "data") == [".venv/bin/toylm", *expected]
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"  # an active environment
    assert next_command(tmp_path, str(script), "data", PATH=path) == ["toylm", *expected]
    assert next_command(tmp_path, str(script), "data", PATH=str(tmp_path)) == [str(script), *expected]


@posix
def test_a_module_is_run_by_the_same_interpreter(tmp_path):
    expected = [sys.executable, "-m", "toylm", "train", "--data", "more stories.txt"]
    assert next_command(tmp_path, sys.executable, "-m", "toylm", "data") == expected
    assert next_command(tmp_path, sys.executable, "-m", "toylm.data") == expected


def test_elsewhere_it_is_a_module(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["notebook.py"])
    assert command_line("generate", Path("runs")) == "python -m toylm generate runs"
