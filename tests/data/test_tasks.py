"""The four long tasks: targets counted by a slow independent loop, shapes, seeds, layouts, errors."""

import numpy as np
import pytest

from toylm.data.tasks import (
    TASKS,
    generate_long_bracket_depth_dataset,
    generate_long_copy_dataset,
    generate_long_reverse_dataset,
    generate_running_sum_dataset,
    task_dataset,
    task_vocab_size,
)


def rows(X, Y):
    """The tokens and targets of each sequence, without padding, as lists."""
    for x, y in zip(X, Y):
        length = int((x > 0).sum())
        assert not x[length:].any() and not y[length:].any()  # 0 after the end, nowhere before
        yield x[:length].tolist(), y[:length].tolist()


@pytest.mark.parametrize("name", TASKS)
def test_defaults_shapes_and_seeds(name):
    X, Y = TASKS[name]()
    assert X.shape == Y.shape == (512, 512) and X.dtype == Y.dtype == np.int64
    lengths = (X > 0).sum(axis=1)
    assert lengths.min() >= 64 and lengths.max() <= 512 and np.ptp(lengths) > 300
    again = TASKS[name]()
    assert np.array_equal(X, again[0]) and np.array_equal(Y, again[1])
    assert not np.array_equal(X, TASKS[name](seed=99)[0])


def test_copy():
    for x, y in rows(*generate_long_copy_dataset(20, 5, 30, vocab_size=8)):
        assert x == y and min(x) >= 1 and max(x) <= 7
    for x, y in rows(*generate_long_copy_dataset(20, 5, 30, shift=4)):
        assert y == [0] * 4 + x[:-4]


def test_bracket_depth():
    seen = set()
    for x, y in rows(*generate_long_bracket_depth_dataset(40, 50, 200, max_depth=4, num_distractors=3)):
        depth = 0
        for token, target in zip(x, y):
            depth += {1: 1, 2: -1}.get(token, 0)
            assert depth == target and 0 <= depth <= 4
            seen.add(token)
        assert depth == 0  # every bracket is closed
    assert seen == {1, 2, 3, 4, 5}
    X, Y = generate_long_bracket_depth_dataset(5, 40, 60, max_depth=1, num_distractors=0)
    assert set(X[X > 0].tolist()) == {1, 2} and Y.max() == 1
    for x, y in rows(*generate_long_bracket_depth_dataset(50, 40, 61, max_depth=3, num_distractors=0)):
        assert set(x) == {1, 2} and y[-1] == len(x) % 2
    assert generate_long_bracket_depth_dataset()[1].max() == 16  # the depth asked for is reached


def test_reverse():
    for x, y in rows(*generate_long_reverse_dataset(20, 5, 30)):
        assert y == x[::-1]


def test_running_sum():
    for modulo in (None, 7):
        X, Y = generate_running_sum_dataset(20, 5, 30, modulo=modulo)
        for x, y in zip(X, Y):
            total = 0
            for token, target in zip(x[x > 0], y):
                total += token - 1  # the digit v is the token v + 1
                assert target == (total if modulo is None else total % modulo)
        assert set(np.unique(X)) == set(range(11))  # digits 0 to 9, and 0 for the padding


def test_task_dataset_masks_what_is_not_asked_for():
    X, Y = task_dataset("copy", 10, max_len=40, shift=3)
    assert ((X > 0).sum(axis=1) == 40).all()  # min_len is min(64, max_len)
    assert (Y[:, :3] == -1).all() and (Y[:, 3:] == X[:, :-3]).all()
    X, Y = task_dataset("running_sum", 10, min_len=5, max_len=40)
    assert (Y[X == 0] == -1).all() and (Y[X > 0] >= 0).all() and Y.max() == 9  # modulo 10, where 0 is an answer
    assert task_dataset("running-sum", 10, max_len=40, modulo=None)[1].max() > 100
    assert np.array_equal(task_dataset("bracket", 3, max_len=50, mask=-100)[0], task_dataset("bracket", 3, max_len=50)[0])
    assert task_vocab_size(*task_dataset("copy", 10, max_len=40)) == 32
    assert task_vocab_size(*task_dataset("bracket", 50, max_depth=30)) == 31


def test_sequence_layout_can_be_learned_by_a_causal_model():
    X, Y = task_dataset("reverse", 8, min_len=4, max_len=9)  # the default for reverse
    source, answer = TASKS["reverse"](num_sequences=8, min_len=4, max_len=9)
    assert X.shape == Y.shape == (8, 18)
    for x, y, s, a in zip(X, Y, source, answer):
        n = int((s > 0).sum())
        assert x[:n].tolist() == s[:n].tolist() and x[n] == 0
        assert y[n : 2 * n].tolist() == a[:n].tolist()  # asked for from the separator on
        assert x[n + 1 : 2 * n].tolist() == a[: n - 1].tolist()  # the answers so far are seen
        assert (y[:n] == -1).all() and (y[2 * n :] == -1).all() and not x[2 * n :].any()


def test_the_generators_are_exported():
    import toylm.data

    for name in ("long_copy", "long_bracket_depth", "long_reverse", "running_sum"):
        assert callable(getattr(toylm.data, f"generate_{name}_dataset"))
    assert toylm.data.TASKS is TASKS and toylm.data.task_dataset is task_dataset


def test_errors():
    for call, message in (
        (lambda: task_dataset("sort"), "task 'sort' is unknown: choose copy, bracket, reverse, running-sum"),
        (lambda: task_dataset("copy", layout="wide"), "layout is 'wide'"),
        (lambda: generate_long_copy_dataset(0), "num_sequences is 0"),
        (lambda: generate_long_copy_dataset(min_len=9, max_len=8), "need 1 <= min_len <= max_len"),
        (lambda: generate_long_copy_dataset(vocab_size=1), "vocab_size is 1"),
        (lambda: generate_long_copy_dataset(shift=64), "shift is 64: need 0 <= shift < min_len = 64"),
        (lambda: generate_long_bracket_depth_dataset(max_depth=0), "max_depth is 0"),
        (lambda: generate_long_bracket_depth_dataset(num_distractors=-1), "num_distractors is -1"),
        (lambda: generate_running_sum_dataset(modulo=1), "modulo is 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
