"""Mat: a matrix as a flat, row-major buffer with a shape.

    >>> import numpy as np, toylm
    >>> a = toylm.Mat.from_array(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> (a @ a).array
    array([[ 7., 10.],
           [15., 22.]])

The products run on the project's own Numba kernels (TOYLM_MATMUL chooses, see toylm.kernels.matmul.matmul_mode).
"""

import numpy as np

from .errors import InputTypeError, UsageError

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Mat:
    """`nrows` x `ncols` values, float32 or float64, in one row-major buffer that is never copied behind your back.

    nrows, ncols: int. dtype: float32 (default) or float64. flat: a 1-D buffer to look at instead of a new, zeroed one.
    `array` is the 2-D view, `flat` the 1-D view of the same memory. Raises ValueError for a negative size or a buffer of
    another length or with gaps, TypeError for another dtype.
    """

    __slots__ = ("array",)

    def __init__(self, nrows, ncols, dtype=np.float32, flat=None):
        if nrows < 0 or ncols < 0:
            raise UsageError(f"a Mat cannot be {nrows} x {ncols}")
        if flat is None:
            flat = np.zeros(nrows * ncols, _checked(dtype))
        _checked(flat.dtype)
        if flat.ndim != 1 or flat.size != nrows * ncols:
            raise UsageError(f"a Mat of {nrows} x {ncols} needs a flat buffer of {nrows * ncols} values, not {flat.shape}")
        if not flat.flags.c_contiguous:
            raise UsageError("the values of a Mat's buffer lie side by side, those of this one do not; use np.ascontiguousarray")
        self.array = flat.reshape(nrows, ncols)

    @classmethod
    def view(cls, array):
        """A Mat that looks at a 2-D array, which may be a column slice of a wider matrix (rows contiguous, `flat` refused).

        Raises ValueError for other dimensions or rows that are not contiguous, TypeError for a dtype that no Mat has.
        """
        if array.ndim != 2:
            raise UsageError(f"a Mat has two dimensions; the array has shape {array.shape}")
        _checked(array.dtype)
        if array.size and array.shape[1] > 1 and array.strides[1] != array.itemsize:
            raise UsageError(f"the rows of a Mat are contiguous, those of this {array.shape} array are not; use Mat.from_array")
        mat = cls.__new__(cls)
        mat.array = array
        return mat

    @classmethod
    def from_array(cls, array, dtype=None):
        """A Mat that owns a copy of a 2-D array (or nested lists); float64 is kept, everything else becomes float32."""
        array = np.asarray(array)
        if dtype is None:
            dtype = array.dtype if array.dtype in DTYPES else np.float32
        return cls.view(np.array(array, _checked(dtype), order="C", ndmin=2))

    nrows = property(lambda self: self.array.shape[0], doc="Number of rows.")
    ncols = property(lambda self: self.array.shape[1], doc="Number of columns.")
    shape = property(lambda self: self.array.shape, doc="(nrows, ncols).")
    dtype = property(lambda self: self.array.dtype, doc="float32 or float64.")
    T = property(lambda self: self.transpose(), doc="The transpose, a new Mat.")

    @property
    def flat(self):
        """The values as a 1-D view, row by row. Raises ValueError for a view on columns of a wider Mat (use `copy()`)."""
        if not self.array.flags.c_contiguous:
            raise UsageError(f"this {self._size()} Mat is a view on columns of a wider one: it has no flat buffer; use .array")
        return self.array.reshape(-1)

    def row(self, i):
        """Row i as a 1-D view. Raises IndexError beyond the last row."""
        if not -self.nrows <= i < self.nrows:
            raise IndexError(f"row {i} of a {self._size()} Mat")
        return self.array[i]

    def columns(self, start, stop):
        """Columns start to stop - 1 as a Mat that looks at the same memory."""
        if not 0 <= start <= stop <= self.ncols:
            raise UsageError(f"columns {start} to {stop} of a {self._size()} Mat")
        return Mat.view(self.array[:, start:stop])

    def copy(self):
        """A Mat with memory of its own."""
        return Mat.view(np.array(self.array, order="C"))

    # -- products ----------------------------------------------------------------------------------------------------

    def matmul(self, other, out=None):
        """A·B: (m, k)·(k, n) -> (m, n), into `out` where given, which must not overlap A or B.

        All products raise ValueError for sizes that do not fit, an overlap or an `out` that is read-only, TypeError for what is no
        Mat or has another dtype.
        """
        return self._product(other, out, False, False)

    def matmul_t(self, other, out=None):
        """A·Bᵀ: (m, k)·(n, k)ᵀ -> (m, n)."""
        return self._product(other, out, False, True)

    def t_matmul(self, other, out=None):
        """Aᵀ·B: (k, m)ᵀ·(k, n) -> (m, n)."""
        return self._product(other, out, True, False)

    __matmul__ = matmul

    def _product(self, other, out, transpose_a, transpose_b):
        from .kernels.matmul import matmul

        if not isinstance(other, Mat):
            raise InputTypeError(f"a Mat is multiplied by a Mat, not by {type(other).__name__}; Mat.from_array makes one")
        m, k = self.shape[::-1] if transpose_a else self.shape
        k_other, n = other.shape[::-1] if transpose_b else other.shape
        if k != k_other:
            a, b = self._size() + "ᵀ" * transpose_a, other._size() + "ᵀ" * transpose_b
            raise UsageError(f"cannot multiply {a} by {b}: inner sizes {k} and {k_other} differ")
        self._same_dtype(other)
        if out is None:
            out = Mat(m, n, self.dtype)
        elif out.shape != (m, n):
            raise UsageError(f"the product of {self._size()} and {other._size()} is {m} x {n}, but out is {out._size()}")
        elif np.shares_memory(out.array, self.array) or np.shares_memory(out.array, other.array):
            raise UsageError(f"out ({out._size()}) overlaps an operand, which is read while out is written; give another Mat")
        matmul(self.array, other.array, out.array, transpose_a, transpose_b)
        return out

    # -- element-wise ------------------------------------------------------------------------------------------------

    def transpose(self):
        """The transpose, with memory of its own."""
        return Mat.view(np.array(self.array.T, order="C"))

    def plus(self, other):
        """A + B, a new Mat."""
        self._same_shape(other, "add")
        return Mat.view(self.array + other.array)

    __add__ = plus

    def add_(self, other):
        """A += B in place; returns self."""
        self._same_shape(other, "add")
        self.array += other.array
        return self

    def scale_(self, factor):
        """A *= factor in place; returns self."""
        self.array *= self.dtype.type(factor)
        return self

    def zero_(self):
        """Every value becomes 0; returns self."""
        self.array.fill(0)
        return self

    def fill_random(self, scale, rng=0, distribution="uniform"):
        """Uniform on ±scale (the default) or normal with standard deviation `scale`; rng: a seed or a numpy Generator."""
        rng = np.random.default_rng(rng)
        if distribution == "uniform":
            self.array[:] = rng.uniform(-scale, scale, self.shape)
        elif distribution == "normal":
            self.array[:] = rng.standard_normal(self.shape) * scale
        else:
            raise UsageError(f"distribution is {distribution!r}; valid: 'uniform', 'normal'")
        return self

    def _same_shape(self, other, verb):
        if not isinstance(other, Mat):
            raise InputTypeError(f"cannot {verb} {type(other).__name__} to a Mat; Mat.from_array makes one")
        if self.shape != other.shape:
            raise UsageError(f"cannot {verb} {other._size()} to {self._size()}: the shapes differ")
        self._same_dtype(other)

    def _same_dtype(self, other):
        if self.dtype != other.dtype:
            raise InputTypeError(f"one Mat is {self.dtype}, the other {other.dtype}; Mat.from_array(x.array, dtype) converts")

    def _size(self):
        return f"{self.nrows} x {self.ncols}"

    def __repr__(self):
        if self.array.size == 0:
            return f"Mat({self._size()} {self.dtype})"
        low, high, mean = self.array.min(), self.array.max(), self.array.mean()
        return f"Mat({self._size()} {self.dtype}, min={low:.4g} max={high:.4g} mean={mean:.4g})"


def _checked(dtype):
    dtype = np.dtype(dtype)
    if dtype not in DTYPES:
        raise InputTypeError(f"a Mat holds float32 or float64, not {dtype}")
    return dtype
