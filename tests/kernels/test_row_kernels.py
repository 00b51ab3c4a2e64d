"""Every kernel against the reference (toylm/reference.py), over odd sizes, in both dtypes."""

import numpy as np
import pytest

from toylm import reference
from toylm.kernels import cross_entropy, dropout, embedding, matmul, norm, optimizer, rope
from toylm.kernels.jit import threads_now
from toylm.kinds import NORMS

DTYPES = [np.float32, np.float64]
SIZES = [(1, 1), (3, 7), (5, 16), (17, 33), (40, 131)]


def close(actual, expected, factor=40):
    eps = np.finfo(actual.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=factor * eps, atol=factor * eps * max(1.0, np.abs(expected).max()))


def normal(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def mask(n, key, threshold):
    """What dropout keeps, (n,) bool."""
    h = np.arange(n, dtype=np.uint32) ^ np.uint32(key)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    return (h ^ (h >> np.uint32(16))) >= np.uint32(threshold)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 33, 10_007])
def test_dropout(n, dtype):
    f, x, key, threshold, scale = normal(n, dtype), normal(n, dtype, 1), 0xDEADBEEF, int(0.3 * 2**32), 1 / 0.7
    y, kept = np.empty_like(x), np.where(mask(n, key, threshold), scale * f, 0)
    dropout.dropout_add(f, x, y, key, threshold, scale)
    close(y, x + kept)
    dropout.dropout_scale(f, f, key, threshold, scale)
    close(f, kept)
    if n > 1000:
        assert 0.28 < 1 - mask(n, key, threshold).mean() < 0.32
        masks = [mask(n, key, 2**31) for key in range(6)]
        assert np.abs(np.corrcoef(masks) - np.eye(6)).max() < 0.05  # passes draw independently


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, columns", SIZES)
def test_softmax(rows, columns, dtype):
    x = 5 * normal((rows, columns), dtype)
    y = np.empty_like(x)
    cross_entropy.softmax_forward(x, y)
    close(y, reference.softmax_forward(x.astype(float)))
    cross_entropy.softmax_forward(np.asfortranarray(x), y)
    close(y, reference.softmax_forward(x.astype(float)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, d", SIZES)
@pytest.mark.parametrize("kind", NORMS)
def test_norms(kind, rows, d, dtype):
    x, dy, gamma, beta = (normal((rows, d), dtype), normal((rows, d), dtype, 1), normal(d, dtype, 2), normal(d, dtype, 5))
    y, rstd, dx = np.empty_like(x), np.empty(rows, dtype), normal((rows, d), dtype, 3)
    eps = 0.1  # a row of one or two equal values has no deviation: a large eps keeps the comparison well-conditioned
    vectors, names = ((gamma, beta), "layer") if kind == "layer" else ((gamma,), "rms")
    forward, backward = (getattr(reference, f"{names}norm_{way}") for way in ("forward", "backward"))
    gradients, expected = [np.ones_like(v) for v in vectors], [np.ones(d) for _ in vectors]
    exact = [v.astype(float) for v in vectors]
    expected_dx = dx + backward(dy.astype(float), x.astype(float), exact[0], *expected, eps)
    found, shares = norm.norm_rows(kind, np.dtype(dtype)), np.full((threads_now(), len(vectors), d), np.nan, dtype)
    norm.norm_forward(found.forward, x, gamma, beta, eps, y, rstd)
    norm.norm_backward(found, dy, x, gamma, rstd, dx, gradients, shares)
    close(y, forward(x.astype(float), *exact, eps), 100)
    close(dx, expected_dx, 400)
    for actual, wanted in zip(gradients, expected):
        close(actual, wanted, 400)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, n", SIZES)
def test_bias(rows, n, dtype):
    x, b, db = normal((rows, n), dtype), normal(n, dtype, 2), np.ones(n, dtype)
    matmul.bias_backward(x, db)
    close(db, 1 + x.sum(axis=0, dtype=float), 60)
    expected = x + b
    matmul.bias_forward(x, b)
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
    close(x, reference.embedding_forward(tokens, token_embed, pos_embed))
    dtoken, dpos = np.ones_like(token_embed), np.ones_like(pos_embed)
    expected = np.ones_like(token_embed), np.ones_like(pos_embed)
    memory = [np.full(size, -1) for size in embedding.order_sizes(tokens.shape, 7, dx.itemsize, 11)]
    embedding.embedding_backward(tokens, dx, dtoken, dpos, memory)
    reference.embedding_backward(dx, tokens, *expected)
    close(dtoken, expected[0])
    close(dpos, expected[1])
    embedding.embedding_forward(tokens, token_embed, pos_embed[:0], x)
    close(x, reference.embedding_forward(tokens, token_embed))


@pytest.mark.parametrize("threads", [1, 2, 5, 50])
@pytest.mark.parametrize("tokens", [[[3] * 6], [[0, 5], [5, 0], [2, 5]], [[1, 4, 1, 0, 1, 4, 1, 1, 5]]], ids=str)
def test_rows_of_a_token_are_added_in_order_by_however_many_threads(tokens, threads):
    tokens, d = np.array(tokens), 19
    dx, dtoken, dpos = normal((tokens.size, d), np.float32), normal((6, d), np.float32, 1), normal((9, d), np.float32, 2)
    expected_token, expected_pos = dtoken.copy(), dpos.copy()
    for i, token in enumerate(tokens.flat):
        expected_token[token] += dx[i]
        expected_pos[i % tokens.shape[1]] += dx[i]
    order = np.empty(tokens.size, np.int64)
    embedding._by_token(tokens.reshape(-1), np.empty(7, np.int64), order)
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
    exact = logits.astype(float)
    expected_losses, expected_d = (f(exact, targets) for f in (reference.cross_entropy_forward, reference.cross_entropy_backward))
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
    expected = reference.cross_entropy_forward(logits.astype(float), targets)
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
    cos, sin = rope.tables(T, h, 10000.0, dtype)
    rope.rotate(qkv, cos, sin, T, 2 * H, h, 1)
    expected = reference.rope_forward(before[:, : 2 * H * h], T, h)
    close(qkv[:, : 2 * H * h], expected)
    np.testing.assert_array_equal(qkv[:, 2 * H * h :], before[:, 2 * H * h :])
    rope.rotate(qkv, cos, sin, T, 2 * H, h, -1)
    close(qkv, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_optimizer_kernels(dtype):
    n, decayed = 40_001, 12_345
    p, g, m, v = (normal(n, dtype, i) for i in range(4))
    v = np.abs(v)
    exact = [x.astype(float) for x in (p, m, v)]
    reference.adamw_step(exact[0], 0.5 * g.astype(float), *exact[1:], decayed, 3, 1e-2, (0.9, 0.95), 1e-8, 0.1)
    optimizer.adam(p, g, m, v, decayed, optimizer.AdamRates(1e-2, 0.9, 0.95, 1e-8, 0.1, 0.5, 3))
    for actual, wanted in zip((p, m, v), exact):
        close(actual, wanted)
    for velocity in (normal(n, dtype, 5), np.zeros(0, dtype)):
        momentum = 0.9 if velocity.size else 0.0
        expected, wanted = p.astype(float), velocity.astype(float) if velocity.size else np.zeros(n)
        reference.sgd_step(expected, 0.5 * g.astype(float), wanted, decayed, 0.1, momentum, 0.01)
        optimizer.sgd(p, g, velocity, decayed, optimizer.Rates(0.1, momentum, 0.01, 0.5))
        close(p, expected)
        if velocity.size:
            close(velocity, wanted)
    parts = np.full(-(-n // optimizer.CHUNK), np.nan)
    assert optimizer.norm(g, parts) == pytest.approx(np.linalg.norm(g.astype(float)), rel=1e-7)
    g[77] = np.inf
    assert not np.isfinite(optimizer.norm(g, parts))


@pytest.mark.parametrize("n, columns", [(1, 1), (3, 7), (40, 131)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_logit_offset(n, columns, dtype):
    logits, offset, dlogits = (normal((n, columns), dtype, seed) for seed in range(3))
    expected = logits.astype(float) + 0.7 * offset
    cross_entropy.logit_offset_forward(logits, offset, 0.7)
    close(logits, expected)
    assert cross_entropy.logit_offset_backward(dlogits, offset) == pytest.approx((dlogits.astype(float) * offset).sum(), abs=1e-3)
