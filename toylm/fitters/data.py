"""The text that fitters work on: training windows in order, a validation part of the training text, held-out text."""

import numpy as np

from ..data.batches import Batches
from ..data.token_file import TokenFile
from ..errors import UsageError
from ..evaluation import evaluate


class FitData:
    """Training and held-out tokens, cut into windows as the evaluation cuts them: documents in order, every token once.

    train, held_out: TokenFiles of one tokenizer; tokenizer: a Tokenizer or None; context_length: T of the windows;
    batch_size: windows at once; max_tokens: cap on the training tokens read by a fit, spread over the text (None: all);
    eval_tokens: the same for the held-out text; seed: of whatever a fitter draws; validation: the share of the training
    text, from its end, that is kept out of fitting for temperatures, mixing weights and early stopping. Held-out text
    decides nothing: it is only measured.

    `fitting` and `validation` are the two parts of `train` as TokenFiles, cut after a whole document where there is one.
    Raises ValueError for a share that leaves a part empty, UsageError where the training examples are no running text.
    """

    def __init__(self, train, held_out, tokenizer=None, context_length=256, batch_size=16, max_tokens=None, seed=0,
                 validation=0.05, eval_tokens=None):  # fmt: skip
        if not isinstance(train, TokenFile):
            raise UsageError("fitters read running text; a synthetic task has none: `toylm task` solves those")
        for name, value in (("context_length", context_length), ("batch_size", batch_size), ("max_tokens", max_tokens),
                            ("eval_tokens", eval_tokens)):  # fmt: skip
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        if not 0 < validation < 1:
            raise UsageError(f"validation is {validation}; it must be above 0 and below 1")
        self.train, self.held_out, self.tokenizer = train, held_out, tokenizer
        self.context_length, self.batch_size, self.seed = int(context_length), int(batch_size), int(seed)
        self.max_tokens, self.eval_tokens = max_tokens, eval_tokens
        cut = _document_end(train, int(round(len(train) * (1 - validation))))
        if not 0 < cut < len(train):
            raise UsageError(f"validation is {validation} of {len(train)} training tokens, which leaves a part without tokens")
        self.fitting, self.validation = part_of(train, 0, cut), part_of(train, cut, len(train))

    @classmethod
    def of_prepared(cls, prepared, **settings):
        """FitData of a toylm.data.Prepared."""
        return cls(prepared.train, prepared.held_out, prepared.tokenizer, **settings)

    def batches(self, max_tokens=None):
        """The fitting text in order: an iterable of (tokens, targets), (n, T) int64; targets below zero are not counted.

        max_tokens: another cap than the data's own.
        """
        return self.fitting.windows(self.context_length, self.batch_size, self._cap(max_tokens))

    def document_batches(self, max_tokens=None):
        """Like `batches`, but every document by itself: its windows follow the end token, not another document.

        What such windows hold does not depend on the documents around them, so that a document can be taken out again exactly.
        max_tokens: as for `batches`; whole documents are read, spread over the text. Raises ValueError where all are longer.
        """
        cap, documents = self._cap(max_tokens), documents_of(self.fitting)
        if cap is not None:
            documents = _spread(documents, cap, len(self.fitting))
        return DocumentWindows(documents, self.context_length, self.batch_size, self.train.end_id)

    def validation_batches(self):
        """The validation text, like `batches`."""
        return self.validation.windows(self.context_length, self.batch_size, self.max_tokens)

    def held_out_batches(self):
        """The held-out text, like `batches`."""
        return self.held_out.windows(self.context_length, self.batch_size, self.eval_tokens)

    def training_batches(self, batch_size=None, whole=False):
        """Endless shuffled batches of the fitting text (`whole`: of all training text), for gradient descent: a Batches."""
        return Batches(self.train if whole else self.fitting, batch_size or self.batch_size, self.context_length, self.seed)

    def evaluate(self, model):
        """The model's loss on the held-out text: a toylm.evaluation.Evaluation."""
        return evaluate(model, self.held_out_batches())

    def validation_loss(self, model, max_tokens=None):
        """The model's loss on the validation text, in nats per token; max_tokens: on at most so many, spread over it."""
        return evaluate(model, self.validation.windows(self.context_length, self.batch_size, max_tokens or self.max_tokens)).loss

    def _cap(self, max_tokens):
        caps = [cap for cap in (max_tokens, self.max_tokens) if cap is not None]
        return min(caps) if caps else None


class DocumentWindows:
    """Batches (tokens, targets) of documents, each cut into windows by itself; targets -1 pad the last window of each."""

    def __init__(self, documents, context_length, batch_size, end_id):
        self.documents, self.context_length, self.batch_size, self.end_id = documents, context_length, batch_size, end_id
        self._windows = [(ids, at) for ids in documents for at in range(0, len(ids), context_length)]
        self.tokens = sum(len(ids) for ids in documents)

    def __len__(self):
        return -(-len(self._windows) // self.batch_size)

    def __iter__(self):
        for first in range(0, len(self._windows), self.batch_size):
            chosen = self._windows[first : first + self.batch_size]
            tokens = np.full((len(chosen), self.context_length), self.end_id, np.int64)
            targets = np.full_like(tokens, -1)
            for row, (ids, at) in enumerate(chosen):
                found = ids[at : at + self.context_length]
                targets[row, : len(found)] = found
                if at:
                    tokens[row, 0] = ids[at - 1]
                tokens[row, 1 : len(found)] = found[:-1]
            yield tokens, targets


def part_of(tokens, start, stop):
    """Tokens start to stop - 1 of a TokenFile as a TokenFile in memory; bytes and documents are counted where they can be."""
    ids = tokens.tokens[start:stop]
    documents = int(np.count_nonzero(ids == tokens.end_id))
    utf8_bytes = tokens.bytes_of(start, stop)
    part = TokenFile(ids, tokens.vocab_size, tokens.end_id, documents, utf8_bytes, tokenizer=tokens.tokenizer)
    part.byte_lengths = tokens.byte_lengths
    if tokens.other_lengths is not None:
        first, last = np.searchsorted(tokens.other_lengths[0], (start, stop))
        part.other_lengths = tokens.other_lengths[:, first:last] - [[start], [0]]
    return part


def documents_of(tokens):
    """The documents of a TokenFile as arrays of ids, each with the end token that closes it."""
    ids = np.asarray(tokens.tokens)
    ends = np.flatnonzero(ids == tokens.end_id) + 1
    if not len(ends) or ends[-1] < len(ids):
        ends = np.append(ends, len(ids))
    return np.split(ids, ends[:-1])


def _spread(documents, cap, total):
    """Documents of `total` tokens -> those of at most `cap`, taken wherever fewer are than the text's share up to there."""
    chosen, seen, taken = [], 0, 0
    for ids in documents:
        seen += len(ids)
        if taken + len(ids) <= min(1.0, cap / total) * seen:
            chosen.append(ids)
            taken += len(ids)
    if not chosen:
        raise UsageError(f"at most {cap} tokens are to be read by document, and no document is so short; read more")
    return chosen


def _document_end(tokens, near):
    """The end of a document closest to `near`, where that is within a tenth of the text; else `near` itself."""
    ends = np.flatnonzero(np.asarray(tokens.tokens) == tokens.end_id) + 1
    ends = ends[(ends > 0) & (ends < len(tokens))]
    if not len(ends):
        return near
    best = int(ends[np.abs(ends - near).argmin()])
    return best if abs(best - near) <= max(1, len(tokens) // 10) else near
