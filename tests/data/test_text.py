"""Reading text: UTF-8, line ends, documents, pieces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toylm.data import prepare, text
from toylm.data.corpora import load_corpus
from toylm.data.text import Fingerprint, contains, json_lines, read_chunks, split_pieces


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
    (tmp_path / "latin.txt").write_bytes("ééé".encode() + "caf\xe9 au lait, s'il vous pla\xeet".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt is not UTF-8 \(byte 0xe9 at offset 9\).*iconv -f cp1252"):
        list(read_chunks(tmp_path / "latin.txt"))
    (tmp_path / "cut.txt").write_bytes("ab🙂".encode()[:-1])
    with pytest.raises(ValueError, match="offset 2"):
        list(read_chunks(tmp_path / "cut.txt"))
    (tmp_path / "binary.gz").write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(ValueError, match=r"binary\.gz .*is compressed \(gzip\); unpack it first"):
        list(read_chunks(tmp_path / "binary.gz"))
    (tmp_path / "no-mark.txt").write_bytes("plain words".encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"no-mark\.txt .*looks like utf-16-le; .*iconv -f utf-16-le"):
        list(read_chunks(tmp_path / "no-mark.txt"))


@pytest.mark.parametrize("chunk", [1, 2, 5, 1 << 20])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, monkeypatch, encoding, chunk):
    monkeypatch.setattr(text, "CHUNK_BYTES", chunk)
    (tmp_path / "marked.txt").write_bytes("é 好 🙂\nend".encode(encoding))
    assert "".join(read_chunks(tmp_path / "marked.txt")) == "é 好 🙂\nend"


@pytest.mark.parametrize(
    "written, encoding",
    [("Съешь же ещё этих мягких французских булок, да выпей чаю", "cp1251"), ("Съешь же ещё этих булок, да выпей чаю", "koi8-r"),
     ("これは日本語の文章です。今日は天気がいいので、散歩に行きました。", "shift_jis"),
     ("caf\xe9 au lait, d\xe9j\xe0 vu", "cp1252"),
     ("这是一个中文的句子，我们在这里写了一些字。", "gb18030"), ("Η γρήγορη αλεπού πηδά πάνω από το σκυλί", "cp1253")],
)  # fmt: skip
def test_a_legacy_encoding_is_named(tmp_path, written, encoding):
    (tmp_path / "old.txt").write_bytes(written.encode(encoding))
    with pytest.raises(ValueError, match=f"looks like {encoding.replace('_', '-')}; save it as UTF-8"):
        list(read_chunks(tmp_path / "old.txt"))


def test_fingerprint_ignores_white_space_and_pieces():
    one, two, other = Fingerprint(), Fingerprint(), Fingerprint()
    one.update("A cat sat.\n")
    two.update("A  cat")
    two.update("\tsat.")
    other.update("A cat sat!")
    assert one.value() == two.value() != other.value()
    assert 0 <= one.value() < 2**64


def test_json_lines_are_documents(tmp_path):
    path = tmp_path / "stories.jsonl"
    lines = ['{"text": "A cat.\\r\\nIt sat.", "id": 1}', "", '{"id": 2, "text": "half \\ud83d a pair"}', '{"text": "é 好"}']
    path.write_text("\n".join(lines), encoding="utf-8")
    assert list(json_lines(path)) == ["A cat.\nIt sat.", "half ? a pair", "é 好"]
    assert list(load_corpus(str(path))) == ["A cat.\nIt sat.", "half ? a pair", "é 好"]
    for line in ('{"story": "no text"}', "not JSON", '{"text": 3}', '["text"]'):
        path.write_text(f'{{"text": "good"}}\n{line}\n', encoding="utf-8")
        with pytest.raises(ValueError, match=r"stories\.jsonl, line 2: no JSON object with a field .text.; give one a line"):
            list(json_lines(path))


@pytest.mark.parametrize("level", ["bpe", "char", "byte", "word"])
def test_bytes_are_the_texts_own_in_every_window(tmp_path, level):
    """Also where a token stands for another text: unknown words and characters, spaces that a word tokenizer drops."""
    stories = [f"The cat {i} sat —  on the mat;\n\nit purred " + "!" * (i % 5) for i in range(300)]
    stories += [f"Zwölf {'ß' * (i % 4)} 好🙂 story number{i}" for i in range(40)]
    path = tmp_path / "text.txt"
    path.write_text("\n<|endoftext|>\n".join(stories), encoding="utf-8")
    prepared = prepare(str(path), tokenizer=level, vocab_size=300 if level == "bpe" else None, held_out=0.3, progress=False)
    for side in (prepared.train, prepared.held_out):
        parts = [side.bytes_of(start, min(start + 11, len(side))) for start in range(0, len(side), 11)]
        assert min(parts) >= 0 and sum(parts) == side.utf8_bytes
    assert prepared.train.utf8_bytes + prepared.held_out.utf8_bytes == sum(len(s.strip().encode()) for s in dict.fromkeys(stories))
