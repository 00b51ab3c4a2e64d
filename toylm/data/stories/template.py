"""The notation in which the plots are written.

    "{A} [ran|hurried] to {A.his} {mother}[| and told her everything]."

`[this|that]` chooses one of the alternatives, which may be empty and may hold further choices; `{A}` names a member of
the story's cast or a list of the lexicon, `{A.his}` one of its forms, and `{n*apple}` a counted noun ("three apples").
"""

import re
from dataclasses import dataclass
from functools import cache

from ...errors import UsageError

_TOKEN = re.compile(r"[\[\]|]|\{[^{}]*\}|[^\[\]|{}]+")
_ENDS_SENTENCE = re.compile(r'(?:[.!?]|\.") $')
_HOLDS_SENTENCE_END = re.compile(r'(?:[.!?]|\.") ')


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text, and what the narrator must know of it: quotation marks and ends of sentences."""

    text: str
    toggles_quote: bool
    holds_sentence_end: bool
    ends_sentence: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A place to be filled: a name and one of its forms, or a number times a noun."""

    name: str
    form: str
    times: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives, one of which is told."""

    options: tuple


@cache
def parse(template: str) -> tuple:
    """The template as a sequence of Text, Field and Choice. Raises ValueError for unbalanced brackets."""
    tokens = _TOKEN.findall(template)
    if "".join(tokens) != template:
        raise UsageError(f"stray brace in template {template!r}")
    sequence, position = _sequence(tokens, 0)
    if position != len(tokens):
        raise UsageError(f"unbalanced ']' or stray '|' in template {template!r}")
    return sequence


def _sequence(tokens: list[str], position: int) -> tuple[tuple, int]:
    nodes = []
    while position < len(tokens) and tokens[position] not in ("|", "]"):
        token = tokens[position]
        position += 1
        if token == "[":
            choice, position = _choice(tokens, position)
            nodes.append(choice)
        elif token[0] == "{":
            nodes.append(_field(token[1:-1]))
        else:
            nodes.append(_text(token))
    return tuple(nodes), position


def _choice(tokens: list[str], position: int) -> tuple[Choice, int]:
    options = []
    while True:
        option, position = _sequence(tokens, position)
        options.append(option)
        if position == len(tokens):
            raise UsageError(f"unclosed '[' in template {''.join(tokens)!r}")
        position += 1
        if tokens[position - 1] == "]":
            return Choice(tuple(options)), position


def _field(inside: str) -> Field:
    name, _, times = inside.partition("*")
    name, _, form = name.partition(".")
    return Field(name, form, times)


def _text(text: str) -> Text:
    odd_quotes = text.count('"') % 2 == 1
    return Text(text, odd_quotes, bool(_HOLDS_SENTENCE_END.search(text)), bool(_ENDS_SENTENCE.search(text)))
