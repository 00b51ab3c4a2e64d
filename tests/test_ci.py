"""bash .ci/run works on a copy: whoever starts it keeps the environment that the README had them make."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[1] / ".ci" / "run"


@pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="needs bash")
@pytest.mark.skipif(not RUN.is_file(), reason="no checkout")
def test_the_checkouts_own_environment_is_left_alone(tmp_path):
    # A checkout whose README has a test command that only looks around; what follows it would install ruff and PyTorch.
    script = RUN.read_text(encoding="utf-8").partition('\necho "+ kills')[0]
    checkout = tmp_path / "my toylm"
    for name, text in ((".ci/run", script), (".venv/mine", ""), ("README.md", "ls -A && touch .venv && pwd # -m pytest\n")):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text, encoding="utf-8")
    done = subprocess.run(["bash", str(checkout / ".ci" / "run")], cwd=tmp_path, capture_output=True, text=True, check=True)
    *_, first, second, copy = done.stdout.splitlines()
    assert (first, second) == (".ci", "README.md")
    assert (checkout / ".venv" / "mine").is_file() and not Path(copy).exists()


@pytest.mark.skipif(not RUN.is_file(), reason="no checkout")
def test_the_sample_for_other_cpus_names_files_that_there_are():
    named = re.findall(r"tests/\w+/\w+\.py", RUN.read_text(encoding="utf-8"))
    assert {name.split("/")[1] for name in named} == {"kernels", "model", "closed_form"}
    assert [name for name in named if not (RUN.parents[1] / name).is_file()] == []
