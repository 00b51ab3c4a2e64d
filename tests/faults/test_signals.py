"""SIGINT and SIGTERM at every phase: status 130 or 143, a line that says how to go on, and the bits of an undisturbed run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scenarios import RUN, state_of
from small_run import make_text

pytestmark = [pytest.mark.faults, pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")]
ROOT = Path(__file__).parents[2]
TRAIN = ["train", "--data", "text.txt", *RUN, "--sample-every", "1000", "--learning-rate", "0.01", "--steps", "30",
         "--eval-every", "10", "--save-every", "10", "--log-every", "5"]  # fmt: skip
# What a process runs that stops itself when a place is reached for the first time: every one of them inside a `toylm` command.
PROGRAM = """
import importlib, os, signal, sys
number, place, *words = sys.argv[1:]

def strike(*anything):
    if not struck:
        struck.append(1)
        os.kill(os.getpid(), int(number))

struck = []

def before(path):
    module, name = path.rsplit(".", 1)
    holder, attribute = importlib.import_module(module), name
    if ":" in name:
        holder, attribute = getattr(holder, name.split(":")[0]), name.split(":")[1]
    real = getattr(holder, attribute)
    def struck_first(*arguments, **named):
        calls.append(1)
        if len(calls) == at:
            strike()
        return real(*arguments, **named)
    calls = []
    setattr(holder, attribute, struck_first)

if place == "import":
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "toylm.commands.train" or name == "toylm.commands.generate":
                strike()
    sys.meta_path.insert(0, Finder())
else:
    place, _, at = place.partition("@")
    at = int(at or 1)
    before(place)
from toylm.cli import main
sys.exit(main(words))
"""


def run(folder, *words, place=None, number=signal.SIGINT):
    """A toylm command in a process of its own, stopped at a place."""
    program = ["-c", PROGRAM, str(int(number)), place] if place else ["-m", "toylm"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TOYLM_CACHE": str(folder / "cache")}
    command = [sys.executable, *program, *map(str, words)]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, encoding="utf-8", timeout=300)


@pytest.fixture(scope="module", autouse=True)
def interruptible():
    """Children do not ignore SIGINT, as they would where this process runs in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run that nobody stopped."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "text.txt").write_text(make_text(40), encoding="utf-8")
    done = run(folder, *TRAIN, "--out", "run")
    assert done.returncode == 0, done.stderr
    return folder


PHASES = {
    "import": ("import", False),
    "preparation": ("toylm.data.preparation.split_documents", False),
    "compile": ("toylm.train.session.load_kernels", False),
    "step": ("toylm.train.loop.Trainer:_step@15", True),
    "save": ("toylm.train.run_folder.save_checkpoint@2", True),
}


BOTH = ("preparation", "step")


@pytest.mark.parametrize(("phase", "number"), [*((p, signal.SIGINT) for p in PHASES), *((p, signal.SIGTERM) for p in BOTH)])
def test_a_run_stopped_at_any_phase_goes_on_with_the_same_bits(phase, number, undisturbed, tmp_path):
    place, saved = PHASES[phase]
    (tmp_path / "text.txt").write_text(make_text(40), encoding="utf-8")
    stopped = run(tmp_path, *TRAIN, "--out", "run", place=place, number=number)
    said = stopped.stdout + stopped.stderr
    assert stopped.returncode == 128 + number and "Traceback" not in said, said
    if not saved:
        assert said.strip().splitlines()[-1].endswith("the same command begins again")
        assert not (tmp_path / "run" / "latest").exists()
        done = run(tmp_path, *TRAIN, "--out", "run")
    else:
        assert ("SIGTERM" in said) == (number == signal.SIGTERM)
        assert "go on with: " in said and "train --resume run" in said
        done = run(tmp_path, "train", "--resume", "run")
    assert done.returncode == 0, done.stderr
    assert steady(tmp_path / "run") == steady(undisturbed / "run")


def steady(path):
    """The state of a run, without the notes of where it was interrupted and what its folder is called."""
    return {k: v for k, v in state_of(path).items() if k not in ("metrics.jsonl", "run.json", "loss.png")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_generating_stops_with_a_line(number, undisturbed):
    place = "toylm.commands.generate.StopStrings:push@5"
    stopped = run(undisturbed, "generate", "run", "--max-tokens", "100", place=place, number=number)
    assert stopped.returncode == 128 + number
    last = stopped.stderr.strip().splitlines()[-1]
    assert last == ("toylm generate: interrupted" if number == signal.SIGINT else "toylm generate: ended by SIGTERM")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_first_moments_is_no_traceback(number, tmp_path):
    for wait in (0.02, 0.1, 0.3):
        command = [sys.executable, "-m", "toylm", "train", "--data", "text.txt"]
        process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")  # fmt: skip
        time.sleep(wait)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        if process.returncode == 2:
            break  # it was there already: the text is missing
        # Before Python runs any of our lines, the signal ends the process in Python's or the system's own way.
        ours = str(ROOT / "toylm") in said
        assert process.returncode in (-number, 128 + number) or (process.returncode == 1 and not ours), said
        assert not ours or "Traceback" not in said, said
