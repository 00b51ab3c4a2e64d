"""What `parallel` promises: every thread once, every row once, arguments of all kinds, failures that are not lost."""

import os
import subprocess
import sys

import numpy as np
import pytest

from toylm.kernels.jit import parallel, share
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
def _visit(visits, unit, threads, thread):
    """visits[i, thread] += 1 for the rows of this thread's share."""
    start, stop = share(visits.shape[0], threads, thread, unit)
    for i in range(start, stop):
        visits[i, thread] += 1


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("total, unit", [(0, 1), (1, 1), (7, 1), (64, 1), (1003, 6), (5000, 6)])
def test_every_row_is_done_once(total, unit, threads):
    visits = np.zeros((total, threads))
    _visit.with_threads(visits, unit, threads)
    assert visits.sum(axis=1).tolist() == [1.0] * total
    starts = [column.argmax() for column in visits.T if column.any()]
    assert all(start % unit == 0 for start in starts)


def test_what_only_compiled_functions_call_says_so_in_python():
    with pytest.raises(TypeError, match="share is for compiled functions to call"):
        share(96, 2, 0, 6)


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


FORK = """
import multiprocessing
import numpy as np
from toylm.kernels.matmul import matmul

def product(i):
    a = np.arange(40000.0).reshape(200, 200) + i
    return float(np.abs(matmul(a, a, np.empty_like(a)) / (a @ a) - 1).max())

if __name__ == "__main__":
    errors = [product(0)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        errors += pool.map(product, range(4))
    print(max(errors) < 1e-12)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kernels_run_in_a_fork_of_a_process_whose_threads_have_started():
    """The OpenMP library ends such a process at its first region, and a Pool then waits for ever."""
    variables = {**os.environ, "TOYLM_MATMUL": "numba"}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "True", done.stderr[-2000:]
