"""Memory of a forward and backward pass: allocated once for the largest batch seen, then reused.

`buffers_of` lists every buffer of a pass, `scratch_of` what its kernels reserve beside: they are what is allocated, and what a
printed figure counts. Activations are kept by name, so that fitters and analyses can read what a forward pass computed:

    model.forward(tokens)
    model.activations.blocks[0].attention_probabilities      # (B, H, T, T)
    model.activations.blocks[0].values                       # (B, H, T, h)
    model.activations.blocks[0].residual_in                  # (B·T, d), the residual stream
"""

import math
import threading

import numpy as np

from ..kernels.activations import activation_forward
from ..kernels.arithmetic import arithmetic_of
from ..kernels.attention import attention_forward, attention_scratch, projection_gradients_fit, projections_scratch
from ..kernels.embedding import order_sizes
from ..kernels.feed_forward import feed_forward_scratch
from ..kernels.jit import threads_now
from ..kernels.matmul import SCRATCH_BYTES
from ..kinds import FEED_FORWARDS, NORMS

CHUNK_BYTES = 4 * 2**20  # of logits at a time: all (N, V) of them would be far more memory than a model, and leave the cache


def chunk_rows(vocab_size, item):
    """Rows of a chunk of logits, `item` bytes a value."""
    return max(64, CHUNK_BYTES // (vocab_size * item))


def buffers_of(config, precision, batch, length, training=True, dropout=False):
    """Every buffer of a pass over (batch, length) tokens: name -> (shape, dtype). training: with the backward pass."""
    c, N, dtype = config, batch * length, precision.dtype
    d, H = c.d_model, c.n_heads
    shapes = {"residual.0": (N, d)}
    for i in range(c.n_layers):
        shapes |= {f"{i}.norm1": (N, d), f"{i}.rstd1": (N,), f"{i}.qkv": (N, c.d_qkv), f"{i}.head_outputs": (N, c.d_q)}
        shapes |= {f"{i}.log_sums": (N, H), f"residual.{2 * i + 1}": (N, d), f"{i}.norm2": (N, d), f"{i}.rstd2": (N,)}
        shapes |= {f"{i}.ff_pre": (N, c.d_ff_in), f"residual.{2 * i + 2}": (N, d)}
    shapes |= {"final_norm": (N, d), "final_rstd": (N,)}
    shapes["logits_chunk"] = min(chunk_rows(c.vocab_size, dtype.itemsize), N), c.vocab_size
    other = {"losses": ((N,), np.float64)}
    if c.counts:
        other["log_counts"] = (batch, length, c.vocab_size), np.float32
    if training or not precision.fused:
        shapes["ff_hidden"] = N, c.d_ff
    if training:
        shapes |= {"dnorm": (N, d), "dstream": (N, d), "dh": (N, d), "dpre": (N, c.d_ff_in)}
        shapes["norm_shares"] = threads_now(), 1 + NORMS[c.norm].shift, d
        if not precision.fused and FEED_FORWARDS[c.feed_forward].gated:
            shapes["dhidden"] = N, c.d_ff
        if not attention_in_one_kernel(config, precision, batch, length):
            shapes |= {"dz": (N, c.d_q), "dqkv": (N, c.d_qkv)}
        if dropout:
            shapes |= {"branch": (N, d), "dbranch": (N, d)}
        sizes = order_sizes((batch, length), d, dtype.itemsize, c.vocab_size)
        other |= {name: ((size,), np.int64) for name, size in zip(("token_order", "token_places"), sizes)}
    return {name: (shape, dtype) for name, shape in shapes.items()} | other


def bytes_of(buffers):
    """Bytes of `buffers_of`."""
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in buffers.values())


def attention_in_one_kernel(config, precision, batch, length):
    """Whether one kernel does the backward pass of attention, its projections and its norm: where they are small, without
    biases."""
    c = config
    sizes = c.d_model, c.d_qkv, c.d_q, precision.dtype.itemsize
    return not c.biases and precision.fused and projection_gradients_fit(*sizes, batch, length)


def scratch_of(config, precision, batch, length):
    """What the kernels of a training step on (batch, length) tokens reserve for themselves: name -> bytes."""
    c, item = config, precision.dtype.itemsize
    if not precision.fused:
        return {"attention": attention_scratch(item, length, c.d_head)}
    arithmetic = arithmetic_of(precision.dtype, precision.bf16)
    found = {"products": threads_now() * SCRATCH_BYTES}
    sizes = feed_forward_scratch(arithmetic, item, c.d_model, c.d_ff, c.d_ff_in // c.d_ff)
    found |= zip(("feed_forward_panels", "feed_forward"), sizes)
    if not attention_in_one_kernel(config, precision, batch, length):
        return found | {"attention": attention_scratch(item, length, c.d_head)}
    sizes = projections_scratch(arithmetic, item, length, c.d_head, c.d_model, c.d_qkv, c.d_q)
    return found | dict(zip(("attention", "attention_panels", "attention_shares"), sizes))


class BlockActivations:
    """What block `i` computed in the last forward pass; N = B·T rows. Views of workspace memory: copy what must last.

    residual_in (N, d)     the stream that enters            norm1 (N, d), rstd1 (N,)  its norm, attention's true input
    qkv (N, d_q + 2 d_kv)  queries | keys | values           head_outputs (N, d_q)     per head: probabilities · values
    log_sums (N, H)        log sum exp of the scores         residual_mid (N, d)       the stream after attention
    norm2 (N, d), rstd2    its norm                          ff_pre (N, d_ff)          norm2 · W1 (SwiGLU: 2 d_ff, gate | up)
    ff_hidden (N, d_ff)    act(ff_pre)                       residual_out (N, d)       the stream that leaves
    """

    def __init__(self, buffers, config, i, batch, length):
        self.buffers, self.config, self.batch, self.length = buffers, config, batch, length
        self.residual_in, self.residual_mid, self.residual_out = (buffers[f"residual.{2 * i + j}"] for j in range(3))
        self.norm1, self.rstd1, self.norm2, self.rstd2 = (buffers[f"{i}.{name}"] for name in ("norm1", "rstd1", "norm2", "rstd2"))
        self.qkv, self.head_outputs, self.log_sums = (buffers[f"{i}.{name}"] for name in ("qkv", "head_outputs", "log_sums"))
        self.ff_pre = buffers[f"{i}.ff_pre"]

    def _heads(self, first, count):
        heads = self.qkv.reshape(self.batch, self.length, self.config.n_heads + 2 * self.config.n_kv_heads, -1)
        return heads[:, :, first : first + count].transpose(0, 2, 1, 3)

    @property
    def queries(self):
        """(B, H, T, h), after rotary positions."""
        return self._heads(0, self.config.n_heads)

    @property
    def keys(self):
        """(B, K, T, h), after rotary positions."""
        return self._heads(self.config.n_heads, self.config.n_kv_heads)

    @property
    def values(self):
        """(B, K, T, h)."""
        return self._heads(self.config.n_heads + self.config.n_kv_heads, self.config.n_kv_heads)

    @property
    def ff_hidden(self):
        """(N, d_ff). Computed from ff_pre when asked for: training stores none."""
        hidden = np.empty((len(self.ff_pre), self.config.d_ff), self.ff_pre.dtype)
        return activation_forward(self.config.feed_forward, self.ff_pre, hidden)

    @property
    def attention_probabilities(self):
        """(B, H, T, T), rows sum to 1, zero above the diagonal. Computed from q and k when asked for: training stores none."""
        B, T, H = self.batch, self.length, self.config.n_heads
        probabilities = np.empty((B, H, T, T), self.qkv.dtype)
        attention_forward(self.qkv, np.empty_like(self.head_outputs), np.empty_like(self.log_sums), T, H, probabilities)
        return probabilities


class Activations:
    """What the last forward pass computed on (B, T) tokens: `blocks`, `final_norm` (N, d), `final_rstd` (N,). `buffers`: all
    buffers of the pass by name, those of the backward pass among them."""

    def __init__(self, buffers, config, batch, length):
        self.buffers, self.tokens, self.batch, self.length = buffers, None, batch, length
        self.blocks = [BlockActivations(buffers, config, i, batch, length) for i in range(config.n_layers)]
        self.embedded, self.last_residual = buffers["residual.0"], buffers[f"residual.{2 * config.n_layers}"]
        self.final_norm, self.final_rstd = buffers["final_norm"], buffers["final_rstd"]


class _Held(threading.local):
    """What a workspace holds for one of Python's threads; freed when the thread ends."""

    def __init__(self):
        self.memory, self.passes, self.activations = {}, {}, None


class Workspace:
    """Activations and gradient buffers by shape, on memory that only grows. Each of Python's threads has memory of its own."""

    def __init__(self, config, precision):
        self.config, self.precision = config, precision
        self.held = _Held()

    def __reduce__(self):  # a copy starts without memory
        return Workspace, (self.config, self.precision)

    def activations(self, batch, length, training=False, dropout=False):
        """The Activations of a pass over (batch, length) tokens, the same object each time while nothing had to grow."""
        key = batch, length, training, dropout, threads_now(), self.precision.fused
        memory, passes = self.held.memory, self.held.passes
        if key not in passes:
            wanted = buffers_of(self.config, self.precision, batch, length, training, dropout)
            grown = [name for name, buffer in wanted.items() if self._reserve(name, *buffer)]
            if grown or len(passes) > 8:
                passes.clear()
            views = {name: memory[name][: math.prod(shape)].reshape(shape) for name, (shape, _) in wanted.items()}
            passes[key] = Activations(views, self.config, batch, length)
        return passes[key]

    def _reserve(self, name, shape, dtype):
        """Whether the memory under this name had to grow; its values are then lost."""
        size, held = math.prod(shape), self.held.memory.get(name)
        if held is not None and held.size >= size:
            return False
        self.held.memory[name] = np.empty(size, dtype)
        return True

    @property
    def nbytes(self):
        """Bytes held for this thread."""
        return sum(memory.nbytes for memory in self.held.memory.values())
