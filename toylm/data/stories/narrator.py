"""The narrator turns templates into sentences, and remembers who was mentioned so that every pronoun is clear."""

from toylm.data.stories import grammar
from toylm.data.stories.cast import Character, Thing
from toylm.data.stories.chance import Chance
from toylm.data.stories.template import Choice, Field, Text, parse

_WORD_FORMS = {
    "": lambda word: word,
    "a": lambda word: f"a {word}",
    "s": grammar.plural,
    "did": grammar.past,
    "doing": grammar.ing,
    "cap": grammar.capitalize,
}
_NUMBER_FORMS = {
    "": grammar.number,
    "cap": lambda value: grammar.capitalize(grammar.number(value)),
    "is": lambda value: "is" if value == 1 else "are",
    "was": lambda value: "was" if value == 1 else "were",
}


class Narrator:
    """Fills templates. `names` is what their fields may refer to: characters, things, words, numbers, lists of words.

    A pronoun is used for a character only where a reader cannot mistake it: when the character is the subject of the
    sentence, or was mentioned in this sentence or the last while nobody else of the same pronoun was.
    """

    def __init__(self, chance: Chance, names: dict):
        self.chance = chance
        self.names = names
        self.forget()

    def forget(self):
        """Starts a paragraph: nobody has been mentioned."""
        self._current = []
        self._previous = []
        self._stale = False
        self._subject = None
        self._in_quote = False
        self.at_sentence_start = True

    def mention(self, character: Character):
        """Notes that the character has just been named."""
        if self._subject is None and not self._in_quote:
            self._subject = character
        if character not in self._current:
            self._current.append(character)

    def pronoun_is_clear(self, character: Character, beside: Character | None = None) -> bool:
        """Whether "he" or "she" can only mean this character here.

        `beside` is someone whom the pronoun cannot mean: "his dad" is not the dad of the dad.
        """
        if self._subject is character and not self._in_quote:
            return True
        recent = self._current + self._previous
        others = {other for other in recent if other is not character and other is not beside}
        return character in recent and len(others) < 2 and all(other.pronoun != character.pronoun for other in others)

    def tell(self, template: str) -> str:
        """The template as one or more finished sentences."""
        self._parts = []
        self._end_sentence()
        self._capital = True
        self._fill(parse(template))
        return grammar.tidy("".join(self._parts))

    def phrase(self, template: str) -> str:
        """The template as a phrase, without a capital letter."""
        self._parts = []
        self._capital = False
        self._fill(parse(template))
        return grammar.tidy("".join(self._parts))

    def _fill(self, nodes):
        for node in nodes:
            if type(node) is Text:
                self._tell_text(node)
            elif type(node) is Field:
                self.at_sentence_start = self._capital
                self._emit(self._value(node))
            elif type(node) is Choice:
                self._fill(self.chance.pick(node.options))

    def _tell_text(self, node: Text):
        self._emit(node.text)
        if node.toggles_quote:
            self._in_quote = not self._in_quote
        if node.holds_sentence_end and not self._in_quote:
            self._end_sentence()
        if node.ends_sentence:
            self._capital = True

    def _emit(self, text: str):
        opens_quote = self._in_quote and self._parts[-1].endswith('"')
        if (self._capital or opens_quote) and text.strip():
            text = grammar.capitalize(text)
            self._capital = False
        self._parts.append(text)

    def _end_sentence(self):
        # One sentence about something else leaves a pronoun clear; two do not.
        if self._current or self._stale:
            self._previous = self._current
        self._stale = not self._current
        self._current = []
        self._subject = None

    def _value(self, field: Field) -> str:
        value = self.names[field.name]
        if type(value) is tuple:
            value = self.chance.pick(value)
        if field.times:
            noun = self.names[field.times]
            return grammar.count(value, noun.noun if isinstance(noun, Thing) else noun)
        if isinstance(value, Character | Thing):
            return value.form(field.form, self)
        if isinstance(value, int):
            return _NUMBER_FORMS[field.form](value)
        # A phrase of the lexicon may itself hold choices and fields.
        if "{" in value or "[" in value:
            self._fill(parse(value))
            return ""
        return _WORD_FORMS[field.form](value)
