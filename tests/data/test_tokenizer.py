"""Tokenizers: round trips, streaming, files that transformers opens too."""

import json

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from toylm.data import Tokenizer, train_tokenizer
from toylm.data.tokenizer import LONGEST_WORD, _short_words, resolve_tokenizer

TEXTS = ["Once upon a time a naïve cat said: “你好!” 🙂\n", "The cat sat. The cat ran.\n\n  The end.\t", "café 🙂 cat 2025"] * 4
SAMPLE = "naïve café 你好 🙂"


@pytest.fixture(scope="module", params=["bpe", "char", "byte", "word"])
def tokenizer(request):
    return train_tokenizer(iter(TEXTS), request.param, None if request.param in ("char", "byte") else 300)


@pytest.fixture(scope="module")
def bpe():
    return train_tokenizer(iter(TEXTS), "bpe", 280)


def stream(tokenizer, ids):
    s = tokenizer.stream()
    return "".join([s.push(i) for i in ids] + [s.flush()])


def test_round_trip_of_what_it_was_trained_on(tokenizer):
    for text in TEXTS[:3]:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == stream(tokenizer, ids) == text
        assert tokenizer.encode_batch([text])[0] == ids
        assert tokenizer.byte_lengths[ids].sum() == len(text.encode())
        assert max(ids) < tokenizer.vocab_size
    assert tokenizer.end_id == 0 and tokenizer.special_ids == {0} and tokenizer.byte_lengths[0] == 0
    assert tokenizer.encode("The<|endoftext|>The").count(0) == 1
    assert len(tokenizer.token_bytes) == len(tokenizer.byte_lengths) == tokenizer.vocab_size


@settings(deadline=None)
@given(st.text(max_size=60).filter(lambda t: "<|" not in t))
def test_bytes_and_bpe_know_every_text(text):
    for level in ("byte", "bpe"):
        tokenizer = _known(level)
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == stream(tokenizer, ids) == text
        assert tokenizer.byte_lengths[ids].sum() == len(text.encode())


@settings(deadline=None)
@given(st.lists(st.integers(0, 256), max_size=40))
def test_a_stream_of_any_bytes_is_valid_text(ids):
    tokenizer = _known("byte")
    raw = bytes(i - 1 for i in ids if i)
    assert stream(tokenizer, ids) == raw.decode("utf-8", "replace") == tokenizer.decode(ids)


_made = {}


def _known(level):
    if level not in _made:
        _made[level] = train_tokenizer(iter(TEXTS), level)
    return _made[level]


def test_a_stream_holds_back_half_a_character():
    tokenizer = _known("byte")
    s = tokenizer.stream()
    pieces = [s.push(i) for i in tokenizer.encode("好🙂!")]
    assert pieces == ["", "", "好", "", "", "", "🙂", "!"]
    assert s.flush() == ""
    s.push(tokenizer.encode("🙂")[0])
    assert s.flush() == "\ufffd"
    with pytest.raises(ValueError, match="token id 257 is out of range"):
        s.push(257)


def test_what_is_unknown_shows_as_the_replacement_character():
    for level, text, expected in [("char", "cat Ω", "cat \ufffd"), ("word", "The dragon sat", "The\ufffd sat")]:
        tokenizer = _known(level)
        ids = tokenizer.encode(text)
        assert tokenizer.unknown_id == 1 in ids
        assert tokenizer.decode(ids) == stream(tokenizer, ids) == expected
    assert _known("byte").unknown_id is None and _known("bpe").unknown_id is None


def test_vocabulary_sizes():
    assert train_tokenizer(iter(TEXTS), "bpe", 280).vocab_size == 280
    small = train_tokenizer(["aaaa bbbb"], "bpe", 4096)  # a text that supports few merges
    assert 257 < small.vocab_size < 270 and small.decode(small.encode(SAMPLE)) == SAMPLE
    assert _known("byte").vocab_size == 257 and _known("byte").encode("\x00é") == [1, 0xC3 + 1, 0xA9 + 1]
    assert train_tokenizer(["abcab ca"], "char").vocab_size == 2 + 4
    capped = train_tokenizer(["aaabbc"], "char", 4)
    assert [capped.backend.id_to_token(i) for i in range(4)] == ["<|endoftext|>", "\ufffd", "a", "b"]
    assert train_tokenizer(["a b a c a"], "word", 4).vocab_size == 4


def test_training_is_repeatable_and_saving_keeps_everything(tmp_path, tokenizer):
    tokenizer.save(tmp_path, model_max_length=64)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["model_max_length"] == 64 and config["eos_token"] == "<|endoftext|>"
    for loaded in (Tokenizer.load(tmp_path), Tokenizer.load(tmp_path / "tokenizer.json"), resolve_tokenizer(tmp_path)):
        assert loaded.digest == tokenizer.digest and loaded.encode(SAMPLE) == tokenizer.encode(SAMPLE)
        assert loaded.unknown_id == tokenizer.unknown_id and loaded.special_ids == tokenizer.special_ids
    again = train_tokenizer(iter(TEXTS), "bpe", 280)
    assert again.digest == train_tokenizer(iter(TEXTS), "bpe", 280).digest


def test_a_tokenizer_from_elsewhere(tmp_path):
    vocab = {"<unk>": 0, "</s>": 1, "\u2581cat": 2, "<0xE4>": 3, "<0xBD>": 4, "<0xA0>": 5}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    steps = tokenizers.decoders
    backend.decoder = steps.Sequence([steps.Replace("\u2581", " "), steps.ByteFallback(), steps.Fuse(), steps.Strip(" ", 1, 0)])
    backend.add_special_tokens(["</s>", "<unk>"])
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"tokenizer.json: the tokenizer has no token '<\|endoftext\|>'"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "</s>"}}', encoding="utf-8")
    loaded = Tokenizer.load(tmp_path)
    assert loaded.end_id == 1 and loaded.byte_lengths.tolist() == [0, 0, 4, 1, 1, 1]
    assert stream(loaded, [2, 3, 4, 5]) == loaded.decode([2, 3, 4, 5]) == "cat你"
    assert [loaded.stream([2]).push(2), loaded.stream([1]).push(2)] == [" cat", "cat"]


def test_mistakes(tmp_path, bpe):
    with pytest.raises(ValueError, match="vocab_size is 256; a bpe tokenizer needs at least 257"):
        train_tokenizer(TEXTS, "bpe", 256)
    with pytest.raises(ValueError, match="level 'bep'; did you mean 'bpe'?"):
        train_tokenizer(TEXTS, "bep")
    with pytest.raises(ValueError, match="no tokenizer 'chr'; did you mean 'char'?"):
        resolve_tokenizer("chr")
    with pytest.raises(TypeError, match="whole number"):
        train_tokenizer(TEXTS, "bpe", 512.0)
    with pytest.raises(FileNotFoundError, match="there is no tokenizer at"):
        Tokenizer.load(tmp_path)
    for text in ("{", "{}", "\x00"):
        (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="is not a tokenizer file, or is corrupt"):
            Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="not UTF-8"):
        Tokenizer.load(tmp_path)
    for bad in (-1, bpe.vocab_size):
        with pytest.raises(ValueError, match=f"token id {bad} is out of range; the tokenizer has the ids 0 to 279"):
            bpe.decode([5, bad])
    assert bpe.decode(np.array([], dtype=np.int64)) == ""


@pytest.mark.parity
def test_transformers_gives_the_same_ids(tmp_path, tokenizer):
    transformers = pytest.importorskip("transformers")
    tokenizer.save(tmp_path, model_max_length=64)
    # A checkpoint's config.json decides which class transformers would guess.
    (tmp_path / "config.json").write_text('{"model_type": "arcee"}', encoding="utf-8")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    for text in [*TEXTS[:3], SAMPLE, "  two  spaces \n\n", "The end.<|endoftext|>The cat"]:
        ids = tokenizer.encode(text)
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
        assert theirs.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids)
    assert theirs.eos_token_id == tokenizer.end_id and theirs.model_max_length == 64


def test_bpe_is_trained_on_pieces_where_a_text_has_no_spaces():
    """The trainer's time grows with the square of a word: 150,000 Chinese characters took six minutes."""
    dna, words = "ACGT" * 3000 + " " + "A" * 5000, "some words and others " * 200
    pieces = list(_short_words([dna, words]))
    assert "".join(pieces[:-1]) == dna and pieces[-1] == words
    assert max(len(piece.split()[0]) for piece in pieces[:-1]) <= LONGEST_WORD
