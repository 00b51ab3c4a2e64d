"""The dictionary model: data as a model, exact on its own rows, the nearest neighbour elsewhere."""

import numpy as np

from ..checks import check_choice
from .estimator import ConflictingTargets, Regressor

_TREE_FEATURES = 16  # past this many features a k-d tree visits every point anyway
_PAIRS = 4_000_000


class DictionaryModel(Regressor):
    """x -> y for every row (x, y) that it was given, bit for bit; elsewhere the y of the nearest row in Euclidean distance.

    Formula: E(D) = {bytes of x: y}, D(E(D), x_i) = y_i; off the support y of argmin_i ||x - x_i|| (the first of equals).
    Keys are float64 bytes with -0.0 as 0.0; a float32 number and the float64 it was rounded from are different keys.
    Source: the data-model duality; T. Cover, P. Hart, Nearest neighbor pattern classification (1967).
    Cost: fit n d; a known row O(d), an unknown one log n with up to 16 features (k-d tree), n d with more.
    Fails: it generalises as far as the nearest neighbour does, and memory grows with the data.

    Parameters: conflict, for one key with different targets: "raise" (ConflictingTargets names both rows) or "mean".
    Attributes: keys_ (dict of bytes -> row), X_fit_ (m, d), y_fit_ (m, k), of the m different rows.
    """

    def __init__(self, conflict="raise"):
        self.conflict = conflict

    def fit(self, X, y):
        """X (n, d), y (n,) or (n, k)."""
        check_choice(self.conflict, "conflict", ("raise", "mean"))
        X, Y = self._fit_X_y(X, y)
        X = X.astype(np.float64) + 0.0  # -0.0 + 0.0 is 0.0
        rows_of, conflicts = {}, set()
        for row, key in enumerate(_keys(X)):
            rows = rows_of.setdefault(key, [])
            if rows and not np.array_equal(Y[rows[0]], Y[row]):
                if self.conflict == "raise":
                    raise ConflictingTargets(
                        f"rows {rows[0]} and {row} of X are equal, their targets are not "
                        f"({_short(Y[rows[0]])} and {_short(Y[row])}): no function fits both; conflict='mean' averages"
                    )
                conflicts.add(key)
            rows.append(row)
        first = np.array([rows[0] for rows in rows_of.values()])
        self.X_fit_, self.y_fit_ = np.ascontiguousarray(X[first]), np.ascontiguousarray(Y[first])
        self.keys_ = {key: i for i, key in enumerate(rows_of)}
        for key in conflicts:
            self.y_fit_[self.keys_[key]] = Y[rows_of[key]].mean(axis=0)
        self._tree = None
        return self

    def predict(self, X):
        """The stored y of a known row, the nearest row's y of another."""
        X = self._check_X(X).astype(np.float64) + 0.0
        found = np.fromiter((self.keys_.get(key, -1) for key in _keys(X)), np.int64, len(X))
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            found[unknown] = self.nearest(X[unknown])
        return self._shape_like_y(self.y_fit_[found])

    def nearest(self, X):
        """Index into X_fit_ of the nearest stored row, (n,)."""
        if X.shape[1] <= _TREE_FEATURES:
            from scipy.spatial import cKDTree

            if self._tree is None:
                self._tree = cKDTree(self.X_fit_)
            distances, found = self._tree.query(X)
            for row, near in enumerate(self._tree.query_ball_point(X, distances * (1 + 1e-12))):
                if len(near) > 1:  # the tree finds any of equals
                    near = np.sort(near)
                    found[row] = near[((self.X_fit_[near] - X[row]) ** 2).sum(axis=1).argmin()]
            return found
        from scipy.spatial.distance import cdist

        step = max(1, _PAIRS // len(self.X_fit_))
        parts = [cdist(X[i : i + step], self.X_fit_, "sqeuclidean").argmin(axis=1) for i in range(0, len(X), step)]
        return np.concatenate(parts)

    def __getstate__(self):
        return {**self.__dict__, "_tree": None}


def _keys(X):
    width = X.shape[1] * X.itemsize
    data = np.ascontiguousarray(X).tobytes()
    return (data[i : i + width] for i in range(0, len(data), width))


def _short(y):
    return np.array2string(y if len(y) > 1 else y[0], threshold=4)
