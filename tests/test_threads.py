"""How many threads a process may ask for."""

import os
import subprocess
import sys

import pytest

from toylm import threads


@pytest.mark.parametrize("machine, cores", [("arm64", 8), ("ARM64", 8), ("aarch64", 8), ("AMD64", 4), ("x86_64", 4)])
def test_arm_has_one_hardware_thread_a_core(machine, cores, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert threads._physical_from_count(8) == cores


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
    assert "ValueError: threads is 2; this process can use 1 to 1" in done.stderr
