"""Tokenizers: text to token ids and back, kept as plain tokenizer.json files that transformers opens too.

Byte-level BPE (no unknown token), single bytes, characters and words. In each, id 0 is `<|endoftext|>`, which closes every
document; characters and words that the tokenizer does not know become id 1, the replacement character U+FFFD.
"""

import codecs
import hashlib
import json
import os
from functools import cached_property
from pathlib import Path

import numpy as np
import tokenizers

from ..errors import InputTypeError, MissingFileError, UsageError, nearest
from ..files import write_json, write_text
from .text import END_OF_TEXT

LEVELS = ("bpe", "char", "byte", "word")
UNKNOWN = "\ufffd"
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

    @property
    def vocab_size(self):
        """Number of token ids; all ids are below it."""
        return max(self.backend.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def start_id(self):
        """Id of the token that opens a document: `end_id`, except in tokenizers from elsewhere that have two."""
        return self.backend.token_to_id(self.start_token)

    @cached_property
    def adds_space(self):
        """Whether a text is led by a space that is not its own, as in SentencePiece vocabularies."""
        return "Prepend" in json.dumps(json.loads(self.backend.to_str())["normalizer"])

    @cached_property
    def continuing(self):
        """The Tokenizer for a text that goes on where another ended: the same, but for the space that is not the text's own."""
        if not self.adds_space:
            return self
        state = json.loads(self.backend.to_str())
        steps = state["normalizer"].get("normalizers", [state["normalizer"]])
        state["normalizer"] = {"type": "Sequence", "normalizers": [step for step in steps if step["type"] != "Prepend"]}
        return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(state)), self.end_token, self.start_token)

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

    def encode(self, text):
        """Token ids of `text`, a list of int; `<|endoftext|>` in the text becomes `end_id`."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts):
        """Token ids of each text of a list, on all cores."""
        return [e.ids for e in self.backend.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids, skip_special=True):
        """Text of a sequence of ids, bytes that are no UTF-8 replaced by U+FFFD. Raises ValueError for an id out of range."""
        ids = np.asarray(ids).reshape(-1)
        if len(ids) and (ids.min() < 0 or ids.max() >= self.vocab_size):
            bad = next(int(i) for i in ids if i < 0 or i >= self.vocab_size)
            raise UsageError(f"token id {bad} is out of range; the tokenizer has the ids 0 to {self.vocab_size - 1}")
        return self.backend.decode(ids.tolist(), skip_special_tokens=skip_special)

    @cached_property
    def token_bytes(self):
        """The raw bytes that each id stands for, a list of V bytes objects; special tokens stand for none."""
        out = [b""] * self.vocab_size
        to_bytes = _byte_level if _is_byte_level(self.backend) else _plain
        for token, i in self.backend.get_vocab(with_added_tokens=True).items():
            if i not in self.special_ids:
                out[i] = to_bytes(token)
        return out

    @cached_property
    def byte_lengths(self):
        """(V,) int64: bytes that each id stands for, specials 0; the measure behind bits per byte."""
        return np.array([len(b) for b in self.token_bytes], dtype=np.int64)

    def stream(self):
        """A `TextStream`, for printing text while it is generated."""
        return TextStream(self.token_bytes)

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


def _end_of_model(config_file, backend):
    """The token that a model's config.json beside the tokenizer ends a text with, if it names one."""
    try:
        end_id = json.loads(config_file.read_text(encoding="utf-8")).get("eos_token_id")
    except (OSError, ValueError, AttributeError):
        return None
    end_id = end_id[0] if isinstance(end_id, list) and end_id else end_id
    return backend.id_to_token(end_id) if isinstance(end_id, int) else None


def _special_tokens(config_file):
    """The eos_token and the bos_token that a tokenizer_config.json names, None where it names none."""
    if not config_file.exists():
        return None, None
    try:
        fields = json.loads(config_file.read_text(encoding="utf-8"))
        tokens = [fields.get("eos_token"), fields.get("bos_token")]
    except (ValueError, AttributeError):
        raise UsageError(f"{config_file} is not a tokenizer configuration, or is corrupt") from None
    return [token.get("content") if isinstance(token, dict) else token for token in tokens]


class TextStream:
    """Turns ids into text as they come, holding back bytes that do not make a whole character yet."""

    def __init__(self, token_bytes):
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id):
        """The text that has become complete with this id; often its own, sometimes none. Always valid UTF-8."""
        if not 0 <= token_id < len(self._token_bytes):
            raise UsageError(
                f"token id {token_id} is out of range; the tokenizer has the ids 0 to {len(self._token_bytes) - 1}"
            )
        return self._decoder.decode(self._token_bytes[token_id])

    def flush(self):
        """What is left at the end: U+FFFD where the last character is incomplete."""
        return self._decoder.decode(b"", final=True)


def _is_byte_level(backend):
    return "ByteLevel" in json.dumps(json.loads(backend.to_str())["decoder"])


def _byte_alphabet():
    """The 256 characters that stand for the bytes in byte-level vocabularies: printable bytes stand for themselves.

    The others (control characters, space, soft hyphen) take the characters from U+0100 on, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(0x100 + i) for i, b in enumerate(others)}


_BYTE_OF = {character: byte for byte, character in _byte_alphabet().items()}


def _byte_level(token):
    if all(c in _BYTE_OF for c in token):
        return bytes(_BYTE_OF[c] for c in token)
    return token.encode()  # an added token, kept as it is written


def _plain(token):
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])  # byte fallback, as in SentencePiece vocabularies
    return token.replace("\u2581", " ").encode()


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
    backend.train_from_iterator(texts, trainer)
    return _finish(backend, tokenizers.decoders.ByteLevel())


def _make_byte(texts, vocab_size):
    # Byte b has the id b + 1: a byte-level BPE without merges.
    vocab = {END_OF_TEXT: 0} | {character: byte + 1 for byte, character in sorted(_byte_alphabet().items())}
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
