"""Ids back to text: all at once, one by one as they come, and the bytes that each id stands for.

The decoders of the `tokenizers` library turn a list of token strings into a text. What a token becomes can depend on those beside
it: WordPiece puts a space before a token unless it is the first, a BPE with `</w>` puts one after it unless it is the last, bytes
make a character together. So a token is always decoded beside others.
"""

import json

from ..errors import UsageError

REPLACEMENT = "\ufffd"  # what bytes that are no UTF-8 become
_BEFORE, _AFTER = "\ue000", "\ue001"  # of the private use area: no decoder treats them specially


class TokenDecoder:
    """Token strings to text, as the decoder of a `tokenizers.Tokenizer` has it.

    `strings`: of each id, in the form that the decoder wants; None where an id has no token. `special_ids` stand for no text.
    """

    def __init__(self, backend, size, special_ids):
        self.special_ids = special_ids
        steps = _steps(json.loads(backend.to_str())["decoder"])
        kinds = [step["type"] for step in steps]
        self.byte_level, self.byte_fallback = "ByteLevel" in kinds, "ByteFallback" in kinds
        # From here on the decoder works on the text as a whole: what is replaced may lie across tokens.
        joined = next((i for i, kind in enumerate(kinds) if kind in ("Fuse", "ByteLevel")), len(kinds))
        self.patterns = [step["pattern"] for step in steps[joined:] if step["type"] == "Replace"]
        self.strings = [backend.id_to_token(i) for i in range(size)]
        if self.byte_level:
            for i, token in backend.get_added_tokens_decoder().items():  # these stand for their own UTF-8
                self.strings[i] = "".join(_CHARACTER_OF[byte] for byte in token.content.encode())
        self._join = backend.decoder.decode if backend.decoder is not None else " ".join

    def text(self, tokens):
        """The text of a list of token strings."""
        return self._join(tokens) if tokens else ""

    def tokens(self, ids):
        """The strings of the ids that stand for text."""
        return [self.strings[i] for i in ids if i not in self.special_ids and self.strings[i] is not None]

    def is_byte(self, token):
        """Whether the token is a single byte of byte fallback, such as `<0xE4>`."""
        return self.byte_fallback and len(token) == 6 and token.startswith("<0x") and token.endswith(">")

    def settled(self, tokens, text):
        """How many characters of `text`, which the tokens decode to, stay what they are whatever token comes next."""
        if tokens and self.is_byte(tokens[-1]):  # a run of bytes is a text as a whole or not at all
            start = len(tokens)
            while start and self.is_byte(tokens[start - 1]):
                start -= 1
            return len(self.text(tokens[:start]))
        if self.byte_level:
            text = text.rstrip(REPLACEMENT)
        if any("Regex" in pattern for pattern in self.patterns):
            return 0
        return max(0, len(text) - sum(len(pattern["String"]) - 1 for pattern in self.patterns))

    def token_bytes(self):
        """The bytes that each id adds to a text it stands in the middle of: a list of V bytes objects."""
        first = self.text([_BEFORE])
        last = self.text([_BEFORE, _AFTER])[len(first) :]
        found = [b""] * len(self.strings)
        for i, token in enumerate(self.strings):
            if token is None or i in self.special_ids:
                continue
            text = self.text([_BEFORE, token, _AFTER])[len(first) :].removesuffix(last)
            if self.is_byte(token):
                found[i] = bytes([int(token[3:5], 16)])
            elif self.byte_level and REPLACEMENT in text and all(c in _BYTE_OF for c in token):
                found[i] = bytes(_BYTE_OF[c] for c in token)  # a part of a character
            else:
                found[i] = text.encode()
        return found


class TextStream:
    """Text of ids that come one by one: what `push` and `flush` return, joined, is what `decode` makes of the ids.

    context: ids that stand before the first one; their text is not repeated. Text that a later id could still change is held back:
    the bytes of an unfinished character, and what a decoder replaces across tokens.
    """

    def __init__(self, decoder, context=()):
        self._decoder, self._tokens = decoder, decoder.tokens(context)
        self._shown = len(decoder.text(self._tokens))  # characters
        self._new = len(self._tokens)  # the first of the tokens whose text came last

    def push(self, token_id):
        """The text that is certain now; often that of this id, sometimes none. Raises ValueError for an id out of range."""
        d = self._decoder
        if not 0 <= token_id < len(d.strings):
            raise UsageError(f"token id {token_id} is out of range; the tokenizer has the ids 0 to {len(d.strings) - 1}")
        self._tokens += d.tokens([token_id])
        text = d.text(self._tokens)
        settled = d.settled(self._tokens, text)
        piece = text[self._shown : settled]
        self._shown = max(self._shown, settled)
        if settled == len(text) and d.text(self._tokens[self._new :]):
            # The tokens whose text came last are context enough for those that follow.
            del self._tokens[: self._new]
            self._new, self._shown = len(self._tokens), len(d.text(self._tokens))
        return piece

    def flush(self):
        """What was held back, when no more ids come; U+FFFD where the last character is unfinished."""
        text = self._decoder.text(self._tokens)
        piece, self._shown = text[self._shown :], len(text)
        return piece


def _steps(decoder):
    """The steps of a decoder in tokenizer.json, sequences inside sequences laid out flat."""
    if decoder is None:
        return []
    if decoder["type"] == "Sequence":
        return [step for inner in decoder["decoders"] for step in _steps(inner)]
    return [decoder]


def byte_alphabet():
    """The 256 characters that stand for the bytes in byte-level vocabularies: printable bytes stand for themselves.

    The others (control characters, space, soft hyphen) take the characters from U+0100 on, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(0x100 + i) for i, b in enumerate(others)}


_CHARACTER_OF = byte_alphabet()
_BYTE_OF = {character: byte for byte, character in _CHARACTER_OF.items()}
