"""Decoding with a key-value cache: one or many streams of tokens through one model, and the window that slides.

A cached step equals the full forward pass over the tokens in the cache (tested). When the cache is full, the oldest `slide`
tokens are dropped and the rest is computed anew, because both kinds of positions count from the window's start; slide 1 is
the trailing window of the last context_length tokens at every step, a larger slide costs less.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..errors import DivergedError, UsageError
from ..kernels.activations import activation_rows
from ..kernels.decode import ROLES, Plan, Streams, Weights, decode, work_size
from ..kernels.jit import threads_now
from ..kernels.norm import norm_rows

FIRST_POSITIONS = 256  # of the cache, which then doubles
GREEDY_STEPS = 32  # tokens a compiled call: few enough to show a text while it comes
FEW = 8  # so many tokens of a prompt cost less one by one than a forward pass with all its kernels


class Decoder:
    """`tokens[s]`: the ids in the cache of stream s; `logits` (S, V): of the next token of each."""

    def __init__(self, model, streams=1, slide=None):
        c, self.model = model.config, model
        self.slide = max(1, c.context_length // 8) if slide is None else int(slide)
        if not 1 <= self.slide <= c.context_length:
            raise UsageError(f"slide is {slide}; it must be from 1 to the context length {c.context_length}")
        self.tokens = [[] for _ in range(streams)]
        self.logits = np.zeros((streams, c.vocab_size), model.dtype)
        self._newest, self._before, self._positions = np.zeros((3, streams), np.int64)
        self._found, self._counts = np.zeros((streams, GREEDY_STEPS), np.int64), np.zeros(streams, np.int64)
        self._work = np.zeros((streams, work_size(c)), model.dtype)
        self._no_stops = np.zeros(c.vocab_size, np.bool_)
        self._threads = None
        self.keys = self.values = np.zeros((streams, c.n_layers, c.n_kv_heads, c.d_head, 0), model.dtype)
        self._reserve(1)
        self._plan, self._weights = _plan_of(model)

    def _reserve(self, length):
        """Make room for as many positions in the cache, which grows with the texts: a context may be far longer than they are."""
        held = self.keys.shape[4]
        if length > held:
            room = min(max(length, 2 * held, FIRST_POSITIONS), self.model.config.context_length)
            wider = [(0, 0)] * 4 + [(0, room - held)]
            self.keys, self.values = np.pad(self.keys, wider), np.pad(self.values, wider)

    def extend(self, stream, tokens):
        """Take several tokens into one stream and return its logits (V,): in one forward pass, where they are many."""
        c = self.model.config
        window = [*self.tokens[stream], *map(int, tokens)]
        if len(tokens) <= FEW and len(window) <= c.context_length:
            for token in tokens:
                self.append([stream], [token])
            return self.logits[stream]
        if len(window) > c.context_length:
            # Drop in steps of `slide`, so that the window does not depend on how the tokens arrived.
            excess = len(window) - c.context_length
            window = window[-(-excess // self.slide) * self.slide :]
            window = window or [int(tokens[-1])]
        self._reserve(len(window))
        a = self.model._forward_to_norm(self.model._tokens(np.array([window])))
        for layer, block in enumerate(a.blocks):
            self.keys[stream, layer, :, :, : len(window)] = block.keys[0].swapaxes(1, 2)
            self.values[stream, layer, :, :, : len(window)] = block.values[0].swapaxes(1, 2)
        row = self.logits[stream : stream + 1]
        self.model.unembedding.forward(self.model.parameters, a.final_norm[-1:], row, self._log_counts(window))
        self.tokens[stream] = window
        return self.logits[stream]

    def _log_counts(self, window):
        """What the counts say comes after the tokens of a window, for one row of logits; None where there are no counts."""
        if not self.model.config.counts:
            return None
        found = self.model.counts_model().next_log_probabilities(np.array(window, np.int64))
        return found.astype(self.model.dtype, copy=False), np.ones(1, bool)

    def _complete(self, stream, window):
        """Turn the compiled step's logits into the model's: the output bias, the counts and the weights of both."""
        self.model.unembedding.complete(self.model.parameters, self.logits[stream : stream + 1], self._log_counts(window))

    def append(self, streams, tokens):
        """Take one more token into each of `streams`; their logits are then those of the next."""
        self._advance(streams, tokens, 1, self._no_stops)

    def greedy(self, streams, tokens, steps, stops):
        """Take a token into each of `streams` and go on with the likeliest ones: a list of up to `steps` new ids for each.

        A stream ends with an id of `stops` (V,) bool. All but the newest id of each are then in its cache. Raises
        DivergedError where a logit is NaN or the largest infinite.
        """
        found = self._advance(streams, tokens, min(steps, GREEDY_STEPS), stops)
        if any(ids[-1] < 0 for ids in found):
            raise DivergedError("the model's logits are not finite: its weights have diverged")
        return found

    def _advance(self, streams, tokens, steps, stops):
        c, new = self.model.config, {}
        going, adjusted = [], c.counts or c.output_bias
        if adjusted:
            steps = 1  # the next token is known only when all is added
        for stream, token in zip(streams, tokens):
            if not 0 <= token < c.vocab_size:
                raise UsageError(f"token id {token} is out of range; this model has ids 0 to {c.vocab_size - 1}")
            if len(self.tokens[stream]) == c.context_length:
                self.extend(stream, [token])
                new[stream] = self._likeliest(stream)
                continue
            self._reserve(len(self.tokens[stream]) + 1)
            self._newest[stream], self._positions[stream], self._counts[stream] = token, len(self.tokens[stream]), 0
            self._before[stream] = self.tokens[stream][-1] if self.tokens[stream] else 0
            going.append(stream)
        if going:
            self._decode(going, steps, stops)
        for stream, token in zip(streams, tokens):
            if stream not in new and adjusted:
                self.tokens[stream].append(int(token))
                self._complete(stream, self.tokens[stream])
                new[stream] = self._likeliest(stream)
            elif stream not in new:
                new[stream] = self._found[stream, : self._counts[stream]].tolist()
                self.tokens[stream] += [int(token), *new[stream][:-1]]
        return [new[stream] for stream in streams]

    def _likeliest(self, stream):
        """The likeliest next id in a list, -1 where the largest logit is not finite: a NaN, if there is one."""
        logits = self.logits[stream, : self.model.valid_ids]
        likeliest = int(np.argmax(logits))
        return [likeliest if np.isfinite(logits[likeliest]) else -1]

    def _decode(self, streams, steps, stops):
        """The compiled call, on this thread for one stream, else on as many of Python's threads as kernels may use."""
        shares = min(len(streams), threads_now())
        parts = [np.array(part, np.int64) for part in np.array_split(streams, shares)]
        state = Streams(self._newest, self._before, self._positions, self._found, self._counts, self.keys, self.values, self._work,
                        self.logits)  # fmt: skip

        def run(part):
            decode(self._plan, self._weights, state, part, steps, stops)

        if shares == 1:
            return run(parts[0])
        if self._threads is None:
            self._threads = ThreadPoolExecutor(shares)
        for done in [self._threads.submit(run, part) for part in parts]:
            done.result()


def _plan_of(model):
    """Where each parameter starts in the flat buffer, the kinds' functions and the rotary tables: see toylm.kernels.decode."""
    c, starts, at = model.config, {}, 0
    for name, rows, columns in model.parameters.layout:
        starts[name] = at
        at += rows * columns
    blocks = [[starts.get(f"blocks.{i}.{role}", -1) for role in ROLES] for i in range(c.n_layers)]
    plan = Plan(
        c.d_model, c.d_ff, c.d_ff_in, c.n_heads, c.n_kv_heads, c.d_head, model.valid_ids, norm_rows(c.norm, model.dtype).forward,
        activation_rows(c.feed_forward, model.dtype).forward, c.norm_eps, starts["token_embed"], starts.get("pos_embed", -1),
        starts.get("smear", -1), starts["norm_final_gamma"], starts.get("norm_final_beta", -1), starts[model.unembedding.name],
    )  # fmt: skip
    empty = np.zeros((0, 1), model.dtype)
    cos, sin = model.blocks[0].attention.tables or (empty, empty)
    return plan, Weights(model.parameters.flat, np.array(blocks, np.int64), cos, sin)


class KeyValueCache:
    """The decoder of a single text: `tokens`, the ids in the cache, and `logits` (V,), those of the next one."""

    def __init__(self, model, slide=None):
        self.decoder = Decoder(model, 1, slide)

    tokens = property(lambda self: self.decoder.tokens[0], doc="The ids in the cache.")
    logits = property(lambda self: self.decoder.logits[0], doc="(V,), overwritten by the next call.")

    def append(self, token):
        """Take in one more token; returns the logits (V,) of the next."""
        self.decoder.append([0], [token])
        return self.logits

    def extend(self, tokens):
        """Take in several tokens; returns the logits (V,) of the next."""
        return self.decoder.extend(0, tokens)
