"""bf16 products on AMX tiles. Where the CPU has none, the compiled instructions are executed one by one in software (amx_trap.c).

What computes runs in a process of its own (amx_child.py): Numba is told there to compile for AMX, and which vectors the tiles
beside it use.
"""

import functools
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from amx_child import KINDS, SHAPES

import toylm
from toylm.errors import UsageError
from toylm.kernels import amx, arithmetic
from toylm.model.precision import describe, resolve

AMX = ("amx-tile", "amx-bf16")


@functools.cache
def host_features():
    try:
        return llvm.get_host_cpu_features()
    except RuntimeError:
        return {}


def run(task, vectors="host", trap=None, mode=None):
    """What `task` prints in a process of its own, read as JSON. trap: library of amx_trap.c; mode: TOYLM_BF16."""
    variables = {**os.environ, "TOYLM_BF16": mode or "", "PYTHONPATH": str(Path(toylm.__file__).parents[1])}
    if trap:
        features = [host_features().flatten(), *(f"+{name}" for name in AMX)]
        # Kernels for other vectors are told apart by the CPU's features, not by what tile.py takes them for.
        variables |= {"NUMBA_CPU_FEATURES": ",".join(features), "NUMBA_CACHE_DIR": f"{os.environ['NUMBA_CACHE_DIR']}-amx-{vectors}"}
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("amx_child.py")), task, vectors, str(trap or "")],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def trap(tmp_path_factory):
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 2**32:
        pytest.skip("AMX instructions are compiled and trapped on 64-bit x86 Linux only")
    if host_features().get("amx-tile"):
        pytest.skip("this CPU executes AMX instructions itself")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("amx") / "amx_trap.so"
    options = ["-O2", "-march=native", "-ffp-contract=off", "-Wall", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, str(Path(__file__).with_name("amx_trap.c")), "-o", str(library), "-lm"], check=True)
    return library


@pytest.fixture
def on_amx():
    if not amx.HOST_AMX:
        pytest.skip("this CPU has no AMX")
    if not amx.permitted():
        pytest.skip("the system refuses AMX tiles")


# 64-byte vectors, which LLVM splits where the CPU has none, make panels of 32 columns, as on every CPU with AMX; 32-byte ones 16.
@pytest.mark.parametrize("vectors", [pytest.param("host", marks=pytest.mark.bf16), "avx512"])
def test_products_instruction_by_instruction(trap, vectors):
    if vectors == "avx512" and host_features().get("avx512f"):
        pytest.skip("the host's vectors are these")
    found = run("products", vectors, trap, "tiles")
    assert found["way"] == "AMX tiles"
    assert len(found["errors"]) == 12 * len(SHAPES) and max(found["errors"]) < 4e-6
    assert found["outside"] and found["same_on_one_thread"]
    counts = found["counts"]
    # 64 x 64 x 64 in tiles of 16 x 16, 32 deep: zeroed, multiplied twice, stored
    assert [counts["first"][kind] for kind in ("TILEZERO", "TDPBF16PS", "TILESTORED")] == [16, 32, 16]
    assert [counts["small"][kind] for kind in KINDS if kind != "STTILECFG"] == 6 * [0]
    # A thread configures its tiles once, and again where another library has changed them.
    assert counts["all"]["LDTILECFG"] == found["threads"] == found["threads_asked"]
    assert counts["all"]["STTILECFG"] > 10 * counts["all"]["LDTILECFG"]
    assert [counts[when]["LDTILECFG"] for when in ("before_disturbed", "disturbed", "after_disturbed")] == [0, 1, 0]


@pytest.mark.bf16
def test_training_step_instruction_by_instruction(trap):
    vectors = "host" if host_features().get("avx512f") else "avx512"
    check_step(run("step", vectors, trap, "tiles"), run("step", mode="emulate"))


def test_products_on_this_cpu(on_amx):
    found = run("products")
    assert found["way"] == "AMX tiles"
    assert max(found["errors"]) < 4e-6
    assert found["outside"] and found["same_on_one_thread"]


@pytest.mark.bf16
def test_training_step_on_this_cpu(on_amx):
    check_step(run("step"), run("step", mode="avx512"))


def check_step(found, expected):
    """Sums in another order round other values to bf16 up or down, here and there; that moves these gradients by some 3e-4,
    rounding itself by 8e-3."""
    gradients, exact = (np.array(x["gradients"]) for x in (found, expected))
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert 0 < np.linalg.norm(gradients - exact) < 1e-3 * np.linalg.norm(exact)


# -- the choice ------------------------------------------------------------------------------------------------------------

ALL, NO_AMX, NOTHING = (True, True), (False, True), (False, False)  # whether the CPU has AMX, and AVX512_BF16


@pytest.fixture
def pretend(monkeypatch):
    """pretend(what a CPU has, whether the system allows AMX, TOYLM_BF16, the CPU's name)"""

    def on(has, allowed=True, mode="", name="sapphirerapids"):
        monkeypatch.setattr(arithmetic, "HOST_AMX", has[0])
        monkeypatch.setattr(arithmetic, "AMX_COMPILED", has[0])
        monkeypatch.setattr(arithmetic, "HOST_BF16", has[1])
        monkeypatch.setattr(arithmetic, "permitted", lambda: allowed)
        monkeypatch.setattr(arithmetic.llvm, "get_host_cpu_name", lambda: name)
        monkeypatch.setenv("TOYLM_BF16", mode)

    return on


def test_toylm_bf16_chooses(pretend):
    refused = "bf16 (AVX512_BF16; the system refuses AMX tiles)"
    for has, mode, allowed, told in [
        (ALL, "", True, "bf16 (AMX tiles)"),
        (ALL, "emulate", True, "bf16 (AMX tiles)"),
        (ALL, "tiles", True, "bf16 (AMX tiles)"),
        (ALL, "avx512", True, "bf16 (AVX512_BF16)"),
        (ALL, "", False, refused),
        (ALL, "avx512", False, "bf16 (AVX512_BF16)"),
        (NO_AMX, "", True, "bf16 (AVX512_BF16)"),
        (NOTHING, "emulate", True, "bf16 (emulated)"),
    ]:
        pretend(has, allowed, mode)
        assert describe("bf16") == told
        assert arithmetic.bf16_support() == ("emulated" if has == NOTHING else "native")
    pretend(NO_AMX, mode="tiles")
    with pytest.raises(UsageError, match=r"TOYLM_BF16 is 'tiles'.*\+amx-tile,\+amx-bf16.*unset it"):
        describe("bf16")


def test_auto_is_bf16_only_where_that_is_faster(pretend):
    for has, allowed, mode, name, chosen in [
        (ALL, True, "", "sapphirerapids", "bf16"),
        (ALL, True, "emulate", "emeraldrapids", "bf16"),
        (ALL, True, "avx512", "sapphirerapids", "float32"),
        (ALL, False, "", "sapphirerapids", "float32"),
        (NO_AMX, True, "", "cooperlake", "float32"),
        (NO_AMX, True, "", "znver4", "bf16"),
        (NO_AMX, True, "avx512", "znver5", "bf16"),
        (NOTHING, True, "", "znver3", "float32"),
        (NOTHING, True, "emulate", "znver3", "float32"),
    ]:
        pretend(has, allowed, mode, name)
        assert resolve("auto") == chosen, (has, allowed, mode, name)
        assert [resolve(name) for name in ("float32", "float64", "bf16")] == ["float32", "float64", "bf16"]
