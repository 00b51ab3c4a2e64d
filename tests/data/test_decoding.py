"""Ids back to text, one by one and all at once, over every decoder and pre-tokenizer of the `tokenizers` library."""

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from toylm.data import Tokenizer, train_tokenizer
from toylm.errors import InputTypeError, UsageError

SCRIPTS = [
    "The quick brown fox isn't here; it's 3.14 km away, isn't it?", "Zwölf große Boxkämpfer", "Быстрая лиса", "Γρήγορη αλεπού",
    "敏捷的棕色狐狸跳过了懒狗。", "すばやい茶色の狐", "빠른 갈색 여우", "ثعلب بني سريع", "שועל חום", "तेज़ भूरी लोमड़ी",
    "สุนัขจิ้งจอก", "ፈጣን ቀበሮ",
    "🙂👩‍👩‍👧 e\u0301 \u00ad", "  two  spaces\n\n\ttab ", "a\x00b", "don't . Stop , now ! ?",
]  # fmt: skip
WORDS = [
    "<|endoftext|>", "[UNK]", *"abefhorstwxy .,!?'|", "th", "the", "##e", "##s", "##fox", "fox", "fox</w>", "a</w>", "▁", "▁a",
    "▁fox", "</w>", "'s", "n't", "<pad>", "Ġ", "Ġa", "Ġfox", "Ã", "©", "ä", "½", "ł", "<0xC3>", "<0xA9>", "<0x41>", "<0xFF>", "é",
    "好", "\ufffd",
]  # fmt: skip
DECODERS = {
    "none": None,
    "ByteLevel": decoders.ByteLevel(),
    "WordPiece": decoders.WordPiece(),
    "WordPiece, not cleaned up": decoders.WordPiece(cleanup=False),
    "BPEDecoder": decoders.BPEDecoder(),
    "Metaspace": decoders.Metaspace(),
    "Metaspace, never": decoders.Metaspace(prepend_scheme="never"),
    "ByteFallback": decoders.ByteFallback(),
    "CTC": decoders.CTC(),
    "Fuse": decoders.Fuse(),
    "Replace": decoders.Replace("a", "xy"),
    "Strip": decoders.Strip(" ", 1, 0),
    "Llama": decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
    "Gemma": decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
    "Unigram": decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]),
    "Strip at the end": decoders.Sequence([decoders.Fuse(), decoders.Strip("e", 0, 1)]),
    "Strip of the whole": decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 2, 0)]),
    "Replace across tokens": decoders.Sequence([decoders.Fuse(), decoders.Replace("the", "X")]),
    "Replaces across tokens": decoders.Sequence([decoders.ByteLevel(), decoders.Replace("th", "ot"), decoders.Replace("ote", "!")]),
    "Replace of a pattern": decoders.Sequence([decoders.Fuse(), decoders.Replace(Regex(" +"), "_")]),
    "CTC, fused": decoders.Sequence([decoders.CTC("<pad>", "|", False), decoders.Fuse()]),
}  # fmt: skip


def stream(tokenizer, ids, context=()):
    text = tokenizer.stream(context)
    return "".join([*(text.push(i) for i in ids), text.flush()])


def made_up(decoder):
    backend = tokenizers.Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    if decoder is not None:
        backend.decoder = decoder
    backend.add_special_tokens(["<|endoftext|>"])
    backend.add_tokens(["đem", " café"])
    return Tokenizer(backend)


MADE_UP = {name: made_up(decoder) for name, decoder in DECODERS.items()}
ids_of_words = st.lists(st.integers(0, len(WORDS) + 1), max_size=16)


@pytest.mark.parametrize("name", DECODERS)
@settings(deadline=None, max_examples=80)
@given(ids=ids_of_words, context=ids_of_words)
def test_streamed_text_is_decoded_text(name, ids, context):
    tokenizer = MADE_UP[name]
    assert stream(tokenizer, ids) == tokenizer.decode(ids)
    replaces = ("Strip of the whole", "Strip at the end", "Replace across tokens", "Replaces across tokens", "Replace of a pattern")
    if name in replaces or "Byte" in name:
        return  # the context's end is text already; here what follows could change it
    if not any(WORDS[i : i + 1] == ["<"] or i < len(WORDS) and WORDS[i].startswith("<0x") for i in context):
        assert tokenizer.decode(context) + stream(tokenizer, ids, context) == tokenizer.decode([*context, *ids])


@pytest.mark.parametrize("name", DECODERS)
def test_an_id_is_the_text_that_it_adds(name):
    tokenizer = MADE_UP[name]
    x, special = WORDS.index("x"), 0
    assert tokenizer.token_bytes[special] == b"" and len(tokenizer.token_bytes) == tokenizer.vocab_size == len(WORDS) + 2
    between = len(tokenizer.decode([x, WORDS.index("y")])) - len(tokenizer.decode([x])) - 1
    for i in range(1, tokenizer.vocab_size):
        text = tokenizer.decode([x, i, WORDS.index("y")])
        if "\ufffd" not in text and i not in (x, WORDS.index("y")):
            rest = text.removeprefix(tokenizer.decode([x]))
            assert rest.removesuffix(rest[len(rest) - 1 - between :]).encode() == tokenizer.token_bytes[i], WORDS[i : i + 1]


def test_text_comes_as_soon_as_it_is_certain():
    def pieces(name, *words):
        text = MADE_UP[name].stream()
        return [*(text.push(WORDS.index(word)) for word in words), text.flush()]

    assert pieces("WordPiece", "the", "fox", "##e", "##s", ".") == ["the", " fox", "e", "s", ".", ""]
    assert pieces("BPEDecoder", "the", "fox</w>", "a", "a</w>") == ["the", "fox", " a", "a", ""]
    assert pieces("Llama", "▁a", "▁fox", "<0xC3>", "<0xA9>", "e") == ["a", " fox", "", "", "ée", ""]
    assert pieces("ByteLevel", "a", "Ã", "©", "e", "Ã") == ["a", "", "é", "e", "", "\ufffd"]
    assert pieces("Replace across tokens", "a", "th", "e", "a", "b") == ["", "a", "", "", "X", "ab"]


def test_added_tokens_stand_for_their_own_utf8():
    tokenizer = train_tokenizer(["đem café"], "byte")
    tokenizer.backend.add_tokens(["đem", "naïve €"])
    tokenizer = Tokenizer(tokenizer.backend)
    for text in ("x đem naïve €!", "đemđem", "naïve €"):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == stream(tokenizer, ids) == text
        assert b"".join(tokenizer.token_bytes[i] for i in ids) == text.encode()
    assert tokenizer.byte_lengths[-2:].tolist() == [4, 10] and max(tokenizer.encode("đem")) == 257


TRAINED = {
    "byte-level BPE": (models.BPE(), None, pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel(), True),
    "byte-level BPE, space added": (models.BPE(), None, pre_tokenizers.ByteLevel(), decoders.ByteLevel(), False),
    "bytes after Split": (
        models.BPE(), None,
        pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\p{N}{1,3}|\s+|[^\s\p{N}]+"), "isolated"),
                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), decoders.ByteLevel(), True),
    "Metaspace": (models.BPE(unk_token="[UNK]"), None, pre_tokenizers.Metaspace(), decoders.Metaspace(), False),
    "BPE with </w>": (models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"), None, pre_tokenizers.Whitespace(),
                      decoders.BPEDecoder(), False),
    "WordPiece": (models.WordPiece(unk_token="[UNK]"), normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(),
                  decoders.WordPiece(), False),
    "Unigram": (models.Unigram(), normalizers.NFKC(), pre_tokenizers.Metaspace(), decoders.Metaspace(), False),
    "digits": (
        models.WordLevel(unk_token="[UNK]"), None,
        pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.Digits(True)]), decoders.Fuse(), False),
    "scripts": (models.BPE(unk_token="[UNK]"), None, pre_tokenizers.UnicodeScripts(), decoders.Fuse(), False),
    "delimiter": (models.WordLevel(unk_token="[UNK]"), None, pre_tokenizers.CharDelimiterSplit(" "), None, False),
    "fixed lengths": (models.WordLevel(unk_token="[UNK]"), None, pre_tokenizers.FixedLength(3), decoders.Fuse(), False),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAINED)
def test_text_to_ids_to_text_over_all_scripts(name):
    model, normalizer, before, decoder, exact = TRAINED[name]
    backend = tokenizers.Tokenizer(model)
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = before
    if decoder is not None:
        backend.decoder = decoder
    kind = {"BPE": "BpeTrainer", "WordPiece": "WordPieceTrainer", "Unigram": "UnigramTrainer", "WordLevel": "WordLevelTrainer"}
    options = {"special_tokens": ["<|endoftext|>", "[UNK]"], "vocab_size": 600, "show_progress": False}
    if type(model) is models.Unigram:
        options["unk_token"] = "[UNK]"
    if decoder is not None and type(decoder) is decoders.ByteLevel:
        options["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    if name == "BPE with </w>":
        options["end_of_word_suffix"] = "</w>"
    backend.train_from_iterator(SCRIPTS, getattr(trainers, kind[type(model).__name__])(**options))
    tokenizer = Tokenizer(backend)
    for text in SCRIPTS:
        ids = tokenizer.encode(text)
        assert stream(tokenizer, ids) == tokenizer.decode(ids) == backend.decode(ids)
        assert tokenizer.encoded_bytes(text, ids).sum() == len(text.encode())
        assert (tokenizer.encoded_bytes(text, ids) >= 0).all()
        if exact:
            assert tokenizer.decode(ids) == text and b"".join(tokenizer.token_bytes[i] for i in ids) == text.encode()
    for level in ("bpe", "char", "byte", "word"):
        own = train_tokenizer(SCRIPTS, level)
        for text in SCRIPTS:
            ids = own.encode(text)
            assert own.decode(ids) == stream(own, ids) == text and own.byte_lengths[ids].sum() == len(text.encode())


@pytest.mark.parametrize("before, leading", [
    (pre_tokenizers.Metaspace(), "▁"), (pre_tokenizers.Metaspace(prepend_scheme="first"), "▁"), (pre_tokenizers.ByteLevel(), "Ġ"),
    (pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel()]), "Ġ"),
])  # fmt: skip
def test_a_text_that_goes_on_has_no_space_added(before, leading):
    vocab = {token: i for i, token in enumerate(["<|endoftext|>", leading, *"fox"])}
    backend = tokenizers.Tokenizer(models.BPE(vocab, []))
    backend.pre_tokenizer = before
    tokenizer = Tokenizer(backend)
    assert tokenizer.encode("fox") == [1, 2, 3, 4] and tokenizer.continuing.encode("fox") == [2, 3, 4]
    assert tokenizer.continuing.continuing is tokenizer.continuing


def test_special_tokens_inside_a_text():
    tokenizer, text = train_tokenizer(SCRIPTS, "bpe"), "hello<|endoftext|>world"
    ids = tokenizer.encode(text)
    assert ids.count(tokenizer.end_id) == 1 and tokenizer.decode(ids) == stream(tokenizer, ids) == "helloworld"
    assert tokenizer.decode(ids, skip_special=False) == text
    plain = tokenizer.encode(text, special=False)
    assert tokenizer.end_id not in plain and tokenizer.decode(plain) == stream(tokenizer, plain) == text
    assert tokenizer.encode(text) == ids  # one way of reading does not change the other


@pytest.mark.parametrize("level", ["bpe", "char", "byte", "word"])
def test_a_text_in_chunks_has_the_ids_of_the_whole(level):
    text = "\n".join(SCRIPTS * 400)
    tokenizer = train_tokenizer(SCRIPTS, level)
    assert list(tokenizer.encode_iterable(text.splitlines(keepends=True))) == tokenizer.encode(text)
    assert list(tokenizer.encode_iterable([])) == []


@pytest.mark.parametrize("options", [
    {}, {"single_word": True}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}, {"normalized": False},
    {"special": True}, {"special": True, "lstrip": True, "rstrip": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("level", ["bpe", "char", "byte", "word"])
def test_added_tokens_of_every_kind(level, options):
    """With white space that they swallow, inside words, at the end."""
    backend = train_tokenizer(["the cat and the dog sat on the mat"] * 3, level, 300).backend
    backend.add_tokens([tokenizers.AddedToken("cat é", **options)])
    tokenizer, text = Tokenizer(backend), "the  cat é  and thecat éx \ncat é"
    ids = tokenizer.encode(text)
    shown = tokenizer.decode(ids)
    assert tokenizer.vocab_size - 1 in ids and stream(tokenizer, ids) == shown
    assert b"".join(tokenizer.token_bytes[i] for i in ids).decode() == shown
    assert tokenizer.encoded_bytes(text, ids).sum() == len(text.encode())
    assert "cat é" in tokenizer.decode(ids, skip_special=False)


def test_what_is_no_text():
    """Half a surrogate pair, as of an argument in another encoding, was a TypeError of the library; so was a number."""
    tokenizer = train_tokenizer(SCRIPTS, "bpe")
    for call in (tokenizer.encode, lambda text: tokenizer.encode_batch(["a", text])):
        with pytest.raises(UsageError, match=r"'caf\\udce9' is no Unicode text .character 3.: give UTF-8"):
            call("caf\udce9")
    with pytest.raises(InputTypeError, match="a tokenizer takes text, not int"):
        tokenizer.encode(5)
    with pytest.raises(InputTypeError, match="token ids must be integers, not float64"):
        tokenizer.decode([1.5])
    with pytest.raises(UsageError, match="token id 99999 is out of range"):
        tokenizer.decode([99999])
