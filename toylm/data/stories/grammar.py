"""English grammar, as much of it as a story for a small child needs: plurals, tenses, articles, numbers, lists."""

import re

_IRREGULAR_PLURALS = {
    "child": "children", "mouse": "mice", "goose": "geese", "foot": "feet", "tooth": "teeth", "man": "men",
    "woman": "women", "fish": "fish", "sheep": "sheep", "deer": "deer", "leaf": "leaves", "loaf": "loaves",
    "scarf": "scarves", "shelf": "shelves", "wolf": "wolves", "calf": "calves", "half": "halves", "knife": "knives",
    "potato": "potatoes", "tomato": "tomatoes", "mango": "mangoes", "echo": "echoes",
}  # fmt: skip

_IRREGULAR_PASTS = {
    "be": "was", "bake": "baked", "begin": "began", "blow": "blew", "break": "broke", "bring": "brought",
    "build": "built", "buy": "bought", "catch": "caught", "come": "came", "cut": "cut", "dig": "dug", "do": "did",
    "draw": "drew", "drink": "drank", "eat": "ate", "fall": "fell", "feed": "fed", "feel": "felt", "find": "found",
    "fly": "flew", "get": "got", "give": "gave", "go": "went", "grow": "grew", "have": "had", "hear": "heard",
    "hide": "hid", "hold": "held", "keep": "kept", "know": "knew", "leave": "left", "lose": "lost", "make": "made",
    "read": "read", "ride": "rode", "ring": "rang", "run": "ran", "say": "said", "see": "saw", "sew": "sewed",
    "sing": "sang", "sit": "sat", "skip": "skipped", "sleep": "slept", "slide": "slid", "stand": "stood",
    "sweep": "swept", "swim": "swam", "swing": "swung", "take": "took", "tell": "told", "think": "thought",
    "throw": "threw", "wear": "wore", "weave": "wove", "write": "wrote",
}  # fmt: skip

_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip

# Short verbs that end in consonant, vowel, consonant double the last letter: hop, hopped, hopping.
_DOUBLING = re.compile(r"^[^aeiou]*[aeiou][bdgklmnprt]$")

_WRONG_A = re.compile(r"\b([Aa]) (?=[aeio]|u(?!ni|se))(?!one\b|once\b)")
_SPACES = re.compile(r" {2,}")
_SPACE_BEFORE_MARK = re.compile(r" (?=[,.!?])")


def plural(noun: str) -> str:
    """The plural of a noun or of a noun phrase, whose last word is inflected: "shiny shell" -> "shiny shells"."""
    head, _, last = noun.rpartition(" ")
    if last in _IRREGULAR_PLURALS:
        last = _IRREGULAR_PLURALS[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head} {last}" if head else last


def past(verb_phrase: str) -> str:
    """The past tense of a verb phrase, whose first word is inflected: "fly a kite" -> "flew a kite"."""
    verb, _, rest = verb_phrase.partition(" ")
    if verb in _IRREGULAR_PASTS:
        verb = _IRREGULAR_PASTS[verb]
    elif verb.endswith("e"):
        verb += "d"
    elif verb.endswith("y") and verb[-2] not in "aeiou":
        verb = verb[:-1] + "ied"
    elif _DOUBLING.match(verb):
        verb += verb[-1] + "ed"
    else:
        verb += "ed"
    return f"{verb} {rest}" if rest else verb


def ing(verb_phrase: str) -> str:
    """The -ing form of a verb phrase, whose first word is inflected: "fly a kite" -> "flying a kite"."""
    verb, _, rest = verb_phrase.partition(" ")
    if verb.endswith("e") and not verb.endswith("ee") and verb != "be":
        verb = verb[:-1] + "ing"
    elif _DOUBLING.match(verb):
        verb += verb[-1] + "ing"
    else:
        verb += "ing"
    return f"{verb} {rest}" if rest else verb


def number(value: int) -> str:
    """A small whole number in words: 3 -> "three"."""
    return _NUMBERS[value]


def counting(value: int) -> str:
    """Counting aloud up to a number: 3 -> "one, two, three"."""
    return ", ".join(number(n) for n in range(1, value + 1))


def count(value: int, noun: str) -> str:
    """A counted noun: (1, "apple") -> "one apple", (3, "apple") -> "three apples"."""
    return f"{number(value)} {noun if value == 1 else plural(noun)}"


def join(items: list[str]) -> str:
    """A list in prose: ["a", "b", "c"] -> "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]


def possessive(name: str) -> str:
    """The possessive of a name: "Tom" -> "Tom's"."""
    return name + "'s"


def capitalize(text: str) -> str:
    """The text with its first letter in upper case, be it behind an opening quotation mark."""
    if text[:1] == '"':
        return '"' + text[1:2].upper() + text[2:]
    return text[:1].upper() + text[1:]


def tidy(text: str) -> str:
    """Repairs what filling in a template leaves behind: "a apple", double spaces, a space before a comma."""
    text = _SPACE_BEFORE_MARK.sub("", _SPACES.sub(" ", text)).strip()
    return _WRONG_A.sub(r"\1n ", text)
