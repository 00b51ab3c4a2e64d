"""The tokenizer in a model directory: tokenizer.json, or the vocab.json and merges.txt that older folders hold."""

import warnings

import tokenizers

from ..data.text import END_OF_TEXT
from ..data.tokenizer import Tokenizer
from ..errors import CheckpointError
from ..schema import Rule, optional, read_json
from .safetensors_files import CONFIG

FILE, SETTINGS, VOCABULARY, MERGES = "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"


def _is_token(value):
    return isinstance(value, str) or isinstance(value, dict) and isinstance(value.get("content"), str)


_TOKEN = optional(Rule(_is_token, "a token, or an object with its content"))
FORM = {"eos_token": _TOKEN, "bos_token": _TOKEN}


def load_tokenizer(directory, vocab_size):
    """The Tokenizer of a model with `vocab_size` rows, or None where the directory has none.

    Raises CheckpointError where it is damaged, or has tokens of its own beyond the model's rows; of added tokens there (that of
    padding, say) it only warns.
    """
    settings = read_json(directory / SETTINGS, FORM) if (directory / SETTINGS).is_file() else {}
    file = directory / FILE
    try:
        if file.is_file():
            tokenizer = Tokenizer.load(directory)
        elif (directory / VOCABULARY).is_file() and (directory / MERGES).is_file():
            file = directory / VOCABULARY
            tokenizer = _from_vocabulary(directory, settings)
        else:
            return None
    except Exception as error:  # the tokenizers library raises bare Exception
        raise CheckpointError(f"{file} is damaged: {error}") from None
    _check_rows(tokenizer, vocab_size, directory)
    return tokenizer


def _from_vocabulary(directory, settings):
    """GPT-2's byte-level BPE."""
    backend = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(str(directory / VOCABULARY), str(directory / MERGES)))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=settings.get("add_prefix_space") is True)
    backend.decoder = tokenizers.decoders.ByteLevel()
    start, end = (_content(settings.get(key)) for key in ("bos_token", "eos_token"))
    if end is None and (directory / CONFIG).is_file():
        end_id = read_json(directory / CONFIG).get("eos_token_id")
        end = backend.id_to_token(end_id) if isinstance(end_id, int) and end_id >= 0 else None
    end = end or END_OF_TEXT
    backend.add_special_tokens([token for token in {end, start or end} if backend.token_to_id(token) is not None])
    return Tokenizer(backend, end, start)


def _content(token):
    return token["content"] if isinstance(token, dict) else token


def _check_rows(tokenizer, vocab_size, directory):
    if tokenizer.vocab_size <= vocab_size:
        return
    added = {i: token.content for i, token in tokenizer.backend.get_added_tokens_decoder().items() if i >= vocab_size}
    beyond = {i for i in tokenizer.backend.get_vocab(with_added_tokens=True).values() if i >= vocab_size}
    if beyond - added.keys() or {tokenizer.start_id, tokenizer.end_id} & beyond:
        raise CheckpointError(
            f"{directory}: the tokenizer has {tokenizer.vocab_size} tokens and the model only {vocab_size}; they do not belong "
            f"together"
        )
    i = min(added)
    warnings.warn(f"{directory}: the model has no row for the token {added[i]!r} (id {i}): texts with it are refused", stacklevel=4)
