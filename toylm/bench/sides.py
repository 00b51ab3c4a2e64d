"""A side is an engine in a process of its own: its memory can be told apart, and its threads' settings do not reach the others.

The parent sends one JSON line a request ({"repeat": n}) and gets one back ({"seconds", "loss", "peak_bytes"}).
"""

import contextlib
import importlib.util
import json
import statistics
import subprocess
import sys

from ..errors import UsageError, nearest

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
    for name in filter(None, (n.strip() for n in names.split(","))):
        if name not in PEERS or name == "toylm":
            raise UsageError(f"no peer {name!r}{nearest(name, peers_of('train'))}")
        if name not in peers_of(kind):
            skipped.append((name, "measures training only"))
            continue
        missing = [package for package in PEERS[name][1] if importlib.util.find_spec(package) is None]
        if missing:
            skipped.append((name, f"{', '.join(missing)} is not installed"))
        else:
            available.append(name)
    return available, skipped


class Side:
    """One engine, started and warmed up. `name`: a key of PEERS; `task`: what to measure, a JSON-able dictionary."""

    def __init__(self, name, task):
        self.name, self.answers = name, []
        self.process = subprocess.Popen(
            [sys.executable, "-m", PEERS[name][0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.ready = self._ask({"side": name, **task})

    def _ask(self, request):
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
        answer = self._ask({"repeat": repeat})
        self.answers.append(answer)
        return answer

    @property
    def seconds(self):
        """Median seconds a step."""
        return statistics.median(a["seconds"] for a in self.answers)

    @property
    def peak_bytes(self):
        """Peak resident memory of the process."""
        return self.answers[-1]["peak_bytes"]

    def close(self):
        """End the process."""
        with contextlib.suppress(BrokenPipeError):  # a request that a dead worker did not take is still to be written
            self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()


def serve(prepare):
    """The worker's loop: `prepare(task)` returns (function that runs one step and returns a number, extra answer fields)."""
    import time

    def reply(**fields):
        sys.stdout.write(json.dumps({"answer": 1, **fields}) + "\n")
        sys.stdout.flush()

    step, extra = prepare(json.loads(sys.stdin.readline()))
    start = time.perf_counter()
    step()
    reply(first_step_seconds=time.perf_counter() - start, **extra)
    for line in sys.stdin:
        repeat = json.loads(line)["repeat"]
        start = time.perf_counter()
        for _ in range(repeat):
            value = step()
        seconds = (time.perf_counter() - start) / repeat
        reply(seconds=seconds, loss=float(value), peak_bytes=peak_bytes())


def peak_bytes():
    """Peak resident memory of this process in bytes, 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
