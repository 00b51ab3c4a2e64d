"""How many threads a process may ask for."""

import os
import subprocess
import sys

import pytest

from toylm import threads


@pytest.mark.parametrize("machine, cores", [("arm64", 8), ("ARM64", 8), ("aarch64", 8), ("AMD64", 4), ("x86_64", 4)])
def test_arm_has_one_hardware_thread_a_core(machine, cores, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert threads.physical_cores() == cores


def test_cores_whose_numbers_start_anew_in_every_cluster(tmp_path, monkeypatch):
    """Two clusters of two cores; the second one's have two hardware threads each."""
    siblings = ["0", "1", "2-3", "2-3", "4-5", "4-5"]
    for cpu, threads_of in enumerate(siblings):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{threads_of}\n", encoding="ascii")
    monkeypatch.setattr(threads, "Path", lambda path: tmp_path / path.lstrip("/"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: set(range(6)), raising=False)
    assert threads.physical_cores() == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {1, 2, 3, 6}, raising=False)  # of 6 nothing is known
    assert threads.physical_cores() == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {1, 2, 3}, raising=False)
    assert threads.physical_cores() == 2


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("files, quota", [
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
    ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 3),
    ({"proc/self/cgroup": "0::/not/visible\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
    ({"proc/self/cgroup": "4:cpu,cpuacct:/\n1:name=x:/\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 0.5),
    ({"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us": "9\n"}, None),
    ({}, None),
])  # fmt: skip
def test_a_containers_quota(files, quota, tmp_path):
    write(tmp_path, files)
    assert threads.cpu_quota(tmp_path) == quota


@pytest.mark.parametrize("variable, cores, quota, expected", [
    (None, 4, None, 4), (None, 4, 1.5, 2), (None, 4, 0.2, 1), (None, 2, 8.0, 2), ("3", 8, 1.0, 3),
    ("3,2", 8, None, 3), ("many", 4, None, 4),
])  # fmt: skip
def test_the_default_number_of_threads(variable, cores, quota, expected, monkeypatch):
    monkeypatch.setattr(threads, "physical_cores", lambda: cores)
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    monkeypatch.setattr(threads, "most_threads", lambda: 64)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert threads.default_threads() == expected


@pytest.mark.parametrize("asked", [0, -1, threads.most_threads() + 1])
def test_a_number_that_cannot_be_used_is_named_with_the_limit(asked):
    before = threads.get_threads()
    with pytest.raises(ValueError, match=f"threads is {asked}; this process can use 1 to {threads.most_threads()}: choose"):
        threads.set_threads(asked)
    assert threads.get_threads() == before


SCRIPT = """
import os
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
else:
    os.environ["NUMBA_NUM_THREADS"] = "1"
from toylm.threads import set_threads
print(set_threads(None), set_threads(1))
set_threads(2)
"""


def test_a_process_of_one_cpu_does_not_take_two_threads_for_granted():
    variables = {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=variables, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "1"]
    assert "UsageError: threads is 2; this process can use 1 to 1" in done.stderr


@pytest.mark.parametrize("given", [None, "77"])
def test_launching_threads_leaves_the_environment_as_it_was(given):
    """Only GNU OpenMP, while it is loaded, is told how long threads spin: neither the user's value nor a child's is changed."""
    code = """
import os
from toylm import threads
seen = []
launch = threads.launch_threads.__wrapped__
import numba
count = numba.get_num_threads
numba.get_num_threads = lambda: seen.append(os.environ.get("GOMP_SPINCOUNT")) or count()
launch()
print(seen[0], os.environ.get("GOMP_SPINCOUNT"))
"""
    variables = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    variables |= {"GOMP_SPINCOUNT": given} if given else {}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables)
    assert done.stdout.split() == ([given, given] if given else [threads.SPINS, "None"])
