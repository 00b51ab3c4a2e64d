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


def test_texts_and_kernels_lie_in_one_cache_folder(tmp_path, monkeypatch):
    from toylm.kernels import jit

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    monkeypatch.delenv("TOYLM_CACHE", raising=False)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert Path(jit._cache_directory()).parent == resources.cache_directory() == tmp_path / "users" / "toylm"
    monkeypatch.setenv("TOYLM_CACHE", str(tmp_path / "mine"))
    assert Path(jit._cache_directory()).parent == resources.cache_directory() == tmp_path / "mine"
    code = "from toylm.kernels.jit import CACHE_DIRECTORY; print(CACHE_DIRECTORY)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == jit._cache_directory()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    assert Path(jit._cache_directory()).parent == tmp_path / "kernels"


def test_kernels_of_versions_that_nobody_uses_are_removed(tmp_path):
    from toylm.kernels import jit

    new, used, unused = (f"kernels-{digit * 16}" for digit in "abc")
    for name in (used, unused, "kernels-of-mine", "texts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("", encoding="utf-8")
        age = 0 if name == used else (jit.UNUSED_DAYS + 1) * 86400
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    assert jit._prepare(str(tmp_path / new))
    assert sorted(path.name for path in tmp_path.iterdir()) == [new, used, "kernels-of-mine", "texts"]
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert not jit._prepare(str(tmp_path / "file" / new))


def test_without_a_folder_for_them_kernels_are_compiled_anew(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    code = (
        "import numpy as np; from toylm.kernels.rmsnorm import add_parts\n"
        "total = np.zeros(2); add_parts(np.ones((3, 2)), total)\n"
        "print(total, sum(add_parts.stats.cache_hits.values()), type(add_parts._cache).__name__)"
    )
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file" / "kernels")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables)
    assert done.stdout.strip() == "[3. 3.] 0 NullCache"
