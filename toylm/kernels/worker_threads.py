"""Which threads of the operating system run the parallel kernels."""

import numpy as np
from numba import types

from .parallel import parallel

_gettid = types.ExternalFunction("gettid", types.int32())  # Linux: glibc 2.30, musl


@parallel
def _ids(out, threads, thread):
    out[thread] = _gettid()


def thread_ids(threads):
    """The operating system's numbers of the threads of a parallel region that this thread starts, its own the first."""
    out = np.zeros(threads, np.int64)
    _ids(out)
    return out.tolist()
