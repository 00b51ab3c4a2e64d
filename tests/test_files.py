"""Atomic writes, and the files that come with toylm."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toylm import resources
from toylm.files import atomic_writer, write_json, write_text


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "naïve\n")
    assert path.read_bytes() == "naïve\n".encode()
    with pytest.raises(KeyboardInterrupt), atomic_writer(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == "naïve\n".encode() and os.listdir(path.parent) == ["a.txt"]
    write_json(path, {"é": [1]})
    assert path.read_text(encoding="utf-8") == '{\n  "é": [\n    1\n  ]\n}\n'


@pytest.mark.skipif(os.name != "posix", reason="permissions by umask are a POSIX matter")
def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError) as caught, atomic_writer(tmp_path / "big.bin"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "big.bin") and os.listdir(tmp_path) == []


def test_resources_of_a_source_tree_and_of_a_wheel(tmp_path, monkeypatch):
    assert resources.resource_path("data", "stories.txt").is_file()
    package = tmp_path / "site-packages" / "toylm"
    for place in (package / "_files" / "data", package.parent / "data"):
        place.mkdir(parents=True)
        (place / "stories.txt").write_text(str(place), encoding="utf-8")
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.resource_path("data", "stories.txt") == package / "_files" / "data" / "stories.txt"
    with pytest.raises(FileNotFoundError, match="train/none.toml does not come with this installation"):
        resources.resource_path("train", "none.toml")
    monkeypatch.setenv("TOYLM_CACHE", str(tmp_path / "cache"))
    assert resources.cache_directory() == tmp_path / "cache"


@pytest.fixture
def folder_again():
    from toylm.kernels import jit

    jit.kernel_folder.cache_clear()
    yield jit.kernel_folder
    jit.kernel_folder.cache_clear()


def test_texts_and_kernels_lie_in_one_cache_folder(tmp_path, monkeypatch, folder_again):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("TOYLM_CACHE", str(tmp_path / "mine"))
    assert folder_again().parent == resources.cache_directory() == tmp_path / "mine"
    folder_again.cache_clear()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    assert folder_again().parent == tmp_path / "kernels"


def test_kernels_of_versions_that_nobody_uses_are_removed(tmp_path, monkeypatch, folder_again):
    from toylm.kernels import jit

    used, unused = (f"kernels-{digit * 16}" for digit in "bc")
    for name in (used, unused, "kernels-of-mine", "texts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("", encoding="utf-8")
        age = 0 if name == used else (jit.UNUSED_DAYS + 1) * 86400
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    new = folder_again().name
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new, used, "kernels-of-mine", "texts"])


KERNEL = """
import numpy as np
from toylm.kernels import jit
from toylm.kernels.norm import add_shares
total, shares = np.zeros(2), np.ones((3, 2))
add_shares(shares.ctypes.data, 3, 2, total)
print(total, jit.compile_seconds() == 0)
"""


def run_kernel(folder):
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", KERNEL], capture_output=True, text=True, check=True, env=variables)
    return done.stdout.strip(), done.stderr


def test_importing_kernels_makes_and_changes_nothing(tmp_path):
    code = (
        "import os; before = dict(os.environ)\n"
        "import toylm.kernels.attention, toylm.kernels.decode, toylm.model.transformer\n"
        "print({**os.environ} == before)"
    )
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "TOYLM_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables)
    assert done.stdout.strip() == "True" and not (tmp_path / "cache").exists()


def test_a_damaged_cache_file_is_compiled_again(tmp_path):
    assert run_kernel(tmp_path) == ("[3. 3.] False", "")
    assert run_kernel(tmp_path) == ("[3. 3.] True", "")
    files = sorted(tmp_path.rglob("*.kernel"))
    damages = [lambda content: content[:1000], lambda content: b"", lambda content: content[:-1] + bytes([content[-1] ^ 1])]
    assert len(files) >= 2
    for i, path in enumerate(files):
        path.write_bytes(damages[i % len(damages)](path.read_bytes()))
    assert run_kernel(tmp_path) == ("[3. 3.] False", "")
    assert run_kernel(tmp_path) == ("[3. 3.] True", "")


def test_a_kernel_outside_the_hashed_folders_is_told_apart_by_its_files_time(monkeypatch):
    from toylm.bench import machine
    from toylm.kernels import jit, norm

    inside, outside = (jit._KernelCache(kernel.__wrapped__) for kernel in (norm.norm_forward, machine.copy))
    before = inside._file(()), outside._file(())
    monkeypatch.setattr(Path, "stat", lambda self, **kind: os.stat_result((0o100644, *[1] * 9)))
    assert inside._file(()) == before[0]
    assert outside._file(()) != before[1]


def test_without_a_folder_for_them_kernels_are_compiled_anew_and_a_note_says_what_helps(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    found, note = run_kernel(tmp_path / "file" / "kernels")
    assert found == "[3. 3.] False"
    assert "compiled kernels cannot be kept" in note and "set TOYLM_CACHE" in note and len(note.splitlines()) == 1


def test_compiling_is_announced_once(capsys):
    """A library user's first step was silent for a minute."""
    from toylm.kernels import jit

    clock = jit._CompileClock()
    for seconds in (0.0, 1.0, 2.5, 9.0):  # spent when the next compilation begins
        clock.seconds = seconds
        clock.on_start(None)
        clock.on_end(None)
        assert ("compiling kernels" in capsys.readouterr().err) == (seconds == 2.5)
