"""Along the depth: how singular values grow, how straight a token's path is, how its steps are spaced."""

import numpy as np


def line_shape_score(states):
    """How far the path of states (L + 1, ..., d) is from a straight line: (...), 1 for a line, larger for a bent path.

    L / |y_L - y_0| with y_l = y_{l-1} + (x_l - x_{l-1}) / |x_l - x_{l-1}|: the length of the path of unit steps over the
    distance it covers. Source: Gai & Zhang 2021, as used in arXiv 2407.07810.
    """
    steps = np.diff(np.asarray(states, np.float64), axis=0)
    lengths = np.linalg.norm(steps, axis=-1, keepdims=True)
    unit = steps / np.where(lengths > 0, lengths, 1)
    with np.errstate(divide="ignore"):
        return len(steps) / np.linalg.norm(unit.sum(axis=0), axis=-1)


def exponential_spacing(states):
    """How unequal the growth is: variance over squared mean of log(|x_l| / |x_{l-1}|) along states (L + 1, ..., d): (...).

    0 where the norm grows by the same factor in every block. NaN for fewer than two blocks, infinite where it does not grow.
    """
    logs = np.diff(np.log(np.maximum(np.linalg.norm(np.asarray(states, np.float64), axis=-1), 1e-300)), axis=0)
    if len(logs) < 2:
        return np.full(logs.shape[1:], np.nan)
    with np.errstate(divide="ignore"):
        return logs.var(axis=0) / logs.mean(axis=0) ** 2


def line_fit(values):
    """Least-squares line through values (L,) against 0 ... L - 1: {"slope", "intercept", "r2"}; None below three values."""
    values = np.asarray(values, np.float64)
    if len(values) < 3 or not np.isfinite(values).all():
        return None
    x = np.arange(len(values))
    slope, intercept = np.polyfit(x, values, 1)
    spread = ((values - values.mean()) ** 2).sum()
    r2 = 1 - ((values - slope * x - intercept) ** 2).sum() / spread if spread > 0 else 1.0
    return {"slope": float(slope), "intercept": float(intercept), "r2": float(r2)}


def growth(singular_values, first=0):
    """Depth curves of singular values (L, k): {"log_fit": of log s_1, "inverse_fit": of 1 / s_1}, from block `first` on.

    log s_1 on a line is exponential growth; 1 / s_1 on a line is the published plot. A fit through so few blocks proves little:
    r2 comes with it.
    """
    largest = singular_values[first:, 0]
    return {
        "log_fit": line_fit(np.log(np.maximum(largest, 1e-300))),
        "inverse_fit": line_fit(1 / np.maximum(largest, 1e-300)),
    }
