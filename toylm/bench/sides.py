"""A side is an engine in a process of its own: its memory can be told apart, and its threads' settings do not reach the others.

The parent sends one JSON line a request ({"repeat": n}) and gets one back ({"seconds", "loss", "peak_bytes"}).
"""

import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from ..errors import UsageError, nearest
from ..host import peak_memory

# peer -> (worker module, the packages it needs)
PEERS = {
    "toylm": ("toylm.bench.worker_toylm", ()),
    "torch-eager": ("toylm.bench.worker_torch", ("torch",)),
    "torch-compile": ("toylm.bench.worker_torch", ("torch",)),
    "torch-bf16": ("toylm.bench.worker_torch", ("torch",)),
    "torch-compile-bf16": ("toylm.bench.worker_torch", ("torch",)),
    "jax": ("toylm.bench.worker_jax", ("jax",)),
}
GENERATORS = ("torch-eager",)  # what the other peers compute is a training step


def peers_of(kind):
    """The peers that can be measured at a `kind` of task: "train" or "generate"."""
    return list(GENERATORS) if kind == "generate" else [name for name in PEERS if name != "toylm"]


def choose(names, kind="train"):
    """(available, skipped with the reason) of a comma-separated list of peers. Raises UsageError for an unknown name."""
    available, skipped = [], []
    for name in parse_names(names, peers_of("train"), "peer"):
        missing = [package for package in PEERS[name][1] if importlib.util.find_spec(package) is None]
        if name not in peers_of(kind):
            skipped.append((name, "measures training only"))
        elif missing:
            skipped.append((name, f"{', '.join(missing)} is not installed"))
        else:
            available.append(name)
    return available, skipped


def parse_names(text, valid, what):
    """The names of a comma-separated list. Raises UsageError for one that is not `valid`; `what`: what they are names of."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in valid:
            raise UsageError(f"no {what} {name!r}{nearest(name, valid)}")
    return names


def environment(**changes):
    """The environment of a measured process: this one's with toylm importable, and `changes`."""
    root = str(Path(__file__).absolute().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **changes}


class Side:
    """One engine, started and warmed up. `name`: a key of PEERS, or any name where `module`, the worker's, is given; `task`: what
    to measure, a JSON-able dictionary; `variables`: environment variables of its own."""

    def __init__(self, name, task, module=None, variables=None):
        self.name, self.answers = name, []
        self.process = subprocess.Popen(
            [sys.executable, "-m", module or PEERS[name][0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            encoding="utf-8", env=environment(**(variables or {})),
        )  # fmt: skip
        self.ready = self.ask(side=name, **task)

    def ask(self, **request):
        """Send a request and return its answer. Raises UsageError where the worker has ended."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            # Libraries may print to stdout as well; an answer is the line that starts like one.
            for line in self.process.stdout:
                if line.startswith('{"answer"'):
                    return json.loads(line)
        except BrokenPipeError:
            pass
        self.close()
        raise UsageError(f"the worker of {self.name} ended with status {self.process.returncode}; its message is above")

    def measure(self, repeat):
        """Run `repeat` steps and keep the answer."""
        answer = self.ask(repeat=repeat)
        self.answers.append(answer)
        return answer

    @property
    def seconds(self):
        """Median seconds a step."""
        return statistics.median(a["seconds"] for a in self.answers)

    @property
    def peak_bytes(self):
        """Peak resident memory of the process, 0 where the system does not tell."""
        return self.answers[-1]["peak_bytes"]

    def close(self):
        """End the process."""
        with contextlib.suppress(BrokenPipeError):  # a request that a dead worker did not take is still to be written
            self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()


class Neighbour:
    """Another program on the same machine that works only inside `with neighbour:`. "loop": a busy loop, which holds one core;
    "self": a second toylm at `task`."""

    def __init__(self, kind, task):
        self.side = Side("neighbour", {"neighbour": kind, **task}, "toylm.bench.worker_neighbour")

    def __enter__(self):
        self.side.ask(work=True)

    def __exit__(self, *failure):
        self.side.ask(work=False)

    def close(self):
        """End it."""
        self.side.close()


def take_turns(sides, rounds, seconds, neighbour=None):
    """Measure every side `rounds` times, in turn, some `seconds` each; answers of earlier are dropped.

    neighbour: a Neighbour beside which every turn is run a second time; the answer's "beside" are the seconds a step then.
    """
    repeats = [max(1, round(seconds / side.measure(1)["seconds"])) for side in sides]
    for side in sides:
        side.answers.clear()
    for _ in range(rounds):
        for side, repeat in zip(sides, repeats):
            answer = side.measure(repeat)
            if neighbour is not None:
                with neighbour:
                    answer["beside"] = side.ask(repeat=repeat)["seconds"]


def median_ratio(numerators, denominators):
    """The median of the ratios, turn by turn."""
    return statistics.median(a / b for a, b in zip(numerators, denominators))


def reply(**fields):
    """A worker's answer to a request."""
    sys.stdout.write(json.dumps({"answer": 1, **fields}) + "\n")
    sys.stdout.flush()


def serve(prepare):
    """The worker's loop: `prepare(task)` returns a function that runs one step and returns a number."""
    step = prepare(json.loads(sys.stdin.readline()))
    start = time.perf_counter()
    step()
    reply(first_step_seconds=time.perf_counter() - start)
    for line in sys.stdin:
        repeat = json.loads(line)["repeat"]
        step()  # not counted: the caches are this side's again and its threads awake
        start = time.perf_counter()
        for _ in range(repeat):
            value = step()
        seconds = (time.perf_counter() - start) / repeat
        reply(seconds=seconds, loss=float(value), peak_bytes=peak_memory() or 0)
