"""One pass over the rows of (X, Y): moments, moments of X R^-1, a row sketch. NumPy for small inputs, Numba for large.

A *source* is what a solver reads: `blocks()` gives pairs (X_block, Y_block), as often as it is asked. Arrays in memory are a
source of one block; a file or a generator is a source of many.
"""

import numpy as np

# Above this many multiply-adds the fused kernels pay for their compilation (about two seconds, once a machine).
KERNEL_WORK = 4e8
_ROWS = 4096
_FUSED_TARGETS = 128  # more targets than this (one-hot tokens) are multiplied by BLAS, not in the fused kernel


class ArraySource:
    """X (n, d) and Y (n, k) in memory, as one block."""

    def __init__(self, X, Y):
        self.X, self.Y = X, Y

    def blocks(self):
        yield self.X, self.Y


class StreamSource:
    """A callable that returns a fresh iterator of (X_block, Y_block), or a list of such pairs.

    progress: show a bar for every pass over the rows; True, False, or None for only on a terminal. total: rows, where known.
    """

    def __init__(self, blocks, total=None, progress=False):
        self._blocks = blocks
        self.total, self.progress = total, progress

    def blocks(self):
        pairs = self._blocks() if callable(self._blocks) else self._blocks
        if self.progress is False:
            yield from map(_pair, pairs)
            return
        from tqdm import tqdm

        hide = None if self.progress is None else False
        with tqdm(total=self.total, unit="rows", unit_scale=True, disable=hide, leave=False) as bar:
            for X, Y in map(_pair, pairs):
                yield X, Y
                bar.update(len(X))


def _pair(block):
    X, Y = (np.asarray(part) for part in block)
    return X, Y.reshape(len(Y), -1)


def moments(X, Y, shift_x, shift_y, R=None, kernel=None):
    """Sums over the rows of z = (x - shift_x) R^-1 and y - shift_y: (Z'Z, Z'Y, diag Y'Y, sum z, sum y), float64.

    X (n, d), Y (n, k); R (d, d) upper triangular, or None for the identity. Shapes (d, d), (d, k), (k,), (d,), (k,).
    n d (d/2 + k) multiply-adds, n d^2 / 2 more with R; a buffer of cache size.
    kernel: True for the Numba kernel, False for NumPy, None by the amount of work.
    """
    n, d = X.shape
    k = Y.shape[1]
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if kernel is None:
        kernel = n * d * (d + min(k, _FUSED_TARGETS)) >= KERNEL_WORK
    rows = 65536 if kernel else _ROWS
    if kernel and X.flags.c_contiguous and k <= _FUSED_TARGETS:
        rows = n
    total = None
    for i in range(0, n, rows):
        part = _kernel_moments if kernel else _numpy_moments
        sums = part(X[i : i + rows], np.asarray(Y[i : i + rows], np.float64), shift_x, shift_y, R)
        total = sums if total is None else tuple(a + b for a, b in zip(total, sums))
    return total


def _kernel_moments(X, Y, shift_x, shift_y, R):
    from . import gram_kernels

    k = Y.shape[1]
    fused = k if k <= _FUSED_TARGETS else 0
    X = np.ascontiguousarray(X)
    sums = gram_kernels.moments(X, np.ascontiguousarray(Y[:, :fused]), shift_x, shift_y[:fused], R)
    if fused == k:
        return sums
    centred = Y - shift_y
    cross = centred_rows(X, shift_x, R).T @ centred
    return sums[0], cross, np.einsum("ij,ij->j", centred, centred), sums[3], centred.sum(axis=0)


def _numpy_moments(X, Y, shift_x, shift_y, R):
    Z, centred = centred_rows(X, shift_x, R), Y - shift_y
    squares = np.einsum("ij,ij->j", centred, centred)
    with np.errstate(over="ignore", invalid="ignore"):  # whoever asked looks at the diagonal
        return Z.T @ Z, Z.T @ centred, squares, Z.sum(axis=0), centred.sum(axis=0)


def centred_rows(X, shift, R=None):
    """(X - shift) R^-1 in float64, (n, d)."""
    Z = X - np.asarray(shift, np.float64)
    if R is None:
        return Z
    from scipy.linalg.blas import dtrsm

    # (Z R^-1)' = R^-T Z': the transposed view is in Fortran order, so that BLAS works in place.
    return dtrsm(1.0, R, Z.T, trans_a=1, overwrite_b=1).T


def sketch(X, shift, S, offset=0):
    """Add a sparse sign sketch of X - shift to S (rows, d): see `gram_kernels.sketch`. Reads X once."""
    from . import gram_kernels

    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    gram_kernels.sketch(np.ascontiguousarray(X), np.asarray(shift, np.float64), S, offset)
