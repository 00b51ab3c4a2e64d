"""Reading text: UTF-8 in bounded memory, cut into documents at a marker.

A document may be larger than memory, so it travels in pieces: `(text, last)`, where `last` says that the document ends here.
"""

import codecs
import hashlib
import io
import shlex

from ..errors import UsageError

END_OF_TEXT = "<|endoftext|>"

CHUNK_BYTES = 1 << 20
LONGEST_PIECE = 1 << 17  # characters


def read_chunks(path, on_bytes=None):
    """Yield the text of a UTF-8 file in chunks of about a mebibyte.

    A byte-order mark is dropped and line ends become "\\n". `on_bytes(n)` is told of every n bytes read. Raises ValueError
    naming the byte offset where the file is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    offset = 0
    with open(path, "rb") as file:
        while True:
            chunk = file.read(CHUNK_BYTES)
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise UsageError(_not_utf8(path, offset - pending + error.start)) from None
            if offset == 0:
                text = text.removeprefix("\ufeff")
            offset += len(chunk)
            text = newlines.decode(text, final=not chunk)
            if text:
                yield text
            if not chunk:
                return
            if on_bytes:
                on_bytes(len(chunk))


def _not_utf8(path, offset):
    with open(path, "rb") as file:
        start = file.read(4096)
        file.seek(offset)
        byte = file.read(1)
    found = f"{path} is not UTF-8 (byte 0x{byte.hex()} at offset {offset})"
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    if encoding == "latin-1" and b"\0" in start:
        return f"{found} and looks like a binary file; give plain text"
    name = shlex.quote(str(path))
    return f"{found}; save it as UTF-8, for example with: iconv -f {encoding} -t utf-8 {name} > {name}.utf8"


def contains(path, marker):
    """Whether the text of the file at `path` contains the string `marker`; stops reading at the first one."""
    tail = ""
    for chunk in read_chunks(path):
        if marker in tail + chunk:
            return True
        tail = (tail + chunk)[-(len(marker) - 1) :] if len(marker) > 1 else ""
    return False


def split_pieces(chunks, marker=None):
    """Cut a stream of text into documents; yield `(text, last)` pieces.

    Documents end at `marker` and at the end of the stream; white space around them is stripped, and empty ones are dropped.
    Without a marker the stream is one document, kept to the character. A document of more than about 130,000 characters
    comes in several pieces, none of which ends in white space, cut before a space where there is one.
    """
    keep = len(marker) if marker else 1  # characters that may be the start of a marker
    buffer, started = "", False
    for chunk in chunks:
        buffer += chunk
        if marker and marker in buffer:
            *complete, buffer = buffer.split(marker)
            for text in complete:
                text = text.rstrip() if started else text.strip()
                if text or started:
                    yield text, True
                started = False
        while len(buffer) > LONGEST_PIECE + keep:
            cut = _cut(buffer, LONGEST_PIECE) or _cut(buffer, len(buffer) - keep)
            if not cut:
                break  # nothing but white space so far
            text, buffer = buffer[:cut], buffer[cut:]
            if marker and not started:
                text = text.lstrip()
            started = started or bool(text)
            if text:
                yield text, False
    if marker:
        buffer = buffer.rstrip() if started else buffer.strip()
    if buffer or started:
        yield buffer, True


def _cut(text, limit):
    """Where to cut `text` at or before `limit`: before a space if one is near, and never after white space."""
    cut = text.rfind(" ", max(0, limit - 4096), limit)
    if cut < 0:
        cut = limit
    while cut and text[cut - 1].isspace():
        cut -= 1
    return cut


class Fingerprint:
    """A 64-bit hash of a document that ignores white space; fed piece by piece.

    White space is left out altogether, so that where a document was cut into pieces makes no difference.
    """

    def __init__(self):
        self._hash = hashlib.blake2b(digest_size=8)

    def update(self, text):
        """Feed a further piece."""
        self._hash.update("".join(text.split()).encode())

    def value(self):
        """The hash so far, an integer below 2**64."""
        return int.from_bytes(self._hash.digest(), "little")
