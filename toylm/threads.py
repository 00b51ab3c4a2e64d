"""One thread setting for everything: Numba's kernels and the BLAS behind NumPy and SciPy."""

import contextlib
import functools
import math
import os
import platform
from pathlib import Path

import threadpoolctl

from .errors import UsageError

# A thread that has nothing to do asks again this often before it sleeps. GNU OpenMP's own 300,000 keep a core busy that another
# program could have, and the other thread waits for it: beside a busy loop on one of two cores a training step takes twice as long
# (213 and 108 ms at nano, 335 and 176 at tiny, Emerald Rapids). On idle cores 3,000 and 300,000 are equally fast, 1,000 is 3 to 6 %
# slower.
SPINS = "3000"

_chosen = None
_blas_limits = None


def physical_cores():
    """Number of physical cores that this process may run on (hyper-threads are not counted), at least 1."""
    try:
        return max(1, len(_cores()))
    except AttributeError:  # macOS, Windows
        logical = os.cpu_count() or 1
        # ARM chips have one thread a core ("arm64" to macOS, "ARM64" to Windows); elsewhere assume two hardware threads a core.
        return logical if platform.machine().lower() in ("arm64", "aarch64") else max(1, (logical + 1) // 2)


def _cores():
    """The hardware threads that this process may run on, a set a physical core. AttributeError where not Linux."""
    allowed, found = sorted(os.sched_getaffinity(0)), {}
    for cpu in allowed:
        try:
            # Not core_id: on ARM it starts anew in every cluster.
            core = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text("ascii")
            found.setdefault(core, set()).add(cpu)
        except OSError:
            return [{cpu} for cpu in allowed]
    return list(found.values())


def cpu_quota(root=Path("/")):
    """The CPUs' worth of time that a container gives this process (cgroup v2 or v1), a float; None where there is no limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            quotas += _quotas(root / "sys/fs/cgroup", path, _quota_v2)
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                quotas += _quotas(root / "sys/fs/cgroup" / name, path, _quota_v1)
    return min(quotas, default=None)


def _quotas(base, path, read):
    """The limits of a group and all above it; inside a container the group's own path may not be visible."""
    folder = base.joinpath(*filter(None, path.split("/")))
    while True:
        with contextlib.suppress(OSError, ValueError):
            found = read(folder)
            if found is not None:
                yield found
        if folder == base or base not in folder.parents:
            return
        folder = folder.parent


def _quota_v2(folder):
    quota, period = (folder / "cpu.max").read_text("ascii").split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder):
    quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text("ascii")) for name in ("quota", "period"))
    return quota / period if quota > 0 else None


def default_threads():
    """OMP_NUM_THREADS where that is set; else the physical cores, and no more than a container's CPU quota rounded up."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return min(int(asked), most_threads())
    quota = cpu_quota()
    cores = physical_cores() if quota is None else min(physical_cores(), max(1, math.ceil(quota)))
    return min(cores, most_threads())


def most_threads():
    """The most threads that `set_threads` takes: the CPUs this process may use, or NUMBA_NUM_THREADS where that is set."""
    import numba  # not at the top: a small closed-form fit needs BLAS alone, and Numba takes 0.4 s to load

    return numba.config.NUMBA_NUM_THREADS


@functools.cache
def launch_threads():
    """Start Numba's threads, once. GNU OpenMP reads how long they spin when it is loaded, from the environment only."""
    import numba

    chosen = any(name in os.environ for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"))
    if not chosen:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        numba.get_num_threads()
    finally:
        if not chosen:
            del os.environ["GOMP_SPINCOUNT"]


def set_threads(threads=None):
    """Use `threads` threads in Numba kernels and in BLAS; None chooses `default_threads`. Returns the number.

    Numba keeps its number by Python thread: kernels called from another one use all (`most_threads`) until it calls this too.
    Raises ValueError if `threads` is below 1 or above what this process can use.
    """
    import numba

    global _chosen, _blas_limits
    limit = most_threads()  # Numba fixes how many it launches when it is imported
    if threads is None:
        threads = default_threads()
    if threads < 1 or threads > limit:
        raise UsageError(
            f"threads is {threads}; this process can use 1 to {limit}: choose one of these, or start it with more CPUs "
            f"(taskset, NUMBA_NUM_THREADS)"
        )
    launch_threads()
    numba.set_num_threads(threads)
    _blas_limits = threadpoolctl.threadpool_limits(threads, user_api="blas")
    _chosen = threads
    return threads


def get_threads():
    """The number of threads in use; sets the default at the first call."""
    return _chosen if _chosen is not None else set_threads(None)


@functools.cache
def _blas():
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


@contextlib.contextmanager
def one_blas_thread():
    """BLAS on one thread inside the `with`: for small matrices.

    OpenBLAS keeps its other threads spinning for some 25 ms after a call, on the cores that the next Numba kernel wants.
    Enter it after the first import of scipy.linalg, which brings a BLAS of its own.
    """
    with _blas().limit(limits=1):
        yield
