"""Several processes at once on one text, one run, one compile cache: nothing is lost, and each ends as it should."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scenarios import COUNTS, RUN, fitted, inside, learned, toylm, trained
from small_run import make_text

from toylm.train import run_folder

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[2]
KERNEL = """
import numpy as np
from toylm.kernels import jit
from toylm.kernels.norm import add_shares
total, shares = np.zeros(2), np.ones((3, 2))
add_shares(shares.ctypes.data, 3, 2, total)
print(total, jit.compile_seconds() == 0)
"""


def at_once(folder, *commands):
    """Run toylm commands (or Python programs) at once; [(status, what was said)]."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TOYLM_CACHE": str(folder / "cache")}
    if commands[0][0] == "-c":
        variables["NUMBA_CACHE_DIR"] = str(folder / "kernels")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    words = [command if command[0] == "-c" else ["-m", "toylm", *map(str, command)] for command in commands]
    processes = [subprocess.Popen([sys.executable, *each], cwd=folder, env=variables, **pipes) for each in words]
    said = [process.communicate(timeout=300)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said)]


def test_one_process_prepares_a_text_and_the_others_wait(tmp_path):
    (tmp_path / "text.txt").write_text(make_text(4000), encoding="utf-8")
    command = ["data", "text.txt", "--out", "prepared", "--tokenizer", "bpe", "--vocab-size", "400"]
    ended = at_once(tmp_path, command, command, command)
    assert [status for status, _ in ended] == [0, 0, 0], ended
    assert sorted("nothing to do" in said for _, said in ended) == [False, True, True]
    assert not list((tmp_path / "prepared").glob(".preparing-*"))


def test_of_two_that_add_to_a_run_neither_is_lost(tmp_path):
    with inside(tmp_path):
        fitted(COUNTS)()
        before = learned()
        ended = at_once(tmp_path, *(["fit", "fitted", "--add", f"story-{i}.txt"] for i in range(2)))
        assert [status for status, _ in ended] == [0, 0], ended
        assert learned() == before + 37 + 13
        assert not [p.name for p in Path("fitted").iterdir() if ".tmp-" in p.name or ".old-" in p.name]


def test_the_second_process_in_a_run_is_refused(tmp_path, capsys):
    with inside(tmp_path):
        trained()
        with run_folder.RunFolder(tmp_path / "run"):
            more = ["train", "--resume", "run", "--steps", "9", "--quiet"]
            again = ["train", "--data", "text.txt", "--out", "run", *RUN, "--steps", "1", "--overwrite", "--quiet"]
            for status, said in at_once(tmp_path, more, again):
                assert status == 2 and "run is in use by another process" in said and len(said.strip().splitlines()) == 1, said


def test_two_processes_fill_one_compile_cache(tmp_path):
    program = ["-c", KERNEL]
    for status, said in at_once(tmp_path, program, program, program):
        assert status == 0 and said.startswith("[3. 3.]"), said
    assert at_once(tmp_path, program) == [(0, "[3. 3.] True\n")]
    assert not [path for path in (tmp_path / "kernels").rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize("when", ["before", "while"])
def test_evaluating_while_the_run_prunes(tmp_path, monkeypatch, when):
    """The checkpoint that was found goes before, or while, it is read: the run's next one is taken."""
    real, calls = run_folder.load_checkpoint, []
    with inside(tmp_path):
        trained()

        def prune(path, **options):
            calls.append(path)
            if len(calls) == 1:
                shutil.copytree(path, Path(path).with_name("step-000009"))
                for name in ("latest", "best"):
                    Path("run", name).write_text("step-000009\n", encoding="utf-8")
                shutil.rmtree(path) if when == "before" else Path(path, "model.safetensors").unlink()
            return real(path, **options)

        monkeypatch.setattr(run_folder, "load_checkpoint", prune)
        assert "step-000009" in toylm("evaluate", "run", "--max-tokens", "50")
        assert "step-000009" in toylm("generate", "run", "--max-tokens", "2")


def test_a_token_file_cut_short_while_it_is_read(tmp_path):
    from toylm.data import prepare

    (tmp_path / "text.txt").write_text(make_text(40), encoding="utf-8")
    with inside(tmp_path):
        prepared = prepare(str(tmp_path / "text.txt"), out="prepared", tokenizer="byte", progress=False)
        batches = prepared.batches(2, 8)
        os.truncate("prepared/train.bin", 100)
        with pytest.raises(ValueError, match=r"train.bin was truncated while it was being read; prepare the data again"):
            batches.next()
