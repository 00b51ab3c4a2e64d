"""Who and what a story is about: characters and things, and the forms in which a sentence may name them."""

from toylm.data.stories.grammar import possessive

from ...errors import UsageError

# subject, object, possessive, possessive standing alone, reflexive
_PRONOUNS = {
    "he": ("he", "him", "his", "his", "himself"),
    "she": ("she", "her", "her", "hers", "herself"),
}
_FORMS = {"he": 0, "him": 1, "his": 2, "hers": 3, "himself": 4}

# How often the narrator says a name where a pronoun would do.
_NAME_ANYWAY = 0.12

_TAGS = {
    "says": ("said",),
    "replies": ("replied", "answered", "said"),
    "asks": ("asked",),
    "shouts": ("cried", "shouted", "called"),
}


class Character:
    """Someone in the story: a child, a grown-up, or an animal that talks.

    `name` is what the narrator calls them and `call` what the others call them to their face: "the owl" is called
    "Owl", and a mother "Mom". `owner` makes a relative: the name then follows a possessive ("his mom", "Tom's mom").
    """

    def __init__(self, name, pronoun, kind, species=None, call=None, owner=None):
        self.name = name
        self.pronoun = pronoun
        self.kind = kind
        self.species = species
        self.call = call or name
        self.owner = owner

    def form(self, form: str, narrator) -> str:
        """The form of this character's name that `{A.form}` asks for; the narrator knows who was mentioned before."""
        if form == "":
            return self.named(narrator)
        if form in _FORMS:
            return self._pronoun_or_name(form, narrator)
        if form == "own":
            narrator.mention(self)
            return _PRONOUNS[self.pronoun][2]
        if form == "s":
            return possessive(self.named(narrator))
        if form in _TAGS:
            return self._tag(narrator.chance.pick(_TAGS[form]), narrator)
        if form == "call":
            narrator.mention(self)
            return self.call
        if form == "kind":
            return self.kind
        if form == "full":
            animal = self.species and self.kind == self.species.kind
            return f"{self.named(narrator)} the {self.kind}" if animal else self.named(narrator)
        if self.species:
            return narrator.chance.pick(self.species.forms[form])
        return narrator.chance.pick(_PERSON[form])

    def named(self, narrator) -> str:
        """The name, with the owner's possessive before a relative's."""
        owner = self.owner._pronoun_or_name("his", narrator, beside=self) + " " if self.owner else ""
        narrator.mention(self)
        return owner + self.name

    def _pronoun_or_name(self, form, narrator, beside=None):
        if narrator.pronoun_is_clear(self, beside) or form == "himself":
            at_start = form == "he" and narrator.at_sentence_start
            if not (at_start and narrator.chance.yes(_NAME_ANYWAY)):
                narrator.mention(self)
                return _PRONOUNS[self.pronoun][_FORMS[form]]
        name = self.named(narrator)
        return possessive(name) if form in ("his", "hers") else name

    def _tag(self, verb, narrator):
        """Who spoke, after a quotation: "said Tom", "Tom said" or "he said"."""
        who = self._pronoun_or_name("he", narrator)
        if who in _PRONOUNS or " " in verb or narrator.chance.yes(0.35):
            return f"{who} {verb}"
        return f"{verb} {who}"


# What people do where animals differ.
_PERSON = {
    "ran": ("ran", "hurried", "raced", "dashed"),
    "home": ("house", "home"),
    "hand": ("hand",),
    "food": ("soup", "pancakes", "noodles", "toast with jam", "apple pie", "rice pudding"),
}


class Species:
    """A kind of animal that can be someone in a story: how it runs, where it lives, what it eats, what it holds with."""

    def __init__(self, kind, ran, home, food, hand="paw"):
        self.kind = kind
        self.forms = {"ran": ran, "home": home, "food": food, "hand": (hand,)}


class Thing:
    """An object that keeps its colour or size through a story, and its number: "the red boots ... they were"."""

    def __init__(self, noun: str, adjective: str = "", many: bool = False):
        self.noun = noun
        self.adjective = adjective
        self.many = many

    def form(self, form: str, narrator) -> str:
        """The form that `{toy.form}` asks for: `a`, `the`, `it`, `them`, `was`, ... or the bare noun."""
        full = f"{self.adjective} {self.noun}" if self.adjective else self.noun
        match form:
            case "":
                return self.noun
            case "full":
                return full
            case "a":
                return full if self.many else f"a {full}"
            case "the":
                return f"the {full if narrator.chance.yes(0.4) else self.noun}"
            case "it":
                return "they" if self.many else "it"
            case "them":
                return "them" if self.many else "it"
            case "was":
                return "were" if self.many else "was"
        raise UsageError(f"a thing has no form {form!r}")
