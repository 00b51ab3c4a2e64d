"""How kernels divide their rows among threads: in fixed shares, or with the end of every share for whoever comes first.

Sums over rows, a part a thread, need fixed shares to have a fixed order. Where a row's results are the same whoever computes
them, and take long enough, a thread does three quarters of its share (`own_share`) and then pieces of the rest of all shares
(`take`): the cores of a machine differ from moment to moment (other programs, clock rates, fast and slow cores), and all threads
wait for the last. Not the whole share: what one kernel leaves in a core's cache is what the next one reads there.

Inside a share, kernels take slices and count from 0: Numba must allow for a negative index where a loop starts at a variable,
and what it then emits is not vectorised (GELU: five times slower).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import inner

I64 = ir.IntType(64)
PIECES = 4  # of the rest of a share


@inner(inline="always")
def rows_of(total, threads, thread):
    """The range [start, stop) of `total` rows of one of `threads`."""
    thread = np.int64(thread)
    return total * thread // threads, total * (thread + 1) // threads


@inner
def share(total, parts, part, unit):
    """The range [start, stop) of `total` that falls to one of `parts`, cut at multiples of `unit`."""
    units = (total + unit - 1) // unit
    start = units * part // parts * unit
    stop = units * (part + 1) // parts * unit
    return min(start, total), min(stop, total)


@intrinsic
def _next(typingctx, queue):
    """The number at the address `queue`, which goes up by one."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], I64.as_pointer())
        return builder.atomic_rmw("add", place, I64(1), "acq_rel")

    return types.int64(types.int64), codegen


@inner
def own_share(total, least, unit, threads, thread):
    """The range [start, stop) of `total` rows, cut at multiples of `unit`, that a thread does first: three quarters of its share,
    or all of it where the pieces of the rest would have fewer than `least` rows."""
    start, stop = share(total, threads, thread, unit)
    rest = (stop - start) // (4 * unit) * unit
    return start, (stop - rest if threads > 1 and rest >= PIECES * least else stop)


@inner
def take(queue, start, stop, total, least, unit, threads):
    """The range of rows to go on with: [start, stop) while it has any, then a piece that no thread has taken; empty when none is
    left, or where `queue` is 0. The other arguments as for `own_share`, the range to begin with."""
    if start < stop or queue == 0:
        return start, stop
    while True:
        i = _next(queue)
        piece, part = i // threads, i % threads
        if piece >= PIECES:
            return total, total
        rest = own_share(total, least, unit, threads, part)[1]
        start, stop = share(share(total, threads, part, unit)[1] - rest, np.int64(PIECES), piece, unit)
        if start < stop:
            return rest + start, rest + stop


@inner
def last_to_finish(queue, threads):
    """Whether all other threads have called this before: then what they wrote is there to be read. Once a region, no `take`."""
    return _next(queue) == threads - 1


@inner
def start_of(row):
    """The address of a row's first element."""
    return np.int64(row.ctypes.data)
