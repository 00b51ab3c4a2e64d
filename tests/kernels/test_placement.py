"""Where the kernels' threads may run, read back from the system."""

import ctypes
import os
import sys
import threading

import numba
import numpy as np
import pytest

from toylm.kernels import placement
from toylm.kernels.matmul import matmul
from toylm.kernels.worker_threads import thread_ids
from toylm.threads import get_threads, set_threads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads are placed on Linux only")


@pytest.fixture
def all_cores(monkeypatch):
    for name in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"):
        monkeypatch.delenv(name, raising=False)
    before = get_threads()
    found = placement.cores()
    if len(found) < 2 or set_threads(None) != len(found) or not placement._knows_workers():
        set_threads(before)
        pytest.skip("needs two cores, and workers whose numbers are known")
    yield found
    set_threads(before)


def test_every_worker_has_a_core_and_the_caller_is_free_outside(all_cores):
    before = os.sched_getaffinity(0)
    me, *workers = thread_ids(len(all_cores))
    assert me == threading.get_native_id()
    assert [os.sched_getaffinity(worker) for worker in workers] == all_cores[1:]
    inside = placement.on_own_core(lambda: os.sched_getaffinity(0))
    assert inside() == all_cores[0]
    a = np.ones((64, 64), np.float32)
    matmul(a, a, np.empty_like(a))
    assert os.sched_getaffinity(0) == before  # what is started from here may use every core
    with pytest.raises(ZeroDivisionError):
        placement.on_own_core(lambda: 1 / 0)()
    assert os.sched_getaffinity(0) == before


def test_compiling_inside_a_kernels_call_may_use_every_core(all_cores):
    seen = []

    def call():
        placement.while_compiling(True)
        seen.append(os.sched_getaffinity(0))
        placement.while_compiling(False)
        seen.append(os.sched_getaffinity(0))

    placement.on_own_core(call)()
    assert seen == [set().union(*all_cores), all_cores[0]]


def test_another_thread_and_fewer_threads_are_not_placed(all_cores):
    seen = []
    inside = placement.on_own_core(lambda: seen.append(os.sched_getaffinity(0)))
    other = threading.Thread(target=inside)
    other.start()
    other.join()
    set_threads(1)
    inside()
    assert seen == [set().union(*all_cores)] * 2


def test_whoever_places_the_threads_keeps_their_choice(all_cores, monkeypatch):
    monkeypatch.setenv("OMP_PROC_BIND", "false")
    set_threads(None)
    assert placement.on_own_core(lambda: os.sched_getaffinity(0))() == set().union(*all_cores)


def test_workers_of_unknown_number_are_not_placed(all_cores, monkeypatch):
    for owner, name, value in ((ctypes, "CDLL", lambda name: object()), (numba, "threading_layer", lambda: "tbb")):
        placement.spread(len(all_cores))
        assert placement._home is not None
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            placement.spread(len(all_cores))
        assert placement._home is None


@pytest.mark.parametrize("allowed", range(4))  # what is refused: entering, compiling, having compiled, leaving
def test_a_core_that_is_taken_away_ends_the_placing(all_cores, monkeypatch, allowed):
    before, left, place = os.sched_getaffinity(0), [None] * allowed, os.sched_setaffinity

    def refuse(*arguments):
        if not left:
            raise OSError(22, "Invalid argument")
        left.pop()
        place(*arguments)

    def compiling():
        placement.while_compiling(True)
        placement.while_compiling(False)
        return 1

    with monkeypatch.context() as patch:
        patch.setattr(os, "sched_setaffinity", refuse)
        assert placement.on_own_core(compiling)() == 1
    os.sched_setaffinity(0, before)
    assert placement._home is None and placement.on_own_core(compiling)() == 1


def test_cores_whose_numbers_start_anew_in_every_cluster(tmp_path, monkeypatch):
    """Two clusters of two cores; the second one's have two hardware threads each."""
    siblings, core_ids = ["0", "1", "2-3", "2-3", "4-5", "4-5"], [0, 1, 0, 0, 1, 1]
    for cpu, (threads, core) in enumerate(zip(siblings, core_ids)):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        for name, value in (("thread_siblings_list", threads), ("core_id", core), ("physical_package_id", 0)):
            (folder / name).write_text(f"{value}\n", encoding="ascii")
    monkeypatch.setattr(placement, "Path", lambda path, *parts: tmp_path.joinpath(path.lstrip("/"), *parts))
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: set(range(6)))
    assert placement.cores() == [{0}, {1}, {2, 3}, {4, 5}]
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {1, 2, 3, 6})  # of 6 nothing is known
    assert placement.cores() == [{1}, {2}, {3}, {6}]
