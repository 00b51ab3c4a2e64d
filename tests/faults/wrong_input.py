"""Wrong input of every kind, as hypothesis strategies: words of a command line, and files that are damaged."""

import json
import struct

from hypothesis import strategies as st

WORDS = [
    "", "-1", "0", "1", "2", "3", "7", "0.5", "-0.5", "1.0", "nan", "inf", "-inf", "1e308", "1e-320", "1e400", "100G", "2k",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 5000,
    "x", "é", "\udcff", "\U0001f600", "none", "true",
    "false", "None", "a,b", "1,2", "a=b", "--", "-", "-y", ".", "text.txt", "run", "prepared", "missing", "task:copy", "task:x",
    "*.txt", "[", "\n", "\\n", "\\x", " ", "head", "all", "blocks:0", "blocks:9", "blocks:-1", "attention:0", "<|endoftext|>",
]  # fmt: skip
VALUES = [
    None, True, False, -1, 0, 1, 2, 3, 7, 10**6, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.5, 1e308, 1e-320, float("nan"),
    float("inf"),
    "", "x", "é", "\ud800", "../x", "run.json", "gpt2", "llama", "float32", [], {}, [1], ["x"], [[]], {"x": 1}, [None],
]  # fmt: skip
NUMBERS = (("<i", -1), ("<i", 0), ("<i", 2**31 - 1), ("<q", 2**63 - 1), ("<q", 2**40), ("<f", float("nan")))
ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "shift-jis")
NOT_TOML = ("none", "", "1.", "0x1", "1979-05-27", "'''", "{", "[[")
NOT_NAMES = ("x", "lerning_rate", "model", "[train]", "d-model", "", '"a b"')
words = st.one_of(st.sampled_from(WORDS), st.integers(-3, 20).map(str), st.text(max_size=6).filter(lambda x: "\0" not in x))
values = st.one_of(st.sampled_from(VALUES), st.integers(-5, 300), st.floats(), st.text(max_size=5))


@st.composite
def flags(draw, parser, most=4):
    """Some of a parser's flags with values that may be wrong."""
    known = [action for action in parser._actions if action.option_strings and action.dest not in ("help", "version", "debug")]
    found = []
    for action in draw(st.lists(st.sampled_from(known), max_size=most)):
        found.append(draw(st.sampled_from(action.option_strings)))
        if action.nargs != 0:
            choices = [str(choice) for choice in action.choices or ()]
            one = st.one_of(words, st.sampled_from(choices)) if choices else words
            found += draw(st.lists(one, max_size=3)) if action.nargs in ("*", "+", "?") else [draw(one)]
    return found


@st.composite
def damaged_bytes(draw, content, start=None):
    """Some of the bytes changed, most of them near the start; cut short, lengthened, or made anew."""
    how = draw(st.sampled_from(("flip", "flip", "number", "cut", "insert", "anew")))
    near = min(len(content), start or len(content))
    if how == "anew":
        return draw(st.binary(max_size=200))
    if how == "cut":
        return content[: draw(st.integers(0, len(content)))]
    at = draw(st.integers(0, max(0, near - 1)))
    if how == "insert":
        return content[:at] + draw(st.binary(min_size=1, max_size=20)) + content[at:]
    if how == "number":
        at -= at % 4
        kind, number = draw(st.sampled_from(NUMBERS))
        packed = struct.pack(kind, number)
        return content[:at] + packed + content[at + len(packed) :]
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 8))):
        if changed:
            changed[draw(st.integers(0, max(0, near - 1)))] = draw(st.integers(0, 255))
    return bytes(changed)


@st.composite
def damaged_json(draw, content):
    """A JSON file with one to three values changed, removed or added; or damaged bytes of it."""
    if draw(st.integers(0, 5)) == 0:
        return draw(damaged_bytes(content))
    value = json.loads(content)
    for _ in range(draw(st.integers(1, 3))):
        value = _change(draw, value)
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _change(draw, value):
    places = _places(value)
    if not places:
        return draw(values)
    holder, key = draw(st.sampled_from(places))
    how = draw(st.sampled_from(("set", "set", "remove", "swap")))
    if how == "remove":
        del holder[key]
    elif how == "swap":
        other, its = draw(st.sampled_from(places))
        copied = json.dumps(other[its])
        holder[key] = json.loads(copied) if len(copied) < 1000 else None
    else:
        holder[key] = draw(values)
    return value


def _places(value, most=400):
    """(container, key) of values inside a JSON value."""
    found, waiting = [], [value]
    while waiting and len(found) < most:
        here = waiting.pop(0)
        keys = list(here) if isinstance(here, dict) else range(min(len(here), 20)) if isinstance(here, list) else ()
        for key in keys:
            found.append((here, key))
            waiting.append(here[key])
    return found


@st.composite
def damaged_safetensors(draw, content):
    """A safetensors file whose header is damaged, or the whole file."""
    size = int.from_bytes(content[:8], "little")
    if draw(st.booleans()):
        header = draw(damaged_json(content[8 : 8 + size]))
        return len(header).to_bytes(8, "little") + header + content[8 + size :]
    return draw(damaged_bytes(content))


def damaged(path):
    """A strategy for damaged content of the file at `path`."""
    content = path.read_bytes()
    if path.suffix == ".json":
        return damaged_json(content)
    if path.suffix == ".safetensors":
        return damaged_safetensors(content)
    return damaged_bytes(content, start=400 if path.suffix in (".gguf", ".bin") else None)


# -- texts -----------------------------------------------------------------------------------------------------------------

PIECES = [
    "The cat sat. ",
    "<|endoftext|>", "\n", "\n\n", "\r\n", "\r", "\t", "\0", "\ufeff", "é", "ß", "猫", "\U0001f600", "\u202e", "a" * 300,
    "<|endof",
    "<unk>", "</w>", "##s", "▁", '{"text": "a"}\n', '{"text": 1}\n', '{"note": ""}\n', "[]\n", '"', "\\ud800", "\x1b[31m",
]  # fmt: skip
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=60).map(lambda pieces: "".join(pieces * 4))


@st.composite
def text_files(draw):
    """(name, content) of a text in some encoding, or of anything else."""
    name = draw(st.sampled_from(("a.txt", "a.md", "a.jsonl", "a", "a b.txt", "é.txt", "-a.txt", "a.json", "a.csv")))
    if draw(st.integers(0, 4)) == 0:
        return name, draw(st.binary(max_size=500))
    return name, draw(texts).encode(draw(st.sampled_from(ENCODINGS)), "ignore")


# -- recipes ---------------------------------------------------------------------------------------------------------------


@st.composite
def recipes(draw, names, base):
    """A TOML recipe: the lines of `base`, then settings of these `names`, some misspelled, with values that may be wrong."""
    lines = list(base)
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.one_of(st.sampled_from(names), st.sampled_from(NOT_NAMES)))
        value = draw(values)
        shown = json.dumps(value) if value is not None else draw(st.sampled_from(NOT_TOML))
        shown = shown.replace("NaN", "nan").replace("Infinity", "inf")
        lines = [line for line in lines if not line.startswith(f"{name} =")]
        lines.append(f"{name} = {shown}" if name != "[train]" else name)
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    return draw(damaged_bytes(content)) if draw(st.integers(0, 6)) == 0 else content
