"""Forms of JSON files: every way not to fit is one line that names file, key and value."""

import json

import pytest

from toylm.errors import CheckpointError
from toylm.schema import anything, check, flag, mapping, number, optional, read_json, text, whole

FORM = {
    "step": whole(0),
    "share": number(0, 1),
    "eps": optional(number(above=0)),
    "kind": text("a", "b"),
    "on": flag(),
    "loop": {"tokens": whole(1), "best": optional(number())},
    "sizes": mapping(whole(0)),
    "layout": [[anything()]],
    "big": whole(at_most=None),
    "later": optional(whole(0), null=False),
}
GOOD = {
    "step": 3, "share": 0.5, "eps": None, "kind": "a", "on": True, "loop": {"tokens": 7, "more": 1}, "sizes": {"a.txt": 0},
    "layout": [["w", 1]], "big": 2**127,
}  # fmt: skip


def test_what_fits_is_returned_whole():
    assert check(GOOD, FORM, "x.json") is GOOD
    assert check({**GOOD, "unknown": None}, FORM, "x.json")["unknown"] is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"step": "3"}, 'x.json: step is "3"; it must be a whole number, 0 or more'),
        ({"step": True}, "x.json: step is true; it must be a whole number, 0 or more"),
        ({"step": 1.0}, "x.json: step is 1.0; it must be a whole number, 0 or more"),
        ({"step": -1}, "x.json: step is -1; it must be a whole number, 0 or more"),
        ({"step": None}, "x.json: step is null; it must be a whole number, 0 or more"),
        ({"step": 2**63}, f"x.json: step is {2**63}; it must be a whole number, 0 or more"),
        ({"share": 1.5}, "x.json: share is 1.5; it must be a finite number from 0 to 1"),
        ({"share": float("nan")}, "x.json: share is NaN; it must be a finite number from 0 to 1"),
        ({"eps": 0}, "x.json: eps is 0; it must be a finite number above 0"),
        ({"eps": 10**5000}, "x.json: eps is of type int; it must be a finite number above 0"),
        ({"eps": float("inf")}, "x.json: eps is Infinity; it must be a finite number above 0"),
        ({"kind": "c"}, "x.json: kind is \"c\"; it must be one of 'a', 'b'"),
        ({"kind": ["a"]}, "x.json: kind is [\"a\"]; it must be one of 'a', 'b'"),
        ({"later": None}, "x.json: later is null; it must be a whole number, 0 or more"),
        ({"on": 1}, "x.json: on is 1; it must be true or false"),
        ({"loop": []}, "x.json: loop is []; it must be an object"),
        ({"loop": {}}, "x.json lacks the key 'loop.tokens'"),
        ({"loop": {"tokens": 0}}, "x.json: loop.tokens is 0; it must be a whole number, 1 or more"),
        ({"sizes": {"a.txt": "1"}}, 'x.json: sizes.a.txt is "1"; it must be a whole number, 0 or more'),
        ({"layout": {}}, "x.json: layout is {}; it must be a list"),
        ({"layout": [["w"], 3]}, "x.json: layout[1] is 3; it must be a list"),
        ({"layout": [["w", None]]}, "x.json: layout[0][1] is null; it must be a value"),
        ({"kind": "x" * 200}, "x.json: kind is \"" + "x" * 56 + "...; it must be one of 'a', 'b'"),
    ],
)
def test_what_does_not_fit_is_named(changes, sentence):
    with pytest.raises(CheckpointError) as caught:
        check({**GOOD, **changes}, FORM, "x.json")
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", GOOD)
def test_a_key_that_is_missing_is_named_unless_it_is_optional(name):
    rest = {key: value for key, value in GOOD.items() if key != name}
    if name == "eps":
        assert check(rest, FORM, "x.json") is rest
    else:
        with pytest.raises(CheckpointError, match=f"x.json lacks the key '{name}'"):
            check(rest, FORM, "x.json")


def test_reading_a_file(tmp_path):
    file = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError, match="has no x.json"):
        read_json(file)
    file.write_text(json.dumps(GOOD), encoding="utf-8")
    assert read_json(file, FORM) == GOOD
    for damaged, sentence in (("{", "not valid JSON"), ("[" * 100_000, "not valid JSON"), ("[1]", "not a JSON object")):
        file.write_text(damaged, encoding="utf-8")
        with pytest.raises(CheckpointError, match=f"x.json is damaged: {sentence}"):
            read_json(file, FORM)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="x.json is damaged: not valid JSON"):
        read_json(file, FORM)
