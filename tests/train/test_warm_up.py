"""Kernels are compiled by processes that must import the very toylm that asked for them."""

import os
import subprocess
import sys

from toylm.train import warm_up
from toylm.train.settings import TrainSettings


def test_another_folder_named_toylm_where_a_run_starts_does_not_matter(tmp_path, monkeypatch):
    (tmp_path / "toylm").mkdir()
    (tmp_path / "toylm" / "__init__.py").write_text("raise SystemExit('the wrong toylm')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    settings = TrainSettings()
    kinds = [*(str(getattr(settings, name)) for name in warm_up._KINDS), "0", "False"]
    assert warm_up._compile_apart(kinds)


def test_what_changes_the_kernels_is_in_the_name_of_the_marker(monkeypatch):
    monkeypatch.delenv("TOYLM_BF16", raising=False)
    names = {warm_up._marker(["a"]), warm_up._marker(["b"])}
    monkeypatch.setenv("TOYLM_BF16", "emulate")
    names.add(warm_up._marker(["a"]))
    monkeypatch.setenv("TOYLM_MATMUL", "blas")
    names.add(warm_up._marker(["a"]))
    assert len(names) == 4


def test_a_processor_that_numba_is_told_has_its_own_marker():
    program = "from toylm.train.warm_up import _marker; print(_marker(['a']))"
    names = []
    for extra in ({}, {"NUMBA_CPU_NAME": "generic"}):
        environment = {**os.environ, **extra}
        names.append(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout)
    assert names[0] != names[1]
