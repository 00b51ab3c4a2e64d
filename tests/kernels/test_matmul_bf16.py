import itertools

import numpy as np
import pytest

from toylm.kernels import bf16_choice
from toylm.kernels import matmul_bf16 as bf16
from toylm.kernels.matmul import matmul_reference

SHAPES = [(1, 1, 1), (3, 5, 7), (12, 32, 32), (13, 33, 31), (97, 259, 65), (1, 700, 64), (100, 1100, 70)]


def test_rounding_is_to_nearest_with_ties_to_even():
    x = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -1 - 2**-9], np.float32)
    assert bf16.round_to_bf16(x).tolist() == [1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -1.0]


@pytest.mark.bf16
@pytest.mark.parametrize("m, k, n", SHAPES)
def test_equals_the_product_of_rounded_operands(m, k, n):
    rng = np.random.default_rng(m + k + n)
    for transpose_a, transpose_b, accumulate in itertools.product((False, True), repeat=3):
        a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(np.float32)
        b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(np.float32)
        frame = rng.standard_normal((m + 2, n + 40)).astype(np.float32)
        before, out = frame.copy(), frame[1:-1, 20:-20]
        exact = (bf16.round_to_bf16(x).astype(float) for x in (a, b))
        expected = matmul_reference(*exact, out.copy(), transpose_a, transpose_b, accumulate)
        bf16.matmul_bf16(a, b, out, transpose_a, transpose_b, accumulate)
        np.testing.assert_allclose(out, expected, rtol=0, atol=4e-6 * max(1, np.abs(expected).max()))
        frame[1:-1, 20:-20] = before[1:-1, 20:-20]
        np.testing.assert_array_equal(frame, before)


def test_refused_with_a_clear_line_where_the_cpu_cannot(monkeypatch):
    monkeypatch.delenv("TOYLM_BF16", raising=False)
    monkeypatch.setattr(bf16_choice, "HOST_BF16", False)
    a = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match="no bf16 products"):
        bf16.matmul_bf16(a, a, a.copy())
    with pytest.raises(TypeError, match="float64"):
        bf16.matmul_bf16(a.astype(float), a.astype(float), a.astype(float))
