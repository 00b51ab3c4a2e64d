"""Kernels are compiled by a process that does once what the run will do, and always loaded by the run itself."""

import os
import subprocess
import sys

import pytest
from small_run import make_text

from toylm.train import warm_up
from toylm.train.settings import FIELDS, MODEL_FIELDS, TrainSettings, find_config, read_toml, recipes

ALL_FIELDS = FIELDS | MODEL_FIELDS
FIRST_STEP = """
import sys
from pathlib import Path
from toylm.console import Console
from toylm.kernels.jit import compile_seconds
from toylm.train import session, warm_up
from toylm.train.settings import TrainSettings, find_config, read_toml

def load_kernels(settings, console):
    warm_up.load_kernels(settings, console)
    began.append(compile_seconds())
    return 0.0

began, session.load_kernels = [], load_kernels
settings = TrainSettings().updated(read_toml(find_config(sys.argv[1])))
changes = {"data": (sys.argv[2],), "steps": 1, "n_layers": 1, "eval_tokens": 2000, "sample_tokens": 2}
status = session.start(settings.updated(changes), {}, "run", sys.argv[1], "run", quiet=True)
print(status, compile_seconds() - began[0])
"""


def recipes_of_different_kernels():
    """The smallest recipe of those that differ in nothing but numbers."""
    found = {}
    for name in recipes():
        settings = TrainSettings().updated(read_toml(find_config(name)))
        short = warm_up.shortest(settings).to_dict().items()
        kinds = [(key, value if ALL_FIELDS[key].metadata["choices"] else bool(value)) for key, value in short]
        found.setdefault(str(kinds), []).append((settings.model.d_model * settings.batch_size, name))
    return sorted(min(same)[1] for same in found.values())


@pytest.mark.parametrize("recipe", recipes_of_different_kernels())
def test_a_recipe_compiles_nothing_in_its_first_step(recipe, tmp_path):
    """In a fresh process, its own sizes but for the number of layers: evaluation, sample and checkpoint follow the step."""
    (tmp_path / "text.txt").write_text(make_text(1500), encoding="utf-8")
    program = [sys.executable, "-c", FIRST_STEP, recipe, "text.txt"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "0.0"]


def test_another_folder_named_toylm_where_a_run_starts_does_not_matter(tmp_path, monkeypatch):
    (tmp_path / "toylm").mkdir()
    (tmp_path / "toylm" / "__init__.py").write_text("raise SystemExit('the wrong toylm')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warm_up, "PARTS", ("training",))
    shape = {"d_model": 8, "n_heads": 2, "context_length": 8, "batch_size": 2}
    assert warm_up._compile_apart(TrainSettings().updated(shape)) is not None


def test_what_changes_the_kernels_is_in_the_name_of_the_marker(monkeypatch):
    monkeypatch.delenv("TOYLM_BF16", raising=False)

    def marker(**changes):
        return warm_up._marker(TrainSettings().updated(changes))

    chosen = {name: field for name, field in MODEL_FIELDS.items() if field.metadata["choices"]}
    names = [marker(**{name: other}) for name, field in chosen.items() for other in field.metadata["choices"]]
    assert len(set(names)) == sum(len(field.metadata["choices"]) - 1 for field in chosen.values()) + 1
    others = [{"biases": True}, {"dropout": 0.1}, {"counts": 4}, {"n_kv_heads": 2}, {"optimizer": "sgd"}, {"head_fitter": "ridge"}]
    names += [marker(**change) for change in others]
    assert len(set(names[-len(others) :]) | {marker()}) == len(others) + 1
    # How deep, how long and on what makes no difference; kernels are chosen by widths.
    assert marker(n_layers=9, steps=5, data=("x",), seed=3, dropout=0.0, learning_rate=0.1, grad_accum=3) == marker()
    assert len({marker(), marker(d_model=512), marker(batch_size=64), marker(context_length=64)}) == 4
    for name, value in (("TOYLM_BF16", "emulate"), ("TOYLM_MATMUL", "blas")):
        monkeypatch.setenv(name, value)
        names.append(marker())
    assert len(set(names[-2:]) - set(names[:-2])) == 2


def test_a_processor_that_numba_is_told_has_its_own_marker():
    program = "from toylm.train import settings, warm_up; print(warm_up._marker(settings.TrainSettings()))"
    names = []
    for extra in ({"NUMBA_CPU_NAME": "nehalem"}, {"NUMBA_CPU_NAME": "generic"}):
        environment = {**os.environ, **extra}
        names.append(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout)
    assert names[0] != names[1]


def test_the_rehearsal_has_the_model_of_the_real_run():
    for name in recipes():
        settings = TrainSettings().updated(read_toml(find_config(name)))
        short, real = warm_up.shortest(settings).model_config(257), settings.model_config(257)
        assert short.replace(n_layers=real.n_layers) == real, name
