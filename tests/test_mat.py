import numpy as np
import pytest

from toylm import Mat

A = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
B = [[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]]


def test_the_buffer_is_flat_row_major_and_shared():
    mat = Mat.from_array(A)
    assert (mat.nrows, mat.ncols, mat.dtype) == (2, 3, np.float64)
    mat.flat[3] = 9
    assert mat.array[1, 0] == 9 and mat.row(1)[0] == 9
    buffer = np.zeros(6, np.float32)
    Mat(2, 3, flat=buffer).array[:] = A
    assert buffer.tolist() == [1, 2, 3, 4, 5, 6]
    columns = mat.columns(1, 3)
    columns.array[:] = 0
    assert mat.array.tolist() == [[1, 0, 0], [9, 0, 0]]
    with pytest.raises(ValueError, match="no flat buffer"):
        columns.flat  # noqa: B018
    assert columns.copy().flat.size == 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_by_hand(dtype):
    a, b = Mat.from_array(A, dtype), Mat.from_array(B, dtype)
    assert (a @ b.transpose()).array.tolist() == [[7, 9], [16, 21]]
    assert a.matmul(b.T).array.tolist() == a.matmul_t(b).array.tolist() == [[7, 9], [16, 21]]
    assert a.t_matmul(b).array.tolist() == [[1, 12, 6], [2, 15, 9], [3, 18, 12]]
    out = Mat(2, 2, dtype)
    assert a.matmul_t(b, out) is out and out.dtype == dtype


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (2, 3)])
def test_the_transpose_has_memory_of_its_own(shape):
    mat = Mat(*shape)
    mat.T.array[:] = 7
    assert mat.T.shape == shape[::-1] and not mat.array.any()


def test_out_may_be_other_columns_of_an_operands_matrix_but_not_its_own():
    wide = Mat.from_array([[1.0, 2.0, 0.0, 0.0], [3.0, 4.0, 0.0, 0.0]])
    a, b = wide.columns(0, 2), Mat.from_array([[0.0, 1.0], [1.0, 0.0]])
    a.matmul(b, wide.columns(2, 4))
    assert wide.array.tolist() == [[1, 2, 2, 1], [3, 4, 4, 3]]
    for product, operands in ((a.matmul, (b, a)), (b.matmul, (a, a)), (a.matmul_t, (b, wide.columns(1, 3))), (a.t_matmul, (b, b))):
        with pytest.raises(ValueError, match=r"out \(2 x 2\) overlaps an operand"):
            product(*operands)
    assert wide.array.tolist() == [[1, 2, 2, 1], [3, 4, 4, 3]]


def test_elementwise():
    a, b = Mat.from_array(A), Mat.from_array(B)
    assert a.plus(b).array.tolist() == (a + b).array.tolist() == [[2, 2, 5], [4, 8, 7]]
    assert a.add_(b).scale_(2).array.tolist() == [[4, 4, 10], [8, 16, 14]]
    assert a.zero_().array.tolist() == [[0, 0, 0]] * 2
    random = Mat(50, 40).fill_random(0.5, 3)
    assert np.abs(random.array).max() <= 0.5 and random.array.std() == pytest.approx(0.5 / 3**0.5, rel=0.05)
    np.testing.assert_array_equal(random.array, Mat(50, 40).fill_random(0.5, np.random.default_rng(3)).array)
    assert Mat(50, 40).fill_random(2.0, 0, "normal").array.std() == pytest.approx(2, rel=0.05)
    assert repr(Mat.from_array(B)) == "Mat(2 x 3 float64, min=0 max=3 mean=1.167)"


def test_errors_name_both_shapes():
    a, b = Mat(2, 3), Mat(2, 4)
    for call, message in [
        (lambda: a @ b, "2 x 3 by 2 x 4: inner sizes 3 and 2"),
        (lambda: a.matmul_t(b), "2 x 3 by 2 x 4ᵀ: inner sizes 3 and 4"),
        (lambda: a.t_matmul(Mat(3, 1)), "2 x 3ᵀ by 3 x 1"),
        (lambda: a.plus(b), "2 x 4 to 2 x 3"),
        (lambda: a.add_(b), "2 x 4 to 2 x 3"),
        (lambda: a.t_matmul(b, Mat(3, 3)), "is 3 x 4, but out is 3 x 3"),
        (lambda: Mat(2, 3, flat=np.zeros(5)), "needs a flat buffer of 6"),
        (lambda: Mat(2, 3, flat=np.zeros(12)[::2]), "use np.ascontiguousarray"),
        (lambda: Mat(-1, 3), "-1 x 3"),
        (lambda: a.columns(2, 5), "columns 2 to 5 of a 2 x 3"),
        (lambda: a.fill_random(1, 0, "cauchy"), "cauchy"),
        (lambda: Mat.view(np.zeros(3)), r"shape \(3,\)"),
        (lambda: Mat.view(np.zeros((3, 2)).T), r"rows of a Mat are contiguous, those of this \(2, 3\) array are not"),
        (lambda: Mat.view(np.zeros((3, 4))[:, ::2]), "use Mat.from_array"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="float32, the other float64"):
        a.matmul_t(Mat(2, 3, np.float64))
    with pytest.raises(TypeError, match="not by ndarray"):
        a @ np.zeros((3, 2), np.float32)
    with pytest.raises(TypeError, match="int64"):
        Mat(2, 2, np.int64)
    with pytest.raises(IndexError, match="row 2 of a 2 x 3"):
        a.row(2)
