"""Attention, output projections, LoRA and heads in closed form, against hand-made numbers and PyTorch."""

import numpy as np
import pytest
from closed_form_problems import gap, noisy

from toylm.closed_form import (
    ActivationHooks,
    BlockCollapseTrainer,
    ClosedFormHead,
    LoRATrainer,
    apply_lora_update_inplace,
    compute_qkv_attn,
    krr_fit,
    krr_predict,
    lora_from_activations,
    lora_from_residual_svd,
    ridge_fit_closed_form,
    solve_attention_output_projection,
    solve_output_projection_from_attn,
)


def attention_problem(rows=40, d=6):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, d)), *(rng.standard_normal((d, n)) for n in (4, 4, 5))


def test_ridge_fit_and_block():
    X, Y = noisy(n=50, d=5)
    expected = np.linalg.solve(X.T @ X + 0.5 * np.eye(5), X.T @ Y)
    assert gap(ridge_fit_closed_form(X, Y, 0.5), expected) < 1e-12
    assert ridge_fit_closed_form(X, Y[:, 0], 0.5).shape == (5,)
    trainer = BlockCollapseTrainer(lambda_reg=0.5)
    assert gap(trainer.solve_linear_block(X, Y), expected) < 1e-12 and trainer.solver_ == "cholesky"
    wide = ridge_fit_closed_form(X[:3], Y[:3], 0.5)
    assert gap(wide, np.linalg.solve(X[:3].T @ X[:3] + 0.5 * np.eye(5), X[:3].T @ Y[:3])) < 1e-12
    with pytest.raises(ValueError, match="lambda_reg is -1"):
        ridge_fit_closed_form(X, Y, -1)
    with pytest.raises(ValueError, match="50 rows, Y has 49"):
        ridge_fit_closed_form(X, Y[:49])


def test_krr_fit():
    X, Y = noisy(n=30, d=3)
    fitted = krr_fit(X, Y, lambda_reg=0.1, length_scale=2.0, variance=1.5)
    K = 1.5 * np.exp(-((X[:, None] - X) ** 2).sum(axis=2) / 8)
    assert fitted["alpha"].shape == (30, 2) and fitted["kernel"] == "rbf"
    assert gap((K + 0.1 * np.eye(30)) @ fitted["alpha"], Y) < 1e-12
    assert gap(krr_predict(fitted, X), K @ fitted["alpha"]) < 1e-12
    assert krr_fit(X, Y[:, 0])["alpha"].shape == (30, 1)


def test_attention_by_hand():
    X = np.array([[1.0, 0.0], [0.0, 1.0]])
    Q, K, V, A, Z = compute_qkv_attn(X, np.eye(2), np.eye(2), np.array([[1.0], [3.0]]))
    e = np.exp(1 / np.sqrt(2))
    assert gap(A, [[e / (e + 1), 1 / (e + 1)], [1 / (e + 1), e / (e + 1)]]) < 1e-15
    assert gap(Z, [[(e + 3) / (e + 1)], [(1 + 3 * e) / (e + 1)]]) < 1e-15


def test_attention_masks():
    X, *weights = attention_problem()
    causal = compute_qkv_attn(X, *weights, mask="causal")[3]
    keep = np.tril(np.ones((40, 40), bool))
    assert np.array_equal(causal, compute_qkv_attn(X, *weights, mask=keep)[3])
    added = compute_qkv_attn(X, *weights, mask=np.where(keep, 0.0, -np.inf))[3]
    assert np.array_equal(causal, added) and not causal[~keep].any()
    np.testing.assert_allclose(causal.sum(axis=1), 1.0, rtol=1e-14)
    batched = compute_qkv_attn(np.stack([X, X[::-1]]), *weights, mask="causal")[4]
    np.testing.assert_allclose(batched[0], compute_qkv_attn(X, *weights, mask="causal")[4], rtol=1e-12)
    huge = compute_qkv_attn(1e4 * X, *weights)[3]
    assert np.isfinite(huge).all()
    with pytest.raises(TypeError, match="mask has dtype int64: give bool"):
        compute_qkv_attn(X, *weights, mask=keep.astype(np.int64))
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="mask contains NaN or .infinity"):
            compute_qkv_attn(X, *weights, mask=np.where(keep, 0.0, value))
    keep[3] = False
    with pytest.raises(ValueError, match="position 3 nothing to attend to"):
        compute_qkv_attn(X, *weights, mask=keep)
    with pytest.raises(ValueError, match=r"W_K has shape \(5, 4\)"):
        compute_qkv_attn(X, weights[0], weights[1][:5], weights[2])
    with pytest.raises(ValueError, match="W_Q has 3 columns and W_K 4"):
        compute_qkv_attn(X, weights[0][:, :3], *weights[1:])
    holed = np.stack([X, X])
    holed[1, 7, 2] = np.nan
    with pytest.raises(ValueError, match="X contains NaN .*sequence 1, row 7, column 2"):
        compute_qkv_attn(holed, *weights)
    with pytest.raises(ValueError, match="mask is 'future'"):
        compute_qkv_attn(X, *weights, mask="future")


def test_output_projection_is_found_again():
    X, *weights = attention_problem(rows=60)
    W_O = np.random.default_rng(1).standard_normal((5, 6))
    *_, A, Z = compute_qkv_attn(X, *weights, mask="causal")
    out = solve_attention_output_projection(X, *weights, Z @ W_O, lambda_reg=0.0, mask="causal")
    assert [part.shape for part in out] == [(60, 4), (60, 4), (60, 5), (60, 60), (5, 6)]
    assert gap(out[4], W_O) < 1e-10 and np.array_equal(out[3], A)
    heads = np.concatenate([Z, Z**2], axis=1)  # several heads side by side: one solve
    both = np.vstack([W_O, -W_O])
    assert gap(solve_output_projection_from_attn(heads, heads @ both, lambda_reg=1e-12), both) < 1e-6
    penalised = solve_output_projection_from_attn(Z, Z @ W_O, lambda_reg=2.0)
    assert gap(penalised, np.linalg.solve(Z.T @ Z + 2 * np.eye(5), Z.T @ Z @ W_O)) < 1e-11
    with pytest.raises(ValueError, match="must agree in all but the last axis"):
        solve_output_projection_from_attn(Z, W_O)


def test_lora_svd_and_its_scaling():
    R = np.random.default_rng(0).standard_normal((8, 5))
    s = np.linalg.svd(R, compute_uv=False)
    for rank in (1, 3, 5):
        A, B = lora_from_residual_svd(R, rank)
        assert A.shape == (8, rank) and B.shape == (rank, 5)
        assert np.linalg.norm(R - A @ B) == pytest.approx(np.sqrt((s[rank:] ** 2).sum()), abs=1e-13)
        np.testing.assert_allclose(A.T @ A, B @ B.T, atol=1e-12)
    C, D = lora_from_residual_svd(R, 3, scaling=3.0)
    A, B = lora_from_residual_svd(R, 3)
    np.testing.assert_allclose(C @ D, 9 * A @ B, rtol=1e-12)  # both factors are scaled
    with pytest.raises(ValueError, match="rank is 6"):
        lora_from_residual_svd(R, 6)
    with pytest.raises(ValueError, match="rank is 0"):
        lora_from_residual_svd(R, 0)


def test_activation_aware_lora_is_never_worse_on_the_data():
    rng = np.random.default_rng(0)
    for trial in range(20):
        R = rng.standard_normal((8, 5))
        X = rng.standard_normal((60, 8)) * rng.uniform(0.01, 3, 8)
        A, B = lora_from_residual_svd(R, 2)
        C, D = lora_from_activations(X, R, 2)
        assert np.linalg.norm(X @ (R - C @ D)) <= np.linalg.norm(X @ (R - A @ B)) * (1 + 1e-12), trial
    white = np.linalg.qr(rng.standard_normal((60, 8)))[0]  # Gram matrix I: the two agree
    np.testing.assert_allclose(np.matmul(*lora_from_activations(white, R, 2)), A @ B, atol=1e-12)
    W, delta = rng.standard_normal((8, 5)), np.outer(np.arange(8.0), np.ones(5))
    C, D = LoRATrainer(rank=1, lambda_reg=1e-12).fit(X, W, X @ (W + delta))
    assert gap(C @ D, delta) < 1e-8
    E, F = LoRATrainer(rank=1, lambda_reg=1e-12, activation_aware=False).fit(X, W, X @ (W + delta))
    assert gap(E @ F, delta) < 1e-8


def test_lora_update_in_place():
    W = np.zeros((4, 3), dtype=np.float32)
    A, B = np.arange(8.0).reshape(4, 2), np.ones((2, 3))
    same = apply_lora_update_inplace(W, A, B)
    assert same is W and W.dtype == np.float32 and W[1].tolist() == [5, 5, 5]
    with pytest.raises(ValueError, match=r"W \(4, 3\) cannot take A \(2, 4\)"):
        apply_lora_update_inplace(W, A.T, B)
    with pytest.raises(TypeError, match="in place, not list"):
        apply_lora_update_inplace([[1.0]], A, B)
    with pytest.raises(TypeError, match="W has dtype int64"):
        apply_lora_update_inplace(np.zeros(W.shape, np.int64), A, B)


@pytest.mark.parametrize(
    "kind, keywords", [("ridge", {}), ("kernel_ridge", {"length_scale": 2.0}), ("elm", {"hidden_units": 60})]
)
def test_heads(kind, keywords):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300) * 10
    features = rng.standard_normal((300, 4)) + 5 * np.eye(4)[labels // 10]
    head = ClosedFormHead(kind, **keywords).fit(features[:200], labels[:200])
    assert (head.predict(features[200:]) == labels[200:]).mean() > 0.95 and set(head.predict(features)) <= {0, 10, 20}
    probabilities = head.predict_proba(features[200:])
    assert probabilities.shape == (100, 3) and (probabilities > 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    numbers = ClosedFormHead(kind, **keywords).fit(features, features[:, 0] * 2.0)
    assert numbers.predict(features).shape == (300,)
    with pytest.raises(ValueError, match="fitted to classes"):
        numbers.predict_proba(features)
    with pytest.raises(ValueError, match="not fitted"):
        ClosedFormHead(kind).predict(features)


def test_head_errors():
    with pytest.raises(ValueError, match="kind is 'softmax'"):
        ClosedFormHead("softmax")


class Module:
    """As much of a PyTorch module as hooks need."""

    def __init__(self):
        self.hooks = []

    def named_modules(self):
        return [("", self), ("block", self.block)] if hasattr(self, "block") else [("", self)]

    def register_forward_hook(self, hook):
        self.hooks.append(hook)
        owner = self

        class Handle:
            def remove(self):
                owner.hooks.remove(hook)

        return Handle()

    def __call__(self, x):
        for hook in self.hooks:
            hook(self, (x,), (2 * x, None))
        return 2 * x


def test_hooks_collect_and_leave():
    model = Module()
    model.block = Module()
    with ActivationHooks(model, ["block"]) as hooks:
        model.block(np.ones(3))
        model.block(np.zeros(3))
    model.block(np.ones(3))
    assert [part.tolist() for part in hooks["block"]] == [[2, 2, 2], [0, 0, 0]] and not model.block.hooks
    with pytest.raises(ValueError, match="no module 'blok'"):
        ActivationHooks(model, ["blok"])


@pytest.mark.parity
def test_hooks_of_bfloat16_modules():
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(3, 2)).to(torch.bfloat16)
    with ActivationHooks(model, ["0"]) as hooks:
        out = model(torch.ones(1, 3, dtype=torch.bfloat16))
    assert hooks["0"][0].dtype == np.float32 and np.array_equal(hooks["0"][0], out.detach().float().numpy())


@pytest.mark.parity
def test_attention_is_pytorchs():
    torch = pytest.importorskip("torch")
    X, *weights = attention_problem()
    Q, K, V, _, Z = compute_qkv_attn(X, *weights, mask="causal")
    parts = [torch.tensor(part)[None, None] for part in (Q, K, V)]
    theirs = torch.nn.functional.scaled_dot_product_attention(*parts, is_causal=True)[0, 0]
    np.testing.assert_allclose(Z, theirs.numpy(), rtol=1e-12, atol=1e-13)
    layer = torch.nn.Sequential(torch.nn.Linear(6, 3))
    with ActivationHooks(layer, ["0"]) as hooks:
        out = layer(torch.zeros(2, 6))
    np.testing.assert_array_equal(hooks["0"][0], out.detach().numpy())
