"""Every kernel as the loops that its formula spells, for a reader and as the slowest side of the gallery.

The same source is run twice: by Python itself (on a small case; the time is scaled by the operations) and by plain
`numba.njit` on the full case: one thread, no relaxed floating-point rules, the library's exp and tanh, no blocking.
Arrays as in toylm/kernels; outputs are passed in and, in backward passes, added to.
"""

import math


def product(a, b, c):
    """c = a·b."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = a.dtype.type(0)
            for p in range(a.shape[1]):
                total += a[i, p] * b[p, j]
            c[i, j] = total


def product_b_transposed(a, b, c):
    """c = a·bᵀ."""
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            total = a.dtype.type(0)
            for p in range(a.shape[1]):
                total += a[i, p] * b[j, p]
            c[i, j] = total


def product_a_transposed(a, b, c):
    """c = aᵀ·b."""
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            total = a.dtype.type(0)
            for p in range(a.shape[0]):
                total += a[p, i] * b[p, j]
            c[i, j] = total


def softmax(x, y):
    """y = softmax of each row of x."""
    for i in range(x.shape[0]):
        peak = x[i, 0]
        for j in range(x.shape[1]):
            peak = max(peak, x[i, j])
        total = x.dtype.type(0)
        for j in range(x.shape[1]):
            y[i, j] = math.exp(x[i, j] - peak)
            total += y[i, j]
        for j in range(x.shape[1]):
            y[i, j] /= total


def softmax_backward(dy, y, dx):
    """dx += y · (dy - sum(dy · y))."""
    for i in range(y.shape[0]):
        inner = y.dtype.type(0)
        for j in range(y.shape[1]):
            inner += dy[i, j] * y[i, j]
        for j in range(y.shape[1]):
            dx[i, j] += y[i, j] * (dy[i, j] - inner)


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


def attend(q, keys, values, n, H, p, z):
    """One row of attention: z = softmax(q·keysᵀ / sqrt(h))·values over the first n rows of keys and values (T, d)."""
    h = q.shape[0] // H
    for head in range(H):
        peak, total = -math.inf, 0.0
        for j in range(n):
            score = 0.0
            for m in range(h):
                score += q[head * h + m] * keys[j, head * h + m]
            p[j] = score / math.sqrt(h)
            peak = max(peak, p[j])
        for j in range(n):
            p[j] = math.exp(p[j] - peak)
            total += p[j]
        for m in range(h):
            z[head * h + m] = 0
        for j in range(n):
            for m in range(h):
                z[head * h + m] += p[j] / total * values[j, head * h + m]


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


def residual(x, f, y):
    """y = x + f."""
    for i in range(x.shape[0]):
        y[i] = x[i] + f[i]


def residual_backward(dy, dx, df):
    """dx += dy; df += dy."""
    for i in range(dy.shape[0]):
        dx[i] += dy[i]
        df[i] += dy[i]


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
