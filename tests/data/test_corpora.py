"""Corpora by name and path; what goes wrong says so in one sentence."""

import os
import sys

import pytest

from toylm.data import CORPORA, load_corpus


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_a_folder_a_pattern_and_a_list(tmp_path):
    a, b = write(tmp_path / "a.txt", "One."), write(tmp_path / "sub" / "b.md", "Two.")
    write(tmp_path / "c.csv", "no text to a folder"), write(tmp_path / ".hidden.txt", "hidden")
    assert list(load_corpus(a)) == ["One."]
    assert list(load_corpus(str(tmp_path))) == ["One.", "Two."]
    assert list(load_corpus(f"{tmp_path}/*.csv")) == ["no text to a folder"]
    corpus = load_corpus([b, a])
    assert list(corpus) == ["Two.", "One."] and corpus.bytes == 8 and corpus.name == "b and 1 more"
    assert load_corpus(a).name == "a"


def test_end_of_text_wins_then_the_separator_then_the_file(tmp_path):
    marked = write(tmp_path / "m.txt", "a\n\nb<|endoftext|>c")
    corpus = load_corpus(marked, separator="\n\n")
    assert list(corpus) == ["a\n\nb", "c"] and "separator" in corpus.notes[0]
    plain = write(tmp_path / "p.txt", "a\n\nb\n\n")
    assert list(load_corpus(plain, separator="\n\n")) == ["a", "b"]
    assert list(load_corpus(plain)) == ["a\n\nb\n\n"]


def test_limit_keeps_whole_documents(tmp_path):
    stories = write(tmp_path / "s.txt", "12345<|endoftext|>67890<|endoftext|>abcde")
    assert list(load_corpus(stories, limit=6)) == ["12345", "67890"]
    assert list(load_corpus(write(tmp_path / "p.txt", "one long text"), limit=8)) == ["one long"]


def test_shakespeare_from_the_local_folder(tmp_path, monkeypatch):
    write(tmp_path / "tinyshakespeare.txt", "First Citizen:\n")
    monkeypatch.setenv("TOYLM_DATA", str(tmp_path))
    other = write(tmp_path / "other.txt", "Enter.\n")
    assert list(load_corpus([other, "shakespeare"])) == ["Enter.\n", "First Citizen:\n"]
    corpus = load_corpus("shakespeare")
    assert list(corpus) == ["First Citizen:\n"] and (corpus.held_out, corpus.stretches) == (0.1, 1)


def test_registry_entries_are_described():
    assert {"stories", "tinystories", "shakespeare"} <= set(CORPORA)
    assert all(s.description and s.size and s.licence for s in CORPORA.values())


def test_mistakes(tmp_path):
    empty = write(tmp_path / "empty.txt", "")
    some = write(tmp_path / "some.txt", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"empty\.txt is empty \(0 bytes\)"):
        load_corpus(empty)
    with pytest.raises(FileNotFoundError, match="there is no file or folder 'nowhere/my.txt'"):
        load_corpus("nowhere/my.txt")
    with pytest.raises(FileNotFoundError, match="no file matches"):
        load_corpus(str(tmp_path / "*.nothing"))
    with pytest.raises(ValueError, match="'storys'; did you mean 'stories'?"):
        load_corpus("storys")
    with pytest.raises(ValueError, match=r"folder .* holds no text file \(.txt"):
        load_corpus(tmp_path / "folder")
    with pytest.raises(ValueError, match="separator '##' does not occur in .*some.txt"):
        load_corpus(some, separator="##")
    with pytest.raises(ValueError, match="separator is empty"):
        load_corpus(some, separator="")
    with pytest.raises(ValueError, match="limit is 0"):
        load_corpus(some, limit=0)
    with pytest.raises(ValueError, match="both training and held-out"):
        load_corpus(some, held_out_data=some)
    with pytest.raises(ValueError, match="empty list"):
        load_corpus([])


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="names are Unicode there")
def test_a_name_that_is_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("A cat.<|endoftext|>A dog.", encoding="utf-8")
    assert list(load_corpus(str(path))) == ["A cat.", "A dog."] and list(load_corpus(str(tmp_path))) == ["A cat.", "A dog."]
