"""Which encoding a file is in: what its first bytes say, and what bytes that are no UTF-8 look like."""

import codecs
import os
import shlex

_MARKS = (  # UTF-32 before UTF-16: the little-endian mark of the one begins with that of the other
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_FILES = (
    (b"PAR1", "is a Parquet file; write its text column to a .txt or .jsonl file"),
    (b"\x1f\x8b", "is compressed (gzip); unpack it first"),
    (b"BZh", "is compressed (bzip2); unpack it first"),
    (b"\xfd7zXZ", "is compressed (xz); unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd); unpack it first"),
    (b"PK\x03\x04", "is a zip archive or an office document; save its text as a .txt file"),
    (b"%PDF", "is a PDF; save its text as a .txt file"),
)
# The most common characters of the languages that are written in an encoding: a good part of every text in it.
_CHARACTERS = {  # of thousands
    "shift_jis": "のにはをたがでと", "euc_jp": "のにはをたがでと", "euc_kr": "이다는의에을가고",
    "gb18030": "的一是不了在这国们说", "big5": "的一是不了在這國們說",
}  # fmt: skip
_LETTERS = {  # of some thirty
    "cp1251": "оеаинтсрвлкм", "koi8-r": "оеаинтсрвлкм", "cp1253": "αοιετσνηυρπκ", "cp1255": "יוהלארתבמשנד",
    "cp1256": "اليمونرتبةعد",
}  # fmt: skip


def encoding_of(start):
    """The encoding of a text that begins with `start`: by its byte-order mark, else UTF-8; None for UTF-16 without a mark."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    return None if _wide(start) else "utf-8"


def _wide(start):
    """Whether nearly every second byte is zero: "utf-16-le" or "utf-16-be" for Latin text without a mark; else None."""
    if len(start) < 4:
        return None
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = start[first::2].count(0) / len(start[first::2])
        others = start[1 - first :: 2].count(0) / len(start[1 - first :: 2])
        if zeros > 0.7 and others < 0.1:
            return encoding
    return None


def describe_foreign(sample, path):
    """What a file that is no UTF-8 looks like and how to convert it, as the end of a sentence."""
    for magic, words in _FILES:
        if sample.startswith(magic):
            return f"and {words}"
    encoding = _wide(sample)
    if encoding is None and b"\0" in sample:
        return "and looks like a binary file; give plain text"
    encoding = encoding or likely_encoding(sample)
    name = shlex.quote(os.fspath(path))
    return f"but looks like {encoding}; save it as UTF-8, for example with: iconv -f {encoding} -t utf-8 {name} > {name}.utf8"


def likely_encoding(sample):
    """The legacy encoding that bytes which are no UTF-8 are most likely in, by the name that Python and iconv know it by.

    Where most letters are ASCII, that of Western Europe, cp1252; else the one in which the usual letters are most common.
    """
    foreign = sum(byte > 0x7F for byte in sample)
    if foreign <= sum(chr(byte).isalpha() for byte in sample if byte <= 0x7F):
        return "cp1252"
    for encoding, common in _CHARACTERS.items():
        if _share(sample, encoding, common) > 1 / 40:
            return encoding.replace("_", "-")
    return max(_LETTERS, key=lambda encoding: _share(sample, encoding, _LETTERS[encoding]))


def _share(sample, encoding, common):
    """Of the characters beyond ASCII that the bytes would be, how many are among `common`."""
    text = _decode(sample, encoding)
    return sum(map(text.count, common)) / max(1, sum(c > "\x7f" for c in text))


def _decode(sample, encoding):
    """The text of a part of a file, which may begin and end inside a character; "" where the bytes are impossible."""
    for start in range(2):
        try:
            return codecs.getincrementaldecoder(encoding)().decode(sample[start:])
        except UnicodeDecodeError:
            continue
    return ""
