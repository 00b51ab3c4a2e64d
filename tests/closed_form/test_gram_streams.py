"""Accumulated moments: any split, merged, removed, float32, larger than memory."""

import numpy as np
import pytest
from closed_form_problems import gap, noisy
from hypothesis import given, settings
from hypothesis import strategies as st

from toylm.closed_form import GramAccumulator, LinearRegression, Ridge, RidgePath


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 199), max_size=6), offset=st.sampled_from([0.0, 30.0, -1e5]))
def test_any_split_gives_the_same_moments(cuts, offset):
    X, Y = noisy(n=200, d=4)
    X = X + offset
    parts = GramAccumulator()
    edges = [0, *sorted(set(cuts)), 200]
    for a, b in zip(edges[:-1], edges[1:]):
        parts.add(X[a:b], Y[a:b])
    whole = GramAccumulator().add(X, Y)
    assert parts.count == whole.count == 200
    for name in ("mean_x", "mean_y", "gram", "cross", "squares"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-9, atol=1e-9)
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(parts.gram, centred.T @ centred, rtol=1e-9, atol=1e-8)


def test_well_scaled_blocks_agree_to_1e13():
    X, Y = noisy(n=5000, d=8)
    whole, parts = GramAccumulator().add(X, Y), GramAccumulator()
    parts.add_blocks(((X[i : i + 311], Y[i : i + 311]) for i in range(0, 5000, 311)), progress=False)
    assert gap(parts.gram, whole.gram) < 1e-13 and gap(parts.cross, whole.cross) < 1e-13


def test_merge_equals_fit_on_both():
    X, Y = noisy(n=900, d=6)
    a, b = GramAccumulator().add(X[:500], Y[:500]), GramAccumulator().add(X[500:], Y[500:])
    merged = a.copy().merge(b)
    assert merged.count == 900 and a.count == 500
    assert gap(merged.solve(0.1).coef, Ridge(0.1).fit(X, Y).weights_) < 1e-13
    assert gap(GramAccumulator().merge(a).gram, a.gram) == 0


def test_remove_leaves_what_a_fit_on_the_rest_gives():
    X, Y = noisy(n=1200, d=6)
    X = X + 20.0
    model = Ridge(1e-3)
    for i in range(0, 1200, 100):
        model.partial_fit(X[i : i + 100], Y[i : i + 100])
    model.forget(X[300:700], Y[300:700])
    keep = np.r_[0:300, 700:1200]
    rest = Ridge(1e-3).fit(X[keep], Y[keep])
    assert model.count_ == 800
    assert gap(model.weights_, rest.weights_) < 1e-10 and gap(model.intercept_, rest.intercept_) < 1e-10
    model.partial_fit(X[300:700], Y[300:700])
    assert model.count_ == 1200 and gap(model.weights_, Ridge(1e-3).fit(X, Y).weights_) < 1e-10


def test_remove_everything_and_too_much():
    X, Y = noisy(n=30)
    gram = GramAccumulator().add(X, Y)
    with pytest.raises(ValueError, match="cannot remove 60 rows: only 30"):
        gram.remove(np.vstack([X, X]), np.vstack([Y, Y]))
    gram.remove(X, Y)
    assert gram.count == 0 and not gram.gram.any()
    gram.add(X[:10], Y[:10])
    assert gap(gram.gram, GramAccumulator().add(X[:10], Y[:10]).gram) == 0
    model = Ridge().partial_fit(X, Y)
    with pytest.raises(ValueError, match="every row would be forgotten"):
        model.forget(X, Y)
    with pytest.raises(ValueError, match="needs a model that learned by partial_fit"):
        Ridge().fit(X, Y).forget(X, Y)


def test_no_row_is_dropped_and_no_argument_ignored():
    X, Y = noisy(n=100)
    with pytest.warns(UserWarning, match="partial_fit starts anew"):
        assert Ridge().fit(X, Y).partial_fit(X[:5], Y[:5]).count_ == 5
    by_target = Ridge([1.0, 2.0]).fit(X, Y)
    assert gap(Ridge([1.0, 2.0]).fit_blocks([(X[:30], Y[:30]), (X[30:], Y[30:])]).weights_, by_target.weights_) < 1e-13
    for use in (
        lambda: Ridge([1.0, 2.0], solver="nonsense").fit(X, Y),
        lambda: Ridge([1.0, 2.0], solver="svd").fit_blocks([(X, Y)]),
        lambda: Ridge(solver="nonsense").partial_fit(X, Y),
    ):
        with pytest.raises(ValueError, match="solver is '.*': partial_fit and one lambda a target solve by 'auto' only"):
            use()
    model = Ridge().partial_fit(X, Y)
    weights = model.weights_.copy()
    for fails in (lambda: model.forget(X, Y), lambda: model.partial_fit(X, Y[:, 0]), lambda: model.forget(X[:3], Y[:3] / 0)):
        with np.errstate(all="ignore"), pytest.raises(ValueError):
            fails()
    assert model.count_ == 100 and np.array_equal(model.weights_, weights)


def test_an_empty_accumulator_says_so():
    empty = GramAccumulator()
    for use in (empty.solve, lambda: empty.mean_x, lambda: empty.raw_gram, lambda: empty.normal_equations()):
        with pytest.raises(ValueError, match="has no rows: add some first"):
            use()
    assert empty.copy().count == 0 and not hasattr(empty, "grams")


def test_wrong_shapes_are_refused():
    X, Y = noisy(n=30)
    gram = GramAccumulator().add(X, Y)
    with pytest.raises(ValueError, match="4 features and 2 targets, those before"):
        gram.add(X[:, :4], Y)
    with pytest.raises(ValueError, match="cannot merge"):
        gram.merge(GramAccumulator().add(X[:, :4], Y))
    with pytest.raises(ValueError, match="NaN"):
        gram.add(np.full((3, 5), np.nan), Y[:3])
    assert gram.count == 30


def test_float32_blocks_are_accumulated_in_float64():
    X, Y = noisy(n=4000, d=5)
    X = (X + 100).astype(np.float32)
    exact = GramAccumulator().add(X.astype(np.float64), Y)
    assert gap(GramAccumulator().add(X, Y).gram, exact.gram) < 1e-13


def test_larger_than_memory_by_blocks():
    def blocks():
        for seed in range(20):
            yield noisy(n=500, d=6, seed=seed)

    X, Y = (np.vstack(parts) for parts in zip(*blocks()))
    whole = Ridge(0.5).fit(X, Y)
    assert gap(Ridge(0.5).fit_blocks(blocks).weights_, whole.weights_) < 1e-13
    assert gap(LinearRegression().fit_blocks(list(blocks())).weights_, LinearRegression().fit(X, Y).weights_) < 1e-13
    one_target = LinearRegression().fit_blocks(lambda: ((a, b[:, 0]) for a, b in blocks()))
    assert one_target.coef_.shape == (6,) and one_target.predict(X[:3]).shape == (3,)
    with pytest.raises(ValueError, match="no blocks"):
        Ridge().fit_blocks([])


def test_raw_moments_and_fit_without_intercept():
    X, Y = noisy(n=100, d=4)
    X = X + 3
    gram = GramAccumulator().add(X[:50], Y[:50]).add(X[50:], Y[50:])
    np.testing.assert_allclose(gram.raw_gram, X.T @ X, rtol=1e-13)
    np.testing.assert_allclose(gram.raw_cross, X.T @ Y, rtol=1e-11, atol=1e-10)
    expected = np.linalg.solve(X.T @ X + 0.1 * np.eye(4), X.T @ Y)
    assert gap(gram.solve(0.1, fit_intercept=False).coef, expected) < 1e-12


def test_progress_is_shown_when_asked_for(capsys):
    X, Y = noisy(n=50)
    GramAccumulator().add_blocks([(X, Y)], total=50, progress=True)
    assert "50" in capsys.readouterr().err
    RidgePath().fit_blocks([(X[:25], Y[:25]), (X[25:], Y[25:])], total=50, progress=True)
    assert "rows" in capsys.readouterr().err
    GramAccumulator().add_blocks([(X, Y)], total=50, progress=False)
    Ridge().fit_blocks([(X, Y)])  # not a terminal: nothing
    assert not capsys.readouterr().err
