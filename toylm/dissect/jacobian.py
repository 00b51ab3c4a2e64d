"""Jacobians of a block in reverse mode: many cotangents at once, no parameter gradients; and in forward mode, to check.

    A(X)_t = attention(norm1(X))_t        F(x) = feed_forward(norm2(x))        block(X)_t = X_t + A(X)_t + F(X_t + A(X)_t)

The training backward pass takes one cotangent a token and works out parameter gradients; a Jacobian needs d cotangents at one
token and none of those. Here a block is linearised around one sequence of T tokens, and C cotangents go through its parts as
one batched product each. Every Jacobian is that of a part's contribution to the stream, so the block's identity is left out:
J = d(block(X)_t2 - X_t2) / dX_t1, a (d, d) matrix with rows for outputs and columns for inputs.

Source: the chain rule, part by part; sugolov et al., Transformer Block Coupling, arXiv 2407.07810, for J^l_{t1 t2}.
"""

import numpy as np

from ..errors import UsageError
from ..kernels.activations import activation_backward

PARTS = ("block", "attention", "feed-forward")


class LinearisedBlock:
    """One block of a model around one sequence, in the model's precision or `dtype`.

    model: a TransformerLM whose last pass was on tokens (1, T) or (T,). layer: which block. Nothing of the model's workspace
    is kept. `positions` T, `d` the width of the stream.
    """

    def __init__(self, model, layer, dtype=None):
        block, a, c = model.blocks[layer], model.activations.blocks[layer], model.config
        if a.batch != 1:
            raise UsageError(f"a Jacobian is taken along one sequence; the last pass had {a.batch}")
        dtype = self.dtype = np.dtype(dtype or model.dtype)
        self.config, self.positions, self.d = c, a.length, c.d_model
        self.norm1 = LinearisedNorm(model, block.norm1, a.residual_in, a.rstd1, dtype)
        self.norm2 = LinearisedNorm(model, block.norm2, a.residual_mid, a.rstd2, dtype)
        weight = lambda linear: model.parameters[linear.weight].array.astype(dtype)  # noqa: E731
        self.w_qkv, self.w_o = weight(block.attention.qkv), weight(block.attention.output)
        self.w_ff1, self.w_ff2 = weight(block.feed_forward.ff1), weight(block.feed_forward.ff2)
        self.slope = activation_slope(c.feed_forward, a.ff_pre, c.d_ff).astype(dtype)
        group = c.n_heads // c.n_kv_heads
        self.q = a.queries[0].astype(dtype)
        self.k, self.v = (np.repeat(x[0], group, axis=0).astype(dtype) for x in (a.keys, a.values))
        self.p = a.attention_probabilities[0].astype(dtype)
        tables = block.attention.tables
        self.tables = tables and tuple(table.astype(dtype) for table in tables)

    # -- reverse mode: cotangents (C, d) at one output token -----------------------------------------------------------

    def feed_forward_vjp(self, cotangents, t):
        """(C, d) cotangents of F(x)_t -> (C, d) of x_t, the stream after attention. None: the d one-hot cotangents."""
        # forward: y = act(norm2(x)·w_ff1)·w_ff2
        dhidden = self.w_ff2.T if cotangents is None else cotangents @ self.w_ff2.T
        slope = self.slope[t]
        if slope.ndim == 2:  # gate and up of a gated part
            dpre = np.concatenate([dhidden * slope[0], dhidden * slope[1]], axis=-1)
        else:
            dpre = dhidden * slope
        return self.norm2.vjp(dpre @ self.w_ff1.T, t)

    def attention_vjp(self, cotangents, t, inputs):
        """(C, d) cotangents of A(X)_t -> (C, n, d) of X at the n positions in `inputs`; zero for positions after t."""
        c, inputs = self.config, np.asarray(inputs)
        count, h, group = len(cotangents), c.d_head, c.n_heads // c.n_kv_heads
        dz = (cotangents @ self.w_o.T).reshape(count, c.n_heads, h).swapaxes(0, 1)  # (H, C, h)
        # forward: z = softmax(q·kᵀ/sqrt(h))·v, row t alone
        p = self.p[:, t, : t + 1]
        dp = dz @ self.v[:, : t + 1].swapaxes(1, 2)  # (H, C, t + 1)
        ds = p[:, None] * (dp - (dp * p[:, None]).sum(axis=-1, keepdims=True)) / np.sqrt(h)
        seen = inputs[inputs <= t]
        found = np.zeros((count, len(inputs), self.d), self.dtype)
        if not len(seen):
            return found
        dk = ds[:, :, seen, None] * self.q[:, None, t, None, :]  # (H, C, n, h)
        dv = p[:, None, seen, None] * dz[:, :, None, :]
        dqkv = np.zeros((count, len(seen), c.d_qkv), self.dtype)
        dqkv[..., c.d_q : c.d_q + c.d_kv] = self._rotate_back(_join(_sum_groups(dk, group)), seen, c.n_kv_heads)
        dqkv[..., c.d_q + c.d_kv :] = _join(_sum_groups(dv, group))
        here = np.flatnonzero(seen == t)
        if len(here):
            dq = _join((ds @ self.k[:, : t + 1])[:, :, None])
            dqkv[:, here, : c.d_q] = self._rotate_back(dq, np.array([t]), c.n_heads)
        # forward: qkv = norm1(x)·w_qkv
        dh = (dqkv.reshape(-1, c.d_qkv) @ self.w_qkv.T).reshape(count, len(seen), self.d)
        found[:, inputs <= t] = self.norm1.vjp(dh, seen)
        return found

    def vjp(self, cotangents, t, inputs, part="block"):
        """(C, d) cotangents of the part's contribution at token t -> (C, n, d) of its input at positions `inputs`."""
        inputs = np.asarray(inputs)
        cotangents = np.asarray(cotangents, self.dtype)
        if part == "attention":
            return self.attention_vjp(cotangents, t, inputs)
        found = np.zeros((len(cotangents), len(inputs), self.d), self.dtype)
        through = self.feed_forward_vjp(cotangents, t)
        if part == "block":
            # x + A + F(x + A): the feed-forward's cotangent reaches attention's output as well as the stream.
            found += self.attention_vjp(cotangents + through, t, inputs)
        elif part != "feed-forward":
            raise UsageError(f"part is {part!r}; valid: {', '.join(PARTS)}")
        found[:, inputs == t] += through[:, None]
        return found

    def jacobians(self, t, inputs, part="block"):
        """(n, d, d): d contribution_t / d input_t1 for every t1 in `inputs`, by d one-hot cotangents at once."""
        return self.vjp(np.eye(self.d, dtype=self.dtype), t, inputs, part).swapaxes(0, 1)

    def same_token(self, t):
        """Part -> (d, d): all three Jacobians from token t to itself. The block's is J_A + J_F + J_F J_A."""
        cotangents = np.eye(self.d, dtype=self.dtype)
        fed = self.feed_forward_vjp(None, t)
        attended = self.attention_vjp(cotangents, t, [t])[:, 0]
        return {"block": attended + fed + fed @ attended, "attention": attended, "feed-forward": fed}

    # -- forward mode: tangents (C, T, d) of the whole sequence ----------------------------------------------------------

    def jvp(self, tangents, part="block"):
        """(C, T, d) tangents of the input -> (C, T, d) of the part's contribution at every token."""
        tangents = np.asarray(tangents, self.dtype)
        if part == "attention":
            return self._attention_jvp(tangents)
        if part == "feed-forward":
            return self._feed_forward_jvp(tangents)
        attended = self._attention_jvp(tangents)
        return attended + self._feed_forward_jvp(tangents + attended)

    def _feed_forward_jvp(self, tangents):
        pre = self.norm2.jvp(tangents) @ self.w_ff1
        if self.slope.ndim == 3:
            gate, up = np.split(pre, 2, axis=-1)
            return (gate * self.slope[:, 0] + up * self.slope[:, 1]) @ self.w_ff2
        return (pre * self.slope) @ self.w_ff2

    def _attention_jvp(self, tangents):
        c, T = self.config, self.positions
        every, group = np.arange(T), c.n_heads // c.n_kv_heads
        dqkv = self.norm1.jvp(tangents) @ self.w_qkv
        dq, dk, dv = np.split(dqkv, [c.d_q, c.d_q + c.d_kv], axis=-1)
        dq, dk = self._rotate(dq, every, c.n_heads, 1), self._rotate(dk, every, c.n_kv_heads, 1)
        heads = lambda x, n: x.reshape(len(x), T, n, c.d_head).swapaxes(1, 2)  # noqa: E731
        dq = heads(dq, c.n_heads)
        dk, dv = (np.repeat(heads(x, c.n_kv_heads), group, axis=1) for x in (dk, dv))
        ds = (dq @ self.k.swapaxes(1, 2) + self.q @ dk.swapaxes(2, 3)) / np.sqrt(c.d_head)
        dp = self.p * (ds - (self.p * ds).sum(axis=-1, keepdims=True))
        dz = dp @ self.v + self.p @ dv
        return dz.swapaxes(1, 2).reshape(len(tangents), T, c.d_q) @ self.w_o

    def _rotate_back(self, x, positions, n_heads):
        return self._rotate(x, positions, n_heads, -1)

    def _rotate(self, x, positions, n_heads, direction):
        """Rotary positions of x (C, n, heads · h) at `positions` (n,)."""
        if self.tables is None:
            return x
        cos, sin = (table[positions][None, :, None, :] for table in self.tables)
        low, high = np.split(x.reshape(*x.shape[:2], n_heads, -1), 2, axis=-1)
        rotated = [low * cos - direction * high * sin, high * cos + direction * low * sin]
        return np.concatenate(rotated, axis=-1).reshape(x.shape)


class LinearisedNorm:
    """RMSNorm or LayerNorm around given rows: h = gamma · (x - m) / s (+ beta), m the mean for LayerNorm and 0 for RMSNorm."""

    def __init__(self, model, norm, x, rstd, dtype):
        self.centred = norm.kind == "layer"
        x = x.astype(dtype)
        self.scale = rstd.astype(dtype)[:, None]
        self.unit = (x - x.mean(axis=-1, keepdims=True) if self.centred else x) * self.scale
        self.gamma = model.parameters[norm.gamma].flat.astype(dtype)

    def vjp(self, dh, t):
        """dh (C, d) at row t, or (C, n, d) at rows t (n,) -> the same of x."""
        g, unit = dh * self.gamma, self.unit[t]
        if self.centred:
            g = g - g.mean(axis=-1, keepdims=True)
        return (g - unit * (g * unit).mean(axis=-1, keepdims=True)) * self.scale[t]

    def jvp(self, dx):
        """dx (C, T, d) -> (C, T, d)."""
        if self.centred:
            dx = dx - dx.mean(axis=-1, keepdims=True)
        return self.gamma * (dx - self.unit * (dx * self.unit).mean(axis=-1, keepdims=True)) * self.scale


def activation_slope(kind, pre, d_ff):
    """What the activation's own backward kernel multiplies by: (T, d_ff), or (T, 2, d_ff) for gate and up of a gated part."""
    ones = np.ones((len(pre), d_ff), pre.dtype)
    slopes = np.empty_like(pre)
    activation_backward(kind, ones, pre, np.empty_like(ones), slopes)
    return slopes if pre.shape[1] == d_ff else slopes.reshape(len(pre), 2, d_ff)


def _sum_groups(x, group):
    """(H, C, n, h) -> (K, C, n, h): a shared head gets the sum over the heads it serves."""
    return x if group == 1 else x.reshape(-1, group, *x.shape[1:]).sum(axis=1)


def _join(x):
    """(K, C, n, h) -> (C, n, K·h)."""
    return x.transpose(1, 2, 0, 3).reshape(x.shape[1], x.shape[2], -1)
