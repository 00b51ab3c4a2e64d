"""What `parallel` promises: every thread once, arguments of all kinds, sums in a fixed order, failures that are not lost."""

import sys

import numpy as np
import pytest

from toylm.kernels.parallel import parallel
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
