"""The battery: every identity that the closed-form system must satisfy, computed, with the bound that it must stay below.

Bounds are stated in units of rounding and condition number, not tuned to what came out. `toylm instant` runs them all.
"""

from dataclasses import dataclass

import numpy as np

from .autoencoder import LinearAutoencoder
from .barycentric import Barycentric1D, chebyshev_lobatto
from .collapse import COLLAPSIBLE, EPS, Collapse
from .deep_linear import DeepLinear
from .dictionary import DictionaryModel
from .elm import ELM
from .gram import GramAccumulator
from .kernel_ridge import KernelRidge
from .linear import LinearRegression, Ridge
from .ridge_path import loo_residuals
from .row_sources import ArraySource
from .solvers import least_squares
from .task_models import solve_task
from .transformer import (
    compute_qkv_attn,
    lora_from_activations,
    lora_from_residual_svd,
    solve_attention_output_projection,
)


@dataclass
class Check:
    """One identity: what is measured, the value, and the bound below which it holds."""

    name: str
    value: float
    bound: float

    @property
    def holds(self):
        return bool(self.value <= self.bound)

    def __str__(self):
        return f"[{'✔' if self.holds else '✘'}] {self.name:<78} {self.value:9.2e} <= {self.bound:8.1e}"


def run_battery(seed=0):
    """Yield every Check, in the order of the groups below. A few seconds."""
    for group in (duality, interpolation, collapses, structure, optimality, streaming, leave_one_out, solvers, tasks, blocks):
        yield from group(np.random.default_rng(seed))


def _problem(rng, n=200, d=8, k=3, noise=0.0):
    X = rng.standard_normal((n, d))
    Y = np.tanh(X @ rng.standard_normal((d, k))) + 0.3 * X[:, :k] ** 2 + noise * rng.standard_normal((n, k))
    return X, Y


def _gap(a, b):
    return float(np.linalg.norm(np.subtract(a, b)) / max(np.linalg.norm(b), np.finfo(float).tiny))


def duality(rng):
    """D(E(D), x_i) = y_i, bit for bit, and the nearest neighbour elsewhere."""
    X, Y = _problem(rng, noise=0.5)
    model = DictionaryModel().fit(X, Y)
    yield Check("dictionary: D(E(D), x_i) = y_i, values that differ in any bit", (model.predict(X) != Y).sum(), 0)
    near = X + 1e-6 * rng.standard_normal(X.shape)
    yield Check("dictionary: off support the nearest neighbour's y", (model.predict(near) != Y).sum(), 0)


def interpolation(rng):
    """The polynomial through Chebyshev-Lobatto nodes."""
    nodes, x = chebyshev_lobatto(33), np.linspace(-1, 1, 4001)

    def f(t):
        return np.exp(t) * np.sin(5 * t)

    model = Barycentric1D().fit(nodes, f(nodes))
    yield Check("barycentric: at the nodes y_j itself, values that differ", (model.predict(nodes) != f(nodes)).sum(), 0)
    yield Check("barycentric: exp(x) sin(5x) from 33 Lobatto nodes", np.abs(model.predict(x) - f(x)).max(), 1e-14)


def collapses(rng):
    """G(F(D, A), x) = G(Fix[theta + f], x) on training and random points, and theta* + f(theta*) = theta*."""
    X, Y = _problem(rng, noise=0.1)
    elsewhere = rng.standard_normal((100, X.shape[1]))
    parameters = {
        "ridge": {"lambda_reg": 1e-2},
        "kernel_ridge": {"lambda_reg": 1e-3, "length_scale": 2.0},
        "elm": {"hidden_units": 40, "lambda_reg": 1e-6},
        "deep_elm": {"hidden_units": 40, "lambda_reg": 1e-6},
        "deep_linear": {"n_layers": 4, "widths": 6},
        "autoencoder": {"hidden_units": 3},
    }
    for arch in COLLAPSIBLE:
        model = Collapse(arch, start_seed=1, parameters=parameters.get(arch)).fit(X, Y)
        report = model.report_
        yield Check(f"collapse:{arch}: one application from a random start", report.first_distance, report.bound)
        yield Check(f"collapse:{arch}: the second application moves nothing", report.second_step, report.bound)
        for where, points in (("training", X), ("random", elsewhere)):
            gap = _gap(model.predict(points), model.closed_form_.predict(points))
            yield Check(f"collapse:{arch}: predictions = closed form, {where} points", gap, 10 * report.bound)


def structure(rng):
    """Deep linear product and balance, PCA's error, the autoencoder's projector, the same head from the same features."""
    X, Y = _problem(rng)
    best = LinearRegression().fit(X, Y)
    deep = DeepLinear(n_layers=4, widths=5, random_seed=0).fit(X, Y)
    yield Check(
        "deep linear: product of the layers = optimal map", _gap(np.linalg.multi_dot(deep.layers_), best.weights_), 1e-12
    )
    unbalance = max(_gap(a.T @ a, b @ b.T) for a, b in zip(deep.layers_[:-1], deep.layers_[1:]))
    yield Check("deep linear: W_l'W_l = W_(l+1) W_(l+1)'", unbalance, 1e-12)
    code = LinearAutoencoder(3).fit(X)
    singular = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    error = ((X - code.predict(X)) ** 2).sum()
    yield Check("autoencoder: squared error = sum of s_i^2 past h", _gap(error, (singular[3:] ** 2).sum()), 1e-12)
    P = code.encoder_ @ code.decoder_
    yield Check("autoencoder: projector idempotent", _gap(P @ P, P), 1e-12)
    elm = ELM(hidden_units=30, random_seed=5, lambda_reg=1e-3).fit(X, Y)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    H = np.tanh(scaled @ elm.hidden_weights_[0] + elm.hidden_biases_[0])
    by_hand = np.linalg.lstsq(np.vstack([H, np.sqrt(1e-3) * np.eye(30)]), np.vstack([Y, np.zeros((30, 3))]), rcond=None)[0]
    yield Check("ELM: head = augmented least squares on features made by hand", _gap(elm.beta_, by_hand), 1e-10)


def optimality(rng):
    """The gradient vanishes at the solution, and gradient descent run to convergence ends there."""
    X, Y = _problem(rng, noise=0.2)
    for lambda_reg in (1e-6, 1e-2, 10.0):
        W = Ridge(lambda_reg, fit_intercept=False).fit(X, Y).weights_
        gradient = X.T @ (X @ W - Y) + lambda_reg * W
        yield Check(f"ridge: gradient at the solution, lambda {lambda_reg:g}", _gap(gradient + X.T @ Y, X.T @ Y), 1e-13)
    H = X.T @ X + 10.0 * np.eye(X.shape[1])
    values = np.linalg.eigvalsh(H)
    V = np.zeros_like(W)
    for _ in range(500):
        V -= 2 / (values[0] + values[-1]) * (H @ V - X.T @ Y)
    yield Check("ridge: 500 steps of gradient descent end at the closed form", _gap(V, W), 1e-12)
    kernel = KernelRidge(1e-3).fit(X, Y)
    K = kernel._kernel(X)
    residual = K @ kernel.dual_coef_ + 1e-3 * kernel.dual_coef_ - Y
    yield Check("kernel ridge: (K + lambda I) alpha = Y", np.linalg.norm(residual) / np.linalg.norm(Y), 1e-11)


def streaming(rng):
    """Blocks, merges and removals leave what a fit on the remaining rows gives."""
    X, Y = _problem(rng, n=3000, d=12, noise=0.5)
    X = X + 100.0
    whole = Ridge(1e-3).fit(X, Y)
    parts = Ridge(1e-3)
    for i in range(0, 3000, 170):
        parts.partial_fit(X[i : i + 170], Y[i : i + 170])
    yield Check("streaming: blocks of 170 rows = one fit", _gap(parts.weights_, whole.weights_), 1e-11)
    merged = GramAccumulator().add(X[:1000], Y[:1000]).merge(GramAccumulator().add(X[1000:], Y[1000:])).solve(1e-3)
    yield Check("streaming: fit(A) + fit(B) = fit(A and B)", _gap(merged.coef, whole.weights_), 1e-11)
    parts.forget(X[:1190], Y[:1190])
    rest = Ridge(1e-3).fit(X[1190:], Y[1190:])
    yield Check("streaming: rows left after forgetting, off by", abs(parts.count_ - 1810), 0)
    yield Check("streaming: forget(A) = a fit without A", _gap(parts.weights_, rest.weights_), 1e-10)


def leave_one_out(rng):
    """The formula against refitting without each row."""
    X, Y = _problem(rng, n=40, d=6, k=1, noise=0.3)
    worst = 0.0
    for exponent in range(0, 15, 2):
        lambda_reg, brute = 10.0**-exponent, np.empty((40, 1))
        for i in range(40):
            keep = np.arange(40) != i
            fitted = least_squares(ArraySource(X[keep], Y[keep]), lambda_reg, solver="tsqr")
            brute[i] = Y[i] - X[i] @ fitted.coef - fitted.intercept
        worst = max(worst, np.abs(loo_residuals(X, Y, lambda_reg) - brute).max() / np.abs(brute).max())
    yield Check("leave-one-out = refitting without each row, lambda 1 to 1e-14", worst, 1e-11)


def solvers(rng):
    """A Hilbert-type matrix of condition 1e8: forward error beside the QR solver's, Cholesky's answer told from both."""
    d = 8
    X = 1.0 / (np.arange(40)[:, None] + np.arange(d) + 1)
    truth = rng.standard_normal((d, 1))
    Y = X @ truth
    found = least_squares(ArraySource(X, Y), 0.0, fit_intercept=False)
    Q, R = np.linalg.qr(X)
    reference = max(_gap(np.linalg.solve(R, Q.T @ Y), truth), EPS * np.linalg.cond(X))
    yield Check("solvers: Hilbert 40 x 8, error within 10 x Householder QR's", _gap(found.coef, truth), 10 * reference)
    refused = found.solver == "cholesky"
    yield Check("solvers: Hilbert 40 x 8 is not trusted to Cholesky", refused, 0)
    shifted = least_squares(ArraySource(X, Y), 0.0, fit_intercept=False, solver="cholesky_qr")
    yield Check("solvers: shifted Cholesky QR, error within 10 x QR's", _gap(shifted.coef, truth), 10 * reference)


def tasks(rng):
    """The long tasks, trained on lengths up to 512, at 65,536 tokens."""
    for name, options in (
        ("copy", {"shift": 50}),
        ("bracket", {}),
        ("reverse", {}),
        ("running-sum", {}),
        ("running-sum", {"modulo": 7}),
    ):
        result = solve_task(name, num_sequences=128, test_sequences=1, **options)["test"]
        words = name + "".join(f", {key} {value}" for key, value in options.items())
        yield Check(f"task {words}: share of wrong answers at 65,536 tokens", 1 - result["accuracy"], 0)
        yield Check(f"task {words}: mean squared error at 65,536 tokens", result["mse"], 1e-18)


def blocks(rng):
    """A planted output projection is found again; LoRA meets the Eckart-Young error; for the data it is never worse."""
    X = rng.standard_normal((300, 16))
    W_Q, W_K, W_V, W_O = (rng.standard_normal((16, 16)) / 4 for _ in range(4))
    Z = compute_qkv_attn(X, W_Q, W_K, W_V, mask="causal")[4]
    found = solve_attention_output_projection(X, W_Q, W_K, W_V, Z @ W_O, lambda_reg=0.0, mask="causal")[4]
    yield Check("attention: a planted W_O is recovered", _gap(found, W_O), 1e-9)
    A, B = lora_from_residual_svd(W_O, 4)
    singular = np.linalg.svd(W_O, compute_uv=False)
    error = np.linalg.norm(W_O - A @ B)
    yield Check("LoRA: ||R - AB|| = sqrt(sum of s_i^2 past r)", _gap(error, np.sqrt((singular[4:] ** 2).sum())), 1e-12)
    inputs = X * np.linspace(0.1, 3, 16)
    C, D = lora_from_activations(inputs, W_O, 4)
    ratio = np.linalg.norm(inputs @ (W_O - C @ D)) / np.linalg.norm(inputs @ (W_O - A @ B))
    yield Check("LoRA: error on the data, activation-aware / plain SVD", ratio, 1.0 + 1e-12)
