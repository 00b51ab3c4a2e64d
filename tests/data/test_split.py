"""The split: by document, by content, without a leak."""

import pytest

from toylm.data import load_corpus, split_documents
from toylm.data.split import HELD_OUT, SHORTEST_STRETCH, TRAIN, held_out_ranges


def corpus_of(tmp_path, documents, name="c.txt", **options):
    path = tmp_path / name
    path.write_text("\n<|endoftext|>\n".join(documents), encoding="utf-8")
    return load_corpus(path, **options)


def normal(text):
    return " ".join(text.split())


def both(split):
    return [list(split.texts(side)) for side in (TRAIN, HELD_OUT)]


def test_no_document_is_on_both_sides_and_copies_are_counted(tmp_path):
    stories = [f"Story {i % 300} of a cat." for i in range(420)]  # 120 of 300 stories come twice
    stories[310] = "Story  10\n of a cat."  # the same but for white space
    split = split_documents(corpus_of(tmp_path, stories), held_out=0.2, seed=3)
    train, held_out = both(split)
    assert not {normal(t) for t in train} & {normal(t) for t in held_out}
    assert {normal(t) for t in train} | {normal(t) for t in held_out} == {normal(s) for s in stories}
    assert len(held_out) == len(set(map(normal, held_out))) == 60  # a fifth of 300, each once
    assert len(train) + len(held_out) + split.duplicates_removed == 420
    assert split.repeated == len(train) - len(set(map(normal, train)))


def test_the_split_depends_on_seed_and_content_not_on_order(tmp_path):
    stories = [f"Story number {i}." for i in range(100)]
    first = both(split_documents(corpus_of(tmp_path, stories), 0.1, seed=0))
    assert both(split_documents(corpus_of(tmp_path, stories), 0.1, seed=0)) == first
    assert set(both(split_documents(corpus_of(tmp_path, stories[::-1]), 0.1, seed=0))[1]) == set(first[1])
    assert set(both(split_documents(corpus_of(tmp_path, stories), 0.1, seed=1))[1]) != set(first[1])


def test_copies_of_one_document_are_one_document(tmp_path):
    note = split_documents(corpus_of(tmp_path, 200 * ["The same story."])).notes[0]
    assert note.startswith("the text has only 1 different document: 5% of it is held out, in stretches")


@pytest.mark.parametrize("documents", [["a"], ["a", "b"]])
def test_a_text_too_short_to_train_on_is_refused(tmp_path, documents):
    with pytest.raises(ValueError, match=r"c\.txt has no document of two characters: nothing is left to train on"):
        split_documents(corpus_of(tmp_path, documents))


def test_own_held_out_documents_are_removed_from_training(tmp_path):
    corpus_of(tmp_path, ["b", "x", "x", "y"], "valid.txt")
    corpus = corpus_of(tmp_path, ["a", "b", "c", "a"], "train.txt", held_out_data=tmp_path / "valid.txt")
    split = split_documents(corpus)
    assert both(split) == [["a", "c", "a"], ["b", "x", "y"]]
    assert (split.duplicates_removed, split.repeated) == (2, 1)  # b in training, x once more
    everything = corpus_of(tmp_path, ["x", "y"], "all.txt", held_out_data=tmp_path / "valid.txt")
    with pytest.raises(ValueError, match="every document of .*all.txt is held out"):
        split_documents(everything)


def test_an_undivided_text_is_cut_in_equal_parts(tmp_path):
    path = tmp_path / "book.txt"
    text = "".join(f"{i:06d} word\n" for i in range(40_000))
    path.write_text(text, encoding="utf-8", newline="\n")
    split = split_documents(load_corpus(path), held_out=0.1)
    pieces = list(split.pieces())
    assert "".join(t for _, t, _ in pieces) == text
    assert sum(len(t) for s, t, _ in pieces if s == HELD_OUT) == pytest.approx(0.1 * len(text), rel=1e-3)
    assert sum(last for s, _, last in pieces if s == HELD_OUT) == 10
    assert "one document" in split.notes[0]


def test_ranges():
    # The last tenth of tiny Shakespeare's 1,115,394 characters, as it is held out everywhere.
    assert held_out_ranges(1_115_394, 0.1, 1) == [(TRAIN, 1_003_854), (HELD_OUT, 1_115_394)]
    assert held_out_ranges(100, 0.05, 10) == [(TRAIN, 95), (HELD_OUT, 100)]
    assert held_out_ranges(10, 0.05, 10)[-1] == (HELD_OUT, 10)
    parts = held_out_ranges(SHORTEST_STRETCH * 60, 0.05, 10)
    assert len(parts) == 6 and [side for side, _ in parts] == [TRAIN, HELD_OUT] * 3


def test_few_documents_are_each_cut(tmp_path):
    split = split_documents(corpus_of(tmp_path, ["a" * 200, "b" * 400]), held_out=0.1)
    assert both(split) == [["a" * 180, "b" * 360], ["a" * 20, "b" * 40]]
    assert "only 2 different documents" in split.notes[0]


def test_mistakes(tmp_path):
    corpus = corpus_of(tmp_path, ["a", "b"])
    for share in (0, 0.6, 1):
        with pytest.raises(ValueError, match=f"held_out is {share}; it is the share"):
            split_documents(corpus, share)
    with pytest.raises(TypeError, match="held_out must be a number"):
        split_documents(corpus, "half")
    for nothing in (" \n\t ", "\n<|endoftext|>\n \n<|endoftext|>"):
        (tmp_path / "blank.txt").write_text(nothing, encoding="utf-8")
        with pytest.raises(ValueError, match="blank.txt holds no text"):
            split_documents(load_corpus(tmp_path / "blank.txt"))
    split = split_documents(corpus_of(tmp_path, [f"{i}" for i in range(50)]), 0.1)
    corpus_of(tmp_path, [f"{i}" for i in range(60)])
    with pytest.raises(ValueError, match="changed while it was being read"):
        list(split.pieces())
