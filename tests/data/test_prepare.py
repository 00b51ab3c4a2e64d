"""From a text to everything that training needs, kept and reused."""

import json
import os

import numpy as np
import pytest
import tokenizers

from toylm.data import Tokenizer, encode_corpus, load_corpus, load_prepared, preparation, prepare, text, train_tokenizer

STORIES = [f"Once upon a time {name} had {count} {thing}." for name in ("Lily", "Tom", "Ann", "Zoë") for count in range(5)
           for thing in ("cats", "dogs", "🙂", "naïve friends", "apples")]  # fmt: skip


@pytest.fixture
def stories(tmp_path):
    path = tmp_path / "my stories.txt"
    path.write_text("\n<|endoftext|>\n".join(STORIES), encoding="utf-8")
    return path


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("level, vocab_size", [("bpe", 300), ("char", None), ("byte", None), ("word", 20)])
def test_the_tokens_are_the_text(tmp_path, stories, level, vocab_size):
    prepared = prepare(stories, tmp_path / "out", level, vocab_size, held_out=0.1, context_length=16, progress=False)
    assert [prepared.counts[s]["documents"] for s in ("train", "held_out")] == [90, 10]
    found = []
    for side, name in ((prepared.train, "train"), (prepared.held_out, "held_out")):
        ends = np.flatnonzero(side.tokens == prepared.tokenizer.end_id)
        assert ends[-1] == len(side) - 1 and len(ends) == side.documents == prepared.counts[name]["documents"]
        texts = [prepared.tokenizer.decode(d) for d in np.split(side.tokens, ends + 1)[:-1]]
        assert prepared.counts[name]["tokens"] == len(side) and prepared.counts[name]["bytes"] == side.utf8_bytes
        found += texts
    if level != "word":
        assert sorted(found) == sorted(STORIES)
        assert prepared.train.utf8_bytes + prepared.held_out.utf8_bytes == sum(len(s.encode()) for s in STORIES)
        assert prepared.train.unknown_tokens == prepared.held_out.unknown_tokens == 0
    else:
        assert prepared.vocab_size == 20 and prepared.train.unknown_tokens > 0
        assert "of the held-out tokens are unknown" in prepared.notes[-1]
    tokens, targets = prepared.batches(4, 16, seed=1).next()
    assert tokens.shape == targets.shape == (4, 16) and max(tokens.max(), targets.max()) < prepared.vocab_size
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([*preparation.FILES, preparation.MARK])


def test_the_tokenizer_never_sees_held_out_text(tmp_path):
    documents = ["aaaa bbbb"] * 30 + [f"plain {i}" for i in range(30)]
    held_out = tmp_path / "held.txt"
    held_out.write_text("Ω ΩΩ", encoding="utf-8")
    text = tmp_path / "text.txt"
    text.write_text("<|endoftext|>".join(documents), encoding="utf-8")
    prepared = prepare(text, tmp_path / "out", "char", held_out_data=held_out, progress=False)
    assert "Ω" not in prepared.tokenizer.backend.get_vocab()
    assert prepared.held_out.unknown_tokens == 3 and prepared.train.unknown_tokens == 0


def test_it_is_reused_until_something_changes(tmp_path, stories):
    out = tmp_path / "out"

    def again(**options):
        return prepare(stories, out, **({"vocab_size": 270, "progress": False} | options)).reused

    assert again() is False and again() is True and again(context_length=4) is True
    assert again(vocab_size=280) is False and again(vocab_size=280) is True
    assert again(vocab_size=280, seed=1) is False and again(vocab_size=280, seed=1, held_out=0.2) is False
    assert again() is False and again() is True
    first = files(out)
    stamp = stories.stat().st_mtime_ns
    stories.write_text("\n<|endoftext|>\n".join(STORIES[::-1]), encoding="utf-8")
    os.utime(stories, ns=(stamp + 10**9, stamp + 10**9))
    assert again() is False and files(out).keys() == first.keys()
    (out / "train.bin").write_bytes(b"damaged")
    assert again() is False and again() is True


def test_the_same_text_gives_the_same_files(tmp_path, stories):
    for name in ("one", "two"):
        prepare(stories, tmp_path / name, vocab_size=280, progress=False)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_prepared_folder_is_data_itself(tmp_path, stories):
    made = prepare(stories, tmp_path / "out", vocab_size=280, progress=False)
    with pytest.raises(ValueError, match="tokenizer was decided when .*out was prepared"):
        prepare(tmp_path / "out", tokenizer="char")
    opened = prepare(tmp_path / "out")
    assert opened.tokenizer.digest == made.tokenizer.digest and opened.counts == made.counts
    assert (opened.train.byte_lengths == made.tokenizer.byte_lengths).all()
    train_tokenizer(["other"], "char").save(tmp_path / "out")
    with pytest.raises(ValueError, match="made with another tokenizer"):
        load_prepared(tmp_path / "out")
    (tmp_path / "out" / "prepared.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="prepared.json is corrupt"):
        load_prepared(tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="holds no prepared data"):
        load_prepared(tmp_path)


@pytest.mark.parametrize("names", [("config.json", "tokenizer.json"), ("tokenizer.json",), ("train.bin", "val.bin"),
                                   ("config.json", "prepared.json")])  # fmt: skip
def test_a_models_tokenizer_and_foreign_files_are_left_alone(tmp_path, stories, names):
    for name in names:
        (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=f"holds {names[0]} and is no folder of prepared data: choose a new"):
        prepare(stories, tmp_path, vocab_size=280, progress=False)
    assert all((tmp_path / name).read_text(encoding="utf-8") == "{}" for name in names)


def test_a_folder_that_was_being_filled_when_the_process_was_killed_is_filled_again(tmp_path, stories, monkeypatch):
    def killed(source, target):
        if target == tmp_path / "out" / "tokenizer.json":
            raise KeyboardInterrupt
        return replace(source, target)

    replace = os.replace
    monkeypatch.setattr("toylm.data.preparation.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(stories, tmp_path / "out", vocab_size=280, progress=False)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="prepared.json is corrupt; prepare the data again"):
        prepare(tmp_path / "out")
    assert not prepare(stories, tmp_path / "out", vocab_size=280, progress=False).reused
    assert prepare(stories, tmp_path / "out", vocab_size=280, progress=False).reused


def test_the_cache_is_the_default_folder(tmp_path, stories, monkeypatch):
    monkeypatch.setenv("TOYLM_CACHE", str(tmp_path / "cache"))
    made = prepare(stories, vocab_size=280, progress=False)
    assert made.path.parent == tmp_path / "cache" / "prepared" and made.path.name.startswith("my stories-")
    assert prepare(stories, vocab_size=280, progress=False).reused
    assert not prepare(stories, vocab_size=290, progress=False).reused  # in a folder of its own
    assert prepare(stories, vocab_size=280, progress=False).reused


def test_an_existing_tokenizer_is_used(tmp_path, stories):
    tokenizer = train_tokenizer(STORIES, "char")
    tokenizer.save(tmp_path / "checkpoint")
    for given in (tokenizer, tmp_path / "checkpoint", str(tmp_path / "checkpoint" / "tokenizer.json")):
        prepared = prepare(stories, tmp_path / "out", given, progress=False)
        assert prepared.tokenizer.digest == Tokenizer.load(tmp_path / "checkpoint").digest
    whole = encode_corpus(load_corpus(stories), tokenizer, progress=False)
    assert len(whole) == len(prepared.train) + len(prepared.held_out) and whole.documents == 100
    assert whole.windows(8, 4).bytes == sum(len(s.encode()) for s in STORIES)


def test_a_document_in_pieces_is_encoded_as_a_whole(tmp_path, monkeypatch):
    """With a SentencePiece vocabulary, which leads a text by a space of its own, as with any other."""
    monkeypatch.setattr(text, "LONGEST_PIECE", 40)
    documents = ["One day a fox " * 20 + "slept.", "x" * 200, "A short one."]
    (tmp_path / "long.txt").write_text("<|endoftext|>".join(documents), encoding="utf-8")
    vocab = {token: i for i, token in enumerate(["<|endoftext|>", "\u2581", *"Oneayfoxsltp.Ahrd"])}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[]))
    steps = [tokenizers.normalizers.Prepend("\u2581"), tokenizers.normalizers.Replace(" ", "\u2581")]
    backend.normalizer = tokenizers.normalizers.Sequence(steps)
    tokenizer = Tokenizer(backend)
    found = encode_corpus(load_corpus(tmp_path / "long.txt"), tokenizer, progress=False)
    assert found.tokens.tolist() == [i for text in documents for i in [*tokenizer.encode(text), 0]]
    assert tokenizer.encode("fox")[0] == vocab["\u2581"] and tokenizer.continuing.encode("fox")[0] == vocab["f"]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, OSError(28, "No space left on device"), RuntimeError])
def test_nothing_is_left_half_written(tmp_path, stories, monkeypatch, interrupt):
    def fail(*args, **kwargs):
        raise interrupt

    kept = tmp_path / "kept"
    prepare(stories, kept, vocab_size=280, progress=False)
    before = files(kept)
    for place in ("write_tokens", "Tokenizer.save", "train_tokenizer", "write_json"):
        with monkeypatch.context() as patch:
            patch.setattr(f"toylm.data.preparation.{place}", fail)
            for out in (kept, tmp_path / "new"):
                with pytest.raises(type(interrupt) if isinstance(interrupt, OSError) else interrupt):
                    prepare(stories, out, vocab_size=290, progress=False)
        assert files(kept) == before and not (tmp_path / "new").exists()
    assert prepare(stories, kept, vocab_size=280, progress=False).reused


def test_text_that_changes_meanwhile_is_noticed(tmp_path, stories, monkeypatch):
    train = preparation.train_tokenizer

    def change(texts, *args):
        made = train(texts, *args)
        stories.write_text("<|endoftext|>".join([*STORIES, "one more"]), encoding="utf-8")
        return made

    monkeypatch.setattr(preparation, "train_tokenizer", change)
    with pytest.raises(ValueError, match="changed while it was being read; start again"):
        prepare(stories, tmp_path / "out", vocab_size=280, progress=False)
    assert not (tmp_path / "out").exists()

    def shorten(texts, *args):
        stories.write_text("<|endoftext|>".join([*STORIES, "one", "two"]), encoding="utf-8")
        return train(texts, *args)

    monkeypatch.setattr(preparation, "train_tokenizer", shorten)  # noticed inside the library's training loop
    with pytest.raises(ValueError, match="changed while it was being read; start again"):
        prepare(stories, tmp_path / "out", vocab_size=280, progress=False)


def test_mistakes_leave_nothing(tmp_path, stories):
    out = tmp_path / "out"
    short = tmp_path / "short.txt"
    short.write_text("A cat.", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    for data, options, message in [
        (short, {"context_length": 64}, r"short.txt has \d+ tokens; one context of 64 needs 65: choose a context length"),
        (tmp_path / "latin.txt", {}, "not UTF-8 .* offset 3"),
        (stories, {"vocab_size": 100}, "vocab_size is 100"),
        (stories, {"held_out": 2}, "held_out is 2"),
        (stories, {"tokenizer": "bpee"}, "did you mean 'bpe'"),
        (stories, {"separator": ""}, "separator is empty"),
        ("shakespear", {}, "did you mean 'shakespeare'"),
    ]:
        with pytest.raises(ValueError, match=message):
            prepare(data, out, progress=False, **options)
        assert not out.exists()
    with pytest.raises(ValueError, match="is a file; the output must be a folder"):
        prepare(stories, short, progress=False)
    prepare(stories, out, vocab_size=280, progress=False)
    with pytest.raises(ValueError, match="one context of 99999 needs 100000"):  # also when it is reused
        prepare(stories, out, vocab_size=280, context_length=99999, progress=False)


def test_a_text_smaller_than_the_vocabulary_says_so(tmp_path, stories):
    prepared = prepare(stories, tmp_path / "out", vocab_size=5000, progress=False)
    assert prepared.vocab_size < 5000 and "fewer than the 5,000 asked for" in prepared.notes[0]
    assert json.loads((tmp_path / "out" / "prepared.json").read_text(encoding="utf-8"))["notes"] == prepared.notes


@pytest.mark.parametrize("task", ["copy", "bracket", "reverse", "running-sum"])
def test_a_task_gives_examples_with_targets_of_their_own(task):
    prepared = prepare(f"task:{task}", context_length=40, seed=2)
    train, held_out = prepared.train, prepared.held_out
    assert prepared.tokenizer is None and prepared.path is None
    assert train.documents + held_out.documents == preparation.TASK_EXAMPLES and train.context_length == 40
    assert not {r.tobytes() for r in train.inputs} & {r.tobytes() for r in held_out.inputs}
    batches, same = (prepare(f"task:{task}", context_length=40, seed=2).batches(8, 40, seed=1) for _ in range(2))
    for _ in range(3):
        tokens, targets = batches.next()
        assert tokens.shape == targets.shape == (8, 40) and (targets >= 0).any(axis=1).all()
        assert max(tokens.max(), targets.max()) < prepared.vocab_size
        if task == "copy":
            assert (targets == np.where(tokens > 0, tokens, -1)).all()
        if task == "reverse":
            for row, target in zip(tokens, targets):
                length = int((row == 0).argmax())
                assert target[length : 2 * length].tolist() == row[:length][::-1].tolist()
        assert (same.next()[1] == targets).all()
    resumed = prepared.batches(8, 40, seed=1)
    resumed.load_state(batches.state())
    assert (resumed.next()[0] == batches.next()[0]).all()


def test_a_task_needs_room():
    with pytest.raises(ValueError, match="every held-out example of 1 tokens occurs in training too"):
        prepare("task:copy", context_length=1)


def test_the_embedded_stories(tmp_path):
    prepared = prepare("stories", tmp_path / "out", limit=200_000, vocab_size=512, context_length=64, progress=False)
    assert prepared.train.documents > 300 and prepared.held_out.documents > 10 and prepared.vocab_size == 512
    assert not prepared.notes
