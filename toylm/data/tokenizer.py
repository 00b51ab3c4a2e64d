"""Tokenizers: text to token ids and back, kept as plain tokenizer.json files that transformers opens too.

Byte-level BPE (no unknown token), single bytes, characters and words. In each, id 0 is `<|endoftext|>`, which closes every
document; characters and words that the tokenizer does not know become id 1, the replacement character U+FFFD.
"""

import hashlib
import json
import os
import re
from functools import cached_property
from pathlib import Path

import numpy as np
import tokenizers

from ..errors import InputTypeError, MissingFileError, UsageError, nearest
from ..files import write_json, write_text
from ..schema import whole
from .decoding import TextStream, TokenDecoder, byte_alphabet
from .text import END_OF_TEXT, split_pieces

LEVELS = ("bpe", "char", "byte", "word")
UNKNOWN = "\ufffd"
MOST_TOKENS = 1 << 20  # of a vocabulary trained here; the library would set memory aside for any number
LONGEST_WORD = 2048  # characters without white space given to the BPE trainer in one piece; its time grows with their square
DEFAULT_VOCAB_SIZE = {"bpe": 2048, "word": 8192}  # characters and bytes: as many as there are

# A word with the space before it, a run of other marks with the space before it, or white space: joined, they are the text.
_WORDS = r" ?\w+| ?[^\s\w]+|\s+"


class Tokenizer:
    """A `tokenizers.Tokenizer` (`.backend`) with what a language model needs of it.

    Raises ValueError if it has no end-of-text token.
    """

    def __init__(self, backend, end_token=END_OF_TEXT, start_token=None):
        self.backend = backend
        self.end_token = end_token
        self.end_id = backend.token_to_id(end_token)
        self.start_token = start_token if start_token and backend.token_to_id(start_token) is not None else end_token
        if self.end_id is None:
            raise UsageError(f"the tokenizer has no token {end_token!r} to end a document with; train one, or add that token")
        backend.no_padding()
        backend.no_truncation()

    @cached_property
    def vocab_size(self):
        """Number of token ids; all ids are below it."""
        return max(self.backend.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def start_id(self):
        """Id of the token that opens a document: `end_id`, except in tokenizers from elsewhere that have two."""
        return self.backend.token_to_id(self.start_token)

    @cached_property
    def continuing(self):
        """The Tokenizer for a text that goes on where another ended: the same, but for a leading space that is not the text's."""
        state = json.loads(self.backend.to_str())
        changed = _without_added_space(state)
        if changed == state:
            return self
        return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(changed)), self.end_token, self.start_token)

    @cached_property
    def _literal(self):
        """The library's tokenizer, set to take the names of special tokens in a text for text."""
        backend = tokenizers.Tokenizer.from_str(self.backend.to_str())
        backend.encode_special_tokens = True
        return backend

    @cached_property
    def unknown_id(self):
        """Id of the token for what the tokenizer does not know; None where it knows every text."""
        token = getattr(self.backend.model, "unk_token", None)
        return self.backend.token_to_id(token) if token else None

    @cached_property
    def special_ids(self):
        """Ids that stand for no text, such as `end_id`: a frozenset."""
        return frozenset(i for i, t in self.backend.get_added_tokens_decoder().items() if t.special)

    @cached_property
    def digest(self):
        """SHA-256 of the tokenizer: equal for equal tokenizers."""
        return hashlib.sha256(self.backend.to_str().encode()).hexdigest()

    def encode(self, text, special=True):
        """Token ids of `text`, a list of int.

        special: the name of a special token in the text, such as `<|endoftext|>`, becomes that token, which `decode` leaves out
        unless it is told not to; False: it is text like any other.
        """
        backend = self.backend if special else self._literal
        try:
            return backend.encode(text, add_special_tokens=False).ids
        except TypeError:
            raise _no_text(text) from None

    def encode_batch(self, texts):
        """Token ids of each text of a list, on all cores: lists of int."""
        try:
            return [e.ids for e in self.backend.encode_batch_fast(texts, add_special_tokens=False)]
        except TypeError:
            raise next(filter(None, map(_no_text, texts))) from None

    def encode_arrays(self, texts):
        """The same as integer arrays; single bytes, which need no search, are looked up in a table."""
        table = self._byte_ids
        if table is None or any(token in text for text in texts for token in self._added):
            return [np.array(ids, np.int64) for ids in self.encode_batch(texts)]
        return [table[np.frombuffer(text.encode(), np.uint8)] for text in texts]

    def encode_iterable(self, chunks):
        """Yield the ids of a text that comes in chunks (str), such as the lines of an open file; it is never held as a whole."""
        tokenizer = self
        for text, _ in split_pieces(chunks):
            yield from tokenizer.encode(text)
            tokenizer = self.continuing

    def encoded_bytes(self, text, ids):
        """UTF-8 bytes of `text` behind each of its ids, (len(ids),) int64; they sum to the bytes of the text.

        Those of `byte_lengths` where they do; else, as for unknown words and normalised text, from where each token ends in it.
        """
        lengths, total = self.byte_lengths[ids], len(text.encode())
        if lengths.sum() == total or not len(ids):
            return lengths
        ends = np.array([end for _, end in self.backend.encode(text, add_special_tokens=False).offsets], np.int64)
        ends = np.maximum.accumulate(ends)
        ends[-1] = len(text)  # white space that no token covers belongs to the token after it, at the end to the last
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        bytes_before = np.append(0, np.cumsum(1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)))
        return np.diff(bytes_before[ends], prepend=0)

    def decode(self, ids, skip_special=True):
        """Text of a sequence of ids, bytes that are no UTF-8 replaced by U+FFFD. Raises ValueError for an id out of range.

        skip_special=False: special tokens are shown by name, so that `decode(encode(text), False)` has all that `text` had.
        """
        ids = np.asarray(ids).reshape(-1)
        if len(ids) and ids.dtype.kind not in "iu":
            raise InputTypeError(f"token ids must be integers, not {ids.dtype}")
        if len(ids) and (ids.min() < 0 or ids.max() >= self.vocab_size):
            bad = next(int(i) for i in ids if i < 0 or i >= self.vocab_size)
            raise UsageError(f"token id {bad} is out of range; the tokenizer has the ids 0 to {self.vocab_size - 1}")
        decoder = self._decoder if skip_special else self._decoder_of_all
        return decoder.text(decoder.tokens(ids.tolist()))

    @cached_property
    def _decoder(self):
        return TokenDecoder(self.backend, self.vocab_size, self.special_ids)

    @cached_property
    def _decoder_of_all(self):
        return TokenDecoder(self.backend, self.vocab_size, frozenset())

    @cached_property
    def token_bytes(self):
        """The bytes that each id stands for in the middle of a text, a list of V bytes objects; special tokens stand for none."""
        return self._decoder.token_bytes()

    @cached_property
    def byte_lengths(self):
        """(V,) int64: bytes that each id stands for, specials 0."""
        return np.array([len(b) for b in self.token_bytes], dtype=np.int64)

    @cached_property
    def _added(self):
        return [token.content for token in self.backend.get_added_tokens_decoder().values()]

    @cached_property
    def _byte_ids(self):
        """(256,) the id of each byte, where the tokenizer is single bytes and nothing else; else None."""
        state = json.loads(self.backend.to_str())
        model, before = state["model"], state["pre_tokenizer"] or {}
        plain = model["type"] == "BPE" and not model["merges"] and state["normalizer"] is None
        if not plain or before.get("type") != "ByteLevel" or before["add_prefix_space"]:
            return None
        ids = [model["vocab"].get(byte_alphabet()[byte]) for byte in range(256)]
        return None if None in ids else np.array(ids, np.uint16)

    def stream(self, context=()):
        """A `TextStream`, for printing text while it is generated; context: the ids that it goes on from."""
        return TextStream(self._decoder, context)

    def save(self, directory, model_max_length=None):
        """Write tokenizer.json and tokenizer_config.json to `directory`, each atomically.

        model_max_length: the model's context length, for transformers' AutoTokenizer.
        """
        directory = Path(directory)
        write_text(directory / "tokenizer.json", self.backend.to_str(pretty=True))
        # Without this file transformers guesses a tokenizer class from the model type, and the ids come out wrong.
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": self.start_token,
            "eos_token": self.end_token,
            "clean_up_tokenization_spaces": False,
        }
        if model_max_length is not None:
            config["model_max_length"] = int(model_max_length)
        write_json(directory / "tokenizer_config.json", config)

    @classmethod
    def load(cls, path):
        """Read a tokenizer.json, or the one in a folder such as a checkpoint.

        Raises FileNotFoundError if there is none and ValueError if it is corrupt or has no end-of-text token.
        """
        path = Path(path)
        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.exists():
            raise MissingFileError(f"there is no tokenizer at {file}")
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UsageError(f"{file} is not a tokenizer file (not UTF-8)") from None
        try:
            backend = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises a bare Exception
            raise UsageError(f"{file} is not a tokenizer file, or is corrupt ({error})") from None
        try:
            end_token, start_token = _special_tokens(file.parent / "tokenizer_config.json")
            return cls(backend, end_token or _end_of_model(file.parent / "config.json", backend) or END_OF_TEXT, start_token)
        except ValueError as error:
            raise UsageError(f"{file}: {error}") from None


def _no_text(text):
    """The exception for what the tokenizers library takes for no text; None where it is one."""
    if not isinstance(text, str):
        return InputTypeError(f"a tokenizer takes text, not {type(text).__name__}")
    at = next((i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff"), None)
    return None if at is None else UsageError(f"{text[:40]!a} is no Unicode text (character {at}): give UTF-8")


def _end_of_model(config_file, backend):
    """The token that a model's config.json beside the tokenizer ends a text with, if it names one."""
    try:
        end_id = json.loads(config_file.read_text(encoding="utf-8")).get("eos_token_id")
    except (OSError, ValueError, AttributeError):
        return None
    end_id = end_id[0] if isinstance(end_id, list) and end_id else end_id
    return backend.id_to_token(end_id) if whole(0, 2**32 - 1).fits(end_id) else None


def _special_tokens(config_file):
    """The eos_token and the bos_token that a tokenizer_config.json names, None where it names none."""
    if not config_file.exists():
        return None, None
    try:
        fields = json.loads(config_file.read_text(encoding="utf-8"))
        tokens = [fields.get("eos_token"), fields.get("bos_token")]
    except (ValueError, AttributeError, RecursionError):
        raise UsageError(f"{config_file} is not a tokenizer configuration, or is corrupt") from None
    contents = [token.get("content") if isinstance(token, dict) else token for token in tokens]
    for token in contents:
        if token is not None and not isinstance(token, str):
            raise UsageError(f"{config_file} names the token {token!r}; a token is a text")
    return contents


def train_tokenizer(texts, level="bpe", vocab_size=None):
    """Make a tokenizer for `texts`, an iterable of str that is read at most once. Returns a Tokenizer.

    level: "bpe" (byte-level byte-pair encoding), "char", "byte" or "word". vocab_size: an upper bound, special tokens
    included; default 2048 for bpe and 8192 for words, all characters for "char"; "byte" always has 257. A text that does not
    support so many tokens gives fewer. Raises ValueError for an unknown level or a vocab_size too small for it.
    """
    if level not in LEVELS:
        raise UsageError(f"there is no tokenizer level {level!r}{nearest(level, LEVELS)}")
    if vocab_size is None:
        vocab_size = DEFAULT_VOCAB_SIZE.get(level)
    if vocab_size is not None:
        least = 257 if level == "bpe" else 3
        if isinstance(vocab_size, bool) or not hasattr(vocab_size, "__index__"):
            raise InputTypeError(f"vocab_size must be a whole number, not {vocab_size!r}")
        if level != "byte" and vocab_size < least:
            why = "256 bytes and <|endoftext|>" if level == "bpe" else "<|endoftext|>, the unknown token and one more"
            raise UsageError(f"vocab_size is {vocab_size}; a {level} tokenizer needs at least {least} ({why})")
        if vocab_size > MOST_TOKENS:
            raise UsageError(f"vocab_size is {vocab_size}; a vocabulary has at most {MOST_TOKENS:,} tokens: choose fewer")
    return {"bpe": _train_bpe, "char": _train_char, "byte": _make_byte, "word": _train_word}[level](texts, vocab_size)


def _finish(backend, decoder):
    backend.decoder = decoder
    backend.add_special_tokens([END_OF_TEXT])
    return Tokenizer(backend)


def _train_bpe(texts, vocab_size):
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = byte_level
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=int(vocab_size),
        special_tokens=[END_OF_TEXT],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_short_words(texts), trainer)
    return _finish(backend, tokenizers.decoders.ByteLevel())


def _short_words(texts):
    """The texts, cut where a word is longer than LONGEST_WORD, as in DNA and in Chinese without punctuation."""
    cut = re.compile(rf"\s*\S{{1,{LONGEST_WORD}}}|\s+")
    for text in texts:
        if len(text) > LONGEST_WORD and max(map(len, text.split()), default=0) > LONGEST_WORD:
            yield from cut.findall(text)
        else:
            yield text


def _without_added_space(state):
    """A part of tokenizer.json without the steps that put a space before a text."""
    if isinstance(state, list):
        return [_without_added_space(step) for step in state if not (isinstance(step, dict) and step.get("type") == "Prepend")]
    if not isinstance(state, dict):
        return state
    off = {"prepend_scheme": "never"} if state.get("type") == "Metaspace" else {}
    off |= {"add_prefix_space": False} if "add_prefix_space" in state else {}
    kept = {name: value for name, value in state.items() if name not in ("decoder", "model", "added_tokens", "post_processor")}
    changed = {name: _without_added_space(value) for name, value in kept.items()}
    if (changed.get("normalizer") or {}).get("type") == "Prepend":
        changed["normalizer"] = None
    return state | changed | off


def _make_byte(texts, vocab_size):
    # Byte b has the id b + 1: a byte-level BPE without merges.
    vocab = {END_OF_TEXT: 0} | {character: byte + 1 for byte, character in sorted(byte_alphabet().items())}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _finish(backend, tokenizers.decoders.ByteLevel())


def _train_char(texts, vocab_size):
    counts = {}
    for text in texts:
        for character in set(text):
            counts[character] = counts.get(character, 0) + text.count(character)
    counts.pop(UNKNOWN, None)
    room = len(counts) if vocab_size is None else vocab_size - 2
    kept = sorted(counts, key=lambda c: (-counts[c], c))[:room]
    vocab = {token: i for i, token in enumerate([END_OF_TEXT, UNKNOWN, *sorted(kept)])}
    # A BPE without merges splits a text into its characters faster than a pre-tokenizer does.
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[], unk_token=UNKNOWN))
    return _finish(backend, tokenizers.decoders.Fuse())


def _train_word(texts, vocab_size):
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token=UNKNOWN))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(_WORDS), "isolated")
    trainer = tokenizers.trainers.WordLevelTrainer(
        vocab_size=int(vocab_size), special_tokens=[END_OF_TEXT, UNKNOWN], show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    # The trainer marks the unknown token as special, and special tokens are left out of decoded text; here it must show.
    state = json.loads(backend.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] != UNKNOWN]
    return _finish(tokenizers.Tokenizer.from_str(json.dumps(state)), tokenizers.decoders.Fuse())


def resolve_tokenizer(tokenizer):
    """A level ("bpe", ...) as itself; a Tokenizer as itself; a path of a tokenizer.json or its folder as a Tokenizer.

    Raises ValueError for a name that is neither, with the nearest level.
    """
    if isinstance(tokenizer, Tokenizer) or tokenizer in LEVELS:
        return tokenizer
    name = os.fspath(tokenizer)
    if os.path.exists(name) or os.sep in name or "/" in name or name.endswith(".json"):
        return Tokenizer.load(name)
    raise UsageError(f"there is no tokenizer {name!r}{nearest(name, LEVELS)} (or the path of a tokenizer.json)")
