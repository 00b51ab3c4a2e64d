"""Parameters: named Mats carved from one flat buffer. Gradients and optimizer moments are further buffers of the same layout.

So an optimizer step is one kernel over flat arrays, clipping is one norm, a finite-difference check is one loop over indices.
"""

import numpy as np

from .errors import UsageError, nearest
from .mat import Mat


class Parameters:
    """Named Mats, views of one 1-D array `flat`, in the order of `layout`.

    layout: list of (name, nrows, ncols). Matrices (nrows > 1) come first in the buffer and vectors (nrows = 1) last, each
    kind in the given order, so that weight decay, which is for matrices only, covers the first `n_decayed` values.
    """

    def __init__(self, layout, dtype=np.float32):
        self.layout = [x for x in layout if x[1] > 1] + [x for x in layout if x[1] <= 1]
        self.n_decayed = sum(rows * columns for _, rows, columns in self.layout if rows > 1)
        self.flat = np.zeros(sum(rows * columns for _, rows, columns in self.layout), dtype)
        self._mats = {}
        start = 0
        for name, rows, columns in self.layout:
            if name in self._mats:
                raise UsageError(f"two parameters are called {name!r}")
            self._mats[name] = Mat(rows, columns, flat=self.flat[start : start + rows * columns])
            start += rows * columns

    def __getstate__(self):
        return self.layout, self.flat

    def __setstate__(self, state):
        """A copy (copy.deepcopy, pickle): its Mats are views of its own buffer."""
        layout, flat = state
        self.__init__(layout, flat.dtype)
        self.flat[:] = flat

    names = property(lambda self: list(self._mats), doc="Names in buffer order.")
    size = property(lambda self: self.flat.size, doc="Number of values.")
    dtype = property(lambda self: self.flat.dtype, doc="float32 or float64.")

    def __getitem__(self, name):
        try:
            return self._mats[name]
        except KeyError:
            raise KeyError(f"no parameter {name!r}{nearest(name, self._mats)}") from None

    def __contains__(self, name):
        return name in self._mats

    def __iter__(self):
        return iter(self._mats)

    def __len__(self):
        return len(self._mats)

    def items(self):
        """(name, Mat) pairs in buffer order."""
        return self._mats.items()

    def like(self):
        """Zeroed Parameters of the same layout and dtype."""
        return Parameters(self.layout, self.dtype)

    def zero_(self):
        """Every value becomes 0; returns self."""
        self.flat.fill(0)
        return self

    def copy_from(self, other):
        """Take the values of Parameters of the same layout (dtypes may differ); returns self. Raises ValueError else."""
        if self.layout != other.layout:
            raise UsageError(f"the layouts differ: {self.size} values in {len(self)} Mats, {other.size} in {len(other)}")
        self.flat[:] = other.flat
        return self

    def __repr__(self):
        return f"Parameters({len(self)} Mats, {self.size:,} values, {self.dtype})"
