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
        os.sched_setaffinity(0, self.core)
        self.inside = True

    def __exit__(self, *_):
        self.inside = False
        os.sched_setaffinity(0, self.before)


def while_compiling(started):
    """A kernel that is called for the first time is compiled inside the call: not on the one core, where another process may be
    compiling as well. Called at the start (True) and at the end of it."""
    if _home is not None and _home.inside and _home.thread == threading.get_ident():
        os.sched_setaffinity(0, _home.before if started else _home.core)


def on_own_core(function):
    """While `function` runs, keep the thread that calls it off the cores of its kernels' workers.

    Every parallel kernel does so by itself; around many of them once is cheaper.
    """

    @functools.wraps(function, updated=())
    def call(*arguments, **named):
        if _home is None or _home.inside or _home.thread != threading.get_ident():
            return function(*arguments, **named)
        with _home:
            return function(*arguments, **named)

    return call


def threads_now():
    """The number of threads of a parallel kernel. Numba's own function costs as much as a small kernel's arguments."""
    if _home is not None and _home.inside and _home.thread == threading.get_ident():
        return _home.threads
    return _numbas_threads()


def _numbas_threads():
    import numba

    return numba.get_num_threads()


def cores():
    """The hardware threads that this thread may run on, a set a physical core, in order. AttributeError where not Linux."""
    allowed, found = sorted(os.sched_getaffinity(0)), {}
    for cpu in allowed:
        base = f"/sys/devices/system/cpu/cpu{cpu}/topology/"
        try:
            name = tuple(Path(base, part).read_text("ascii").strip() for part in ("physical_package_id", "core_id"))
            found.setdefault(name, set()).add(cpu)
        except OSError:
            return [{cpu} for cpu in allowed]
    return list(found.values())


def spread(threads):
    """Place the `threads` threads of the kernels that the calling thread starts; free them where they are not all cores."""
    global _home
    _home = None
    if sys.platform != "linux" or threads == 1 or any(name in os.environ for name in _CHOSEN):
        return
    from .worker_threads import thread_ids

    places = cores()
    whole = threads == len(places)
    try:
        for i, thread in enumerate(thread_ids(threads)):
            if thread != threading.get_native_id():
                os.sched_setaffinity(thread, places[i] if whole else set().union(*places))
        if whole:
            home = _Home(places[0])
            with home:
                pass
            _home = home
    except OSError:  # a sandbox may forbid it; it is only speed
        pass
