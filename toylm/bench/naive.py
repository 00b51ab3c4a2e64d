"""Every kernel as the loops that its formula spells, for a reader and as the slowest side of the gallery.

The same source is run twice: by Python itself (on a small case; the time is scaled by the operations) and by plain
`numba.njit` on the full case: one thread, no relaxed floating-point rules, the library's exp and tanh, no blocking.
Arrays as in cases.py; outputs are passed in and, in backward passes, added to.
"""

import math
from types import SimpleNamespace

from .cases import BETA1, BETA2, EPS, FACTOR, LEARNING_RATE, MOMENTUM, NORM_EPS, STEP, WEIGHT_DECAY


def product(a, b, c):
    """c = a·b."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = a.dtype.type(0)
            for p in range(a.shape[1]):
                total += a[i, p] * b[p, j]
            c[i, j] = total


def rmsnorm(x, gamma, eps, y):
    """y = gamma · x / sqrt(mean(x²) + eps)."""
    d = x.shape[1]
    for i in range(x.shape[0]):
        total = x.dtype.type(0)
        for j in range(d):
            total += x[i, j] * x[i, j]
        root = math.sqrt(total / d + eps)
        for j in range(d):
            y[i, j] = gamma[j] * x[i, j] / root


def rmsnorm_backward(dy, x, gamma, eps, dx, dgamma):
    """dx += (dy · gamma - x · mean(dy · gamma · x) / r²) / r; dgamma += sum of dy · x / r."""
    d = x.shape[1]
    for i in range(x.shape[0]):
        total, inner = x.dtype.type(0), x.dtype.type(0)
        for j in range(d):
            total += x[i, j] * x[i, j]
            inner += dy[i, j] * gamma[j] * x[i, j]
        root = math.sqrt(total / d + eps)
        for j in range(d):
            dx[i, j] += (dy[i, j] * gamma[j] - x[i, j] * inner / (d * root * root)) / root
            dgamma[j] += dy[i, j] * x[i, j] / root


def gelu(x, y):
    """y = 0.5 x (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x³)."""
    for i in range(x.shape[0]):
        v = x[i]
        y[i] = 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v * v * v)))


def gelu_backward(dy, x):
    """dy becomes dy · gelu'(x)."""
    c = math.sqrt(2 / math.pi)
    for i in range(x.shape[0]):
        v = x[i]
        t = math.tanh(c * (v + 0.044715 * v * v * v))
        dy[i] *= 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * c * (1 + 3 * 0.044715 * v * v)


def rope(qk, cos, sin, T, heads, h):
    """Turn pairs (m, m + h/2) of the first `heads` heads of row i by the angles of position i mod T."""
    for i in range(qk.shape[0]):
        for n in range(heads):
            for m in range(h // 2):
                x, y = qk[i, n * h + m], qk[i, n * h + m + h // 2]
                c, s = cos[i % T, m], sin[i % T, m]
                qk[i, n * h + m] = x * c - y * s
                qk[i, n * h + m + h // 2] = y * c + x * s


def attention(qkv, T, H, p, z):
    """z = softmax(q·kᵀ / sqrt(h))·v, causally, head by head; p: (B·H, T, T) keeps the probabilities."""
    d = qkv.shape[1] // 3
    h = d // H
    for pair in range(p.shape[0]):
        row, head = pair // H * T, pair % H * h
        for i in range(T):
            peak, total = -math.inf, 0.0
            for j in range(i + 1):
                score = 0.0
                for m in range(h):
                    score += qkv[row + i, head + m] * qkv[row + j, d + head + m]
                p[pair, i, j] = score / math.sqrt(h)
                peak = max(peak, p[pair, i, j])
            for j in range(i + 1):
                p[pair, i, j] = math.exp(p[pair, i, j] - peak)
                total += p[pair, i, j]
            for m in range(h):
                z[row + i, head + m] = 0
            for j in range(i + 1):
                p[pair, i, j] /= total
                for m in range(h):
                    z[row + i, head + m] += p[pair, i, j] * qkv[row + j, 2 * d + head + m]


def attention_backward(qkv, p, dz, T, H, dqkv):
    """dqkv = gradient of the projections, from dz and the stored probabilities."""
    d = qkv.shape[1] // 3
    h = d // H
    for i in range(dqkv.shape[0]):
        for m in range(3 * d):
            dqkv[i, m] = 0
    for pair in range(p.shape[0]):
        row, head = pair // H * T, pair % H * h
        for i in range(T):
            inner = 0.0  # sum of dp · p
            for j in range(i + 1):
                for m in range(h):
                    inner += dz[row + i, head + m] * qkv[row + j, 2 * d + head + m] * p[pair, i, j]
            for j in range(i + 1):
                dp = 0.0
                for m in range(h):
                    dp += dz[row + i, head + m] * qkv[row + j, 2 * d + head + m]
                    dqkv[row + j, 2 * d + head + m] += p[pair, i, j] * dz[row + i, head + m]
                ds = p[pair, i, j] * (dp - inner) / math.sqrt(h)
                for m in range(h):
                    dqkv[row + i, head + m] += ds * qkv[row + j, d + head + m]
                    dqkv[row + j, d + head + m] += ds * qkv[row + i, head + m]


def embedding(tokens, table, positions, x):
    """x[b·T + t] = table[tokens[b, t]] + positions[t]."""
    T = tokens.shape[1]
    for b in range(tokens.shape[0]):
        for t in range(T):
            for j in range(table.shape[1]):
                x[b * T + t, j] = table[tokens[b, t], j] + positions[t, j]


def embedding_backward(tokens, dx, dtable, dpositions):
    """dtable[tokens] += dx; dpositions[t] += dx."""
    T = tokens.shape[1]
    for b in range(tokens.shape[0]):
        for t in range(T):
            for j in range(dx.shape[1]):
                dtable[tokens[b, t], j] += dx[b * T + t, j]
                dpositions[t, j] += dx[b * T + t, j]


def cross_entropy(logits, targets, losses):
    """losses[i] = log sum exp(logits[i]) - logits[i, target]."""
    for i in range(logits.shape[0]):
        peak, total = logits[i, 0], 0.0
        for v in range(logits.shape[1]):
            peak = max(peak, logits[i, v])
        for v in range(logits.shape[1]):
            total += math.exp(logits[i, v] - peak)
        losses[i] = peak + math.log(total) - logits[i, targets[i]]


def cross_entropy_gradient(logits, targets, losses):
    """The same, and logits becomes the gradient of the mean loss: (softmax - onehot) / rows."""
    scale = 1.0 / logits.shape[0]
    for i in range(logits.shape[0]):
        peak, total = logits[i, 0], 0.0
        for v in range(logits.shape[1]):
            peak = max(peak, logits[i, v])
        for v in range(logits.shape[1]):
            total += math.exp(logits[i, v] - peak)
        losses[i] = peak + math.log(total) - logits[i, targets[i]]
        for v in range(logits.shape[1]):
            logits[i, v] = scale * math.exp(logits[i, v] - peak) / total
        logits[i, targets[i]] -= scale


def sgd(p, g, v, learning_rate, momentum, weight_decay, factor):
    """v = momentum · v + factor · g; p = (1 - learning_rate · weight_decay) p - learning_rate · v."""
    for i in range(p.shape[0]):
        v[i] = momentum * v[i] + factor * g[i]
        p[i] = (1 - learning_rate * weight_decay) * p[i] - learning_rate * v[i]


def adam(p, g, m, v, learning_rate, beta1, beta2, eps, weight_decay, step, factor):
    """AdamW with both bias corrections."""
    for i in range(p.shape[0]):
        gradient = factor * g[i]
        m[i] = beta1 * m[i] + (1 - beta1) * gradient
        v[i] = beta2 * v[i] + (1 - beta2) * gradient * gradient
        m_hat = m[i] / (1 - beta1**step)
        v_hat = v[i] / (1 - beta2**step)
        p[i] = (1 - learning_rate * weight_decay) * p[i] - learning_rate * m_hat / (math.sqrt(v_hat) + eps)


def norm(g, out):
    """out[0] = Euclidean norm of g."""
    total = 0.0
    for i in range(g.shape[0]):
        total += g[i] * g[i]
    out[0] = math.sqrt(total)


def feed_forward(f, x):
    """out = gelu(h·w1)·w2, by the loops `f`."""
    f.product(x.h, x.w1, x.pre)
    f.gelu(x.pre.reshape(-1), x.hidden.reshape(-1))
    f.product(x.hidden, x.w2, x.out)


def feed_forward_backward(f, x):
    """dh = (dout·w2ᵀ · gelu'(pre))·w1ᵀ, by the loops `f`."""
    f.product(x.dout, x.w2.T, x.dpre)
    f.gelu_backward(x.dpre.reshape(-1), x.pre.reshape(-1))
    f.product(x.dpre, x.w1.T, x.dh)


LOOPS = (
    product, rmsnorm, rmsnorm_backward, gelu, gelu_backward, rope, attention, attention_backward, embedding, embedding_backward,
    cross_entropy, cross_entropy_gradient, sgd, adam, norm,
)  # fmt: skip
ADAM = (LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY, STEP, FACTOR)
# name of the kernel -> function of the loops (by name) and of its inputs, which writes the results there
OPERATIONS = {
    "product A·B": lambda f, x: f.product(x.a, x.b, x.c),
    "product A·Bᵀ": lambda f, x: f.product(x.a, x.b.T, x.c),
    "product Aᵀ·B": lambda f, x: f.product(x.a.T, x.b, x.c),
    "attention": lambda f, x: f.attention(x.qkv, x.s.T, x.s.H, x.p, x.z),
    "attention backward": lambda f, x: f.attention_backward(x.qkv, x.p, x.dz, x.s.T, x.s.H, x.dqkv),
    "feed-forward": feed_forward,
    "feed-forward backward": feed_forward_backward,
    "RMSNorm": lambda f, x: f.rmsnorm(x.x, x.gamma, NORM_EPS, x.y),
    "RMSNorm backward": lambda f, x: f.rmsnorm_backward(x.dy, x.x, x.gamma, NORM_EPS, x.dx, x.dgamma),
    "GELU": lambda f, x: f.gelu(x.x, x.y),
    "GELU backward": lambda f, x: f.gelu_backward(x.dy, x.x),
    "rope": lambda f, x: f.rope(x.qkv, x.cos, x.sin, x.s.T, 2 * x.s.H, x.s.d // x.s.H),
    "embedding": lambda f, x: f.embedding(x.tokens, x.table, x.positions, x.x),
    "embedding backward": lambda f, x: f.embedding_backward(x.tokens, x.dx, x.dtable, x.dpositions),
    "cross-entropy": lambda f, x: f.cross_entropy(x.logits, x.targets, x.losses),
    "cross-entropy + gradient": lambda f, x: f.cross_entropy_gradient(x.logits, x.targets, x.losses),
    "SGD with momentum": lambda f, x: f.sgd(x.p, x.g, x.v, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, FACTOR),
    "AdamW": lambda f, x: f.adam(x.p, x.g, x.m, x.v, *ADAM),
    "gradient norm": lambda f, x: f.norm(x.g, x.norm),
}


def prepare_with(compiler):
    """`prepare` of the loops: compiler turns each into what is called (numba.njit, or a function that returns its argument)."""
    f = SimpleNamespace(**{loop.__name__: compiler(loop) for loop in LOOPS})

    def prepare(name, x):
        """A call of the kernel `name` on the inputs x, which hold its results afterwards."""
        return lambda: OPERATIONS[name](f, x)

    return prepare
