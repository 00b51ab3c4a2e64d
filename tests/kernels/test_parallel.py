"""What `parallel` and `rows` promise: every thread once, every row once, arguments of all kinds, failures that are not lost."""

import sys

import numpy as np
import pytest

from toylm.kernels.jit import jit
from toylm.kernels.memory import address
from toylm.kernels.parallel import parallel
from toylm.kernels.rows import own_share, take
from toylm.threads import get_threads


@parallel
def _record(x, pair, flag, out, threads, thread):
    """out[thread] = what this thread was given."""
    out[thread, 0] = thread
    out[thread, 1] = threads
    out[thread, 2] = x[thread]
    out[thread, 3] = pair[0][thread] + pair[1]
    out[thread, 4] = 1.0 if flag else 0.0


def _given(threads, flag):
    x, y = np.arange(10, 10 + threads, dtype=np.float32), np.arange(20, 20 + threads)
    out = np.full((threads, 5), -1.0)
    return x, y, out, [[t, threads, 10 + t, 20 + t + 0.5, float(flag)] for t in range(threads)]


def test_every_thread_runs_once_with_all_arguments():
    threads = get_threads()
    x, y, out, expected = _given(threads, True)
    _record(x, (y, 0.5), True, out)
    assert out.tolist() == expected


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_any_number_of_threads_may_be_asked_for(threads):
    x, y, out, expected = _given(threads, False)
    _record.with_threads(x, (y, 0.5), False, out, threads)
    assert out.tolist() == expected


@parallel
def _visit(visits, least, unit, threads, thread, queue):
    """visits[i, thread] += 1 for the rows that this thread does."""
    total = visits.shape[0]
    start, stop = own_share(total, least, unit, threads, thread)
    while start < stop:
        visits[start, thread] += 1
        start, stop = take(queue, start + 1, stop, total, least, unit, threads)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("total, least, unit", [(0, 1, 1), (1, 1, 1), (7, 1, 1), (64, 1, 1), (1003, 12, 6), (5000, 48, 6)])
def test_every_row_is_done_once(total, least, unit, threads):
    visits = np.zeros((total, threads))
    _visit.with_threads(visits, least, unit, threads)
    assert visits.sum(axis=1).tolist() == [1.0] * total


@jit
def _own_share(total, threads, thread):
    return own_share(total, 1, 6, threads, thread)


@jit
def _take(queue, stop, total, threads):
    return take(queue, stop, stop, total, 1, 6, threads)


def test_a_fast_thread_does_the_rest_of_a_slow_ones_share():
    queue = np.zeros(1, np.int64)
    assert _own_share(96, 2, 0) == (0, 36) and _own_share(96, 2, 1) == (48, 84)
    ranges, (start, stop) = [], _own_share(96, 2, 1)
    while start < stop:
        ranges.append((start, stop))
        start, stop = _take(address(queue), stop, 96, 2)
    assert ranges == [(48, 84), (36, 42), (84, 90), (42, 48), (90, 96)]
    assert _take(address(queue), 36, 96, 2) == (96, 96)


def test_what_only_compiled_functions_call_says_so_in_python():
    with pytest.raises(TypeError, match="own_share is for compiled functions to call"):
        own_share(96, 1, 6, 2, 0)


@parallel
def _slices(x, out, threads, thread):
    for i in range(thread, x.shape[0], threads):
        row = x[i]
        for j in range(row.shape[0]):
            out[i] += row[j]


def test_arrays_keep_their_owners():
    x, out = np.ones((300, 3)), np.zeros(300)
    before = sys.getrefcount(x), sys.getrefcount(out)
    for _ in range(5):
        _slices(x[::2], out[::2])
    assert (sys.getrefcount(x), sys.getrefcount(out)) == before
    assert out[::2].tolist() == [15.0] * 150 and not out[1::2].any()


@parallel
def _allocate(n, out, threads, thread):
    kept = np.empty(n if thread == threads - 1 else 1)
    out[thread] = kept.shape[0]


def test_a_thread_that_fails_is_an_error():
    out = np.zeros(get_threads())
    _allocate(3, out)
    assert out[-1] == 3
    with pytest.raises(RuntimeError, match="_allocate failed"):
        _allocate(1 << 62, out)
