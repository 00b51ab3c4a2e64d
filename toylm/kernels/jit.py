"""How toylm compiles: what all kernels are declared with, a compile cache that cannot go stale, and a clock of compile time.

Numba's own cache notices only a change of the file that holds the function, not of the functions that it calls. Here the
cache folder is named by a hash of all kernel sources, so an edited or upgraded kernel is compiled anew, and a package
directory that cannot be written is no obstacle. It lies in toylm's cache folder (TOYLM_CACHE), or in NUMBA_CACHE_DIR where that is
set.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

# Threads that wait for the next kernel spin for a fraction of a millisecond, which reaches from one kernel of a training step to
# the next, and then sleep. OpenMP's default, ten times longer, takes the time of other programs, and of our own thread where two
# share a core (see placement.py); sleeping at once costs a tenth of a step in waking up. Read by OpenMP when Numba starts its
# threads; whoever sets either variable keeps their choice.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import numba  # noqa: E402
from numba.core import config, event  # noqa: E402
from numba.core.registry import CPUDispatcher  # noqa: E402

from ..resources import cache_directory  # noqa: E402
from .placement import while_compiling  # noqa: E402

# Not full fastmath: `nnan` and `ninf` would let the compiler delete checks for NaN and infinity.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}


def _cache_directory():
    sources = hashlib.sha256()
    package = Path(__file__).parents[1]
    for folder in ("kernels", "counts", "closed_form"):  # where compiled functions live
        for path in sorted((package / folder).glob("*.py")):
            sources.update(path.read_bytes())
    base = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_directory())
    return str(base.absolute() / f"kernels-{sources.hexdigest()[:16]}")


def _prepare(directory):
    """Make the folder; whether it can be written to. Where it cannot, Numba would keep the kernels beside their sources, where an
    edit of what they call goes unnoticed."""
    new = not os.path.isdir(directory)
    try:
        os.makedirs(directory, exist_ok=True)
        os.utime(directory)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError:
        return False
    if new:
        _forget_unused(Path(directory).parent)
    return True


def _forget_unused(base):
    """Remove the kernels of other versions that nobody has used for a month, and nothing else that may lie in the folder."""
    for other in base.glob("kernels-" + 16 * "[0-9a-f]"):
        with contextlib.suppress(OSError):  # another process may be removing it
            if time.time() - other.stat().st_mtime > UNUSED_DAYS * 86400:
                shutil.rmtree(other)


UNUSED_DAYS = 30
CACHE_DIRECTORY = _cache_directory()
_KEEP = _prepare(CACHE_DIRECTORY)  # else: compile in every process


@contextlib.contextmanager
def _our_cache_directory():
    """Only while a kernel of ours is being declared: other users of Numba in this process keep their own cache."""
    theirs = config.CACHE_DIR
    config.CACHE_DIR = CACHE_DIRECTORY
    try:
        yield
    finally:
        config.CACHE_DIR = theirs


def _options(**more):
    # no_cfunc_wrapper: nothing here passes functions as values.
    return {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy", "no_cfunc_wrapper": True, **more}


def jit(function):
    """Compile at the first call, keep the result on disk, release the GIL. For kernels that run in threads: parallel.py."""
    return _compiled(function)


def inner(function=None, *, inline="never"):
    """`jit` for a function that only compiled ones call. Without its way in from Python, which takes every argument apart and
    counts references, a kernel of a dozen such functions compiles in three quarters of the time."""
    if function is None:
        return lambda f: inner(f, inline=inline)
    dispatcher = _compiled(function, inline=inline, no_cpython_wrapper=True)
    dispatcher.__class__ = _Inner
    return dispatcher


class _Inner(CPUDispatcher):
    def __call__(self, *arguments, **named):
        raise TypeError(f"{self.py_func.__qualname__} is for compiled functions to call; from Python, call it inside a @jit one")


def _compiled(function, **more):
    with _our_cache_directory():
        return numba.njit(cache=_KEEP, **_options(**more))(function)


_kept = []  # compiled C functions: they live as long as the process


def c_function(signature, parallel=False):
    """Compile a function now, or load it, for callers that know it by its address: `c_function(signature)(function)` is that."""

    def compile_now(function):
        with _our_cache_directory(), _clock.running():
            compiled = numba.cfunc(signature, cache=_KEEP, parallel=parallel, **_options())(function)
        _kept.append(compiled)
        return compiled.address

    return compile_now


class _CompileClock(event.Listener):
    """Adds up the wall time of outermost compilations (a kernel compiles its callees inside its own time)."""

    def __init__(self):
        self.depth, self.seconds, self.count, self._start = 0, 0.0, 0, 0.0

    def on_start(self, event):
        if self.depth == 0:
            self._start = time.perf_counter()
            while_compiling(True)
        self.depth += 1

    def on_end(self, event):
        self.depth -= 1
        if self.depth == 0:
            while_compiling(False)
            self.seconds += time.perf_counter() - self._start
            self.count += 1

    @contextlib.contextmanager
    def running(self):
        """Around what Numba compiles without an event."""
        self.on_start(None)
        try:
            yield
        finally:
            self.on_end(None)


_clock = _CompileClock()
event.register("numba:compile", _clock)


def compile_seconds():
    """Seconds that this process has spent compiling kernels so far (0 when all came from the cache)."""
    return _clock.seconds
