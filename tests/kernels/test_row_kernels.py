"""Every kernel against its NumPy twin, over odd sizes, in both dtypes; and the twins' gradients against central differences."""

import numpy as np
import pytest

from toylm.kernels import (
    bias,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    layernorm,
    optimizer,
    relu2,
    residual,
    rmsnorm,
    rope,
    silu,
    softmax,
    swiglu,
)

DTYPES = [np.float32, np.float64]
SIZES = [(1, 1), (3, 7), (5, 16), (17, 33), (40, 131)]


def close(actual, expected, factor=40):
    eps = np.finfo(actual.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=factor * eps, atol=factor * eps * max(1.0, np.abs(expected).max()))


def normal(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def central_difference(f, x, direction, h=1e-5):
    return (f(x + h * direction) - f(x - h * direction)) / (2 * h)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 33, 10_007])
def test_dropout(n, dtype):
    f, x, key, threshold, scale = normal(n, dtype), normal(n, dtype, 1), 0xDEADBEEF, int(0.3 * 2**32), 1 / 0.7
    y, df = np.empty_like(x), np.empty_like(x)
    dropout.dropout_forward(f, x, y, key, threshold, scale)
    close(y, dropout.dropout_reference(f, x, key, threshold, scale).astype(dtype))
    dropout.dropout_backward(f, df, key, threshold, scale)
    close(df, dropout.dropout_reference(f, np.zeros_like(x), key, threshold, scale).astype(dtype))
    if n > 1000:
        assert 0.28 < 1 - dropout.mask_reference(n, key, threshold).mean() < 0.32
        masks = [dropout.mask_reference(n, key, 2**31) for key in range(6)]
        assert np.abs(np.corrcoef(masks) - np.eye(6)).max() < 0.05  # passes draw independently


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, columns", SIZES)
def test_softmax(rows, columns, dtype):
    x, dy = 5 * normal((rows, columns), dtype), normal((rows, columns), dtype, 1)
    y, dx = np.empty_like(x), normal((rows, columns), dtype, 2)
    expected_dx = dx + softmax.softmax_backward_reference(dy, softmax.softmax_reference(x))
    softmax.softmax_forward(x, y)
    softmax.softmax_backward(dy, y, dx)
    close(y, softmax.softmax_reference(x))
    close(dx, expected_dx)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, d", SIZES)
def test_rmsnorm(rows, d, dtype):
    import numba

    x, dy, gamma = normal((rows, d), dtype), normal((rows, d), dtype, 1), normal(d, dtype, 2)
    y, rstd, dx = np.empty_like(x), np.empty(rows, dtype), normal((rows, d), dtype, 3)
    dgamma = normal(d, dtype, 4)
    expected_dx, expected_dgamma = rmsnorm.rmsnorm_backward_reference(dy, x, gamma)
    expected_dx, expected_dgamma = expected_dx + dx, expected_dgamma + dgamma
    parts = np.empty((numba.get_num_threads(), d), dtype)
    rmsnorm.rmsnorm_forward(x, gamma, 1e-5, y, rstd)
    rmsnorm.rmsnorm_backward(dy, x, gamma, rstd, dx, parts)
    rmsnorm.add_parts(parts, dgamma)
    close(y, rmsnorm.rmsnorm_reference(x, gamma))
    close(dx, expected_dx, 400)
    close(dgamma, expected_dgamma, 400)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 17, 1003])
def test_gelu_and_residual(n, dtype):
    x, dy = 3 * normal(n, dtype), normal(n, dtype, 1)
    y = np.empty_like(x)
    gelu.gelu_forward(x, y)
    close(y, gelu.gelu_reference(x), 60)
    expected = gelu.gelu_backward_reference(dy, x)
    dx = dy.copy()
    gelu.gelu_backward(dx, x)
    close(dx, expected, 60)
    residual.residual_forward(x, dy, y)
    close(y, residual.residual_reference(x, dy))
    a, b = np.ones_like(x), np.zeros_like(x)
    residual.residual_backward(dy, a, b)
    close(a, 1 + dy)
    close(b, dy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, d", SIZES)
def test_layernorm(rows, d, dtype):
    import numba

    x, dy, gamma, beta = (normal((rows, d), dtype), normal((rows, d), dtype, 1), normal(d, dtype, 2), normal(d, dtype, 5))
    y, rstd, dx = np.empty_like(x), np.empty(rows, dtype), normal((rows, d), dtype, 3)
    eps = 0.1  # a row of one or two equal values has no deviation: a large eps keeps the comparison well-conditioned
    expected_dx, expected_dgamma, expected_dbeta = layernorm.layernorm_backward_reference(dy, x, gamma, eps)
    expected_dx += dx
    gamma_parts, beta_parts = np.empty((2, numba.get_num_threads(), d), dtype)
    layernorm.layernorm_forward(x, gamma, beta, eps, y, rstd)
    layernorm.layernorm_backward(dy, x, gamma, rstd, dx, gamma_parts, beta_parts)
    close(y, layernorm.layernorm_reference(x, gamma, beta, eps), 100)
    close(dx, expected_dx, 400)
    close(gamma_parts.sum(axis=0), expected_dgamma, 400)
    close(beta_parts.sum(axis=0), expected_dbeta, 400)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 17, 1003])
@pytest.mark.parametrize("name", ["silu", "relu2"])
def test_activations(name, n, dtype):
    kernel = {"silu": silu, "relu2": relu2}[name]
    x, dy = 3 * normal(n, dtype), normal(n, dtype, 1)
    y, dx = np.empty_like(x), dy.copy()
    getattr(kernel, f"{name}_forward")(x, y)
    getattr(kernel, f"{name}_backward")(dx, x)
    close(y, getattr(kernel, f"{name}_reference")(x), 60)
    close(dx, getattr(kernel, f"{name}_backward_reference")(dy, x), 60)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, n", SIZES)
def test_swiglu_and_bias(rows, n, dtype):
    x, dy, b = 3 * normal((rows, 2 * n), dtype), normal((rows, n), dtype, 1), normal(2 * n, dtype, 2)
    y, dx = np.empty_like(dy), np.empty_like(x)
    swiglu.swiglu_forward(x, y)
    swiglu.swiglu_backward(dy, x, dx)
    close(y, swiglu.swiglu_reference(x), 60)
    close(dx, swiglu.swiglu_backward_reference(dy, x), 60)
    db = np.ones(2 * n, dtype)
    bias.bias_backward(x, db)
    close(db, 1 + bias.bias_backward_reference(x), 60)
    expected = bias.bias_reference(x, b)
    bias.bias_forward(x, b)
    close(x, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chunk_bytes", [embedding.CHUNK_BYTES, 600, 1])
def test_embedding(dtype, chunk_bytes, monkeypatch):
    monkeypatch.setattr(embedding, "CHUNK_BYTES", chunk_bytes)  # all sequences at a time, two or four, one
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 11, (3, 5))
    token_embed, pos_embed, dx = normal((11, 7), dtype), normal((9, 7), dtype, 1), normal((15, 7), dtype, 2)
    x = np.empty((15, 7), dtype)
    embedding.embedding_forward(tokens, token_embed, pos_embed, x)
    close(x, embedding.embedding_reference(tokens, token_embed, pos_embed))
    dtoken, dpos = np.ones_like(token_embed), np.ones_like(pos_embed)
    embedding.embedding_backward(tokens, dx, dtoken, dpos)
    expected_token, expected_pos = embedding.embedding_backward_reference(tokens, dx, 11, 9)
    close(dtoken, 1 + expected_token)
    close(dpos, 1 + expected_pos)
    embedding.embedding_forward(tokens, token_embed, pos_embed[:0], x)
    close(x, embedding.embedding_reference(tokens, token_embed))


@pytest.mark.parametrize("threads", [1, 2, 5, 50])
@pytest.mark.parametrize("tokens", [[[3] * 6], [[0, 5], [5, 0], [2, 5]], [[1, 4, 1, 0, 1, 4, 1, 1, 5]]], ids=str)
def test_rows_of_a_token_are_added_in_order_by_however_many_threads(tokens, threads):
    tokens, d = np.array(tokens), 19
    dx, dtoken, dpos = normal((tokens.size, d), np.float32), normal((6, d), np.float32, 1), normal((9, d), np.float32, 2)
    expected_token, expected_pos = dtoken.copy(), dpos.copy()
    for i, token in enumerate(tokens.flat):
        expected_token[token] += dx[i]
        expected_pos[i % tokens.shape[1]] += dx[i]
    order = np.empty(tokens.size, np.int32)
    embedding._by_token(tokens.reshape(-1), 6, order)
    np.testing.assert_array_equal(order, np.argsort(tokens, axis=None, kind="stable"))
    embedding._backward.with_threads(tokens.reshape(-1), order, tokens.shape[1], dx, dtoken, dpos, threads)
    np.testing.assert_array_equal(dtoken, expected_token)
    np.testing.assert_array_equal(dpos, expected_pos)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, V", SIZES)
def test_cross_entropy_with_targets_that_are_not_counted(rows, V, dtype):
    logits = 4 * normal((rows, V), dtype)
    targets = np.random.default_rng(1).integers(0, V, rows)
    targets[rows // 2] = -1
    expected_losses, expected_d = cross_entropy.cross_entropy_reference(logits, targets)
    losses = np.empty(rows)
    cross_entropy.cross_entropy_forward(logits, targets, losses)
    close(losses.astype(dtype), expected_losses, 60)
    cross_entropy.cross_entropy_backward(logits, targets, 1 / max(1, (targets >= 0).sum()), losses)
    close(losses.astype(dtype), expected_losses, 60)
    close(logits, expected_d, 60)


def test_cross_entropy_of_large_logits():
    """The loss keeps its digits however far from 0 the logits are, with the gradient and without."""
    logits = np.float32(1000) + 4 * normal((50, 301), np.float32)
    targets, losses, others = np.random.default_rng(1).integers(0, 301, 50), np.empty(50), np.empty(50)
    expected, _ = cross_entropy.cross_entropy_reference(logits.astype(float), targets)
    cross_entropy.cross_entropy_forward(logits, targets, losses)
    cross_entropy.cross_entropy_backward(logits, targets, 1.0, others)
    for found in (losses, others):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_cross_entropy_shows_nan():
    logits, losses = np.array([[0.0, np.nan, 1.0]], np.float32), np.empty(1)
    cross_entropy.cross_entropy_forward(logits, np.array([0]), losses)
    assert np.isnan(losses[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("h", [2, 6, 32])
def test_rope_turns_q_and_k_and_back(h, dtype):
    B, T, H = 2, 5, 3
    qkv = normal((B * T, 3 * H * h), dtype)
    before = qkv.copy()
    cos, sin = rope.rope_tables(T, h, 10000.0, dtype)
    rope.rope_forward(qkv, cos, sin, T, 2 * H, h, 1)
    expected = rope.rope_reference(before[:, : 2 * H * h].reshape(B, T, 2 * H, h)).reshape(B * T, -1)
    close(qkv[:, : 2 * H * h], expected)
    np.testing.assert_array_equal(qkv[:, 2 * H * h :], before[:, 2 * H * h :])
    rope.rope_forward(qkv, cos, sin, T, 2 * H, h, -1)
    close(qkv, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_optimizer_kernels(dtype):
    n, decayed = 40_001, 12_345
    p, g, m, v = (normal(n, dtype, i) for i in range(4))
    v = np.abs(v)
    arguments = (decayed, 1e-2, 0.9, 0.95, 1e-8, 0.1, 3, 0.5)
    expected = optimizer.adam_reference(p.astype(float), g, m, v, *arguments)
    optimizer.adam(p, g, m, v, *arguments)
    for actual, wanted in zip((p, m, v), expected):
        close(actual, wanted)
    for velocity in (normal(n, dtype, 5), np.zeros(0, dtype)):
        momentum = 0.9 if velocity.size else 0.0
        old = velocity if velocity.size else np.zeros(n)
        expected_p, expected_v = optimizer.sgd_reference(p.astype(float), g, old, decayed, 0.1, momentum, 0.01, 0.5)
        optimizer.sgd(p, g, velocity, decayed, 0.1, momentum, 0.01, 0.5)
        close(p, expected_p)
        if velocity.size:
            close(velocity, expected_v)
    assert optimizer.norm(g) == pytest.approx(np.linalg.norm(g.astype(float)), rel=1e-7)
    g[77] = np.inf
    assert not np.isfinite(optimizer.norm(g))


def test_twins_are_the_derivatives_of_their_forward():
    """The references themselves are held against central differences, in float64."""
    rng = np.random.default_rng(0)
    x, direction, dy, gamma = (rng.standard_normal((4, 6)) for _ in range(4))
    cases = [
        (softmax.softmax_reference, lambda: softmax.softmax_backward_reference(dy, softmax.softmax_reference(x))),
        (gelu.gelu_reference, lambda: gelu.gelu_backward_reference(dy, x)),
        (silu.silu_reference, lambda: silu.silu_backward_reference(dy, x)),
        (relu2.relu2_reference, lambda: relu2.relu2_backward_reference(dy, x)),
        (
            lambda z: np.pad(swiglu.swiglu_reference(z), ((0, 0), (0, 3))),
            lambda: swiglu.swiglu_backward_reference(dy[:, :3], x),
        ),
        (
            lambda z: layernorm.layernorm_reference(z, gamma[0], gamma[1]),
            lambda: layernorm.layernorm_backward_reference(dy, x, gamma[0])[0],
        ),
        (lambda z: rmsnorm.rmsnorm_reference(z, gamma[0]), lambda: rmsnorm.rmsnorm_backward_reference(dy, x, gamma[0])[0]),
    ]
    for forward, backward in cases:
        numeric = central_difference(lambda z, f=forward: (f(z) * dy).sum(), x, direction)
        assert (backward() * direction).sum() == pytest.approx(numeric, rel=1e-8, abs=1e-10)


def test_softmax_of_a_matrix_stored_by_columns():
    from toylm.model.functions import softmax

    x = np.asfortranarray(np.random.default_rng(0).standard_normal((5, 7)))
    np.testing.assert_allclose(softmax(x), np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), rtol=1e-12)
