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

    # Apple's chips have one thread a core; elsewhere assume two hardware threads a core.
    return logical if platform.machine() == "arm64" else (logical + 1) // 2


def set_threads(threads=None):
    """Use `threads` threads in Numba kernels and in BLAS; None chooses the number of physical cores. Returns the number.

    Raises ValueError if `threads` is below 1 or above what this process can use.
    """
    global _chosen, _blas_limits
    limit = max(os.cpu_count() or 1, 1)
    if threads is None:
        threads = min(physical_cores(), limit)
    if threads < 1 or threads > limit:
        raise ValueError(f"threads is {threads}; this machine offers 1 to {limit}")
    import threadpoolctl

    from .kernels.jit import numba  # which tells the threads how to wait, before they start

    # A parallel region must find its threads launched; Numba fixes their number at its first launch.
    threads = min(threads, numba.config.NUMBA_NUM_THREADS)
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
