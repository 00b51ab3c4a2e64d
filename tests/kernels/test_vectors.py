"""Loops over a row's vectors against NumPy, at every length around a vector's, with what surrounds the row left alone."""

import numpy as np
import pytest

from toylm.kernels import exponentials as e
from toylm.kernels import fastmath, vectors
from toylm.kernels.jit import jit
from toylm.kernels.memory import address
from toylm.kernels.simd import VECTOR_BYTES

DTYPES = [np.float32, np.float64]
LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100]


@jit
def _maximum(zero, x, n):
    return vectors.maximum(zero, x, n)


@jit
def _dot(zero, x, y, n):
    return vectors.dot(zero, x, y, n)


@jit
def _scale(zero, x, n, factor):
    vectors.scale_row(zero, x, n, factor)


@jit
def _clear(zero, x, start, stop):
    vectors.clear_padded(zero, x, start, stop)


@jit
def _exponentials(zero, x, n, scale, shift):
    return e.exponentials(zero, x, n, scale, shift)


@jit
def _sum(zero, x, n, scale, shift):
    return e.sum_of_exponentials(zero, x, n, scale, shift)


@jit
def _padded(zero, x, n, scale, shift):
    return e.padded_exponentials(zero, x, n, scale, shift)


@jit
def _gradients(zero, x, dy, n, scale, shift, inner, factor):
    e.softmax_gradients(zero, x, dy, n, scale, shift, inner, factor)


@jit
def _exp2_all(x, y):
    for i in range(x.shape[0]):
        y[i] = fastmath.exp2(x[i])


def row(n, dtype, seed=0):
    """(a row in a frame, the frame)."""
    frame = np.random.default_rng([seed, n]).standard_normal(n + 40).astype(dtype)
    return frame[3 : 3 + n], frame


def outside(frame, n):
    return np.concatenate([frame[:3], frame[3 + n :]])


def width(dtype):
    return VECTOR_BYTES // np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_reductions_and_scaling(n, dtype):
    zero, (x, frame), (y, _) = dtype(0), row(n, dtype), row(n, dtype, 1)
    assert _maximum(zero, address(x), n) == x.max()
    assert _dot(zero, address(x), address(y), n) == pytest.approx(x.astype(float) @ y, rel=1e-5, abs=1e-6)
    before, expected = frame.copy(), x * dtype(0.3)
    _scale(zero, address(x), n, dtype(0.3))
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(outside(frame, n), outside(before, n))


@pytest.mark.parametrize("dtype", DTYPES)
def test_maximum_passes_over_nan_and_takes_infinities(dtype):
    x = np.array([-3, np.nan, -1, -np.inf, np.nan] * 5, dtype)
    assert _maximum(dtype(0), address(x), x.size) == -1
    x[7] = np.inf
    assert _maximum(dtype(0), address(x), x.size) == np.inf
    x[:] = -np.inf
    assert _maximum(dtype(0), address(x), x.size) == -np.inf


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_exponentials(n, dtype):
    zero, scale, shift = dtype(0), dtype(1.7), dtype(2.5)
    tolerance = 2e-6 if dtype is np.float32 else 1e-14
    (x, frame), whole = row(n, dtype), -(-n // width(dtype)) * width(dtype)
    before, expected = frame.copy(), np.exp2(1.7 * x.astype(float) - 2.5)
    assert _sum(zero, address(x), n, scale, shift) == pytest.approx(expected.sum(), rel=tolerance)
    np.testing.assert_array_equal(frame, before)
    assert _exponentials(zero, address(x), n, scale, shift) == pytest.approx(expected.sum(), rel=tolerance)
    np.testing.assert_allclose(x, expected, rtol=tolerance)
    np.testing.assert_array_equal(outside(frame, n), outside(before, n))
    frame[:] = before
    assert _padded(zero, address(x), n, scale, shift) == pytest.approx(expected.sum(), rel=tolerance)
    np.testing.assert_allclose(x, expected, rtol=tolerance)
    assert not frame[3 + n : 3 + whole].any()
    np.testing.assert_array_equal(outside(frame, whole), outside(before, whole))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_softmax_gradients(n, dtype):
    (x, frame), (dy, dframe), whole = row(n, dtype), row(n, dtype, 1), -(-n // width(dtype)) * width(dtype)
    before, dbefore = frame.copy(), dframe.copy()
    p = np.exp2(0.9 * x.astype(float) - 1.5)
    gradient = p * (dy.astype(float) - 0.25) * 0.5
    _gradients(dtype(0), address(x), address(dy), n, dtype(0.9), dtype(1.5), dtype(0.25), dtype(0.5))
    for found, expected, around, unchanged in ((x, p, frame, before), (dy, gradient, dframe, dbefore)):
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)
        assert not around[3 + n : 3 + whole].any()
        np.testing.assert_array_equal(outside(around, whole), outside(unchanged, whole))


def test_clearing_goes_by_whole_vectors():
    w = width(np.float32)
    for start, stop in ((w - 1, w), (w, w + 1), (1, 3 * w), (2 * w, 2 * w)):
        x = np.ones(5 * w, np.float32)
        _clear(np.float32(0), address(x), start, stop)
        first, last = -(-start // w) * w, -(-stop // w) * w
        assert not x[first:last].any() and x[:first].all() and x[last:].all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_of_two_at_the_ends_of_their_range(dtype):
    lowest, highest = (-126, 127) if dtype is np.float32 else (-1022, 1023)
    x = np.array([np.nan, -np.inf, -1e9, lowest, -1, 0, 0.5, 1, highest, 3.0] * 2, dtype)
    expected = [0, 2.0**lowest, 2.0**lowest, 2.0**lowest, 0.5, 1, 2**0.5, 2, 2.0**highest, 8] * 2
    _exponentials(dtype(0), address(x), x.size, dtype(1), dtype(0))
    assert np.isnan(x[[0, 10]]).all()
    np.testing.assert_allclose(x[[*range(1, 10), *range(11, 20)]], expected[1:10] + expected[11:], rtol=3e-7)


def test_exp2_is_accurate_over_its_range_and_keeps_nan():
    x = np.linspace(-126, 127, 100_003).astype(np.float32)
    y = np.empty_like(x)
    _exp2_all(x, y)
    assert np.abs(y / np.exp2(x.astype(np.float64)) - 1).max() < 2e-7
    special = np.array([np.nan, -1e9, -np.inf, 0.0, 1e9], np.float32)
    _exp2_all(special, special)
    assert np.isnan(special[0]) and special[1] == special[2] == 2.0**-126 and special[3] == 1 and special[4] == 2.0**127
