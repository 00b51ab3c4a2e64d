"""The operations as functions: what they compute from arrays of any layout and dtype, and what they refuse."""

import numpy as np
import pytest

from toylm import reference as ref
from toylm.model import (
    attend,
    cross_entropy_grad,
    embed,
    feed_forward,
    gelu,
    rms_norm,
    rope,
    self_attention,
    silu,
    softmax,
    swiglu,
)

LAYOUTS = {
    "transposed": np.asfortranarray,
    "every second column": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "rows backwards": lambda x: x[::-1].copy()[::-1],
}
TARGETS = np.array([3, -1, 0, 8, 2, 7])


def values(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def agree(found, expected, dtype):
    assert found.dtype == dtype and found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, atol=1e-12 if dtype == np.float64 else 2e-5)


@pytest.mark.parametrize("dtype, other", [(np.float32, np.float64), (np.float64, np.float32)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_function_takes_any_layout_and_the_first_arrays_dtype(layout, dtype, other):
    lay = LAYOUTS[layout]

    def first(*shape):
        return lay(values(*shape).astype(dtype))

    def second(*shape):
        return lay(values(*shape, seed=1).astype(np.float32).astype(other))

    x, gamma = first(6, 9), second(1, 9)[0]
    agree(rms_norm(x, gamma), ref.rmsnorm_forward(x, gamma), dtype)
    agree(rms_norm(x, second(1, 9)), ref.rmsnorm_forward(x, gamma), dtype)  # a Parameters' vector is a matrix of one row
    agree(softmax(x), ref.softmax_forward(x), dtype)
    agree(gelu(x), ref.gelu_forward(x), dtype)
    agree(silu(x), ref.silu_forward(x), dtype)
    agree(swiglu(first(6, 10)), ref.swiglu_forward(np.ascontiguousarray(first(6, 10))), dtype)
    agree(rope(first(6, 8), 3, 4, 50.0), ref.rope_forward(np.ascontiguousarray(first(6, 8)), 3, 4, 50.0), dtype)
    tokens, positions = np.array([[3, 0, 3], [5, 1, 2]]), second(4, 9)
    agree(embed(tokens, x, positions), (x[tokens] + positions[:3]).reshape(6, 9), dtype)
    agree(embed(tokens.T.tolist()[1], x), x[[0, 1]], dtype)
    w1, w2 = second(9, 5), second(5, 4)
    agree(feed_forward(x, w1, w2), ref.gelu_forward(x @ w1) @ w2, dtype)
    qkv = first(6, (4 + 2 * 2) * 2)
    z, probabilities = self_attention(qkv, 3, 4, 2)
    expected = ref.attention_forward(np.ascontiguousarray(qkv), 3, 4, 2)
    agree(z, expected[0], dtype)
    agree(probabilities, expected[1], dtype)
    before = x.copy()
    loss, gradient = cross_entropy_grad(x, TARGETS)
    assert loss == pytest.approx(ref.cross_entropy_forward(before, TARGETS).sum() / 5, rel=1e-5)
    agree(gradient, ref.cross_entropy_backward(before, TARGETS), dtype)
    np.testing.assert_array_equal(x, before)


def test_attention_with_a_mask_and_other_keys():
    """Against self_attention, against sums by hand, and against PyTorch where it is there."""
    q, k, v = (values(2, 4, 3, 5, seed=i) for i in range(3))  # (B, H, T, h)
    fused = np.concatenate([x.swapaxes(1, 2).reshape(6, 20) for x in (q, k, v)], axis=1)
    causal = attend(q, k, v, np.tri(3, dtype=bool))
    np.testing.assert_allclose(causal.swapaxes(1, 2).reshape(6, 20), self_attention(fused, 3, 4)[0], atol=1e-12)
    keys, found, mask = values(7, 5, seed=4), values(7, 2, seed=5), np.random.default_rng(0).random((3, 7)) < 0.5
    mask[1] = False
    z = attend(q[0, 0].astype(np.float32), keys, found, mask)
    for t in range(3):
        e = np.exp(keys @ q[0, 0, t] / np.sqrt(5)) * mask[t]
        np.testing.assert_allclose(z[t], e @ found / e.sum() if mask[t].any() else [0, 0], atol=2e-6)
    assert z.dtype == np.float32 and (z[1] == 0).all()
    torch = pytest.importorskip("torch")
    theirs = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, (q, keys[None], found[None])))
    np.testing.assert_allclose(attend(q, keys, found), theirs.numpy(), atol=1e-12)


def test_a_probability_of_minus_infinity_is_nothing():
    """It was the smallest number of the dtype: 1.2e-38."""
    for dtype in (np.float32, np.float64):
        x = np.array([[0, -np.inf, 1, -np.inf], [-np.inf, -np.inf, -np.inf, 5], [0, -1e4, 0, 0]], dtype)
        found = softmax(x)
        assert found[0, 1] == found[0, 3] == 0 and found[1].tolist() == [0, 0, 0, 1] and found[2, 1] == 0
        np.testing.assert_allclose(found, ref.softmax_forward(x), rtol=1e-6)


def test_shapes_that_are_no_matrices():
    assert gelu(np.float64(1.0)).shape == () and gelu(np.zeros((2, 3, 4))).shape == (2, 3, 4)
    loss, gradient = cross_entropy_grad(values(2, 3, 9), TARGETS.reshape(2, 3))
    flat = cross_entropy_grad(values(2, 3, 9).reshape(6, 9), TARGETS)
    assert loss == flat[0] and np.array_equal(gradient, flat[1].reshape(2, 3, 9))
    assert cross_entropy_grad(values(9), 2)[1].shape == (9,)
    assert cross_entropy_grad(np.zeros((0, 9)), np.zeros(0, int))[0] == 0


def test_what_would_reach_beyond_an_array_is_refused():
    table, x = values(5, 4), values(6, 9)
    for call, error, message in [
        (lambda: embed([[0, 5]], table), ValueError, "token id 5 is out of range"),
        (lambda: embed([[0, -1]], table), ValueError, "token id -1 is out of range"),
        (lambda: embed([[0.5]], table), TypeError, "integers, not float64"),
        (lambda: embed(np.zeros((1, 1, 1), int), table), ValueError, r"\(1, 1, 1\)"),
        (lambda: embed([[0, 1, 2]], table, values(2, 4)), ValueError, r"pos_embed has shape \(2, 4\).*at least \(3, 4\)"),
        (lambda: embed([[0, 1]], table, values(2, 3)), ValueError, r"pos_embed has shape \(2, 3\).*at least \(2, 4\)"),
        (lambda: embed([[0, 1]], table[0]), ValueError, r"token_embed has shape \(4,\)"),
        (lambda: rms_norm(x, np.ones(8)), ValueError, "gamma has 8 values, x 9 columns"),
        (lambda: rms_norm(x[0], np.ones(9)), ValueError, r"x has shape \(9,\); it must have two dimensions"),
        (lambda: rms_norm(x.astype(int), np.ones(9)), TypeError, "x is of int64; give float32 or float64"),
        (lambda: softmax(np.arange(4.0)), ValueError, "two dimensions"),
        (lambda: gelu(np.arange(4)), TypeError, "int64"),
        (lambda: silu(np.arange(4)), TypeError, "int64"),
        (lambda: swiglu(x), ValueError, "9 columns, which are no two halves"),
        (lambda: rope(x, 3, 2), ValueError, "d_head is 2; it must be even and divide the 9 columns"),
        (lambda: rope(values(6, 8), 4, 2), ValueError, "6 rows, which are no whole sequences of 4"),
        (lambda: attend(x, x, x[:5]), ValueError, r"the shapes \(6, 9\), \(6, 9\) and \(5, 9\); they must be"),
        (lambda: attend(x, x, x, np.ones((2, 6), bool)), ValueError, r"the mask \(2, 6\); they do not go together"),
        (lambda: attend(x, x, x, np.ones((6, 6))), TypeError, "the mask is of float64; it must be bool"),
        (lambda: feed_forward(x, values(8, 5), values(5, 9)), ValueError, "6 x 9 by 8 x 5"),
        (lambda: self_attention(x, 4, 3), ValueError, "6 rows, which are no whole sequences of 4 tokens"),
        (lambda: self_attention(x, 0, 3), ValueError, "sequences of 0"),
        (lambda: self_attention(x, 3, 2), ValueError, r"9 columns, which n_heads \+ 2 n_kv_heads = 6 do not divide"),
        (lambda: self_attention(x, 3, 3, 2), ValueError, "n_heads 3 is not divisible by n_kv_heads 2"),
        (lambda: self_attention(x, 3, 3, 0), ValueError, "n_kv_heads 0"),
        (lambda: cross_entropy_grad(x, TARGETS + 1), ValueError, "target id 9 is out of range; ids go to 8"),
        (lambda: cross_entropy_grad(x, TARGETS[:3]), ValueError, r"targets have shape \(3,\), logits \(6, 9\)"),
        (lambda: cross_entropy_grad(x, TARGETS.astype(float)), TypeError, "targets must be integers, not float64"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_no_module_of_the_model_hides_a_function():
    import toylm.model
    from toylm.model import transformer  # which imports every part

    assert transformer and all(callable(getattr(toylm.model, name)) for name in toylm.model.__all__)


def test_no_function_has_the_name_of_a_module_beside_it():
    """Importing a module sets its name in the package: the function would be gone."""
    import toylm.model.transformer

    assert all(callable(getattr(toylm.model, name)) for name in toylm.model.__all__)
