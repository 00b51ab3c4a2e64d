"""Batches: every window once an epoch, in a seeded order, resumable bit for bit."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toylm.data import Batches, ExampleSet, TokenFile
from toylm.data.permutation import ROUNDS, Permutation


def counting_file(count):
    return TokenFile(np.arange(count, dtype=np.uint16), vocab_size=65536)


@settings(deadline=None)
@given(st.integers(1, 700), st.integers(0, 2**64 - 1))
def test_a_permutation_hits_every_number_once(n, key):
    keys = [(key + i * 0x9E3779B97F4A7C15) % 2**64 for i in range(ROUNDS)]
    assert sorted(Permutation(n, keys)(np.arange(n)).tolist()) == list(range(n))


def test_a_permutation_of_many_is_computed_where_needed():
    n = 10**15 + 37
    images = Permutation(n, range(ROUNDS))(np.arange(n - 1000, n))
    assert len(set(images.tolist())) == 1000 and images.min() >= 0 and images.max() < n
    # Uniform enough: the mean of 1,000 draws of 0..1 has a standard deviation of 0.009.
    assert abs(images.mean() / n - 0.5) < 0.04


@pytest.mark.parametrize("count, length, batch", [(101, 4, 3), (1000, 7, 16), (50, 49, 2), (9, 8, 5), (8, 1, 1)])
def test_an_epoch_visits_every_window_of_its_tiling_once(count, length, batch):
    batches = Batches(counting_file(count), batch, length, seed=5)
    for epoch in range(3):
        offset, windows, firsts = batches._offset, batches.windows_per_epoch, []
        assert batches.epoch == epoch
        single = Batches(counting_file(count), 1, length, seed=5)
        single.load_state(batches.state())
        for _ in range(windows - batches.position):
            tokens, targets = single.next()
            assert tokens.shape == targets.shape == (1, length) and tokens.dtype == targets.dtype == np.int64
            assert (targets == tokens + 1).all()
            firsts.append(int(tokens[0, 0]))
        assert sorted(firsts) == [offset + i * length for i in range(windows)]
        assert offset + windows * length <= count - 1 < offset + (windows + 1) * length
        batches._begin(epoch + 1)


def test_batches_run_over_the_end_of_an_epoch():
    batches = Batches(counting_file(41), 7, 4, seed=1)
    one_by_one = Batches(counting_file(41), 1, 4, seed=1)
    rows = np.concatenate([batches.next()[0] for _ in range(6)])
    assert (rows == np.concatenate([one_by_one.next()[0] for _ in range(42)])).all()
    assert batches.epoch >= 3 and batches.epochs == batches.epoch + batches.position / batches.windows_per_epoch


def test_the_order_depends_on_seed_and_epoch():
    first = Batches(counting_file(500), 50, 5, seed=0).next()[0]
    assert (first == Batches(counting_file(500), 50, 5, seed=0).next()[0]).all()
    assert not (first == Batches(counting_file(500), 50, 5, seed=1).next()[0]).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 60), st.integers(1, 9))
def test_resuming_continues_bit_for_bit(before, batch):
    source = counting_file(120)
    straight = Batches(source, batch, 6, seed=9)
    for _ in range(before):
        straight.next()
    resumed = Batches(source, batch, 6, seed=9)
    resumed.load_state(json.loads(json.dumps(straight.state())))
    for _ in range(10):
        for mine, theirs in zip(resumed.next(), straight.next()):
            assert (mine == theirs).all()
    assert resumed.state() == straight.state()


def test_a_position_of_something_else_is_refused():
    state = Batches(counting_file(120), 2, 6, seed=9).state()
    batches = Batches(counting_file(120), 2, 6, seed=9)
    for key, value, message in [
        ("seed", 1, "another seed"),
        ("context_length", 7, "another context length"),
        ("source", "7 tokens", "another data"),
        ("position", 10**6, "the file is corrupt"),
        ("epoch", -1, "epoch -1"),
        ("epoch", None, "no position in the data"),
    ]:
        with pytest.raises(ValueError, match=message):
            batches.load_state({**state, key: value})
    with pytest.raises(ValueError, match="no position"):
        batches.load_state({})
    assert batches.state() == state


def test_too_short_a_text():
    with pytest.raises(ValueError, match="has 8 tokens; one context of 8 needs 9: choose a context length of at most 7"):
        Batches(counting_file(8), 1, 8)
    for options in ({"batch_size": 0}, {"context_length": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
            Batches(counting_file(50), **({"batch_size": 1, "context_length": 4} | options))


def test_examples_have_their_own_targets():
    inputs = np.array([[1, 2, 3], [4, 5, 0], [6, 0, 0]])
    targets = np.array([[0, 2, 3], [4, 5, -1], [6, -1, -1]])
    examples = ExampleSet(inputs, targets, vocab_size=7)
    assert len(examples) == 6
    batches = Batches(examples, 3, context_length=8, seed=0)
    tokens, found = batches.next()
    order = np.argsort(tokens[:, 0])
    assert (tokens[order] == inputs).all()
    assert (found[order] == targets).all()
    windows = examples.windows(batch_size=2)
    assert [t.shape for t, _ in windows] == [(2, 3), (1, 3)] and (windows.tokens, windows.bytes, len(windows)) == (6, 0, 2)
    assert examples.windows(batch_size=2, max_tokens=5).tokens == 5
    with pytest.raises(ValueError, match="3 tokens each, and the context length is 2"):
        Batches(examples, 1, context_length=2)
    with pytest.raises(ValueError, match="input id 7 is out of range"):
        ExampleSet(inputs + 1, targets, vocab_size=7)
    with pytest.raises(ValueError, match="same shape"):
        ExampleSet(inputs, targets[:2], vocab_size=7)
