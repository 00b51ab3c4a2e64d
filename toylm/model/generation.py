"""Text from a model: sampling, streams of tokens, and several texts decoded together."""

import numpy as np

from ..errors import DivergedError, UsageError
from .decoder import Decoder, KeyValueCache

__all__ = ["Decoder", "KeyValueCache", "check_sampling", "generate_batch", "sample_logits_row", "stream"]


def sample_logits_row(logits, temperature=1.0, top_k=None, top_p=None, rng=None):
    """Draw one id from softmax(logits / temperature), restricted to the top_k likeliest and to the smallest set whose
    probability reaches top_p. temperature 0 takes the likeliest. logits: (V,). Raises DivergedError where one is NaN or the
    largest is infinite; -infinity is a probability of 0.
    """
    likeliest = int(np.argmax(logits))  # a NaN, if there is one
    if not np.isfinite(logits[likeliest]):
        raise DivergedError("the model's logits are not finite: its weights have diverged")
    if temperature == 0 or top_k == 1:
        return likeliest
    logits = np.asarray(logits, np.float64)
    if top_k is not None and top_k < logits.size:
        kept = np.argpartition(logits, -top_k)[-top_k:]
    else:
        kept = np.arange(logits.size)
    with np.errstate(over="ignore"):  # a temperature next to 0: all but the likeliest are at -infinity
        p = np.exp((logits[kept] - logits[likeliest]) / temperature)
    p /= p.sum()
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
        raise UsageError(f"temperature is {temperature}; it must be 0 (the likeliest token) or above")
    if top_p is not None and not 0 < top_p <= 1:
        raise UsageError(f"top_p is {top_p}; it must be above 0 and at most 1")
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k is {top_k}; it must be at least 1")
    if max_tokens < 0:
        raise UsageError(f"max_tokens is {max_tokens}; it must be 0 or above")


def stream(model, prompt_ids, max_tokens, temperature=1.0, top_k=None, top_p=None, seed=0, stop_ids=(), slide=None):
    """Check the settings, then return an iterator over at most max_tokens new ids; it ends before an id of stop_ids."""
    check_sampling(temperature, top_k, top_p, max_tokens)
    prompt = _checked_prompt(model, prompt_ids)
    if temperature == 0 or top_k == 1:
        return _stream_greedy(model, prompt, max_tokens, stop_ids, slide)
    return _stream(model, prompt, max_tokens, temperature, top_k, top_p, seed, frozenset(stop_ids), slide)


def _checked_prompt(model, prompt_ids):
    prompt = [int(i) for i in prompt_ids]
    if not prompt:
        raise UsageError("the prompt has no tokens; give at least one (the end-of-text token starts a new document)")
    low, high = min(prompt), max(prompt)
    if low < 0 or high >= model.config.vocab_size:
        bad = low if low < 0 else high
        raise UsageError(f"token id {bad} is out of range; this model has ids 0 to {model.config.vocab_size - 1}")
    return prompt


def _stream(model, prompt, max_tokens, temperature, top_k, top_p, seed, stop_ids, slide):
    if max_tokens == 0:
        return
    rng = np.random.default_rng(seed)
    cache = KeyValueCache(model, slide)
    logits = cache.extend(prompt)
    for count in range(1, max_tokens + 1):
        token = sample_logits_row(logits[: model.valid_ids], temperature, top_k, top_p, rng)
        if token in stop_ids:
            return
        yield token
        if count < max_tokens:
            logits = cache.append(token)


def _stop_table(model, stop_ids):
    """(V,) bool, true at stop_ids; ids that the model does not have are never met."""
    table = np.zeros(model.config.vocab_size, np.bool_)
    table[[i for i in stop_ids if 0 <= i < table.size]] = True
    return table


def _stream_greedy(model, prompt, max_tokens, stop_ids, slide):
    """The likeliest tokens, many a compiled call."""
    if max_tokens == 0:
        return
    decoder, stops = Decoder(model, 1, slide), _stop_table(model, stop_ids)
    new = [sample_logits_row(decoder.extend(0, prompt)[: model.valid_ids], temperature=0)]
    while True:
        for token in new:
            if stops[token]:
                return
            yield token
        max_tokens -= len(new)
        if max_tokens == 0:
            return
        new = decoder.greedy([0], new[-1:], max_tokens, stops)[0]


def generate_batch(model, prompts, max_tokens, temperature=1.0, top_k=None, top_p=None, seed=0, stop_ids=(), slide=None):
    """The new ids of each prompt, decoded together: a list of lists.

    Text i is the one that `generate(prompts[i], ..., seed=seed + i)` gives by itself: the streams share the reading of the
    weights and the threads, not their rounding. prompts: lists of ids, of any lengths.
    """
    check_sampling(temperature, top_k, top_p, max_tokens)
    prompts = [_checked_prompt(model, prompt) for prompt in prompts]
    texts = [[] for _ in prompts]
    if max_tokens == 0 or not prompts:
        return texts
    greedy, stops = temperature == 0 or top_k == 1, _stop_table(model, stop_ids)
    rngs = [np.random.default_rng(seed + i) for i in range(len(prompts))]
    decoder, active = Decoder(model, len(prompts), slide), list(range(len(prompts)))

    def draw(i, logits):
        return [sample_logits_row(logits[: model.valid_ids], temperature, top_k, top_p, rngs[i])]

    new = [draw(i, decoder.extend(i, prompt)) for i, prompt in enumerate(prompts)]
    while True:
        going = []
        for i, ids in zip(active, new):
            ended = stops[ids[-1]]
            texts[i] += ids[:-1] if ended else ids
            if not ended and len(texts[i]) < max_tokens:
                going.append(i)
        if not going:
            return [ids[:max_tokens] for ids in texts]
        active, newest = going, [texts[i][-1] for i in going]
        if greedy:
            # The stream that has most yet to write decides; what the others write beyond their end is cut.
            new = decoder.greedy(active, newest, max(max_tokens - len(texts[i]) for i in active), stops)
        else:
            decoder.append(active, newest)
            new = [draw(i, decoder.logits[i]) for i in active]
