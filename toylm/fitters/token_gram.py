"""The moments of features and next tokens, from which a ridge head is solved at any time; stories come in and go out again.

    G = sum x x',  S_v = sum of x over the rows whose target is v,  n, and the counts of targets

One-hot targets never exist as a matrix: S = Y'X is a scatter-add of rows, n d additions in place of n d V multiplications.
"""

import numpy as np

from ..checks import check_lambda
from ..closed_form.normal_equations import solve_moments
from ..closed_form.row_sources import moments
from ..counts.documents import Documents
from ..errors import CheckpointError, UsageError
from ..formats.safetensors_files import SafetensorsFile, save_tensors
from ..kernels.embedding import embedding_backward, order_sizes

FORMAT = "toylm token gram 2"


class TokenGram:
    """G (d, d), S (V, d), targets (V,) and count, float64 and int64; of features (n, d) and target ids (n,).

    documents: which documents the rows are of, for whoever adds and removes whole documents; kept in the file.
    """

    def __init__(self, d, vocab_size):
        self.G, self.S = np.zeros((d, d)), np.zeros((vocab_size, d))
        self.targets, self.count = np.zeros(vocab_size, np.int64), 0
        self.documents = Documents()

    def add(self, X, y):
        """Add rows: X (n, d) float32 or float64, y (n,) ids; returns self. Raises ValueError for ids beyond the vocabulary."""
        return self._accumulate(X, y, 1)

    def remove(self, X, y):
        """Take rows that were added out again; returns self. Raises ValueError where they cannot have been in here."""
        here = self._of_each(y)
        if (here > self.targets).any():
            token = int((here - self.targets).argmax())
            raise UsageError(f"cannot remove {here[token]} rows of token {token}: only {self.targets[token]} were added")
        return self._accumulate(X, y, -1)

    def _of_each(self, y):
        """How often each id is in y: (V,)."""
        bad = y[(y < 0) | (y >= len(self.targets))]
        if len(bad):
            raise UsageError(f"target id {bad[0]} is out of range; ids are 0 to {len(self.targets) - 1}")
        return np.bincount(y, minlength=len(self.targets))

    def _accumulate(self, X, y, sign):
        d = self.G.shape[0]
        if X.ndim != 2 or X.shape[1] != d or len(X) != len(y):
            raise UsageError(f"X has shape {X.shape} for {len(y)} targets; {d} features a row are kept here")
        if not len(X):
            return self
        here = self._of_each(y)
        gram = moments(X, np.empty((len(X), 0)), np.zeros(d), np.zeros(0))[0]
        if not np.isfinite(np.diag(gram)).all():
            raise UsageError("the features are not finite: the model's weights have diverged")
        self.G += sign * gram
        rows, ids = sign * X.astype(np.float64, order="C"), np.ascontiguousarray(y, np.int64)[None]
        memory = [np.empty(size, np.int64) for size in order_sizes(ids.shape, d, rows.itemsize, len(self.S))]
        embedding_backward(ids, rows, self.S, self.S[:0], memory)  # a scatter-add: S[y] += x
        self.targets += sign * here
        self.count += sign * len(y)
        return self

    def solve(self, lambda_reg=0.0):
        """(W (V, d), solver, rcond): ridge of one-hot targets on the features, min 1/n ||X W' - Y||^2 + lambda ||W||^2.

        The minimum-norm answer, by eigenvectors, where Cholesky cannot be trusted.
        """
        if not self.count:
            raise UsageError("no rows to fit: every one was removed")
        found = solve_moments(self, check_lambda(lambda_reg) * self.count, fit_intercept=False)
        return found.coef.T, found.solver, found.rcond

    # -- what solve_moments reads ------------------------------------------------------------------------------------------

    @property
    def mean_x(self):
        """Not kept: there is no intercept to take it for."""
        return np.zeros(len(self.G))

    @property
    def mean_y(self):
        """(V,): the share of each token."""
        return self.targets / self.count

    @property
    def cross(self):
        """X'Y, (d, V)."""
        return self.S.T

    def normal_equations(self, fit_intercept=False):
        """(X'X, X'Y), about zero."""
        return self.G, self.cross

    def distance(self, other):
        """The largest difference of any moment to `other`'s, relative to the largest entry of the moment; inf for other counts."""
        if self.count != other.count or (self.targets != other.targets).any():
            return np.inf
        pairs = ((self.G, other.G), (self.S, other.S))
        return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)) for a, b in pairs)

    @property
    def nbytes(self):
        """Bytes held."""
        return self.G.nbytes + self.S.nbytes + self.targets.nbytes

    def save(self, path, **metadata):
        """Write the moments as safetensors, atomically. metadata: text."""
        tensors = {"gram": self.G, "cross": self.S, "targets": self.targets, "count": np.array([self.count])}
        save_tensors(path, tensors | self.documents.to_tensors(), format=FORMAT, **metadata)

    @classmethod
    def load(cls, path):
        """(TokenGram, metadata) of a file that `save` wrote. Raises FileNotFoundError or CheckpointError."""
        file = SafetensorsFile(path)
        if file.metadata.get("format") == "toylm token gram 1":
            raise CheckpointError(
                f"{path} is of an earlier version, which noted neither the documents of the moments nor the length of their "
                f"windows: fit the head again with --by-document"
            )
        if file.metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path} holds no moments of a ridge head")
        found = {name: file.read(name) for name in ("gram", "cross", "targets", "count", "documents", "document_counts")}
        S, documents = found["cross"], np.atleast_1d(found["documents"])
        vocab_size, width = S.shape if S.ndim == 2 else (0, 0)
        gram = cls(width, vocab_size)
        shapes = {"gram": gram.G, "cross": gram.S, "targets": gram.targets, "count": np.zeros(1, np.int64),
                  "documents": np.zeros((len(documents), 16), np.uint8),
                  "document_counts": np.zeros(len(documents), np.int64)}  # fmt: skip
        for name, like in shapes.items():
            if (found[name].shape, found[name].dtype) != (like.shape, like.dtype):
                raise CheckpointError(f"{path}: {name} has shape {found[name].shape} of {found[name].dtype.name}")
        gram.G, gram.S, gram.targets, gram.count = found["gram"], S, found["targets"], int(found["count"][0])
        gram.documents = Documents.from_tensors(found)
        return gram, file.metadata
