"""A full disk: every command that writes names the file, and the last good state stays."""

import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from kills import FileOperations
from scenarios import RUN, SCENARIOS, inside, state_of, toylm
from small_run import make_text

from toylm.formats.checkpoint import load_checkpoint

pytestmark = pytest.mark.faults
TRIES = 3


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "cache"])
def test_the_file_is_named_and_the_next_try_succeeds(name, tmp_path):
    scenario, start, work = SCENARIOS[name], tmp_path / "start", tmp_path / "work"
    start.mkdir()
    with inside(start):
        scenario.start()
    shutil.copytree(start, work)
    with FileOperations(work) as operations:
        scenario.act(work)
    scenario.again(work)
    whole = state_of(work)
    for k in sorted(random.sample(range(len(operations.names)), TRIES)):
        shutil.rmtree(work)
        shutil.copytree(start, work)
        try:
            with FileOperations(work, full_at=k):
                scenario.act(work)
        except AssertionError as failed:  # the status was not 0
            said = str(failed)
            assert "status 2" in said.splitlines()[0], (k, said)
            last = said.strip().splitlines()[-1]
            assert re.search(r"No space left on device", last) and re.search(r"[\w/.-]+(: No space|/\S+| at step)", last), (k, last)
        left = [path.name for path in work.rglob("*") if path.name.endswith(".part") or re.search(r"\.(tmp|preparing)-", path.name)]
        assert not left, (k, left)
        scenario.again(work)
        assert state_of(work) == whole, f"full at operation {k} ({operations.names[k]})"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB, where one may be made."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = shutil.which("mount") and hasattr(os, "geteuid") and os.geteuid() == 0
    if not made or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", disk], capture_output=True).returncode:
        pytest.skip("no file system of our own may be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_run_on_a_small_disk(small_disk, tmp_path):
    (tmp_path / "text.txt").write_text(make_text(40), encoding="utf-8")
    with inside(tmp_path):
        command = ("train", "--data", "text.txt", *RUN, "--d-model", "16", "--steps", "12", "--keep-last", "20", "--quiet")
        toylm(*command, "--out", "whole")
        said = toylm(*command, "--out", "disk/run", status=2)
        full = r"cannot write disk/run/\S+ at step \d+: No space left on device; the last good checkpoint is disk/run/step"
        assert re.search(full, said)
        assert not [path.name for path in small_disk.rglob("*") if re.search(r"\.part$|\.tmp-", path.name)]
        for prefer in ("latest", "best"):
            load_checkpoint("disk/run", prefer=prefer, training=True)
        subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
        toylm("train", "--resume", "disk/run", "--quiet")
        for name in ("step-000012/model.safetensors", "best", "samples.txt"):
            assert Path("disk/run", name).read_bytes() == Path("whole", name).read_bytes()
