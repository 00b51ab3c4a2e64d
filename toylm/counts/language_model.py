"""CountsLM: a language model that is counted, not trained: Kneser-Ney n-grams and copying from the window, mixed by EM."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..checks import check_count
from ..errors import InputTypeError, UsageError
from ..host import total_memory
from ..model.generation import check_sampling, sample_logits_row
from .config import CountsConfig
from .documents import Documents
from .kneser_ney import SortedRows, build_tables
from .mixture import fit_nested_weights, fit_weights
from .mixture_kernels import Histories, component_probabilities, mixture_log_probabilities
from .views import contexts_of, view_lengths

VALIDATION = 0.05  # the last share of the training text, for the mixing weights
MATCH_CAP = 12  # longer common suffixes count as this long
BASES = (1.5, 2.0, 3.0, 4.0, 6.0, 10.0)  # of the copies' weights b^l, the likeliest of which is taken
WARM_UP = 100  # tokens before a part of a stream, so that its words are known
BYTES_A_TOKEN = 400  # of memory that counting takes, times the order (measured with orders of 100 and 1,000)
COPY_PRIOR = 0.1  # weight of a copy before any text has been seen


class CountsLM:
    """A counted language model; make one with `CountsLM.fit`.

    tokens are int arrays (B, T) or (T,); every row is a window of its own that begins with no context, as for TransformerLM.
    Raises ValueError for ids out of range. Attributes: `config`; `ngrams`, the NgramCounts of every view; `words`, see
    toylm.counts.views; `weights` (buckets, components), of the mixture; `fitting`, what was measured while fitting.
    """

    tokenizer = None  # that of the folder which the model was loaded from

    def __init__(self, config, ngrams, weights, length_weights, documents, words=None, fitting=None):
        self.config, self.ngrams, self.weights = config, ngrams, weights
        self.length_weights, self.documents, self.fitting = length_weights, documents, fitting or {}
        self.words = np.zeros(0, np.int64) if words is None else words
        self.fold_starts, self._fold_ngrams = np.zeros(0, np.int64), []  # of each fold, every view's
        self._tables = None
        self.valid_ids = config.vocab_size  # ids from here on have no token: they are never generated

    # -- fitting -------------------------------------------------------------------------------------------------------

    @classmethod
    def fit(cls, tokens, vocab_size, end_id, order=None, folds=0, context_length=256, words=None, near=None, progress=None):
        """Count `tokens`, a 1-D array of ids whose documents are closed by end_id, and mix.

        order: of the n-grams (default 6, or 7 where the vocabulary is below 300). folds: that many parts of the text can be
        left out of the counts in `log_probabilities`. words: (V,) `word_symbols` of the tokenizer, for a second view of the
        history; near: tokens before the words in it (default 2, or 3). progress: called with a sentence at each stage. The
        weights are fitted on the last 5 % of the text with the counts of the rest; then everything is counted. Raises
        ValueError for an empty text and for ids out of range.
        """
        tokens = _checked_ids(tokens, vocab_size)
        if not tokens.size:
            raise UsageError("the text has no tokens to count; give more text")
        small = vocab_size < 300  # characters or bytes
        order, near = (7 if small else 6) if order is None else order, (3 if small else 2) if near is None else near
        config = CountsConfig(vocab_size, order, end_id, context_length, near)
        needed, there = BYTES_A_TOKEN * order * tokens.size, total_memory()
        if there and needed > there:
            raise UsageError(
                f"order is {order}: counting {tokens.size:,} tokens takes some {needed / 1e9:,.0f} GB, and this machine has "
                f"{there / 1e9:,.0f}: choose a lower order"
            )
        words = _checked_words(words, vocab_size)
        say = progress or (lambda sentence: None)
        say("sorting n-grams")
        contexts = contexts_of(np.append(end_id, tokens[:-1])[None], config, words)
        views = [contexts[:, i, :length] for i, length in enumerate(view_lengths(config, len(words) > 0))]
        rows = _in_threads(lambda view: SortedRows(view, tokens), views)
        say("fitting the mixture")
        cut = _at_document_end(tokens, end_id, round(len(tokens) * (1 - VALIDATION)))
        fitting = {"validation_tokens": len(tokens) - cut}
        model = cls(config, None, *_default_mixture(config, len(views)), {}, words)
        if 0 < cut < len(tokens):
            group = (np.arange(len(tokens)) >= cut).astype(np.int64)
            model.ngrams = _in_threads(lambda r: r.counts(left_out=1, group=group), rows)
            fitting |= model._fit_mixture(tokens[cut - 1 : -1], tokens[cut:])
        say("counting")
        model.ngrams, model.fitting, model._tables = _in_threads(lambda r: r.counts(), rows), fitting, None
        documents = np.split(tokens, np.flatnonzero(tokens == end_id) + 1)
        model.documents = Documents.of(ids for ids in documents if len(ids))
        if folds:
            model.fold_starts = fold_starts(tokens, end_id, folds)
            group = model.fold_of(np.arange(len(tokens)))
            for fold in range(len(model.fold_starts)):
                model._fold_ngrams.append(_in_threads(lambda r, f=fold: r.counts(left_out=f, group=group), rows))
        model._tables = model._build()
        return model

    def _fit_mixture(self, inputs, targets):
        """Choose the copies' weights and mix, on `targets` in cold windows. Returns the figures of it."""
        windows, components = _windows(inputs, targets, self.config.context_length), self.weights.shape[1]
        cap = len(self.length_weights) - 1
        prior = np.full((cap + 1, components), (1 - COPY_PRIOR) / (components - 1))
        prior[:, -1] = COPY_PRIOR
        prior[0] = [1 / (components - 1)] * (components - 1) + [0]  # nothing matches: nothing to copy
        found, buckets = self._components(*windows)
        parents = np.arange(len(self.weights)) // (len(self.weights) // (cap + 1))  # by the longest match alone
        best = None
        for base in BASES:
            self.length_weights = _length_weights(base, cap)
            found[:, -1] = self._copies(*windows)
            coarse = fit_weights(found, parents[buckets], prior, 20.0)
            loss = _loss(found, coarse[parents[buckets]])
            if best is None or loss < best[0]:
                best = (loss, base, found[:, -1].copy())
        self.length_weights, found[:, -1] = _length_weights(best[1], cap), best[2]
        self.weights = fit_nested_weights(found, buckets, parents, prior)
        alone = [float(-np.log(found[:, view]).mean()) for view in range(components - 1)]
        return {"validation_loss": _loss(found, self.weights[buckets]), "validation_loss_of_views": alone, "copy_base": best[1]}

    def _components(self, tokens, targets, first=0, window=None):
        """(probability of each counted target under each component (N, K), its bucket (N,))."""
        return self._found(tokens, targets, contexts_of(tokens, self.config, self.words), first, window)

    def _copies(self, tokens, targets):
        """The last column of `_components` alone: without any view."""
        return self._found(tokens, targets, np.empty((tokens.size, 0, 1), np.uint32))[0][:, -1]

    def _found(self, tokens, targets, contexts, first=0, window=None):
        n, T = len(tokens) * (tokens.shape[1] - first), tokens.shape[1]
        found, buckets = np.empty((n, contexts.shape[1] + 1)), np.empty(n, np.int64)
        rows = Histories(tokens.astype(np.int32), contexts, np.zeros(len(tokens), np.int64), first, T if window is None else window,
                         self.length_weights)  # fmt: skip
        component_probabilities(self.tables, rows, targets, found, buckets)
        kept = buckets >= 0
        return found[kept], buckets[kept]

    @property
    def tables(self):
        """The BackoffTables of every view of all counts, followed by those without each fold."""
        if self._tables is None:
            self._tables = self._build()
        return self._tables

    def _build(self):
        return build_tables([view for counts in (self.ngrams, *self._fold_ngrams) for view in counts], self.config.vocab_size)

    # -- adding and removing documents -----------------------------------------------------------------------------------

    def add(self, document):
        """Count a document (ids, with or without the end_id that closes it) as well; the counts are those of counting anew.

        The mixing weights stay what they are; folds, which belong to the text that was fitted, are given up. The tables that
        predictions read are made from the counts at the next prediction, once for any number of documents.
        """
        ids = self._closed(document)
        ngrams = [mine.plus(its) for mine, its in zip(self.ngrams, self._count(ids))]
        self.documents.add(ids)
        self._replace(ngrams)

    def remove(self, document):
        """Take a document out of the counts, which are then those of never having met it. Raises ValueError if it is not in."""
        ids = self.documents.as_learned(self._closed(document))
        if len(ids) == self.n_tokens:
            raise UsageError("this is the only document in the counts: without it there would be nothing to predict from")
        ngrams = [mine.minus(its) for mine, its in zip(self.ngrams, self._count(ids))]
        self.documents.remove(ids)
        self._replace(ngrams)

    def _closed(self, document):
        """The ids of one document with the end_id that closes it."""
        c = self.config
        ids = _checked_ids(document, c.vocab_size)
        if not ids.size or ids[-1] != c.end_id:
            ids = np.append(ids, c.end_id)
        if (ids[:-1] == c.end_id).any():
            raise UsageError(f"the document holds the end-of-text token {c.end_id} inside: give one document at a time")
        if len(ids) == 1:
            raise UsageError("the document is empty; give one with at least one token")
        return ids

    def _count(self, ids):
        """The NgramCounts of every view of one document."""
        c = self.config
        contexts = contexts_of(np.append(c.end_id, ids[:-1])[None], c, self.words)
        lengths = view_lengths(c, len(self.words) > 0)
        return [SortedRows(contexts[:, i, :length], ids).counts() for i, length in enumerate(lengths)]

    def _replace(self, ngrams):
        self.ngrams, self._tables = ngrams, None
        self._fold_ngrams, self.fold_starts = [], np.zeros(0, np.int64)

    # -- predicting ------------------------------------------------------------------------------------------------------

    def fold_of(self, positions):
        """The fold of each position of the fitted tokens; -1 everywhere where there are no folds. Folds are contiguous runs
        of whole documents, of positions where the text has too few documents.
        """
        return np.searchsorted(self.fold_starts, positions, side="right") - 1

    def log_probabilities(self, tokens, folds=None, out=None):
        """log p(next token | tokens[b, :t + 1]) as float32 (B T, V), finite and normalised; every row is a cold window.

        folds: (B,) int, the fold left out of the counts for each row, -1 for none. out: where to write.
        """
        tokens = self._tokens(tokens)
        parts = np.zeros(len(tokens), np.int64)
        if folds is not None:
            folds = np.asarray(folds, np.int64)
            if folds.shape != (len(tokens),) or (folds < -1).any() or (folds >= len(self._fold_ngrams)).any():
                raise UsageError(f"folds are one a row, from -1 to {len(self._fold_ngrams) - 1}, not {folds.tolist()[:8]}")
            parts = (folds + 1) * len(self.ngrams)
        return self._mixture(tokens, parts, out)

    def next_log_probabilities(self, window):
        """log p(next token | the ids of `window`) as float32 (1, V): the last row of `log_probabilities`, for decoding."""
        window = self._tokens(window)
        return self._mixture(window, np.zeros(len(window), np.int64), first=window.shape[1] - 1)

    def _mixture(self, tokens, parts, out=None, first=0, window=None, dtype=np.float32):
        T, V = tokens.shape[1], self.config.vocab_size
        shape = (len(tokens) * (T - first), V)
        if out is None:
            out = np.empty(shape, dtype)
        elif out.shape != shape or out.dtype != np.float32:
            raise UsageError(f"out must be float32 of shape {shape}, not {out.dtype} {out.shape}")
        rows = Histories(tokens.astype(np.int32), contexts_of(tokens, self.config, self.words), parts, first,
                         T if window is None else window, self.length_weights)  # fmt: skip
        mixture_log_probabilities(self.tables, rows, self.weights, out)
        return out

    def probabilities(self, tokens):
        """The same in float64, as probabilities that sum to 1 within 1e-12: (B T, V)."""
        tokens = self._tokens(tokens)
        return self._mixture(tokens, np.zeros(len(tokens), np.int64), dtype=np.float64)

    def forward(self, tokens):
        """Log-probabilities (B, T, V) float32 of the next token, or (T, V) for tokens (T,): logits like any model's."""
        return self.log_probabilities(tokens).reshape(*np.shape(tokens), self.config.vocab_size)

    def token_losses(self, tokens, targets):
        """Nats of every target, in the targets' shape, float64; targets below zero are not counted (0)."""
        batch, wanted = self._tokens(tokens), np.atleast_2d(np.asarray(targets, np.int64))
        if wanted.shape != batch.shape:
            raise UsageError(f"targets have shape {np.shape(targets)}, tokens {batch.shape}: one target a token")
        if wanted.max() >= self.config.vocab_size:
            raise UsageError(f"target id {wanted.max()} is out of range; ids go to {self.config.vocab_size - 1}")
        found, buckets = self._components(batch, wanted)
        losses = np.zeros(wanted.shape)
        losses[wanted >= 0] = -np.log((found * self.weights[buckets]).sum(axis=1))
        return losses.reshape(np.shape(targets))

    def loss(self, tokens, targets):
        """Mean nats per counted target; 0 where none is counted."""
        counted = int((np.asarray(targets) >= 0).sum())
        return float(self.token_losses(tokens, targets).sum()) / max(1, counted)

    def stream_losses(self, tokens, window=1000):
        """Nats of each of `tokens` (N,), a text read in one go: contexts carry over, copies come from the last `window` tokens."""
        window = check_count(window, "window", 0)
        tokens = _checked_ids(tokens, self.config.vocab_size)
        inputs = np.concatenate([[self.config.end_id], tokens[:-1]])
        before, losses = window + MATCH_CAP + max(WARM_UP, self.config.order), np.empty(len(tokens))
        chunk = max(4096, window)
        for start in range(0, len(tokens), chunk):
            stop, warm = min(start + chunk, len(tokens)), max(0, start - before)
            found, buckets = self._components(inputs[None, warm:stop], tokens[None, warm:stop], start - warm, window)
            losses[start:stop] = -np.log((found * self.weights[buckets]).sum(axis=1))
        return losses

    # -- text --------------------------------------------------------------------------------------------------------------

    def stream(self, prompt_ids, max_tokens, temperature=1.0, top_k=None, top_p=None, seed=0, stop_ids=()):
        """Yield at most max_tokens new ids one by one; see `TransformerLM.stream`."""
        check_sampling(temperature, top_k, top_p, max_tokens)
        prompt = _checked_ids(prompt_ids, self.config.vocab_size)
        if not prompt.size:
            raise UsageError("the prompt has no tokens; give at least one (the end-of-text token starts a new document)")
        return self._stream(prompt, max_tokens, temperature, top_k, top_p, seed, frozenset(stop_ids))

    def _stream(self, prompt, max_tokens, temperature, top_k, top_p, seed, stop_ids):
        rng, ids = np.random.default_rng(seed), prompt.tolist()
        for _ in range(max_tokens):
            window = np.array([ids[-self.config.context_length :]], np.int64)
            logits = self.next_log_probabilities(window)[0]
            token = sample_logits_row(logits[: self.valid_ids], temperature, top_k, top_p, rng)
            if token in stop_ids:
                return
            yield token
            ids.append(token)

    def generate(self, prompt_ids, max_tokens, temperature=1.0, top_k=None, top_p=None, seed=0, stop_ids=()):
        """The new token ids as a list. temperature 0 takes the likeliest; a stop id ends the text and is not included."""
        return list(self.stream(prompt_ids, max_tokens, temperature, top_k, top_p, seed, stop_ids))

    def generate_batch(self, prompts, max_tokens, temperature=1.0, top_k=None, top_p=None, seed=0, stop_ids=()):
        """The new ids of several prompts: text i equals `generate(prompts[i], ..., seed=seed + i)`."""
        return [
            self.generate(prompt, max_tokens, temperature, top_k, top_p, seed + i, stop_ids) for i, prompt in enumerate(prompts)
        ]

    # -- looking at it -------------------------------------------------------------------------------------------------

    @property
    def n_tokens(self):
        """Tokens counted."""
        return self.ngrams[0].total

    @property
    def n_parameters(self):
        """Counted n-grams of every length, and mixing weights: the numbers that predictions are made from."""
        roots, sets = self.tables.roots, len(self.ngrams)
        end = roots[sets] if len(roots) > sets else len(self.tables.symbols)
        return int(self.tables.entry_starts[end]) + self.weights.size + self.length_weights.size

    @property
    def nbytes(self):
        """Bytes of the tables that predictions read, without those of folds."""
        tables = build_tables(self.ngrams, self.config.vocab_size) if self._fold_ngrams else self.tables
        return tables.nbytes + self.weights.nbytes + self.words.nbytes

    def save(self, directory, tokenizer=None):
        """Write a checkpoint directory (toylm.save); folds are not kept."""
        from ..formats.checkpoint import save

        return save(self, directory, tokenizer)

    def _tokens(self, tokens):
        array = np.asarray(tokens)
        if array.ndim not in (1, 2) or array.size == 0:
            raise UsageError(f"tokens have shape (B, T) or (T,), not empty; these have {array.shape}")
        return _checked_ids(array.reshape(-1), self.config.vocab_size).reshape(np.atleast_2d(array).shape)

    def __repr__(self):
        c = self.config
        views = f"{len(self.ngrams)} views, {self.n_parameters:,} n-grams"
        return f"CountsLM(order {c.order}, {views}, vocabulary {c.vocab_size}, window {c.context_length})"


def load_kernels():
    """Compile the kernels, or load them from the disk, so that what follows can be timed."""
    model = CountsLM.fit(np.tile([1, 2, 0], 40), 3, 0, order=2, folds=2, context_length=16, words=np.array([0, 1, -1]))
    model.add([2, 1])
    model.remove([2, 1])
    model.log_probabilities([0, 1])


# -- pieces ------------------------------------------------------------------------------------------------------------------


def _checked_ids(tokens, vocab_size):
    """1-D int64 ids. Raises TypeError or ValueError for what is no array of ids of the vocabulary."""
    array = np.asarray(tokens)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise InputTypeError(f"tokens must be a row of integers, not {array.dtype} of shape {array.shape}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= vocab_size:
        bad = low if low < 0 else high
        raise UsageError(f"token id {bad} is out of range; a vocabulary of {vocab_size} has the ids 0 to {vocab_size - 1}")
    return np.ascontiguousarray(array, np.int64)


def _checked_words(words, vocab_size):
    words = np.zeros(0, np.int64) if words is None else np.asarray(words, np.int64)
    if words.size and words.shape != (vocab_size,):
        raise UsageError(f"words has shape {words.shape}; it is one number a token, ({vocab_size},)")
    return words if words.any() else np.zeros(0, np.int64)


def _in_threads(function, arguments):
    """[function(a) for a in arguments], at once: the kernels release Python's lock."""
    if len(arguments) == 1:
        return [function(arguments[0])]
    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(function, arguments))


def _loss(probabilities, weights):
    """Mean nats of the mixture; probabilities, weights: (N, K)."""
    return float(-np.log((probabilities * weights).sum(axis=1)).mean())


def _windows(inputs, targets, length):
    """Cold windows (n, length) of inputs and targets; the last is padded, its missing targets are -1."""
    n = math.ceil(len(targets) / length)
    tokens, wanted = np.zeros(n * length, np.int64), np.full(n * length, -1, np.int64)
    tokens[: len(targets)], wanted[: len(targets)] = inputs[: len(targets)], targets
    return tokens.reshape(n, length), wanted.reshape(n, length)


def _length_weights(base, cap):
    """u(l) = base^l for l = 1..cap, 0 for no match."""
    weights = float(base) ** np.arange(cap + 1)
    weights[0] = 0.0
    return weights


def _default_mixture(config, views):
    """(weights, length weights) before anything is known: copies get a tenth where there is a match."""
    depths = (max(view_lengths(config, views > 1)) + 1) ** views
    weights = np.full(((MATCH_CAP + 1) * depths, views + 1), (1 - COPY_PRIOR) / views)
    weights[:, -1] = COPY_PRIOR
    weights[:depths] = [1 / views] * views + [0]
    return weights, _length_weights(4.0, MATCH_CAP)


def _at_document_end(tokens, end_id, position):
    """The start of a document nearest to `position`, or `position` where none is within 2 % of the text."""
    starts = np.flatnonzero(tokens == end_id) + 1
    if len(starts):
        nearest = int(starts[np.abs(starts - position).argmin()])
        if abs(nearest - position) <= len(tokens) // 50 and 0 < nearest < len(tokens):
            return nearest
    return position


def fold_starts(tokens, end_id, folds):
    """Where each of `folds` nearly equal parts begins, at a document's start wherever one is near."""
    if folds < 2 or folds > len(tokens):
        raise UsageError(f"folds is {folds}; there can be 2 to {len(tokens)} of them")
    starts = [0, *(_at_document_end(tokens, end_id, len(tokens) * f // folds) for f in range(1, folds))]
    return np.unique(starts)
