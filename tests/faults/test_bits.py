"""Resume, fine-tuning and fit --add keep their bits after a kill, on one thread and on two."""

import shutil
from pathlib import Path

import pytest
from kills import FileOperations, Killed
from scenarios import COUNTS, MODEL, RIDGE, RUN, fit, fitted, inside, toylm

from toylm.threads import physical_cores

pytestmark = pytest.mark.faults
# Wide enough that two threads share the work.
WIDE = ("--d-model", "64", "--n-heads", "4", "--d-ff", "256", "--context-length", "32")
SHORT = ("--batch-size", "8", "--learning-rate", "0.01", "--steps", "6", "--quiet")
TENSORS = ("model.safetensors", "training.safetensors")


@pytest.fixture(params=[1, 2])
def threads(request):
    if request.param > physical_cores():
        pytest.skip("one core")
    return ("--threads", str(request.param))


def killed(work, root, share):
    """Do the work, killed after this share of its file operations."""
    shutil.copytree(root / "before", root / "counting")
    with inside(root / "counting"), FileOperations(root / "counting") as operations:
        work()
    shutil.copytree(root / "before", root / "killed")
    at = int(share * len(operations.names))
    with inside(root / "killed"), FileOperations(root / "killed", kill_at=at), pytest.raises(Killed):
        work()


@pytest.mark.parametrize("start", [(), ("--from", "first")])
def test_a_killed_run_has_the_bits_of_a_whole_one(start, threads, tmp_path):
    (tmp_path / "before").mkdir()
    with inside(tmp_path / "before"):
        fitted(COUNTS)()
        toylm("train", "--data", "text.txt", "--out", "first", *RUN, *WIDE, *SHORT, "--steps", "1", *threads)
    shape = (*start, *RUN[len(MODEL) :]) if start else (*RUN, *WIDE)
    killed(lambda: toylm("train", "--data", "text.txt", "--out", "run", *shape, *SHORT, *threads), tmp_path, 0.8)
    with inside(tmp_path / "killed"):
        toylm("train", "--resume", "run", "--quiet", *threads)
    for name in TENSORS:
        pair = [(tmp_path / folder / "run" / "step-000006" / name).read_bytes() for folder in ("counting", "killed")]
        assert pair[0] == pair[1], name


@pytest.mark.parametrize("kind", ["counts", "head"])
def test_what_is_added_after_a_kill_has_the_bits_of_one_addition(kind, threads, tmp_path):
    (tmp_path / "before").mkdir()
    with inside(tmp_path / "before"):
        fitted(COUNTS if kind == "counts" else fit(*RIDGE, "--by-document", out="fitted"))()

    def add():
        toylm("fit", "fitted", "--add", "story-0.txt", *threads)

    killed(add, tmp_path, 0.5)
    with inside(tmp_path / "killed"):
        add()
    files = [path.relative_to(tmp_path / "counting") for path in (tmp_path / "counting" / "fitted").rglob("*.safetensors")]
    assert files
    for name in files:
        assert Path(tmp_path, "counting", name).read_bytes() == Path(tmp_path, "killed", name).read_bytes(), name
