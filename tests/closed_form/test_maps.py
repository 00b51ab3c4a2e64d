"""ELM, autoencoder, deep linear, dictionary, interpolation, whitening: their defining properties and their errors."""

import numpy as np
import pytest
from closed_form_problems import gap, noisy

from toylm.closed_form import (
    ELM,
    Barycentric1D,
    Collapse,
    ConflictingTargets,
    DeepELM,
    DeepLinear,
    DictionaryModel,
    KernelRidge,
    KernelRidgePath,
    LinearAutoencoder,
    LinearRegression,
    RankWarning,
    Ridge,
    Whitening,
    autoencoder,
    balanced_factors,
    barycentric_weights,
    chebyshev_lobatto,
    elm,
    kernel_matrix,
    memory,
)


def test_elm_is_ridge_on_features_made_by_hand():
    X, Y = noisy(n=80, d=4)
    model = ELM(20, activation="relu", weight_scale=0.7, random_seed=9, lambda_reg=1e-2).fit(X, Y)
    rng = np.random.default_rng(9)
    W, b = 0.7 * rng.standard_normal((4, 20)), 0.7 * rng.standard_normal(20)
    H = np.maximum((X - X.mean(axis=0)) / X.std(axis=0) @ W + b, 0)
    beta = np.linalg.solve(H.T @ H + 1e-2 * np.eye(20), H.T @ Y)
    assert gap(model.hidden_weights_[0], W) == 0 and gap(model.beta_, beta) < 1e-10
    assert gap(model.predict(X), H @ beta) < 1e-11
    deep = DeepELM([12, 7], random_seed=1, weight_scale=0.5, whiten=None).fit(X, Y)
    first = np.tanh(X @ deep.hidden_weights_[0] + deep.hidden_biases_[0])
    assert gap(deep.features(X), np.tanh(first @ deep.hidden_weights_[1] + deep.hidden_biases_[1])) < 1e-15
    assert [w.shape for w in DeepELM(9, depth=3).fit(X, Y).hidden_weights_] == [(4, 9), (9, 9), (9, 9)]


def test_elm_in_blocks_and_with_more_units_than_rows(monkeypatch):
    X, Y = noisy(n=700, d=4)
    whole = ELM(30, lambda_reg=1e-3, fit_intercept=True).fit(X, Y)
    monkeypatch.setattr(elm, "_BLOCK_BYTES", 1)  # blocks of 256 rows
    blocks = ELM(30, lambda_reg=1e-3, fit_intercept=True).fit(X, Y)
    assert gap(blocks.beta_, whole.beta_) < 1e-9 and gap(blocks.predict(X), whole.predict(X)) < 1e-11
    wide = ELM(200, lambda_reg=1e-2).fit(X[:50], Y[:50])
    assert wide.solver_ == "dual_cholesky"
    H = wide.features(X[:50])
    assert gap(wide.beta_, np.linalg.solve(H.T @ H + 1e-2 * np.eye(200), H.T @ Y[:50])) < 1e-8


def test_memory_is_named_before_it_is_taken(monkeypatch):
    X, Y = noisy(n=60)
    with pytest.raises(MemoryError, match=r"hidden_units = 1000000000 needs [\d,]+ bytes .*are available: use fewer"):
        ELM(10**9).fit(X, Y)
    with pytest.raises(MemoryError, match=r"eigendecomposition of 1000000 features needs 32,000,000,000,000 bytes"):
        Collapse("elm", parameters={"hidden_units": 10**6}).fit(X[:3], Y[:3])
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(MemoryError, match="kernel matrix of 60 rows needs 57,600 bytes"):
        KernelRidge().fit(X, Y)
    monkeypatch.setattr(memory, "available", lambda: None)  # a system that does not say
    KernelRidge().fit(X, Y)
    with pytest.raises(MemoryError, match="kernel matrix of 60 rows needs 86,400 bytes"):
        monkeypatch.setattr(memory, "available", lambda: 60_000)
        KernelRidgePath().fit(X, Y)
    assert memory.human(1023) == "1023 bytes" and memory.human(3 * 2**29) == "1.5 GiB"


@pytest.mark.filterwarnings("ignore::toylm.closed_form.RankWarning")
@pytest.mark.filterwarnings("ignore::toylm.closed_form.PathEdgeWarning")
@pytest.mark.parametrize(
    "model, rows, columns",
    [
        *((Ridge(1.0, solver=solver), 1200, 520) for solver in ("auto", "cholesky_qr", "svd")),
        (Ridge(1.0), 300, 600),
        (Ridge(0.0), 300, 600),
        (ELM(520), 1200, 5),
        (ELM(520, solver="cholesky_qr"), 1200, 5),
        (ELM(600, lambda_reg=0.1), 300, 5),
        *((KernelRidge(0.1, kernel=kernel), 700, 5) for kernel in ("rbf", "laplacian", "matern", "polynomial")),
        (KernelRidge(1e-13, kernel="polynomial"), 700, 5),
        (KernelRidgePath(length_scales=[1.0, 2.0, 3.0]), 700, 5),
    ],
    ids=str,
)
def test_memory_that_is_named_is_enough(model, rows, columns, monkeypatch):
    import tracemalloc

    X, Y = noisy(n=rows, d=columns)
    model.fit(X, Y)  # what is imported and compiled is not counted
    named = [0]
    monkeypatch.setattr(memory, "require", lambda count, what, remedy: named.append(count))
    tracemalloc.start()
    model.fit(X, Y)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    small = 4e6  # blocks of rows
    assert 0.1 * max(named) < taken < 1.05 * max(named) + small


def test_bad_elm_settings():
    X, Y = noisy()
    for model, message in (
        (ELM(0), "hidden_units is 0"),
        (ELM(2.5), "hidden_units is 2.5"),
        (ELM(activation="gelu"), "activation is 'gelu'"),
        (ELM(weight_scale=-1), "weight_scale is -1"),
        (ELM(lambda_reg=-1e-9), "lambda_reg is -1e-09"),
        (ELM("abc"), "hidden_units is 'abc': it must be a"),
        (ELM(None), "hidden_units is None: it must be a"),
        (ELM([8]), r"hidden_units is \[8\]: it must be a whole number"),
        (ELM(float("nan")), "hidden_units is nan: it must be a"),
        (ELM(np.float32(2.5)), "hidden_units is 2.5: it must be a whole number"),
        (ELM(weight_scale="fanin"), "weight_scale is 'fanin': it must be a number > 0 or 'fan_in'"),
        (Ridge("abc"), "lambda_reg is 'abc': it must be a"),
        (DeepELM([]), "hidden_units is empty"),
        (DeepELM(depth=0), "depth is 0"),
        (DeepELM(whiten="pca"), "kind is 'pca'"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(X, Y)


def test_kernel_ridge_errors_and_singular_kernel():
    X, Y = noisy()
    for model, message in (
        (KernelRidge(kernel="cosine"), "kernel is 'cosine'"),
        (KernelRidge(length_scale=0), "length_scale is 0"),
        (KernelRidge(variance=float("inf")), "variance is inf"),
        (KernelRidge(lambda_reg=-1), "lambda_reg is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(X, Y)
    with pytest.warns(RankWarning, match="rank 5 of 60"):
        model = KernelRidge(0.0, kernel="linear").fit(X, Y)
    assert model.solver_ == "eigh"
    assert gap(model.predict(X), X @ np.linalg.lstsq(X, Y, rcond=None)[0]) < 1e-10
    kept = KernelRidge().fit(changing := X.copy(), Y)
    before = kept.predict(X)
    changing[:] = 0.0
    assert np.array_equal(kept.predict(X), before)
    whitened = KernelRidge(1e-2, whiten="features").fit(X * 1000, Y)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    assert gap(whitened.predict(X * 1000), KernelRidge(1e-2).fit(scaled, Y).predict(scaled)) < 1e-9


def test_kernel_that_is_none():
    X, Y = noisy(n=40)
    for settings, message in (
        ({"coef0": -1.0, "lambda_reg": 1e-2}, "eigenvalue -.*coef0 >= 0"),
        ({"degree": 2.5, "coef0": 0.0}, "degree is 2.5"),
        ({"degree": 0}, "degree is 0"),
        ({"coef0": float("nan")}, "coef0 is nan"),
        ({"length_scale": 1e-200}, "contains NaN or infinity: scale X down"),
    ):
        with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
            KernelRidge(kernel="polynomial", **settings).fit(X, Y)
        if "lambda_reg" in settings:
            with pytest.raises(ValueError, match=message):
                KernelRidgePath(kernel="polynomial", coef0=-1.0, length_scales=[1.0]).fit(X, Y)
    K = (X @ X.T - 1) ** 3
    large = 1.0 - 2 * np.linalg.eigvalsh(K)[0]  # K + lambda I is definite: the system has an answer
    alpha = KernelRidge(large, kernel="polynomial", coef0=-1.0).fit(X, Y).dual_coef_
    assert gap((K + large * np.eye(40)) @ alpha, Y) < 1e-12


def test_kernel_path_settings():
    X, Y = noisy(n=20)
    for settings, message in (
        ({"length_scales": []}, "length_scales is empty"),
        ({"lambdas": []}, "lambdas is empty"),
        ({"length_scales": ["wide"]}, "length_scales is 'wide'"),
        ({"variance": -1}, "variance is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            KernelRidgePath(**settings).fit(X, Y)
    with pytest.raises(ValueError, match="singular .equal rows.: give a lambda > 0"):
        KernelRidgePath([0.0]).fit(np.vstack([X, X]), np.vstack([Y, Y]))
    assert KernelRidgePath([0.0, 1e-3]).fit(np.vstack([X, X]), np.vstack([Y, Y])).lambda_ == 1e-3


def test_kernels_at_extremes():
    X = noisy(n=30, d=3)[0]
    exact = np.exp(-((X[:, None] - X) ** 2).sum(axis=2) / 2)
    for far in ([[1e9, 0.0, 0.0]], X + 1e9):  # one row, or a second cluster
        np.testing.assert_allclose(kernel_matrix(np.vstack([X, far]))[:30, :30], exact, atol=1e-13)
    shifted = X + 1e6
    both = kernel_matrix(np.vstack([X, shifted]))[30:, 30:]
    np.testing.assert_allclose(both, np.exp(-((shifted[:, None] - shifted) ** 2).sum(axis=2) / 2), atol=1e-13)
    points = np.array([[0.0], [1e-3], [0.1], [2.0], [2e4], [1e5]])
    for nu, near, middle in ((99.0, 0.99496185, 0.13534412), (101.0, 0.99496286, 0.13534378), (1e9, np.exp(-0.005), np.exp(-2))):
        K = kernel_matrix(points[:1], points, "matern", nu=nu)[0]  # (0.1 and 2 apart: by mpmath; the limit is rbf)
        np.testing.assert_allclose(K, [1.0, 1 - nu * 5e-7 / (nu - 1), near, middle, 0.0, 0.0], atol=1e-7)


def test_autoencoder_error_is_the_tail_of_the_spectrum(monkeypatch):
    X = noisy(n=90, d=8)[0] * np.logspace(0, -3, 8) + 4
    s = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    for h in (1, 3, 8):
        model = LinearAutoencoder(h).fit(X)
        assert ((X - model.predict(X)) ** 2).sum() == pytest.approx((s[h:] ** 2).sum(), rel=1e-12, abs=1e-24)
        assert model.reconstruction_error_ == pytest.approx((s[h:] ** 2).sum(), rel=1e-12, abs=1e-24)
        assert gap(model.encoder_.T @ model.encoder_, np.eye(h)) < 1e-13
    monkeypatch.setattr(autoencoder, "_DIRECT_WORK", 0)
    for h, solver in ((3, "eigh"), (8, "tsqr")):
        large = LinearAutoencoder(h).fit(X)
        assert large.solver_ == solver and gap(large.components_, LinearAutoencoder(h).fit(X).components_) < 1e-10
    with pytest.raises(ValueError, match="hidden_units is 9: at most .* = 8"):
        LinearAutoencoder(9).fit(X)


def test_deep_linear_is_balanced_and_optimal():
    X, Y = noisy(n=100, d=6, k=4)
    best = LinearRegression().fit(X, Y)
    for layers, widths, seed in ((1, None, None), (2, 4, None), (3, [5, 7], 3), (5, 6, 0)):
        model = DeepLinear(layers, widths, random_seed=seed).fit(X, Y)
        product = np.linalg.multi_dot([np.eye(6), *model.layers_])
        assert gap(product, best.weights_) < 1e-12 and gap(model.predict(X), best.predict(X)) < 1e-12
        for a, b in zip(model.layers_[:-1], model.layers_[1:]):
            assert gap(a.T @ a, b @ b.T) < 1e-12
    assert [w.shape for w in DeepLinear(3, [5, 7]).fit(X, Y).layers_] == [(6, 5), (5, 7), (7, 4)]


@pytest.mark.parametrize("lambda_reg", [0.0, 5.0])
def test_narrow_layer_gets_reduced_rank_regression(lambda_reg):
    X, Y = noisy(n=100, d=6, k=4, noise=1.0)
    X = X * np.array([3, 1, 1, 0.3, 0.1, 0.03])

    def objective(W, b):
        return ((X @ W + b - Y) ** 2).sum() + lambda_reg * (W**2).sum()

    full = Ridge(lambda_reg).fit(X, Y)
    model = DeepLinear(3, [2, 5], lambda_reg=lambda_reg).fit(X, Y)
    found = objective(model.weights_, model.intercept_)
    assert (
        np.linalg.matrix_rank(model.weights_, 1e-10) == 2
        and gap(model.predict(X), X @ model.weights_ + model.intercept_) < 1e-12
    )
    assert model.excess_error_ == pytest.approx(found - objective(full.weights_, full.intercept_), rel=1e-8)
    U, s, Vt = np.linalg.svd(full.weights_, full_matrices=False)
    truncated = U[:, :2] * s[:2] @ Vt[:2]
    assert found < objective(truncated, (Y - X @ truncated).mean(axis=0))
    # No gradient left along rank-2 directions: alternating least squares from the solution stays there.
    A, B = model.layers_[0][:, :2], np.linalg.multi_dot(model.layers_[1:])
    Xc, Yc = X - X.mean(axis=0), Y - Y.mean(axis=0)
    residual = Xc @ A @ B[:2] - Yc
    gradient = Xc.T @ residual + lambda_reg * A @ B[:2]
    assert np.linalg.norm(A.T @ gradient) < 1e-8 * np.linalg.norm(Xc.T @ Yc)
    assert np.linalg.norm(gradient @ B[:2].T) < 1e-8 * np.linalg.norm(Xc.T @ Yc)


def test_deep_linear_rank_and_intercept():
    X, Y = noisy(n=100, d=6, k=4)
    assert DeepLinear().fit(X, Y).rank_ == 4 and DeepLinear(widths=2).fit(X, Y).rank_ == 2
    one = X[:, :2] @ np.outer([1.0, 2.0], [3.0, 4.0, 5.0])
    model = DeepLinear().fit(X, one)
    assert model.rank_ == 1 and gap(model.predict(X), one) < 1e-13
    assert Collapse("deep_linear").fit(X, one).report_.proves
    with pytest.warns(RankWarning, match="rank 0"):
        assert DeepLinear().fit(np.ones((10, 3)), Y[:10]).rank_ == 0
    far = (X + 1000).astype(np.float32)
    narrow, exact = (DeepLinear(widths=2).fit(rows, Y) for rows in (far, far.astype(np.float64)))
    assert gap(narrow.intercept_, exact.intercept_) < 1e-7


def test_deep_linear_errors():
    X, Y = noisy()
    assert gap(np.linalg.multi_dot(balanced_factors([[2.0, 0.0], [0.0, 3.0]], [2])), np.diag([2.0, 3.0])) < 1e-15
    with pytest.raises(ValueError, match="widths has 3 values: 3 layers have 2"):
        DeepLinear(3, [2, 2, 2]).fit(X, Y)
    with pytest.raises(ValueError, match="width 1 is below the rank 2"):
        balanced_factors(np.eye(2), [1])


def test_dictionary_is_exact_and_falls_back_to_the_nearest():
    X, Y = noisy(n=200, d=3, noise=1.0)
    model = DictionaryModel().fit(X, Y)
    assert np.array_equal(model.predict(X), Y)
    assert np.array_equal(model.predict(X[::-1].astype(np.float64)), Y[::-1])
    assert model.predict([[0.0, -0.0, 0.0]]).tobytes() == model.predict([[-0.0, 0.0, -0.0]]).tobytes()
    elsewhere = np.random.default_rng(1).standard_normal((50, 3))
    brute = np.linalg.norm(elsewhere[:, None] - X, axis=2).argmin(axis=1)
    assert np.array_equal(model.predict(elsewhere), Y[brute])
    grid = np.random.default_rng(2).permutation(np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3))
    middles = np.random.default_rng(3).integers(0, 7, (40, 3)) / 2  # as near to 1, 2, 4 or 8 rows: the first of them
    first = np.linalg.norm(middles[:, None] - grid, axis=2).argmin(axis=1)
    assert np.array_equal(DictionaryModel().fit(grid, np.arange(64.0)).predict(middles), first)
    X, Y = noisy(n=100, d=30)  # past the k-d tree's features
    near = X + 1e-3
    assert np.array_equal(DictionaryModel().fit(X, Y).predict(near), Y)
    rounded = X.astype(np.float32)
    assert np.array_equal(DictionaryModel().fit(rounded, Y).predict(rounded), Y)


def test_dictionary_conflicts():
    X = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [0.0, 1.0], [1.0, 2.0]])
    y = np.array([1.0, 5.0, 2.0, 7.0, 6.0])
    with pytest.raises(ConflictingTargets, match="rows 0 and 2 of X are equal"):
        DictionaryModel().fit(X, y)
    model = DictionaryModel(conflict="mean").fit(X, y)
    assert model.predict([[1.0, 2.0], [3.0, 4.0]]).tolist() == [3.0, 5.0] and len(model.X_fit_) == 3
    assert DictionaryModel().fit(X, [1, 5, 1, 7, 1]).predict(X).tolist() == [1, 5, 1, 7, 1]
    with pytest.raises(ConflictingTargets):
        DictionaryModel().fit([[0.0], [-0.0]], [1.0, 2.0])
    with pytest.raises(ValueError, match="conflict is 'last'"):
        DictionaryModel(conflict="last").fit(X, y)


def test_barycentric_accuracy():
    x = np.linspace(-1, 1, 3001)
    nodes = chebyshev_lobatto(33)

    def f(t):
        return np.exp(t) * np.sin(5 * t)

    assert np.abs(Barycentric1D().fit(nodes, f(nodes)).predict(x) - f(x)).max() < 1e-14
    for count, bound in ((65, 3e-6), (129, 1e-11), (201, 3e-15)):
        nodes = chebyshev_lobatto(count)
        runge = Barycentric1D().fit(nodes, 1 / (1 + 25 * nodes**2)).predict(x)
        assert np.abs(runge - 1 / (1 + 25 * x**2)).max() < bound


def test_barycentric_nodes_of_other_kinds():
    shuffled = np.random.default_rng(0).permutation(chebyshev_lobatto(21, 2.0, 5.0))
    model = Barycentric1D().fit(shuffled[:, None], np.stack([np.sin(shuffled), shuffled], axis=1))
    x = np.linspace(2, 5, 500)
    assert np.abs(model.predict(x) - np.stack([np.sin(x), x], axis=1)).max() < 1e-14
    assert np.array_equal(model.predict(shuffled[:, None]), model.values_)
    gauss = np.cos(np.pi * (np.arange(3000) + 0.5) / 3000)  # weights would overflow as plain products
    assert np.abs(Barycentric1D().fit(gauss, np.sin(gauss)).predict(x / 5) - np.sin(x / 5)).max() < 1e-13
    uniform = np.linspace(-1, 1, 12)
    assert np.abs(Barycentric1D().fit(uniform, uniform**11).predict(x / 5) - (x / 5) ** 11).max() < 1e-12
    cubic = np.array([0.0, 1.0, 3.0, 7.0])  # by hand: x^3 through four points is x^3
    assert Barycentric1D().fit(cubic, cubic**3).predict([2.0]) == pytest.approx(8.0, rel=1e-14)


def test_barycentric_errors():
    for X, y, message in (
        ([1.0], [1.0], "at least 2 nodes, got 1"),
        ([1.0, 2.0, 1.0], [1.0, 2.0, 3.0], "nodes 0 and 2 are both 1.0:"),
        ([1.0, np.nan], [1.0, 2.0], "NaN"),
        ([1.0, np.inf], [1.0, 2.0], "infinity"),
        ([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0], "one feature"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "X has 2 rows, y has 3"),
    ):
        with pytest.raises(ValueError, match=message):
            Barycentric1D().fit(X, y)
    with pytest.raises(ValueError, match="not fitted"):
        Barycentric1D().predict([0.0])
    assert barycentric_weights([0.0, 1.0, 3.0]).tolist() == pytest.approx([2 / 3, -1.0, 1 / 3])
    for nodes, message in (([1.0, 2.0, 1.0], "nodes 0 and 2 are both 1.0:"), ([1.0], "at least 2"), ([0.0, np.nan], "NaN")):
        with pytest.raises(ValueError, match=message):
            barycentric_weights(nodes)
    model = Barycentric1D().fit([0.0, 1.0], y := np.array([1.0, 2.0]))
    y[:] = 0.0  # the model has values of its own
    assert model.predict([1e-310, 5e-324, 0.5, 1.0]).tolist() == [1.0, 1.0, 1.5, 2.0]


def test_whitening():
    X = noisy(n=300, d=4)[0] @ np.array([[1, 0.9, 0, 0], [0, 0.1, 0, 0], [0, 0, 50, 0], [0, 0, 1, 1e-3]]) + 7
    features = Whitening().fit(X).transform(X)
    assert np.allclose(features.mean(axis=0), 0, atol=1e-9) and np.allclose(features.std(axis=0), 1)
    for kind in ("full", "zca"):
        model = Whitening(kind).fit(X)
        Z = model.transform(X)
        assert gap(Z.T @ Z / 300, np.eye(4)) < 1e-8
    L = np.linalg.cholesky(np.cov(X.T, bias=True))
    assert gap(Whitening("full").fit(X).transform(X), np.linalg.solve(L, (X - X.mean(axis=0)).T).T) < 1e-6
    assert np.allclose(Whitening("zca").fit(X).matrix_, Whitening("zca").fit(X).matrix_.T)
    constant = np.hstack([X, np.full((300, 1), 3.0)])
    for kind in ("features", "full", "zca"):
        assert np.isfinite(Whitening(kind).fit(constant).transform(constant)).all()
        assert np.isfinite(Whitening(kind).fit(X[:3]).transform(X)).all()
        for equal in (constant[:1], np.full((7, 5), 0.1)):  # nothing to scale by
            moved = Whitening(kind).fit(equal).transform(equal + 1)
            assert np.abs(moved).max() < 1.1
    with pytest.raises(ValueError, match="eps is 0"):
        Whitening(eps=0).fit(X)
