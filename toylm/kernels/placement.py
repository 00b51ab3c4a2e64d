"""Where the threads of the parallel kernels run: each on a core of its own.

Left alone, Linux often wakes a worker on the core of the thread that woke it. Both then take turns on one core, for
milliseconds, and two threads run at the speed of one. And a worker that waits by spinning, beside another program, may take
the time of the very thread that it waits for. So, where the kernels use all cores, their workers are kept each on its core,
and the thread that calls them on the core that is left, but only while it is inside: what it starts afterwards (another
program, another library's threads) would inherit the restriction.

Linux only; elsewhere, and with fewer threads than cores, the system places the threads.
"""

import functools
import os
import sys
import threading
from pathlib import Path

_CHOSEN = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY")  # whoever sets one of these has placed the threads
_home = None  # the _Home of the thread whose kernels use all cores


class _Home:
    """A thread that calls kernels, and its core (a set of hardware threads). A context: entered, the thread stays there."""

    def __init__(self, core):
        self.thread, self.core, self.inside, self.threads = threading.get_ident(), core, False, 1

    def __enter__(self):
        self.threads = _numbas_threads()
        self.before = os.sched_getaffinity(0)
        _stay_on(self.core)
        self.inside = True

    def __exit__(self, *_):
        self.inside = False
        _stay_on(self.before)


def _stay_on(cpus):
    """Keep this thread on some hardware threads, or give up placing it: a sandbox may forbid it, a container's set shrink."""
    global _home
    try:
        os.sched_setaffinity(0, cpus)
    except OSError:
        _home = None


def while_compiling(started):
    """A kernel that is called for the first time is compiled inside the call: not on the one core, where another process may be
    compiling as well. Called at the start (True) and at the end of it."""
    home = _home
    if home is not None and home.inside and home.thread == threading.get_ident():
        _stay_on(home.before if started else home.core)


def on_own_core(function):
    """While `function` runs, keep the thread that calls it off the cores of its kernels' workers.

    Every parallel kernel does so by itself; around many of them once is cheaper.
    """

    @functools.wraps(function, updated=())
    def call(*arguments, **named):
        home = _home
        if home is None or home.inside or home.thread != threading.get_ident():
            return function(*arguments, **named)
        with home:
            return function(*arguments, **named)

    return call


def threads_now():
    """The number of threads of a parallel kernel. Numba's own function costs as much as a small kernel's arguments."""
    home = _home
    if home is not None and home.inside and home.thread == threading.get_ident():
        return home.threads
    return _numbas_threads()


def _numbas_threads():
    import numba

    return numba.get_num_threads()


def cores():
    """The hardware threads that this thread may run on, a set a physical core, in order. AttributeError where not Linux."""
    allowed, found = sorted(os.sched_getaffinity(0)), {}
    for cpu in allowed:
        try:
            # Not core_id: on ARM it starts anew in every cluster.
            core = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text("ascii")
            found.setdefault(core, set()).add(cpu)
        except OSError:
            return [{cpu} for cpu in allowed]
    return list(found.values())


def _knows_workers():
    """Whether thread i of a region is always the same thread of the system, whose number can be asked for.

    The number takes glibc 2.30: LLVM ends a process in which a function is missing. TBB's threads take what comes.
    """
    import ctypes

    import numba

    return hasattr(ctypes.CDLL(None), "gettid") and numba.threading_layer() in ("omp", "workqueue")


def spread(threads):
    """Place the `threads` threads of the kernels that the calling thread starts; free them where they are not all cores."""
    global _home
    _home = None
    if sys.platform != "linux" or threads == 1 or any(name in os.environ for name in _CHOSEN) or not _knows_workers():
        return
    from .worker_threads import thread_ids

    places = cores()
    whole = threads == len(places)
    try:
        for i, thread in enumerate(thread_ids(threads)):
            if thread != threading.get_native_id():
                os.sched_setaffinity(thread, places[i] if whole else set().union(*places))
    except OSError:  # a sandbox may forbid it; it is only speed
        return
    if whole:
        _home = _Home(places[0])
        with _home:
            pass
