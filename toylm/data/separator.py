"""--separator, which every command that reads a text takes in the same way."""

import re

_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\r": "\r", "\\\\": "\\"}


def unescape(text):
    r"""`text` with \n, \t, \r and \\ replaced by what they stand for."""
    return re.sub(r"\\[ntr\\]", lambda m: _ESCAPES[m[0]], text)


def add_separator(parser):
    """Add the option to a parser or to a group of one."""
    parser.add_argument(
        "--separator", metavar="TEXT", type=unescape,
        help=r"text between two documents, where it is not <|endoftext|>; \n and \t are understood",
    )  # fmt: skip
