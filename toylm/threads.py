"""One thread setting for everything: Numba's kernels and the BLAS behind NumPy and SciPy."""

import contextlib
import functools
import os

from .kernels.placement import cores, spread

_chosen = None
_blas_limits = None


def physical_cores():
    """Number of physical cores that this process may run on (hyper-threads are not counted), at least 1."""
    try:
        return max(1, len(cores()))
    except AttributeError:  # macOS, Windows
        return max(1, _physical_from_count(os.cpu_count() or 1))


def _physical_from_count(logical):
    import platform

    # ARM chips have one thread a core ("arm64" to macOS, "ARM64" to Windows); elsewhere assume two hardware threads a core.
    return logical if platform.machine().lower() in ("arm64", "aarch64") else (logical + 1) // 2


def most_threads():
    """The most threads that `set_threads` takes: the CPUs this process may use, or NUMBA_NUM_THREADS where that is set."""
    from .kernels.jit import numba  # which tells the threads how to wait, before they start

    return numba.config.NUMBA_NUM_THREADS


def set_threads(threads=None):
    """Use `threads` threads in Numba kernels and in BLAS; None chooses the number of physical cores. Returns the number.

    Numba keeps its number by Python thread: kernels called from another one use all (`most_threads`) until it calls this too.
    Raises ValueError if `threads` is below 1 or above what this process can use.
    """
    global _chosen, _blas_limits
    limit = most_threads()  # Numba fixes how many it launches when it is imported
    if threads is None:
        threads = min(physical_cores(), limit)
    if threads < 1 or threads > limit:
        raise ValueError(
            f"threads is {threads}; this process can use 1 to {limit}: choose one of these, or start it with more CPUs "
            f"(taskset, NUMBA_NUM_THREADS)"
        )
    import threadpoolctl

    from .kernels.jit import numba

    numba.set_num_threads(threads)
    _blas_limits = threadpoolctl.threadpool_limits(threads, user_api="blas")
    spread(threads)
    _chosen = threads
    return threads


def get_threads():
    """The number of threads in use; sets the default (physical cores) at the first call."""
    return _chosen if _chosen is not None else set_threads(None)


@functools.cache
def _blas():
    import threadpoolctl

    return threadpoolctl.ThreadpoolController().select(user_api="blas")


@contextlib.contextmanager
def one_blas_thread():
    """BLAS on one thread inside the `with`: for small matrices.

    OpenBLAS keeps its other threads spinning for some 25 ms after a call, on the cores that the next Numba kernel wants.
    Enter it after the first import of scipy.linalg, which brings a BLAS of its own.
    """
    with _blas().limit(limits=1):
        yield
