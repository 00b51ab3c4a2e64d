"""The whole model in plain NumPy, to be read from top to bottom: forward, backward, loss, optimizers.

This is what toylm computes. The engine (toylm.kernels, toylm.model) computes the same, fast, and is tested against this file.

    python -m toylm.reference            # trains a small model here and in the engine, and prints both losses

How to read it. N = B·T rows, one for each of T positions of B sequences; row b·T + t is position t of sequence b. d: width of the
residual stream; V: vocabulary; H heads of h values each, which share K heads of keys and values. Every operation is a function
`x_forward`, which returns its output y, and under it `x_backward`, which gets dy, the gradient of the loss with respect to y.
It returns dx and adds the gradients of parameters to the arrays that it is given (dw += ...), because a parameter that is used
twice, or in two batches, collects both. All works in float32 and in float64. Dropout and the counts model are left out.
"""

import math

import numpy as np

from .config import matrix_columns
from .errors import UsageError

# -- embedding ---------------------------------------------------------------------------------------------------------


def embedding_forward(tokens, token_embed, pos_embed=None):
    # tokens (B, T) int, token_embed (V, d), pos_embed (at least T, d) or None -> x (N, d)
    x = token_embed[tokens]
    if pos_embed is not None:
        x = x + pos_embed[: tokens.shape[1]]
    return x.reshape(-1, token_embed.shape[1])


def embedding_backward(dx, tokens, dtoken_embed, dpos_embed=None):
    # dx (N, d); tokens have no gradient
    dx = dx.reshape(*tokens.shape, -1)
    # in the forward pass this was: x = token_embed[tokens]. A token that occurs twice collects both gradients: hence add.at.
    np.add.at(dtoken_embed, tokens, dx)
    if dpos_embed is not None:
        # in the forward pass this was: x + pos_embed[:T], the same rows for every sequence
        dpos_embed[: tokens.shape[1]] += dx.sum(axis=0)


def smear_forward(x, smear, T):
    # x (N, d), smear (d,) -> y (N, d): each row takes a share of the row before in its sequence, channel by channel. Peng et al.
    # 2023 (RWKV) call it token shift: a head can then look for what stood after an earlier copy of this token at once.
    sequences = x.reshape(-1, T, x.shape[1])
    y = sequences.copy()
    y[:, 1:] += smear * sequences[:, :-1]
    return y.reshape(x.shape)


def smear_backward(dy, x, smear, dsmear, T):
    # dy, x (N, d); smear, dsmear (d,) -> dx (N, d)
    dy, x = dy.reshape(-1, T, dy.shape[1]), x.reshape(-1, T, dy.shape[1])
    # in the forward pass this was: y[t] = x[t] + smear · x[t - 1], so x[t] is in y[t] and in y[t + 1]
    dsmear += (dy[:, 1:] * x[:, :-1]).sum(axis=(0, 1))
    dx = dy.copy()
    dx[:, :-1] += smear * dy[:, 1:]
    return dx.reshape(-1, x.shape[2])


# -- norms -------------------------------------------------------------------------------------------------------------


def rmsnorm_forward(x, gamma, eps=1e-5):
    # x (N, d), gamma (d,) -> y (N, d). Zhang & Sennrich 2019.
    rstd = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
    return gamma * (x * rstd)


def rmsnorm_backward(dy, x, gamma, dgamma, eps=1e-5):
    # dy, x (N, d); gamma, dgamma (d,) -> dx (N, d)
    rstd = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
    # in the forward pass this was: y = gamma · unit
    unit = x * rstd
    dgamma += (dy * unit).sum(axis=0)
    dunit = dy * gamma
    # in the forward pass this was: unit = x · rstd, and x is in rstd too, whose derivative is -x · rstd³ / d
    return rstd * (dunit - unit * (dunit * unit).mean(axis=-1, keepdims=True))


def layernorm_forward(x, gamma, beta, eps=1e-5):
    # x (N, d); gamma, beta (d,) -> y (N, d). Ba et al. 2016.
    centred = x - x.mean(axis=-1, keepdims=True)
    return rmsnorm_forward(centred, gamma, eps) + beta


def layernorm_backward(dy, x, gamma, dgamma, dbeta, eps=1e-5):
    # dy, x (N, d); gamma, dgamma, dbeta (d,) -> dx (N, d)
    centred = x - x.mean(axis=-1, keepdims=True)
    # in the forward pass this was: y = rmsnorm(centred) + beta
    dbeta += dy.sum(axis=0)
    dcentred = rmsnorm_backward(dy, centred, gamma, dgamma, eps)
    # in the forward pass this was: centred = x - mean(x)
    return dcentred - dcentred.mean(axis=-1, keepdims=True)


# -- linear layer ------------------------------------------------------------------------------------------------------


def linear_forward(x, w, b=None):
    # x (N, inputs), w (inputs, outputs), b (outputs,) or None -> y (N, outputs)
    y = x @ w
    return y if b is None else y + b


def linear_backward(dy, x, w, dw, db=None):
    # dy (N, outputs), x (N, inputs), w and dw (inputs, outputs), db (outputs,) or None -> dx (N, inputs)
    if db is not None:
        # in the forward pass this was: y + b, the same b for every row
        db += dy.sum(axis=0)
    # in the forward pass this was: y = x·w
    dw += x.T @ dy
    return dy @ w.T


# -- rotary positions --------------------------------------------------------------------------------------------------


def rope_forward(x, T, h, theta=10000.0, direction=1):
    # x (N, heads · h) -> y of the same shape: values m and m + h/2 of a head turn by the angle t · theta^(-2m/h). Su et al. 2021.
    angle = np.arange(T)[:, None] * theta ** (-2.0 * np.arange(h // 2) / h)  # (T, h/2)
    cos, sin = (f(angle).astype(x.dtype)[:, None, :] for f in (np.cos, np.sin))
    heads = x.reshape(-1, T, x.shape[1] // h, h)  # (B, T, heads, h)
    low, high = heads[..., : h // 2], heads[..., h // 2 :]
    sin = direction * sin
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1).reshape(x.shape)


def rope_backward(dy, T, h, theta=10000.0):
    # in the forward pass this was: a rotation, whose transpose turns back
    return rope_forward(dy, T, h, theta, direction=-1)


# -- causal attention --------------------------------------------------------------------------------------------------


def softmax_forward(x):
    # x (..., n) -> y (..., n), each row adding up to 1; the largest value is taken off first, so that exp cannot overflow
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(dy, y):
    # in the forward pass this was: y = e / sum(e), so dy_i / dx_j = y_i (1 - y_j where i = j, else -y_j)
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def split_heads(x, T, h):
    # (N, heads · h) -> (B, heads, T, h)
    return x.reshape(-1, T, x.shape[1] // h, h).swapaxes(1, 2)


def join_heads(x):
    # (B, heads, T, h) -> (N, heads · h)
    B, heads, T, h = x.shape
    return x.swapaxes(1, 2).reshape(B * T, heads * h)


def split_qkv(qkv, T, H, K):
    # qkv (N, (H + 2K) · h) -> q, k, v (B, H, T, h): each of the K key-value heads is repeated for the H / K heads that share it
    q, k, v = np.split(split_heads(qkv, T, qkv.shape[1] // (H + 2 * K)), [H, H + K], axis=1)
    return q, np.repeat(k, H // K, axis=1), np.repeat(v, H // K, axis=1)


def attention_forward(qkv, T, H, K):
    # qkv (N, (H + 2K) · h), its columns q | k | v -> z (N, H · h) and the probabilities (B, H, T, T). Vaswani et al. 2017.
    q, k, v = split_qkv(qkv, T, H, K)
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    scores = np.where(np.tri(T, dtype=bool), scores, -np.inf)  # position t sees positions 0 to t
    probabilities = softmax_forward(scores)
    return join_heads(probabilities @ v), probabilities


def attention_backward(dz, qkv, probabilities, T, H, K):
    # dz (N, H · h), qkv (N, (H + 2K) · h), probabilities (B, H, T, T) -> dqkv (N, (H + 2K) · h)
    q, k, v = split_qkv(qkv, T, H, K)
    dz = split_heads(dz, T, q.shape[-1])
    # in the forward pass this was: z = probabilities · v
    dprobabilities = dz @ v.swapaxes(-1, -2)
    dv = probabilities.swapaxes(-1, -2) @ dz
    # in the forward pass this was: probabilities = softmax(scores); where the mask made them 0, their gradient is 0
    dscores = softmax_backward(dprobabilities, probabilities)
    # in the forward pass this was: scores = q · kᵀ / sqrt(h)
    dscores = dscores / math.sqrt(q.shape[-1])
    dq = dscores @ k
    dk = dscores.swapaxes(-1, -2) @ q
    # in the forward pass this was: each key-value head repeated for H / K heads, whose gradients add up
    dk, dv = (x.reshape(len(x), K, H // K, T, -1).sum(axis=2) for x in (dk, dv))
    return join_heads(np.concatenate([dq, dk, dv], axis=1))


# -- activations of the feed-forward, element by element ---------------------------------------------------------------

GELU_SCALE, GELU_CUBE = math.sqrt(2 / math.pi), 0.044715


def gelu_forward(x):
    # x (N, d_ff) -> y (N, d_ff). The tanh form of Hendrycks & Gimpel 2016.
    return 0.5 * x * (1 + np.tanh(GELU_SCALE * (x + GELU_CUBE * x * x * x)))


def gelu_backward(dy, x):
    # in the forward pass this was: y = 0.5 x (1 + tanh(u)), u = scale · (x + cube · x³), and the derivative of tanh is 1 - tanh²
    tanh = np.tanh(GELU_SCALE * (x + GELU_CUBE * x * x * x))
    du = GELU_SCALE * (1 + 3 * GELU_CUBE * x * x)
    return dy * (0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * du)


def relu2_forward(x):
    # x (N, d_ff) -> y (N, d_ff). So et al. 2021.
    return np.maximum(x, 0) ** 2


def relu2_backward(dy, x):
    # in the forward pass this was: y = max(x, 0)²
    return dy * 2 * np.maximum(x, 0)


def sigmoid(x):
    # 1 / (1 + exp(-x)), with exp of a negative number on both sides, so that it cannot overflow
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def silu_forward(x):
    # x (N, d_ff) -> y (N, d_ff)
    return x * sigmoid(x)


def silu_backward(dy, x):
    # in the forward pass this was: y = x · s, s = sigmoid(x), and the derivative of s is s (1 - s)
    s = sigmoid(x)
    return dy * (s + x * s * (1 - s))


def swiglu_forward(x):
    # x (N, 2 d_ff), its columns gate | up -> y (N, d_ff). Shazeer 2020.
    gate, up = np.split(x, 2, axis=-1)
    return silu_forward(gate) * up


def swiglu_backward(dy, x):
    # in the forward pass this was: y = silu(gate) · up
    gate, up = np.split(x, 2, axis=-1)
    return np.concatenate([silu_backward(dy * up, gate), dy * silu_forward(gate)], axis=-1)


ACTIVATIONS = {
    "gelu": (gelu_forward, gelu_backward),
    "relu2": (relu2_forward, relu2_backward),
    "silu": (silu_forward, silu_backward),
    "swiglu": (swiglu_forward, swiglu_backward),
}

# -- loss --------------------------------------------------------------------------------------------------------------


def cross_entropy_forward(logits, targets):
    # logits (N, V), targets (N,) int -> losses (N,) float64, in nats; 0 where the target is below zero, which is not counted
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=-1))
    rows = np.flatnonzero(targets >= 0)
    losses = np.zeros(len(targets))
    losses[rows] = log_sum[rows] - shifted[rows, targets[rows]]
    return losses


def cross_entropy_backward(logits, targets):
    # logits (N, V), targets (N,) -> dlogits (N, V), the gradient of the mean loss of the counted targets
    rows = np.flatnonzero(targets >= 0)
    dlogits = np.zeros_like(logits)
    # in the forward pass this was: loss = log sum exp(logits) - logits[target]
    dlogits[rows] = softmax_forward(logits[rows])
    dlogits[rows, targets[rows]] -= 1
    return dlogits / max(1, len(rows))


# -- the model ---------------------------------------------------------------------------------------------------------
# tokens -> embedding -> [ x + attention(norm(x)); x + feed_forward(norm(x)) ] · L -> norm -> unembedding -> logits
#
# `parameters` and `gradients` are toylm.parameters.Parameters of config.layout_of(config). `activations` is a dict of what the
# backward pass needs.


def named_arrays(parameters):
    # name -> array: matrices (inputs, outputs); gains, shifts and biases (1, n), which works like (n,) in all of the above
    return {name: mat.array for name, mat in parameters.items()}


def norm_forward(p, config, name, x):
    if config.norm == "layer":
        return layernorm_forward(x, p[f"{name}_gamma"], p[f"{name}_beta"], config.norm_eps)
    return rmsnorm_forward(x, p[f"{name}_gamma"], config.norm_eps)


def norm_backward(p, g, config, name, dy, x):
    gamma, dgamma = p[f"{name}_gamma"], g[f"{name}_gamma"]
    if config.norm == "layer":
        return layernorm_backward(dy, x, gamma, dgamma, g[f"{name}_beta"], config.norm_eps)
    return rmsnorm_backward(dy, x, gamma, dgamma, config.norm_eps)


def block_forward(p, config, block, x, a):
    # x (N, d) -> x (N, d). block: "blocks.0." and so on, which begins its parameters' names. a: its activations, a dict to fill
    c = config
    a["residual_in"] = x
    a["norm1"] = norm_forward(p, c, f"{block}norm1", x)
    qkv = linear_forward(a["norm1"], p[f"{block}w_qkv"], p.get(f"{block}b_qkv"))
    if c.positions == "rope":
        turned = c.d_q + c.d_kv  # the columns of q and k
        qkv = np.concatenate([rope_forward(qkv[:, :turned], a["T"], c.d_head, c.rope_theta), qkv[:, turned:]], axis=1)
    a["qkv"] = qkv
    a["head_outputs"], a["probabilities"] = attention_forward(qkv, a["T"], c.n_heads, c.n_kv_heads)
    x = x + linear_forward(a["head_outputs"], p[f"{block}w_o"], p.get(f"{block}b_o"))

    a["residual_mid"] = x
    a["norm2"] = norm_forward(p, c, f"{block}norm2", x)
    a["ff_pre"] = linear_forward(a["norm2"], p[f"{block}w_ff1"], p.get(f"{block}b_ff1"))
    activation_forward, _ = ACTIVATIONS[c.feed_forward]
    a["ff_hidden"] = activation_forward(a["ff_pre"])
    return x + linear_forward(a["ff_hidden"], p[f"{block}w_ff2"], p.get(f"{block}b_ff2"))


def block_backward(p, g, config, block, dx, a):
    # dx (N, d), the gradient of the block's output -> of its input; from the last line of the forward pass to the first
    c = config
    # in the forward pass this was: x + linear(ff_hidden): dx goes on unchanged along the stream, and a copy through the branch
    dhidden = linear_backward(dx, a["ff_hidden"], p[f"{block}w_ff2"], g[f"{block}w_ff2"], g.get(f"{block}b_ff2"))
    # in the forward pass this was: ff_hidden = activation(ff_pre), ff_pre = linear(norm2)
    _, activation_backward = ACTIVATIONS[c.feed_forward]
    dpre = activation_backward(dhidden, a["ff_pre"])
    dnorm2 = linear_backward(dpre, a["norm2"], p[f"{block}w_ff1"], g[f"{block}w_ff1"], g.get(f"{block}b_ff1"))
    # in the forward pass this was: norm2 = norm(residual_mid)
    dx = dx + norm_backward(p, g, c, f"{block}norm2", dnorm2, a["residual_mid"])

    # in the forward pass this was: x + linear(head_outputs)
    dz = linear_backward(dx, a["head_outputs"], p[f"{block}w_o"], g[f"{block}w_o"], g.get(f"{block}b_o"))
    # in the forward pass this was: head_outputs, probabilities = attention(qkv)
    dqkv = attention_backward(dz, a["qkv"], a["probabilities"], a["T"], c.n_heads, c.n_kv_heads)
    if c.positions == "rope":
        # in the forward pass this was: q and k turned by their positions
        turned = c.d_q + c.d_kv
        dqkv = np.concatenate([rope_backward(dqkv[:, :turned], a["T"], c.d_head, c.rope_theta), dqkv[:, turned:]], axis=1)
    # in the forward pass this was: qkv = linear(norm1), norm1 = norm(residual_in)
    dnorm1 = linear_backward(dqkv, a["norm1"], p[f"{block}w_qkv"], g[f"{block}w_qkv"], g.get(f"{block}b_qkv"))
    return dx + norm_backward(p, g, c, f"{block}norm1", dnorm1, a["residual_in"])


def model_forward(parameters, config, tokens):
    # tokens (B, T) int -> logits (B, T, V), activations
    if config.counts:
        raise UsageError("the reference has no counts model; give a config with counts=False")
    p, tokens = named_arrays(parameters), np.asarray(tokens)
    a = {"tokens": tokens, "blocks": [{"T": tokens.shape[1]} for _ in range(config.n_layers)]}
    x = a["embedded"] = embedding_forward(tokens, p["token_embed"], p.get("pos_embed"))
    if config.smear:
        x = smear_forward(x, p["smear"], tokens.shape[1])
    for i in range(config.n_layers):
        x = block_forward(p, config, f"blocks.{i}.", x, a["blocks"][i])
    a["last_residual"] = x
    a["final_norm"] = norm_forward(p, config, "norm_final", x)
    # The unembedding (V, d) is a matrix of its own or, tied, the token embedding again.
    unembed = p["token_embed" if config.tied else "unembed"]
    logits = linear_forward(a["final_norm"], unembed.T, p.get("b_unembed"))
    return logits.reshape(*tokens.shape, config.vocab_size), a


def model_backward(parameters, gradients, config, activations, dlogits):
    # dlogits (B, T, V); adds to all `gradients`
    p, g, a = named_arrays(parameters), named_arrays(gradients), activations
    # in the forward pass this was: logits = linear(final_norm, unembedᵀ)
    name = "token_embed" if config.tied else "unembed"
    dlogits = dlogits.reshape(-1, config.vocab_size)
    dx = linear_backward(dlogits, a["final_norm"], p[name].T, g[name].T, g.get("b_unembed"))
    # in the forward pass this was: final_norm = norm(last_residual)
    dx = norm_backward(p, g, config, "norm_final", dx, a["last_residual"])
    for i in reversed(range(config.n_layers)):
        dx = block_backward(p, g, config, f"blocks.{i}.", dx, a["blocks"][i])
    if config.smear:
        # in the forward pass this was: x = smear(embedded)
        dx = smear_backward(dx, a["embedded"], p["smear"], g["smear"], a["tokens"].shape[1])
    # in the forward pass this was: x = embedding(tokens); tied, the embedding already holds the gradient of the unembedding
    embedding_backward(dx, a["tokens"], g["token_embed"], g.get("pos_embed"))


def loss_and_gradients(parameters, gradients, config, tokens, targets):
    # tokens, targets (B, T) int; a target below zero is not counted -> mean nats per counted target; adds to `gradients`
    logits, activations = model_forward(parameters, config, tokens)
    rows, targets = logits.reshape(-1, config.vocab_size), np.asarray(targets).reshape(-1)
    losses = cross_entropy_forward(rows, targets)
    dlogits = cross_entropy_backward(rows, targets)
    model_backward(parameters, gradients, config, activations, dlogits)
    return losses.sum() / max(1, (targets >= 0).sum())


# -- optimizers --------------------------------------------------------------------------------------------------------
# They work on the flat buffers (n,) of parameters and gradients and update all in place. Weight decay is for matrices only,
# which are the first n_decayed values of the buffer. It is decoupled from the gradient (Loshchilov & Hutter 2019).


def clip(g, max_norm):
    # g (n,): scaled down to the Euclidean norm max_norm, where it is longer -> the norm before
    norm = math.sqrt(np.square(g, dtype=np.float64).sum())
    if norm > max_norm:
        g *= max_norm / norm
    return norm


def sgd_step(p, g, velocity, n_decayed, learning_rate=0.05, momentum=0.0, weight_decay=0.0):
    # p, g, velocity (n,); velocity is zero before the first step
    p[:n_decayed] *= 1 - learning_rate * weight_decay
    velocity[:] = momentum * velocity + g
    p -= learning_rate * velocity


def adamw_step(p, g, m, v, n_decayed, step, learning_rate=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    # p, g, m, v (n,); m and v are zero before the first step, which is step 1. Kingma & Ba 2015.
    p[:n_decayed] *= 1 - learning_rate * weight_decay
    m[:] = betas[0] * m + (1 - betas[0]) * g
    v[:] = betas[1] * v + (1 - betas[1]) * g * g
    # m and v start at zero, so they are too small at first: divided by the share of gradients that they hold
    m_hat = m / (1 - betas[0] ** step)
    v_hat = v / (1 - betas[1] ** step)
    p -= learning_rate * m_hat / (np.sqrt(v_hat) + eps)


def orthogonalised(u, steps=5):
    # u (rows, columns), whose SVD is U·S·Vᵀ -> nearly U·Vᵀ: Newton-Schulz steps bring all singular values to about 1. Jordan 2024.
    x = u.T if u.shape[0] > u.shape[1] else u  # x·xᵀ is then the smaller of the two products
    x = x / (math.sqrt(np.square(x).sum()) + 1e-7)
    for _ in range(steps):
        s = x @ x.T
        x = 3.4445 * x + (-4.7750 * s + 2.0315 * (s @ s)) @ x
    return x.T if u.shape[0] > u.shape[1] else x


def muon_step(parameters, gradients, state, config, step, learning_rate=0.02, momentum=0.95, weight_decay=0.0, adamw=None):
    # parameters, gradients: Parameters; state: (momentum buffer, m, v), three Parameters of the same layout, zero at first.
    # Matrices of the blocks take Muon (Jordan 2024); embeddings, norms and biases AdamW with the settings `adamw`.
    buffer, m, v = state
    for name, mat in parameters.items():
        if not (name.startswith("blocks.") and mat.nrows > 1):
            n_decayed = mat.flat.size if mat.nrows > 1 else 0
            adamw_step(mat.flat, gradients[name].flat, m[name].flat, v[name].flat, n_decayed, step, **(adamw or {}))
            continue
        w, g, b = mat.array, gradients[name].array, buffer[name].array
        b[:] = momentum * b + (1 - momentum) * g
        update = momentum * b + (1 - momentum) * g  # Nesterov: one step of momentum ahead
        w *= 1 - learning_rate * weight_decay
        width = matrix_columns(config, name, mat.ncols)  # queries, keys and values of each head; gate and up: matrices of their own
        ends = range(width, mat.ncols, width)
        for part, part_update in zip(np.split(w, ends, axis=1), np.split(update, ends, axis=1), strict=True):
            inputs, outputs = part.shape
            part -= learning_rate * math.sqrt(max(1, outputs / inputs)) * orthogonalised(part_update)


if __name__ == "__main__":
    from toylm.commands.reference import main

    main()
