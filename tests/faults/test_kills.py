"""Killed at any file operation: the next run succeeds, nothing is lost, nothing is left behind, and the bits are the same.

A sample of the operations each time; --kills N for more of each scenario, --all-kills for all.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kills import FileOperations, Killed
from scenarios import SCENARIOS, inside, state_of, warm

pytestmark = pytest.mark.faults
SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture(scope="session")
def ended_pid():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


class Kills:
    """A scenario in a folder of its own: `kill(k)` and, after it, `check()`."""

    def __init__(self, name, folder, pid):
        self.scenario, self.start, self.work, self.pid = SCENARIOS[name], folder / "start", folder / "work", pid
        self.start.mkdir(exist_ok=True)
        with inside(self.start):
            self.scenario.start()
        self.renew()
        with FileOperations(self.work, pid=pid) as operations:
            self.scenario.act(self.work)
        self.names = operations.names
        self.scenario.again(self.work)
        self.whole = state_of(self.work)

    def renew(self):
        """Begin from the start again."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.start, self.work)

    def kill(self, k):
        """Kill the act at its operation k."""
        self.renew()
        with FileOperations(self.work, kill_at=k, pid=self.pid) as operations, pytest.raises(Killed):
            self.scenario.act(self.work)
        return operations.names[-1]

    def check(self, what):
        """Do what comes next; all must be as if nothing had happened."""
        self.scenario.again(self.work)
        found = state_of(self.work)
        assert found == self.whole, f"killed before {what}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_or_left_behind(name, tmp_path, ended_pid, request):
    kills = Kills(name, tmp_path, ended_pid)
    wanted = len(kills.names) if request.config.getoption("--all-kills") else request.config.getoption("--kills")
    chosen = sorted(random.sample(range(len(kills.names)), min(wanted, len(kills.names))))
    failed = []
    for k in chosen:
        what = f"operation {k} ({kills.kill(k)})"
        try:
            kills.check(what)
        except BaseException as error:
            failed.append(f"{what}: {type(error).__name__}: {error}")
    print(f"{name}: {len(chosen)} kills of {len(kills.names)}")
    assert not failed, f"{len(failed)} of {len(chosen)} kills\n\n" + "\n\n".join(failed)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("name", ["train", "add to counts"])
def test_the_imitation_leaves_what_a_killed_process_leaves(name, tmp_path, ended_pid):
    warm()
    kills = Kills(name, tmp_path, ended_pid)
    k = random.randrange(len(kills.names))
    what = kills.kill(k)
    imitated = without_names(state_of(kills.work))
    kills.renew()
    command = [sys.executable, Path(__file__).with_name("kills.py"), name, kills.work, str(k)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), str(SUPPORT.parents[1])])}
    assert subprocess.run(command, env=variables, timeout=300).returncode == -9
    assert without_names(state_of(kills.work)) == imitated, f"killed before operation {k} ({what})"
    kills.check(what)


def without_names(state):
    """A state without the numbers and letters that temporary names are made of."""
    changing = re.compile(r"(\.tmp-|\.old-|\.preparing-)\w+|\.\d+-\w+(?=\.part)")
    return sorted((changing.sub(r"\1", name), content) for name, content in state.items())
