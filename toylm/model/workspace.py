"""Memory of a forward and backward pass: allocated once for the largest batch seen, then reused; a step allocates nothing.

Activations are kept by name, so that fitters and analyses can read what a forward pass computed:

    model.forward(tokens)
    model.activations.blocks[0].attention_probabilities      # (B, H, T, T)
    model.activations.blocks[0].values                       # (B, H, T, h)
    model.activations.blocks[0].residual_in                  # (B·T, d), the residual stream
"""

import math

import numpy as np


class Pool:
    """Named 1-D buffers that only grow; `take` gives a view of the wanted shape on the front of one."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.buffers = {}

    def take(self, name, shape, dtype=None):
        """An array of `shape` under `name`; its values are whatever was there. Earlier views stay valid unless it grew."""
        dtype = np.dtype(dtype or self.dtype)
        size = math.prod(shape)
        buffer = self.buffers.get(name)
        if buffer is None or buffer.size < size or buffer.dtype != dtype:
            buffer = self.buffers[name] = np.empty(size, dtype)
        return buffer[:size].reshape(shape)

    @property
    def nbytes(self):
        """Bytes held."""
        return sum(b.nbytes for b in self.buffers.values())


class BlockActivations:
    """What block `i` computed in the last forward pass; N = B·T rows. Views of workspace memory: copy what must last.

    residual_in (N, d)     the stream that enters            norm1 (N, d), rstd1 (N,)  its norm, attention's true input
    qkv (N, d_q + 2 d_kv)  queries | keys | values           head_outputs (N, d_q)     per head: probabilities · values
    log_sums (N, H)        log sum exp of the scores         residual_mid (N, d)       the stream after attention
    norm2 (N, d), rstd2    its norm                          ff_pre (N, d_ff)          norm2 · W1 (SwiGLU: 2 d_ff, gate | up)
    ff_hidden (N, d_ff)    act(ff_pre)                       residual_out (N, d)       the stream that leaves
    """

    def __init__(self, pool, config, i, batch, length):
        N, d, H = batch * length, config.d_model, config.n_heads
        self.batch, self.length, self.n_heads, self.n_kv_heads = batch, length, H, config.n_kv_heads
        take = pool.take
        self.residual_in = take(f"residual.{2 * i}", (N, d))
        self.norm1, self.rstd1 = take(f"{i}.norm1", (N, d)), take(f"{i}.rstd1", (N,))
        self.qkv = take(f"{i}.qkv", (N, config.d_qkv))
        self.head_outputs, self.log_sums = take(f"{i}.head_outputs", (N, config.d_q)), take(f"{i}.log_sums", (N, H))
        self.residual_mid = take(f"residual.{2 * i + 1}", (N, d))
        self.norm2, self.rstd2 = take(f"{i}.norm2", (N, d)), take(f"{i}.rstd2", (N,))
        self.ff_pre = take(f"{i}.ff_pre", (N, config.d_ff_in))
        self.feed_forward, self.shared_hidden = config.feed_forward, take("ff_hidden", (N, config.d_ff))
        self.residual_out = take(f"residual.{2 * i + 2}", (N, d))

    def _heads(self, first, count):
        heads = self.qkv.reshape(self.batch, self.length, self.n_heads + 2 * self.n_kv_heads, -1)
        return heads[:, :, first : first + count].transpose(0, 2, 1, 3)

    queries = property(lambda self: self._heads(0, self.n_heads), doc="(B, H, T, h), after rotary positions.")
    keys = property(lambda self: self._heads(self.n_heads, self.n_kv_heads), doc="(B, K, T, h), after rotary positions.")
    values = property(lambda self: self._heads(self.n_heads + self.n_kv_heads, self.n_kv_heads), doc="(B, K, T, h).")

    @property
    def ff_hidden(self):
        """(N, d_ff). Computed from ff_pre when asked for: the blocks share one buffer for it, `shared_hidden`."""
        from .hidden import hidden_rows

        return hidden_rows(self.feed_forward, self.ff_pre, np.empty_like(self.shared_hidden))

    @property
    def attention_probabilities(self):
        """(B, H, T, T), rows sum to 1, zero above the diagonal. Computed from q and k when asked for: training stores none."""
        from ..kernels.attention import attention_forward

        B, T, H = self.batch, self.length, self.n_heads
        probabilities = np.empty((B, H, T, T), self.qkv.dtype)
        attention_forward(self.qkv, np.empty_like(self.head_outputs), np.empty_like(self.log_sums), T, H, probabilities)
        return probabilities


class Activations:
    """What the last forward pass computed on (B, T) tokens: `blocks`, `final_norm` (N, d), `final_rstd` (N,)."""

    def __init__(self, pool, config, batch, length):
        self.tokens = None
        self.batch, self.length = batch, length
        self.blocks = [BlockActivations(pool, config, i, batch, length) for i in range(config.n_layers)]
        self.embedded = pool.take("residual.0", (batch * length, config.d_model))
        self.last_residual = pool.take(f"residual.{2 * config.n_layers}", (batch * length, config.d_model))
        self.final_norm = pool.take("final_norm", (batch * length, config.d_model))
        self.final_rstd = pool.take("final_rstd", (batch * length,))


class Workspace:
    """Activations by shape, and the gradient buffers of a backward pass, on one pool."""

    def __init__(self, config, dtype):
        self.config, self.pool = config, Pool(dtype)
        self.capacity = 0  # rows
        self._by_shape = {}

    def activations(self, batch, length):
        """The Activations for (batch, length), the same object each time while nothing had to grow."""
        if batch * length > self.capacity:
            self._by_shape.clear()
            self.capacity = batch * length
        if (batch, length) not in self._by_shape:
            if len(self._by_shape) > 8:
                self._by_shape.clear()
            self._by_shape[batch, length] = Activations(self.pool, self.config, batch, length)
        return self._by_shape[batch, length]

    def take(self, name, shape, dtype=None):
        """A buffer of the backward pass or of the loss, by name."""
        return self.pool.take(name, shape, dtype)

    @property
    def nbytes(self):
        """Bytes held."""
        return self.pool.nbytes
