"""Reading text: Unicode in bounded memory, cut into documents at a marker.

A document may be larger than memory, so it travels in pieces: `(text, last)`, where `last` says that the document ends here.
"""

import codecs
import hashlib
import io
import itertools
import json

from ..errors import UsageError
from .encodings import describe_foreign, encoding_of

END_OF_TEXT = "<|endoftext|>"

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 14  # looked at to tell an encoding
LONGEST_PIECE = 1 << 17  # characters


def read_chunks(path, on_bytes=None):
    """Yield the text of a file in chunks of about a mebibyte.

    The file is UTF-8, or UTF-16 or UTF-32 where a byte-order mark says so. The mark is dropped and line ends become "\\n".
    `on_bytes(n)` is told of every n bytes read. Raises ValueError where the file is in another encoding, naming the byte and what
    it looks like.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    offset = 0
    with open(path, "rb") as file:
        start = file.read(SAMPLE_BYTES)
        file.seek(0)
        encoding = encoding_of(start)
        if encoding is None:
            raise UsageError(f"{path} {describe_foreign(start, path)}")
        decoder = codecs.getincrementaldecoder(encoding)()
        while True:
            chunk = file.read(CHUNK_BYTES)
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                at = max(0, offset - pending + error.start)
                raise UsageError(_undecodable(path, encoding, at, error.object[error.start])) from None
            offset += len(chunk)
            text = newlines.decode(text, final=not chunk)
            if text:
                yield text
            if not chunk:
                return
            if on_bytes:
                on_bytes(len(chunk))


def _undecodable(path, encoding, offset, byte):
    found = f"{path} is not {encoding.upper().removesuffix('-SIG')} (byte 0x{byte:02x} at offset {offset})"
    if not encoding.startswith("utf-8"):
        return f"{found}, as its byte-order mark says; it may be cut short: save it again as UTF-8"
    with open(path, "rb") as file:
        start = file.read(8)
        file.seek(max(0, offset - SAMPLE_BYTES // 2))
        return f"{found} {describe_foreign(start + b' ' + file.read(SAMPLE_BYTES), path)}"


def json_lines(path, on_bytes=None):
    """Yield the texts of a JSON lines file: of each line the string in its field "text".

    Raises ValueError naming the line that is no JSON object with such a field.
    """
    rest, number = "", 0
    for chunk in itertools.chain(read_chunks(path, on_bytes), ["\n"]):
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            number += 1
            if not line.strip():
                continue
            try:
                text = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError, RecursionError):
                text = None
            if not isinstance(text, str):
                raise UsageError(
                    f'{path}, line {number}: no JSON object with a field "text"; give one a line, such as {{"text": "A cat."}}, '
                    f"or plain text in a file that does not end in {path.suffix}"
                )
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            yield text.encode("utf-8", "replace").decode()  # JSON can hold half a surrogate pair, UTF-8 cannot


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
