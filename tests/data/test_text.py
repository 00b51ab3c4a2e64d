"""Reading text: UTF-8, line ends, documents, pieces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toylm.data import text
from toylm.data.text import Fingerprint, contains, read_chunks, split_pieces


def documents(chunks, marker):
    out, parts = [], []
    for piece, last in split_pieces(chunks, marker):
        parts.append(piece)
        if last:
            out.append("".join(parts))
            parts = []
    assert not parts
    return out


def test_documents_end_at_the_marker():
    assert documents(["One.\n<|endof", "text|>\nTwo.\n<|endoftext|>\n\n"], "<|endoftext|>") == ["One.", "Two."]
    assert documents(["a\n\nb\n\n\n\nc"], "\n\n") == ["a", "b", "c"]


def test_without_a_marker_the_text_is_kept_to_the_character():
    assert documents(["  a\n", "b \n"], None) == ["  a\nb \n"]
    assert documents([], None) == []


# Chunks of any size and pieces of at most ten characters must give the same documents as str.split.
@settings(deadline=None)
@given(st.lists(st.text("ab |\n", max_size=30), max_size=8), st.integers(1, 12))
def test_chunks_and_long_documents_do_not_change_the_documents(parts, size):
    whole = "||".join(parts)
    chunks = [whole[i : i + size] for i in range(0, len(whole), size)]
    before = text.LONGEST_PIECE
    text.LONGEST_PIECE = 10
    try:
        found = documents(chunks, "||")
    finally:
        text.LONGEST_PIECE = before
    assert found == [d.strip() for d in whole.split("||") if d.strip()]


def test_long_documents_are_cut_before_a_space(monkeypatch):
    monkeypatch.setattr(text, "LONGEST_PIECE", 20)
    pieces = list(split_pieces(["one two three ", "four five six ", "seven eight"], None))
    assert len(pieces) > 1 and "".join(p for p, _ in pieces) == "one two three four five six seven eight"
    assert [last for _, last in pieces] == [False] * (len(pieces) - 1) + [True]
    assert all(p.startswith(" ") for p, _ in pieces[1:])


def test_utf8_across_chunk_borders_bom_and_line_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "CHUNK_BYTES", 3)
    written = "\ufeffnaïve café\r\n你好 🙂\rend\n"
    (tmp_path / "t.txt").write_bytes(written.encode())
    counted = []
    assert "".join(read_chunks(tmp_path / "t.txt", counted.append)) == "naïve café\n你好 🙂\nend\n"
    assert sum(counted) == len(written.encode())
    assert contains(tmp_path / "t.txt", "好 🙂\nend") and not contains(tmp_path / "t.txt", "\r")


@pytest.mark.parametrize("chunk", [1, 2, 5, 1 << 20])
def test_not_utf8_names_the_offset_and_a_remedy(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(text, "CHUNK_BYTES", chunk)
    (tmp_path / "latin.txt").write_bytes("ééé".encode() + "caf\xe9 au lait".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt is not UTF-8 \(byte 0xe9 at offset 9\).*iconv -f latin-1"):
        list(read_chunks(tmp_path / "latin.txt"))
    (tmp_path / "cut.txt").write_bytes("ab🙂".encode()[:-1])
    with pytest.raises(ValueError, match="offset 2"):
        list(read_chunks(tmp_path / "cut.txt"))
    (tmp_path / "binary.gz").write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(ValueError, match="offset 1.*looks like a binary file; give plain text"):
        list(read_chunks(tmp_path / "binary.gz"))
    (tmp_path / "wide.txt").write_bytes("é".encode("utf-16"))
    with pytest.raises(ValueError, match=r"offset 0.*iconv -f utf-16"):
        list(read_chunks(tmp_path / "wide.txt"))


def test_fingerprint_ignores_white_space_and_pieces():
    one, two, other = Fingerprint(), Fingerprint(), Fingerprint()
    one.update("A cat sat.\n")
    two.update("A  cat")
    two.update("\tsat.")
    other.update("A cat sat!")
    assert one.value() == two.value() != other.value()
    assert 0 <= one.value() < 2**64
