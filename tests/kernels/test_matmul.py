import itertools
import json
import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

from toylm.kernels import arithmetic
from toylm.kernels.matmul import matmul, matmul_bf16, matmul_mode
from toylm.kernels.memory import scratch

# (m, k, n): ones, primes, exact tiles, one beyond a tile, deeper than a panel, wide and narrow
SHAPES = [(1, 1, 1), (3, 5, 7), (12, 32, 32), (13, 33, 31), (97, 259, 65), (50, 17, 200), (1, 300, 64), (301, 513, 1)]
SHAPES += [(40, 2305, 17), (770, 600, 33)]  # many panels deep, and more rows than one block of A


BF16_SHAPES = [(1, 1, 1), (3, 5, 7), (12, 32, 32), (13, 33, 31), (97, 259, 65), (1, 700, 64), (100, 1100, 70)]


def exact(a, b, out, transpose_a, transpose_b, accumulate):
    """The product in float64."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return (a.T if transpose_a else a) @ (b.T if transpose_b else b) + (out if accumulate else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m, k, n", SHAPES)
def test_three_orientations_equal_numpy_over_odd_sizes(m, k, n, dtype):
    rng = np.random.default_rng(m * 10000 + k * 100 + n)
    for transpose_a, transpose_b, accumulate in itertools.product((False, True), repeat=3):
        a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
        b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
        # Cells around `out` show a write outside it.
        frame = rng.standard_normal((m + 2, n + 40)).astype(dtype)
        before, out = frame.copy(), frame[1:-1, 20:-20]
        expected = exact(a, b, out.copy(), transpose_a, transpose_b, accumulate)
        matmul(a, b, out, transpose_a, transpose_b, accumulate)
        np.testing.assert_allclose(out, expected, rtol=0, atol=30 * np.finfo(dtype).eps * max(1, np.abs(expected).max()))
        frame[1:-1, 20:-20] = before[1:-1, 20:-20]
        np.testing.assert_array_equal(frame, before)


def test_addend_and_column_slices():
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((40, 90)).astype(np.float32)
    a, b = wide[:, 10:33], rng.standard_normal((23, 34)).astype(np.float32)
    addend, out = rng.standard_normal((40, 34)).astype(np.float32), np.empty((40, 34), np.float32)
    matmul(a, b, out, addend=addend)
    np.testing.assert_allclose(out, addend + a @ b, atol=1e-5)


def test_empty_products():
    out = np.ones((2, 3), np.float32)
    matmul(np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32), out, accumulate=True)
    assert (out == 1).all()
    matmul(np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32), out)
    assert (out == 0).all()
    assert matmul(np.zeros((0, 2), np.float32), np.zeros((2, 3), np.float32), np.zeros((0, 3), np.float32)).shape == (0, 3)


@pytest.fixture
def read_mode_again():
    matmul_mode.cache_clear()
    yield
    matmul_mode.cache_clear()


@pytest.mark.parametrize("m, k, n", [(333, 200, 111), (50, 4096, 70)])
def test_number_of_threads_does_not_change_a_bit(m, k, n, monkeypatch, read_mode_again):
    from toylm.threads import get_threads, set_threads

    monkeypatch.setenv("TOYLM_MATMUL", "numba")  # what holds for our products does not for every BLAS
    before = get_threads()
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((m, k)).astype(np.float32), rng.standard_normal((k, n)).astype(np.float32)
    try:
        set_threads(1)
        one = matmul(a, b, np.empty((m, n), np.float32))
        set_threads(before)
        many = matmul(a, b, np.empty((m, n), np.float32))
    finally:
        set_threads(before)
    np.testing.assert_array_equal(one, many)


def test_threads_of_pythons_may_multiply_at_once():
    from toylm.threads import get_threads

    get_threads()  # launches Numba's, whose layer is then known
    if numba.threading_layer() == "workqueue":
        pytest.skip("this threading layer of Numba's ends a process in which two threads start regions at once")
    found, together = [], threading.Barrier(2, timeout=60)

    def run(seed):
        a, b = (np.random.default_rng(seed + i).standard_normal((200, 200)).astype(np.float32) for i in range(2))
        out = np.empty_like(a)
        together.wait()
        errors = [np.abs(matmul(a, b, out, transpose_a=True) - a.T @ b).max() for _ in range(50)]
        found.append((max(errors), scratch.address("products", 1)))
        together.wait()  # what a thread has had is free for others when it ends

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (0, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (error, one), (other_error, other) = found
    assert max(error, other_error) < 1e-3 and one != other


GENERIC = """
import json
import llvmlite.binding as llvm

host = llvm.get_host_cpu_features()
host.update(avx512f=True, avx512bf16=True)
llvm.get_host_cpu_features = lambda: host
import numpy as np
from toylm.kernels import tile
from toylm.kernels.matmul import matmul

a, b = (np.random.default_rng(i).standard_normal((40, 40)).astype(np.float32) for i in range(2))
error = float(np.abs(matmul(a, b, np.empty_like(a)) - a @ b).max())
print(json.dumps([tile.VECTOR_BYTES, tile.HOST_BF16, error]))
"""


def test_numba_compiles_for_another_cpu_than_the_host():
    """A CPU with AVX512_BF16, say, and Numba told to use none of it: LLVM would end the process at such an instruction."""
    variables = {**os.environ, "NUMBA_CPU_NAME": "generic", "TOYLM_MATMUL": "numba"}
    variables.pop("NUMBA_CPU_FEATURES", None)
    done = subprocess.run([sys.executable, "-c", GENERIC], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    vector_bytes, bf16, error = json.loads(done.stdout)
    assert vector_bytes == 16 and not bf16 and error < 1e-4


@pytest.mark.parametrize("mode", ["numba", "blas", "auto"])
def test_the_environment_chooses_the_kernel(mode, monkeypatch, read_mode_again):
    monkeypatch.setenv("TOYLM_MATMUL", mode)
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(matmul(a, a, np.empty((2, 2), np.float32), transpose_b=True), [[5, 14], [14, 50]])


def test_errors_name_both_shapes(monkeypatch, read_mode_again):
    a, b = np.zeros((2, 3), np.float32), np.zeros((4, 5), np.float32)
    with pytest.raises(ValueError, match="2 x 3 by 4 x 5"):
        matmul(a, b, np.zeros((2, 5), np.float32))
    with pytest.raises(TypeError, match="float32, float64"):
        matmul(a, np.zeros((3, 5)), np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match=r"cannot add \(2, 3\) to a product of 2 x 2"):
        matmul(a, a, np.zeros((2, 2), np.float32), transpose_b=True, addend=a)
    with pytest.raises(TypeError, match="cannot add float64 to a product of float32"):
        matmul(a, a, np.zeros((2, 2), np.float32), transpose_b=True, addend=np.zeros((2, 2)))
    monkeypatch.setenv("TOYLM_MATMUL", "cuda")
    matmul_mode.cache_clear()
    with pytest.raises(ValueError, match="TOYLM_MATMUL is 'cuda'"):
        matmul(a, a, np.zeros((2, 2), np.float32), transpose_b=True)


@pytest.mark.parametrize("mode", ["numba", "blas"])
def test_memory_that_is_read_only_is_not_written(mode, monkeypatch, read_mode_again):
    monkeypatch.setenv("TOYLM_MATMUL", mode)
    a, out = np.ones((2, 3), np.float32), np.zeros((2, 2), np.float32)
    out.flags.writeable = False
    for accumulate in (False, True):
        with pytest.raises(ValueError, match=r"out \(2 x 2\) is read-only"):
            matmul(a, a, out, transpose_b=True, accumulate=accumulate)
    assert not out.any()
    b = np.ones((3, 2), np.float32)
    b.flags.writeable = False  # an operand may be
    assert (matmul(a, b, np.empty((2, 2), np.float32)) == 3).all()


# -- bf16 ------------------------------------------------------------------------------------------------------------------


def round_to_bf16(x):
    """float32 values that bf16 can hold, to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.bf16
@pytest.mark.parametrize("m, k, n", BF16_SHAPES)
def test_bf16_equals_the_product_of_rounded_operands(m, k, n):
    rng = np.random.default_rng(m + k + n)
    for transpose_a, transpose_b, accumulate in itertools.product((False, True), repeat=3):
        a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(np.float32)
        b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(np.float32)
        frame = rng.standard_normal((m + 2, n + 40)).astype(np.float32)
        before, out = frame.copy(), frame[1:-1, 20:-20]
        expected = exact(round_to_bf16(a), round_to_bf16(b), out.copy(), transpose_a, transpose_b, accumulate)
        matmul_bf16(a, b, out, transpose_a, transpose_b, accumulate)
        np.testing.assert_allclose(out, expected, rtol=0, atol=4e-6 * max(1, np.abs(expected).max()))
        frame[1:-1, 20:-20] = before[1:-1, 20:-20]
        np.testing.assert_array_equal(frame, before)


def test_bf16_is_refused_with_a_clear_line_where_the_cpu_cannot(monkeypatch):
    monkeypatch.delenv("TOYLM_BF16", raising=False)
    monkeypatch.setattr(arithmetic, "HOST_BF16", False)
    a = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match="no bf16 products"):
        matmul_bf16(a, a, a.copy())
    with pytest.raises(TypeError, match="float64"):
        matmul_bf16(a.astype(float), a.astype(float), a.astype(float))


@pytest.mark.parametrize("host, mode, support", [(True, "", "native"), (True, "emulate", "native"), (False, "emulate", "emulated"),
                                                 (False, "", None)])  # fmt: skip
def test_one_place_decides_how_bf16_is_multiplied(host, mode, support, monkeypatch):
    monkeypatch.setattr(arithmetic, "HOST_BF16", host)
    monkeypatch.setenv("TOYLM_BF16", mode)
    assert arithmetic.bf16_support() == support
    monkeypatch.setenv("TOYLM_BF16", "tile")
    with pytest.raises(ValueError, match="TOYLM_BF16 is 'tile'; valid: avx512, emulate, tiles, or unset"):
        arithmetic.bf16_support()
