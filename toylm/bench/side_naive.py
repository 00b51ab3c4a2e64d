"""The gallery's kernels as the loops of naive.py, run by Python or compiled by plain numba.njit: `prepare_with` chooses."""

from types import SimpleNamespace

import numpy as np

from . import naive
from .cases import BETA1, BETA2, EPS, FACTOR, LEARNING_RATE, MOMENTUM, STEP, WEIGHT_DECAY
from .decode_parts import DecodeByParts
from .side_toylm import NORM_EPS, THETA, bind

F = np.float32
LOOPS = [name for name, value in vars(naive).items() if callable(value)]


def python_loops():
    """The functions as they are written."""
    return SimpleNamespace(**{name: getattr(naive, name) for name in LOOPS})


def compiled_loops():
    """The same, each compiled when it is first called: one thread, default options."""
    import numba

    return SimpleNamespace(**{name: numba.njit(getattr(naive, name)) for name in LOOPS})


def prepare_with(f):
    """name of the case -> function that takes the inputs and returns a call. f: `python_loops()` or `compiled_loops()`."""

    def product(x):
        out = np.empty((x.a.shape[0], x.b.shape[1]), F)
        return bind(f.product, (x.a, x.b, out), (out,))

    def product_b_transposed(x):
        out = np.empty((x.a.shape[0], x.b.shape[0]), F)
        return bind(f.product_b_transposed, (x.a, x.b, out), (out,))

    def product_a_transposed(x):
        out = np.empty((x.a.shape[1], x.b.shape[1]), F)
        return bind(f.product_a_transposed, (x.a, x.b, out), (out,))

    def like_x(function, *extra):
        """For the functions of (x, ..., y)."""

        def prepare(x):
            y = np.empty_like(x.x)
            return bind(function, (x.x, *(getattr(x, name) for name in extra), y), (y,))

        return prepare

    def rmsnorm(x):
        y = np.empty_like(x.x)
        return bind(f.rmsnorm, (x.x, x.gamma, NORM_EPS, y), (y,))

    def rmsnorm_backward(x):
        dgamma = np.zeros(x.s.d, F)
        return bind(f.rmsnorm_backward, (x.dy, x.x, x.gamma, NORM_EPS, x.dx, dgamma), (x.dx, dgamma))

    def norm_projection(x):
        h, y = np.empty_like(x.x), np.empty((x.s.N, 3 * x.s.d), F)

        def call():
            f.rmsnorm(x.x, x.gamma, NORM_EPS, h)
            f.product(h, x.w, y)
            return (y,)

        return call

    def feed_forward(x):
        pre, hidden, out = np.empty((x.s.N, x.s.ff), F), np.empty((x.s.N, x.s.ff), F), np.empty_like(x.h)

        def call():
            f.product(x.h, x.w1, pre)
            f.gelu(pre.reshape(-1), hidden.reshape(-1))
            f.product(hidden, x.w2, out)
            return (out,)

        return pre, call

    def feed_forward_backward(x):
        pre, forward = feed_forward(x)
        forward()
        dpre, dh = np.empty_like(pre), np.empty_like(x.h)

        def call():
            f.product_b_transposed(x.dout, x.w2, dpre)
            f.gelu_backward(dpre.reshape(-1), pre.reshape(-1))
            f.product_b_transposed(dpre, x.w1, dh)
            return (dh,)

        return call

    def rope(x):
        from ..kernels.rope import rope_tables

        h = x.s.d // x.s.H
        cos, sin = rope_tables(x.s.T, h, THETA, F)
        return bind(f.rope, (x.qkv, cos, sin, x.s.T, 2 * x.s.H, h), (x.qkv,))

    def attended(x):
        p, z = np.zeros((x.s.N // x.s.T * x.s.H, x.s.T, x.s.T), F), np.empty((x.s.N, x.s.d), F)
        return p, bind(f.attention, (x.qkv, x.s.T, x.s.H, p, z), (z,))

    def attention_backward(x):
        p, forward = attended(x)
        forward()
        dqkv = np.empty_like(x.qkv)
        return bind(f.attention_backward, (x.qkv, p, x.dz, x.s.T, x.s.H, dqkv), (dqkv,))

    def embedding(x):
        out = np.empty((x.s.N, x.s.d), F)
        return bind(f.embedding, (x.tokens, x.table, x.positions, out), (out,))

    def cross_entropy(x):
        losses = np.empty(len(x.logits))
        return bind(f.cross_entropy, (x.logits, x.targets, losses), (losses,))

    def cross_entropy_gradient(x):
        losses = np.empty(len(x.logits))
        return bind(f.cross_entropy_gradient, (x.logits, x.targets, losses), (losses, x.logits))

    def norm(x):
        out = np.empty(1)

        def call():
            f.norm(x.g, out)
            return (out[0],)

        return call

    def decode(x):
        parts = DecodeByParts(x, _decode_operations(f, x.s))
        return lambda: (parts.token(x.token, len(x.prompt)),)

    sgd_settings = (LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, FACTOR)
    adam_settings = (LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY, STEP, FACTOR)
    return {
        "product A·B": product,
        "product A·Bᵀ": product_b_transposed,
        "product Aᵀ·B": product_a_transposed,
        "attention": lambda x: attended(x)[1],
        "attention backward": attention_backward,
        "norm + projection": norm_projection,
        "feed-forward": lambda x: feed_forward(x)[1],
        "feed-forward backward": feed_forward_backward,
        "softmax": like_x(f.softmax),
        "softmax backward": lambda x: bind(f.softmax_backward, (x.dy, x.y, x.dx), (x.dx,)),
        "RMSNorm": rmsnorm,
        "RMSNorm backward": rmsnorm_backward,
        "GELU": like_x(f.gelu),
        "GELU backward": lambda x: bind(f.gelu_backward, (x.dy, x.x), (x.dy,)),
        "rope": rope,
        "embedding": embedding,
        "embedding backward": lambda x: bind(
            f.embedding_backward, (x.tokens, x.dx, x.dtable, x.dpositions), (x.dtable, x.dpositions)
        ),
        "cross-entropy": cross_entropy,
        "cross-entropy + gradient": cross_entropy_gradient,
        "residual add": like_x(f.residual, "f"),
        "residual add backward": lambda x: bind(f.residual_backward, (x.dy, x.dx, x.df), (x.dx, x.df)),
        "SGD with momentum": lambda x: bind(f.sgd, (x.p, x.g, x.v, *sgd_settings), (x.p, x.v)),
        "AdamW": lambda x: bind(f.adam, (x.p, x.g, x.m, x.v, *adam_settings), (x.p, x.m, x.v)),
        "gradient norm": norm,
        "decode token": decode,
    }


def _decode_operations(f, s):
    """What DecodeByParts needs, on one row at a time."""
    probabilities = np.empty(s.T, F)

    def normed(x, gamma):
        y = np.empty((1, len(x)), F)
        f.rmsnorm(x[None], gamma, NORM_EPS, y)
        return y[0]

    def product(x, w):
        y = np.empty((1, w.shape[1]), F)
        f.product(x[None], w, y)
        return y[0]

    def transposed(x, w):
        y = np.empty((1, len(w)), F)
        f.product_b_transposed(x[None], w, y)
        return y[0]

    def gelu(x):
        y = np.empty_like(x)
        f.gelu(x, y)
        return y

    def attend(q, keys, values, n):
        z = np.empty_like(q)
        f.attend(q, keys, values, n, s.H, probabilities, z)
        return z

    return SimpleNamespace(norm=normed, product=product, transposed=transposed, gelu=gelu, attend=attend)
