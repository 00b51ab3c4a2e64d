"""bf16 products on AMX tiles. Where the CPU has none, the compiled instructions are executed one by one in software (amx_trap.c).

What computes runs in a process of its own, this file as a script: Numba is told there to compile for AMX, and which vectors the
tiles beside it use.
"""

import ctypes
import functools
import itertools
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

SHAPES = [(64, 64, 64), (97, 259, 65), (100, 1100, 70), (50, 40, 48), (16, 32, 16), (13, 33, 31), (40, 20, 64)]  # m, k, n
STEP = (90, 64, 1, 2, 128, 112, 2)  # of toylm.bench.presets.Shape: heads of 32, a short block of queries, columns beside tiles
KINDS = ("LDTILECFG", "STTILECFG", "TILERELEASE", "TILEZERO", "TILELOADD", "TILESTORED", "TDPBF16PS")
AMX = ("amx-tile", "amx-bf16")


@functools.cache
def host_features():
    try:
        return llvm.get_host_cpu_features()
    except RuntimeError:
        return {}


def run(task, vectors="host", trap=None, mode=None):
    """What `task` prints in a process of its own, read as JSON. trap: library of amx_trap.c; mode: TOYLM_BF16."""
    import toylm
    from toylm.kernels.jit import CACHE_DIRECTORY

    variables = {**os.environ, "TOYLM_BF16": mode or "", "PYTHONPATH": str(Path(toylm.__file__).parents[1])}
    if trap:
        features = [host_features().flatten(), *(f"+{name}" for name in AMX)]
        # Numba tells code for other vectors apart by the CPU's features, not by what simd.py takes them for.
        variables |= {"NUMBA_CPU_FEATURES": ",".join(features), "NUMBA_CACHE_DIR": f"{CACHE_DIRECTORY}-amx-{vectors}"}
    done = subprocess.run(
        [sys.executable, "-P", __file__, task, vectors, str(trap or "")], env=variables, capture_output=True, text=True, check=False
    )
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
    from toylm.kernels import bf16_choice

    if not bf16_choice.HOST_AMX:
        pytest.skip("this CPU has no AMX")
    if not bf16_choice._permitted():
        pytest.skip("the system refuses AMX tiles")


# 64-byte vectors, which LLVM splits where the CPU has none, make panels of 32 columns, as on every CPU with AMX; 32-byte ones 16.
@pytest.mark.parametrize("vectors", [pytest.param("host", marks=pytest.mark.bf16), "avx512"])
def test_products_instruction_by_instruction(trap, vectors):
    if vectors == "avx512" and host_features().get("avx512f"):
        pytest.skip("the host's vectors are these")
    found = run("products", vectors, trap, "tiles")
    assert found["way"] == "on AMX tiles"
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
    assert found["way"] == "on AMX tiles"
    assert max(found["errors"]) < 4e-6
    assert found["outside"] and found["same_on_one_thread"]


@pytest.mark.bf16
def test_training_step_on_this_cpu(on_amx):
    check_step(run("step"), run("step", mode="avx512"))


def check_step(found, expected):
    """Sums in another order round other values to bf16 up or down, here and there; that moves these gradients by some 3e-4,
    rounding itself by 8e-3."""
    from toylm.bench.variants import errors

    found, expected = ((x["loss"], np.array(x["gradients"]), {"all": slice(None)}) for x in (found, expected))
    off = errors(found, expected)
    assert off["loss"] < 1e-4 and 0 < off["gradients"] < 1e-3, off


def test_toylm_bf16_chooses(monkeypatch):
    from toylm.kernels import bf16_choice as choice

    monkeypatch.setattr(choice, "HOST_AMX", True)
    monkeypatch.setattr(choice, "HOST_BF16", True)
    monkeypatch.setattr(choice, "_compiled", lambda: True)
    permitted = []
    monkeypatch.setattr(choice, "_permitted", lambda: permitted[-1])
    for mode, allowed, way in [("", True, "on AMX tiles"), ("emulate", True, "on AMX tiles"), ("avx512", True, "(AVX512_BF16)"),
                               ("", False, "(AVX512_BF16; the system refuses AMX tiles)")]:  # fmt: skip
        permitted.append(allowed)
        monkeypatch.setenv("TOYLM_BF16", mode)
        assert choice.bf16_way() == way
    monkeypatch.setattr(choice, "_compiled", lambda: False)
    assert choice.bf16_way() == "(AVX512_BF16)"
    monkeypatch.setenv("TOYLM_BF16", "tiles")
    with pytest.raises(ValueError, match=r"\+amx-tile,\+amx-bf16"):
        choice.on_amx_tiles()


def test_an_unknown_value_is_named(monkeypatch):
    from toylm.kernels.bf16_choice import bf16_support

    monkeypatch.setenv("TOYLM_BF16", "tile")
    with pytest.raises(ValueError, match="TOYLM_BF16 is 'tile'; valid: avx512, emulate, tiles"):
        bf16_support()


# -- the process of its own ------------------------------------------------------------------------------------------------


class Counter:
    """Of the instructions that amx_trap.c executes."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        assert self.library.amx_install() == 0
        self.values = (ctypes.c_long * len(KINDS)).in_dll(self.library, "amx_counts")
        self.threads = ctypes.c_long.in_dll(self.library, "amx_threads")

    def read(self):
        return dict(zip(KINDS, self.values))

    def of(self, function, *arguments):
        before = self.read()
        function(*arguments)
        return {kind: count - before[kind] for kind, count in self.read().items()}


def products(counter):
    """Errors of products in all orientations, relative to the largest value, and counts of instructions."""
    from toylm.kernels.bf16_choice import bf16_way
    from toylm.kernels.matmul_bf16 import matmul_bf16, round_to_bf16
    from toylm.threads import most_threads, set_threads

    threads = set_threads(min(2, most_threads()))
    rng = np.random.default_rng(0)

    def normal(rows, columns):
        """A column slice of a wider matrix, and that matrix."""
        frame = rng.standard_normal((rows + 2, columns + 23)).astype(np.float32)
        return frame[1:-1, 9:-14], frame

    def plain(m, k, n):
        a, b, out = (normal(*shape)[0] for shape in ((m, k), (k, n), (m, n)))
        matmul_bf16(a, b, out)

    counts, errors, outside = {}, [], True
    if counter:
        counts["first"] = counter.of(plain, 64, 64, 64)
        counts["small"] = counter.of(plain, 15, 40, 64)
    for (m, k, n), transpose_a, transpose_b in itertools.product(SHAPES, (False, True), (False, True)):
        a, b = normal(*((k, m) if transpose_a else (m, k)))[0], normal(*((n, k) if transpose_b else (k, n)))[0]
        x, y = (round_to_bf16(matrix).astype(float) for matrix in (a, b))
        product = (x.T if transpose_a else x) @ (y.T if transpose_b else y)
        for kind in ("plain", "accumulate", "addend"):
            (out, frame), addend = normal(m, n), normal(m, n)[0]
            before = frame.copy()
            added = {"plain": 0, "accumulate": out.astype(float), "addend": addend}[kind]
            matmul_bf16(a, b, out, transpose_a, transpose_b, kind == "accumulate", addend if kind == "addend" else None)
            errors.append(float(np.abs(out - product - added).max() / max(1, np.abs(product + added).max())))
            frame[1:-1, 9:-14] = before[1:-1, 9:-14]
            outside = outside and bool((frame == before).all())
    result = {"way": bf16_way(), "errors": errors, "outside": outside, "counts": counts, "threads_asked": threads}
    if counter:
        counts["all"], result["threads"] = counter.read(), counter.threads.value
        small = 32, 32, 16  # on the calling thread
        counts["before_disturbed"] = counter.of(plain, *small)
        counter.library.amx_disturb()
        counts["disturbed"] = counter.of(plain, *small)
        counts["after_disturbed"] = counter.of(plain, *small)
    m, k, n = 97, 64, 65  # thread 0 ends at a row that fills no tile, were rows cut at those of the pair tiles
    a, b, alone, together = (normal(*shape)[0] for shape in ((m, k), (k, n), (m, n), (m, n)))
    matmul_bf16(a, b, together)
    set_threads(1)
    matmul_bf16(a, b, alone)
    result["same_on_one_thread"] = bool((alone == together).all())
    return result


def step(counter):
    """Loss and gradients of one training step."""
    from toylm.bench.presets import Shape
    from toylm.bench.variants import one_step
    from toylm.threads import most_threads

    loss, gradients, _ = one_step(Shape(*STEP), "bf16", min(2, most_threads()))
    assert counter is None or counter.read()["TDPBF16PS"] > 1000
    return {"loss": loss, "gradients": gradients.tolist()}


if __name__ == "__main__":
    task, vectors, library = sys.argv[1:]
    if vectors == "avx512":
        from numba.core import config

        real = config.CPU_FEATURES
        config.CPU_FEATURES += ",+avx512f"
        import toylm.kernels.simd  # noqa: F401 - takes the CPU for one with AVX-512

        config.CPU_FEATURES = real
    print(json.dumps({"products": products, "step": step}[task](Counter(library) if library else None)))
