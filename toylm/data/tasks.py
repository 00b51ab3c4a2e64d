"""Four long synthetic tasks with exact answers: copy, bracket depth, reverse, running sum.

    >>> X, Y = generate_long_copy_dataset(num_sequences=4, min_len=8, max_len=16)     # (4, 16) int64, 0 ends and pads
    >>> X, Y = task_dataset("bracket", max_len=64)                  # for a language model: targets -1 where there is nothing
    >>> X, Y = task_dataset("copy", max_len=64, layout="sequence")  # the input, a 0, then the answer

The `generate_...` functions return inputs X and targets Y, both (num_sequences, max_len) int64: tokens from 1 up, then 0
for the end and padding (0 in Y too). Lengths are uniform in [min_len, max_len]. Equal arguments give equal bits.
"""

import numpy as np

from ..errors import UsageError


def _check(num_sequences, min_len, max_len, **at_least_two):
    if num_sequences < 1:
        raise UsageError(f"num_sequences is {num_sequences}: at least 1 is needed")
    if not 1 <= min_len <= max_len:
        raise UsageError(f"min_len {min_len} and max_len {max_len}: need 1 <= min_len <= max_len")
    for name, value in at_least_two.items():
        if value is not None and value < 2:
            raise UsageError(f"{name} is {value}: at least 2 is needed")


def _lengths(rng, num_sequences, min_len, max_len):
    """Lengths (N,) and the mask (N, max_len) of positions inside the sequences."""
    lengths = rng.integers(min_len, max_len + 1, size=num_sequences)
    return lengths, np.arange(max_len) < lengths[:, None]


def generate_long_copy_dataset(num_sequences=512, min_len=64, max_len=512, vocab_size=32, seed=0, shift=0):
    """Copy: Y[t] = X[t], or with `shift` s > 0 the shifted copy Y[t] = X[t - s] (0 for t < s). Tokens 1 .. vocab_size-1.

    With shift 0 the task is the identity at every position, which any one-hot linear head solves; a shift of hundreds of
    positions needs memory.
    """
    _check(num_sequences, min_len, max_len, vocab_size=vocab_size)
    if not 0 <= shift < min_len:
        raise UsageError(f"shift is {shift}: need 0 <= shift < min_len = {min_len}")
    rng = np.random.default_rng(seed)
    _, inside = _lengths(rng, num_sequences, min_len, max_len)
    X = np.where(inside, rng.integers(1, vocab_size, size=inside.shape), 0)
    Y = np.zeros_like(X)
    Y[:, shift:] = X[:, : max_len - shift]
    return X, np.where(inside, Y, 0)


def generate_long_bracket_depth_dataset(num_sequences=512, min_len=64, max_len=512, max_depth=16, seed=1, num_distractors=5):
    """Bracket depth: 1 is '(', 2 is ')', 3 .. num_distractors+2 are distractors; Y[t] is the depth after token t.

    Every bracket is closed again. Depth stays in [0, max_depth]: it is a random walk folded at both ends, and held down where
    the end is so near that only closing brackets are left. An odd length without distractors ends at depth 1.
    """
    _check(num_sequences, min_len, max_len)
    if max_depth < 1:
        raise UsageError(f"max_depth is {max_depth}: at least 1 is needed")
    if num_distractors < 0:
        raise UsageError(f"num_distractors is {num_distractors}: it must be >= 0")
    rng = np.random.default_rng(seed)
    lengths, inside = _lengths(rng, num_sequences, min_len, max_len)
    step = rng.integers(-1, 2, size=inside.shape) if num_distractors else rng.integers(0, 2, size=inside.shape) * 2 - 1
    depth = max_depth - np.abs(np.cumsum(step, axis=1) % (2 * max_depth) - max_depth)
    left = lengths[:, None] - 1 - np.arange(max_len)
    depth = np.minimum(depth, np.maximum(left if num_distractors else left + lengths[:, None] % 2, 0))
    change = np.diff(depth, axis=1, prepend=0)
    distractor = rng.integers(3, num_distractors + 3, size=inside.shape) if num_distractors else 0
    X = np.where(change > 0, 1, np.where(change < 0, 2, distractor))
    return np.where(inside, X, 0), np.where(inside, depth, 0)


def generate_long_reverse_dataset(num_sequences=512, min_len=64, max_len=512, vocab_size=32, seed=2):
    """Reverse: Y[t] = X[length - 1 - t]. Tokens 1 .. vocab_size-1."""
    _check(num_sequences, min_len, max_len, vocab_size=vocab_size)
    rng = np.random.default_rng(seed)
    lengths, inside = _lengths(rng, num_sequences, min_len, max_len)
    X = np.where(inside, rng.integers(1, vocab_size, size=inside.shape), 0)
    source = np.where(inside, lengths[:, None] - 1 - np.arange(max_len), 0)
    return X, np.where(inside, np.take_along_axis(X, source, axis=1), 0)


def generate_running_sum_dataset(num_sequences=512, min_len=64, max_len=512, vocab_size=10, modulo=None, seed=3):
    """Running sum of digits 0 .. vocab_size-1, modulo `modulo` where given: Y[t] = (X[0] - 1) + ... + (X[t] - 1).

    The digit v is the token v + 1, because 0 is the padding.
    """
    _check(num_sequences, min_len, max_len, vocab_size=vocab_size, modulo=modulo)
    rng = np.random.default_rng(seed)
    _, inside = _lengths(rng, num_sequences, min_len, max_len)
    digits = np.where(inside, rng.integers(0, vocab_size, size=inside.shape), 0)
    X, Y = np.where(inside, digits + 1, 0), np.cumsum(digits, axis=1)
    return X, np.where(inside, Y if modulo is None else Y % modulo, 0)


TASKS = {
    "copy": generate_long_copy_dataset,
    "bracket": generate_long_bracket_depth_dataset,
    "reverse": generate_long_reverse_dataset,
    "running-sum": generate_running_sum_dataset,
}


def task_dataset(name, num_sequences=512, min_len=None, max_len=512, seed=None, layout=None, mask=-1, **options):
    """X, Y (N, L) int64 of a task, X padded with 0, Y with `mask` wherever no target is asked for.

    name: copy, bracket, reverse, running-sum; options: those of its generator (vocab_size, max_depth, modulo, shift ...);
    min_len None is min(64, max_len); seed None is the generator's own; modulo of the running sum is 10 unless it is given
    (None for none), because every sum is a token of the vocabulary.
    layout "aligned": Y[t] belongs to X[t], L = max_len. A causal model cannot know Y[0] of "reverse" there.
    layout "sequence": each row is the input, a 0, then the answer; only the answer is asked for, token by token. L = 2 max_len.
    layout None: "sequence" for reverse, "aligned" for the others, so that a causal language model can learn every task.
    """
    name = name.replace("_", "-")
    if name not in TASKS:
        raise UsageError(f"task {name!r} is unknown: choose {', '.join(TASKS)}")
    if layout is None:
        layout = "sequence" if name == "reverse" else "aligned"
    if layout not in ("aligned", "sequence"):
        raise UsageError(f"layout is {layout!r}: choose 'aligned' or 'sequence'")
    generate = TASKS[name]
    if name == "running-sum":
        options.setdefault("modulo", 10)
    if seed is not None:
        options["seed"] = seed
    min_len = min(64, max_len) if min_len is None else min_len
    X, Y = generate(num_sequences=num_sequences, min_len=min_len, max_len=max_len, **options)
    inside = X > 0
    asked = inside.copy()
    asked[:, : options.get("shift", 0)] = False
    if layout == "aligned":
        return X, np.where(asked, Y, mask)
    lengths = inside.sum(axis=1)
    inputs = np.zeros((num_sequences, 2 * max_len), np.int64)
    targets = np.full_like(inputs, mask)
    for row, length in enumerate(lengths):
        inputs[row, :length] = X[row, :length]
        inputs[row, length + 1 : 2 * length] = Y[row, : length - 1]
        targets[row, length : 2 * length] = np.where(asked[row, :length], Y[row, :length], mask)
    return inputs, targets


def task_vocab_size(X, Y):
    """The smallest vocabulary that holds every token and every target of a data set."""
    return int(max(X.max(), Y.max())) + 1
