"""Text from a model: the key-value cache, sampling, and the window that slides when the text outgrows the context.

A cached step equals the full forward pass over the tokens in the cache (tested). When the cache is full, the oldest `slide`
tokens are dropped and the rest is computed anew, because both kinds of positions count from the window's start; slide 1 is
the trailing window of the last context_length tokens at every step, a larger slide costs less.
"""

import numpy as np


class KeyValueCache:
    """Keys and values of the tokens so far, (L, H, T, h) each, and the logits of the next one."""

    def __init__(self, model, slide=None):
        c, self.model = model.config, model
        self.slide = max(1, c.context_length // 8) if slide is None else int(slide)
        if not 1 <= self.slide <= c.context_length:
            raise ValueError(f"slide is {slide}; it must be from 1 to the context length {c.context_length}")
        shape = (c.n_layers, c.n_heads, c.context_length, c.d_head)
        self.keys, self.values = np.zeros(shape, model.dtype), np.zeros(shape, model.dtype)
        self.tokens = []
        self.logits = np.zeros(c.vocab_size, model.dtype)
        self._work = np.zeros(7 * c.d_model + c.d_ff + c.context_length, model.dtype)
        self._plan()

    def _plan(self):
        """Where each parameter starts in the flat buffer, and the rotary tables."""
        parameters = self.model.parameters
        starts, at = {}, 0
        for name, rows, columns in parameters.layout:
            starts[name] = at
            at += rows * columns
        roles = ("norm1_gamma", "w_qkv", "w_o", "norm2_gamma", "w_ff1", "w_ff2")
        layers = range(self.model.config.n_layers)
        self._offsets = np.array([[starts[f"blocks.{i}.{role}"] for role in roles] for i in layers], np.int64)
        self._embed, self._final = starts["token_embed"], starts["norm_final_gamma"]
        self._position = starts.get("pos_embed", -1)
        attention = self.model.blocks[0].attention
        empty = np.zeros((0, 1), self.model.dtype)
        self._cos, self._sin = (attention.cos, attention.sin) if attention.rope else (empty, empty)

    def append(self, token):
        """Take in one more token; returns the logits (V,) of the next, overwritten by the next call."""
        from ..kernels.decode import decode_token

        c = self.model.config
        if not 0 <= token < c.vocab_size:
            raise ValueError(f"token id {token} is out of range; this model has ids 0 to {c.vocab_size - 1}")
        if len(self.tokens) == c.context_length:
            return self.extend([token])
        decode_token(
            self.model.parameters.flat, self._offsets, self._embed, self._position, self._final, int(token),
            len(self.tokens), c.d_model, c.d_ff, c.n_heads, c.norm_eps, self._cos, self._sin, self.keys, self.values,
            self._work, self.logits,
        )  # fmt: skip
        self.tokens.append(int(token))
        return self.logits

    def extend(self, tokens):
        """Take in several tokens in one forward pass over the window they leave; returns the logits of the next."""
        c = self.model.config
        window = [*self.tokens, *map(int, tokens)]
        if len(window) > c.context_length:
            # Drop in steps of `slide`, so that the window does not depend on how the tokens arrived.
            excess = len(window) - c.context_length
            window = window[-(-excess // self.slide) * self.slide :]
            window = window or [int(tokens[-1])]
        a = self.model._forward_to_norm(self.model._tokens(np.array([window])))
        for layer, block in enumerate(a.blocks):
            self.keys[layer, :, : len(window)] = block.keys[0]
            self.values[layer, :, : len(window)] = block.values[0]
        self.model.unembedding.forward(self.model.parameters, a.final_norm[-1:], self.logits[None])
        self.tokens = window
        return self.logits


def sample_logits_row(logits, temperature=1.0, top_k=None, top_p=None, rng=None):
    """Draw one id from softmax(logits / temperature), restricted to the top_k likeliest and to the smallest set whose
    probability reaches top_p. temperature 0 takes the likeliest. logits: (V,). Raises FloatingPointError if they are not finite.
    """
    if temperature == 0 or top_k == 1:
        return int(np.argmax(logits))
    logits = np.asarray(logits, np.float64) / temperature
    if top_k is not None and top_k < logits.size:
        kept = np.argpartition(logits, -top_k)[-top_k:]
    else:
        kept = np.arange(logits.size)
    p = np.exp(logits[kept] - logits[kept].max())
    p /= p.sum()
    if not np.isfinite(p[0]):
        raise FloatingPointError("the model's logits are not finite: its weights have diverged")
    if top_p is not None and top_p < 1:
        order = np.argsort(-p, kind="stable")
        last = int(np.searchsorted(np.cumsum(p[order]), top_p))
        order = order[: last + 1]
        kept, p = kept[order], p[order] / p[order].sum()
    rng = np.random.default_rng(0) if rng is None else rng
    drawn = int(np.searchsorted(np.cumsum(p), rng.random(), side="right"))
    return int(kept[min(drawn, len(kept) - 1)])


def check_sampling(temperature, top_k, top_p, max_tokens):
    """Raise ValueError with the setting, its value and its limits where one is out of range."""
    if not temperature >= 0 or not np.isfinite(temperature):
        raise ValueError(f"temperature is {temperature}; it must be 0 (the likeliest token) or above")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; it must be above 0 and at most 1")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be at least 1")
    if max_tokens < 0:
        raise ValueError(f"max_tokens is {max_tokens}; it must be 0 or above")


def stream(model, prompt_ids, max_tokens, temperature=1.0, top_k=None, top_p=None, seed=0, stop_ids=(), slide=None):
    """Check the settings, then return an iterator over at most max_tokens new ids; it ends before an id of stop_ids."""
    check_sampling(temperature, top_k, top_p, max_tokens)
    prompt = [int(i) for i in prompt_ids]
    if not prompt:
        raise ValueError("the prompt has no tokens; give at least one (the end-of-text token starts a new document)")
    low, high = min(prompt), max(prompt)
    if low < 0 or high >= model.config.vocab_size:
        bad = low if low < 0 else high
        raise ValueError(f"token id {bad} is out of range; this model has ids 0 to {model.config.vocab_size - 1}")
    return _stream(model, prompt, max_tokens, temperature, top_k, top_p, seed, frozenset(stop_ids), slide)


def _stream(model, prompt, max_tokens, temperature, top_k, top_p, seed, stop_ids, slide):
    if max_tokens == 0:
        return
    rng = np.random.default_rng(seed)
    cache = KeyValueCache(model, slide)
    logits = cache.extend(prompt)
    for count in range(1, max_tokens + 1):
        token = sample_logits_row(logits, temperature, top_k, top_p, rng)
        if token in stop_ids:
            return
        yield token
        if count < max_tokens:
            logits = cache.append(token)
