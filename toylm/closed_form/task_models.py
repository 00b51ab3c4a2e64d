"""Each of the four long tasks solved exactly in closed form: fitted on lengths up to 512, right at 65,536 and beyond.

What makes the answers exact is that the right features are ones which a transformer's attention can compute:

* copy and reverse are *pointers*: attention that puts all its weight on one position s = a t + b length + c. Where the
  pointer is in each training sequence follows from a correlation of targets with inputs, its law from least squares.
* bracket depth and running sum are *sums*: (t + 1) times the output of uniform causal attention is the count of every
  token so far; the target is linear in the counts. Modulo m, the sum is a product of phases exp(2 pi i v / m).

Then a head maps tokens to targets by ridge regression on one-hot vectors.
"""

import time

import numpy as np

from ..data.tasks import TASKS
from .feature_head import ClosedFormHead
from .row_sources import ArraySource
from .solvers import least_squares


def lengths_of(X):
    """Number of tokens before the padding, (N,)."""
    return (np.asarray(X) > 0).sum(axis=1)


class PointerModel:
    """Y[t] = head(X[s]) with s = a t + b length + c; a, b, c and the head are found from data.

    Formula: for a = +1 and a = -1 and every offset o, count the positions with Y[t] = X[a t + o] (a correlation of one-hot
    vectors, by FFT). Offsets obey o = b n + c for a sequence of length n, b one of -1, 0, 1 and c whole: of these laws the
    one with most matches in all sequences together, which a chance match in a short one cannot mislead. Head:
    W = (counts + lambda)^-1 co-occurrences, the ridge solution on one-hot inputs, whose Gram matrix is diagonal.
    Cost: vocabulary x length log length for each of at most 64 sequences. Fails: where no single position holds the answer.

    Attributes after fit: slope_ a; law_ (b, c); head_ (V, V).
    """

    max_sequences = 64

    def __init__(self, lambda_reg=1e-6, vocab_size=None):
        self.lambda_reg, self.vocab_size = lambda_reg, vocab_size

    def fit(self, X, Y):
        """X, Y (N, L) int64, 0 where a sequence has ended (targets of 0 or less are not used)."""
        X, Y = np.asarray(X), np.asarray(Y)
        some = slice(0, self.max_sequences)
        n = lengths_of(X[some])
        found = []
        for slope in (1, -1):
            counts = self._matches(X[some], Y[some], slope)
            size = counts.shape[1]
            for per_length in (0, 1, -1):  # the simplest law first: with one length only, they cannot be told apart
                moved = (np.arange(size) + per_length * n[:, None]) % size
                pooled = np.take_along_axis(counts, moved, axis=1).sum(axis=0)
                constant = int(pooled.argmax())
                law = (per_length, constant - size if constant > size // 2 else constant)
                found.append((pooled[constant], slope, law))
        _, self.slope_, self.law_ = max(found, key=lambda candidate: candidate[0])
        tokens, valid = self._pointed(X)
        valid &= Y > 0
        size = max(_vocabulary(X, self.vocab_size), int(Y.max()) + 1)
        together = np.bincount(tokens[valid] * size + Y[valid], minlength=size * size).reshape(size, size)
        self.head_ = together / (together.sum(axis=1, keepdims=True) + self.lambda_reg)
        return self

    def predict(self, X):
        """Y (N, L) int64; 0 in the padding and where the pointer leaves the sequence."""
        tokens, valid = self._pointed(np.asarray(X))
        return np.where(valid, self.head_.argmax(axis=1)[tokens], 0)

    def describe(self):
        """The law that was found, in words."""
        slope = "t" if self.slope_ == 1 else "-t"
        terms = [(self.law_[0], " length"), (self.law_[1], "")]
        text = "".join(f" {'+' if v > 0 else '-'} {'' if w and abs(v) == 1 else f'{abs(v):g}'}{w}" for v, w in terms if v)
        return f"position t copies position {slope}{text.replace('  ', ' ')}"

    def _pointed(self, X):
        n = lengths_of(X)[:, None]
        t = np.arange(X.shape[1])
        source = self.slope_ * t + self.law_[0] * n + self.law_[1]
        valid = (t < n) & (source >= 0) & (source < n)
        return np.take_along_axis(X, np.where(valid, source, 0), axis=1), valid

    @staticmethod
    def _matches(X, Y, slope):
        """For each sequence and offset o (negative ones wrap) at how many positions Y[t] = X[slope t + o]."""
        size = 1 << (6 * X.shape[1]).bit_length()  # offsets up to two lengths, a length more, and as much below zero
        matches = np.zeros((len(X), size // 2 + 1), np.complex128)
        for token in range(1, int(X.max()) + 1):
            targets = np.fft.rfft(token == Y, size)
            inputs = np.fft.rfft(token == X, size)
            matches += inputs * (np.conj(targets) if slope == 1 else targets)
        return np.rint(np.fft.irfft(matches, size)).astype(np.int64)


class CopyModel(PointerModel):
    """Copy, shifted or not: the pointer turns out as s = t - shift."""


class ReverseModel(PointerModel):
    """Reverse: the pointer turns out as s = length - 1 - t."""


class CountModel:
    """Y[t] = w' counts[t], counts[t] = (t + 1) x the output of uniform causal attention over one-hot tokens.

    Formula: w by least squares without intercept on all positions of the training sequences. Cost: N L V^2.
    Fails: for targets that are not linear in the counts (a sum modulo m: `RunningSumModel` with modulo).
    vocab_size: more tokens than the training sequences show; those never seen weigh 0.
    Attributes after fit: weights_ (V,), solver_, rcond_.
    """

    def __init__(self, vocab_size=None):
        self.vocab_size = vocab_size

    def fit(self, X, Y):
        """X, Y (N, L) int64; positions with X = 0 are not used."""
        X, Y = np.asarray(X), np.asarray(Y)
        tokens = _vocabulary(X, self.vocab_size) - 1
        counts = np.concatenate([_counts(x[x > 0], tokens) for x in X])
        found = least_squares(ArraySource(counts, Y[X > 0][:, None].astype(np.float64)), 0.0, fit_intercept=False)
        self.weights_ = np.concatenate([[0.0], found.coef[:, 0]])  # token 0 is padding
        self.solver_, self.rcond_ = found.solver, found.rcond
        return self

    def describe(self):
        """The weights that were found, in words."""
        values = ", ".join(f"{round(float(w), 6) + 0.0:g}" for w in self.weights_[1:9])
        return f"weights of tokens 1, 2, ...: {values}{' ...' if len(self.weights_) > 9 else ''}"

    def predict(self, X):
        """w' counts, (N, L) float64, not rounded: w' counts[t] = w' counts[t-1] + w[x_t]."""
        X = np.asarray(X)
        return np.where(X > 0, np.cumsum(self.weights_[X], axis=1), 0.0)


class BracketDepthModel(CountModel):
    """Bracket depth: the weights turn out as +1 for '(', -1 for ')', 0 for distractors."""


class RunningSumModel(CountModel):
    """Running sum, with or without a modulus.

    Without: CountModel. With modulo m: z_t = exp(2 pi i Y_t / m) turns by a factor that depends on x_t alone; the factor of
    each token is the ridge solution of z_t conj(z_(t-1)) on one-hot tokens, its angle the token's value modulo m.
    """

    def __init__(self, modulo=None, vocab_size=None):
        super().__init__(vocab_size)
        self.modulo = modulo

    def fit(self, X, Y):
        """X, Y (N, L) int64; positions with X = 0 are not used."""
        if self.modulo is None:
            return super().fit(X, Y)
        X, Y = np.asarray(X), np.asarray(Y)
        z = np.exp(2j * np.pi * Y / self.modulo)
        turn = z * np.conj(np.concatenate([np.ones((len(z), 1)), z[:, :-1]], axis=1))
        inside = X > 0
        size = _vocabulary(X, self.vocab_size)
        real, imaginary = (np.bincount(X[inside], part[inside], minlength=size) for part in (turn.real, turn.imag))
        values = np.rint(np.angle(real + 1j * imaginary) * self.modulo / (2 * np.pi)).astype(np.int64)
        self.weights_ = values % self.modulo
        self.weights_[0] = 0
        return self

    def predict(self, X):
        """The running sum, (N, L): float64 without a modulus, exact int64 with one."""
        if self.modulo is None:
            return super().predict(X)
        X = np.asarray(X)
        return np.where(X > 0, np.cumsum(self.weights_[X], axis=1) % self.modulo, 0)


def _vocabulary(X, least):
    return max(int(X.max()) + 1, least or 0)


def _counts(x, tokens):
    return np.cumsum(x[:, None] == np.arange(1, tokens + 1), axis=0, dtype=np.float64)


MODELS = {"copy": CopyModel, "bracket": BracketDepthModel, "reverse": ReverseModel, "running-sum": RunningSumModel}


def solve_task(name, test_length=65536, test_sequences=2, num_sequences=512, min_len=64, max_len=512, seed=None, **options):
    """Fit the task's closed-form model on lengths up to max_len and test it at `test_length`: a dict of measurements.

    Keys: model, fit_seconds, predict_seconds, train and test; each of the last two a dict of accuracy (after rounding),
    mse, and tokens. The test's seed differs from the training's.
    """
    generate = TASKS[name]
    train_options = dict(options) if seed is None else {**options, "seed": seed}
    X, Y = generate(num_sequences=num_sequences, min_len=min_len, max_len=max_len, **train_options)
    long_X, long_Y = generate(
        num_sequences=test_sequences,
        min_len=test_length,
        max_len=test_length,
        **{**options, "seed": 1000 + (seed or 0)},
    )
    vocabulary = int(max(X.max(), long_X.max())) + 1
    more = {"modulo": options.get("modulo")} if name == "running-sum" else {}
    model = MODELS[name](vocab_size=vocabulary, **more)
    start = time.perf_counter()
    model.fit(X, Y)
    fitted = time.perf_counter()
    predicted = model.predict(long_X)
    done = time.perf_counter()
    return {
        "model": model,
        "fit_seconds": fitted - start,
        "predict_seconds": done - fitted,
        "train": _measure(model.predict(X), X, Y),
        "test": _measure(predicted, long_X, long_Y),
    }


def position_wise_head(name, lambda_reg=1e-3, seed=None, **options):
    """What a ridge head on the one-hot token of each position reaches without seeing other positions: accuracy and mse.

    Classes for copy and reverse (one-hot targets, argmax), the number itself for bracket depth and running sum.
    """
    X, Y = TASKS[name](**options, **({} if seed is None else {"seed": seed}))
    inside = X > 0
    features = np.eye(int(X.max()) + 1)[X[inside]]
    targets = Y[inside] if name in ("copy", "reverse") else Y[inside].astype(np.float64)
    predicted = np.zeros(X.shape)
    predicted[inside] = ClosedFormHead("ridge", lambda_reg=lambda_reg).fit(features, targets).predict(features)
    return _measure(predicted, X, Y)


def _measure(predicted, X, Y):
    inside = X > 0
    error = (predicted - Y)[inside]
    return {
        "accuracy": float((np.rint(predicted)[inside] == Y[inside]).mean()),
        "mse": float((error.astype(np.float64) ** 2).mean()),
        "tokens": int(inside.sum()),
    }
