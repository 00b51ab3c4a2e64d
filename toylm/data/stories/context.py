"""The context of one story: its cast, its weather, its words, and the paragraphs told so far. Plots are written with it."""

import re

from toylm.data.stories import beats, lexicon
from toylm.data.stories.cast import Character, Thing
from toylm.data.stories.chance import Chance
from toylm.data.stories.grammar import plural
from toylm.data.stories.narrator import Narrator

_FIELD = re.compile(r"\{(\w+)")

# Lists from which a template draws a new word each time it names one: {glad}, {bird}, {smell}.
_WORDS = {
    "glad": lexicon.GLAD,
    "sad": lexicon.SAD,
    "scared": lexicon.SCARED,
    "proud": lexicon.PROUD,
    "angry": lexicon.ANGRY,
    "sorry": lexicon.SORRY,
    "tired": lexicon.TIRED,
    "bird": lexicon.BIRDS,
    "small_animal": lexicon.SMALL_ANIMALS,
    "flower": lexicon.FLOWERS,
    "tree": lexicon.TREES,
    "hummed": lexicon.SOUNDS,
    "outdoors": lexicon.OUTDOORS,
    "going_to": lexicon.GOING_TO,
    "hiding_place": lexicon.HIDING_PLACES,
    "living": lexicon.LIVING,
    "town": ("the village", "the valley", "a small town", "the next street", "the farm", "the north", "the coast"),
    "living2": ("in the village", "in the valley", "on the hill", "on the street", "in town", "by the lake"),
    "color": lexicon.COLORS,
    "age": ("little", "young", "small"),
    "plain_color": ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white"),
    "clothes": lexicon.CLOTHES,
    "game": lexicon.GAMES,
    "sweet": lexicon.SWEETS,
    "fruit": lexicon.FRUIT,
}


class Story:
    """One story in the making.

    A plot casts its characters and things with `let`, tells sentences with `say` and starts paragraphs with
    `paragraph`. `text()` is the finished story.
    """

    def __init__(self, chance: Chance):
        self.chance = chance
        self.names = dict(_WORDS)
        self.narrator = Narrator(chance, self.names)
        self.paragraphs = [[]]
        self._taken = set()
        self.weather("fair")
        hobbies = chance.pick_several(lexicon.HOBBIES, 2)
        trait, trait2 = chance.pick(lexicon.AGES + lexicon.TRAITS), chance.pick(lexicon.TRAITS)
        smells = chance.pick_several(lexicon.SMELLS, 2)
        self.let(hobby=hobbies[0], hobby2=hobbies[1], trait=trait, trait2=trait2, smell=smells[0], smell2=smells[1])
        self.let(flowers=plural(chance.pick(lexicon.FLOWERS)), parent_word=chance.pick(("Mom", "Dad", "Grandma", "everyone")))

    # Telling

    def let(self, **names):
        """Names characters, things, words and numbers for the templates that follow.

        One of the phrases of "[a warm coat|a basket of {fruit.s}]" is chosen here, and its word too, so that the thing
        stays the same through the story.
        """
        for name, value in names.items():
            if isinstance(value, str):
                if value[:1] == "[" and value[-1:] == "]":
                    value = self.chance.pick(value[1:-1].split("|"))
                if "{" in value and all(word in _WORDS for word in _FIELD.findall(value)):
                    value = self.narrator.phrase(value)
            self.names[name] = value

    def say(self, *templates: str):
        """Tells one of the templates."""
        sentence = self.narrator.tell(self.chance.pick(templates))
        if sentence:
            self.paragraphs[-1].append(sentence)

    def maybe(self, probability: float, *templates: str):
        """Tells one of the templates, or nothing."""
        if self.chance.yes(probability):
            self.say(*templates)

    def paragraph(self):
        """Starts a new paragraph, in which everyone is named again."""
        self.paragraphs.append([])
        self.narrator.forget()

    def text(self) -> str:
        """The story: paragraphs separated by an empty line."""
        return "\n\n".join(" ".join(sentences) for sentences in self.paragraphs if sentences)

    # Beats

    def weather(self, sky: str, time: str = "day"):
        """Sets the weather ("fair", "rainy", "snowy" or "any") and the time ("day" or "evening") of {one_day}."""
        skies = {"fair": lexicon.FAIR, "rainy": lexicon.RAINY, "snowy": lexicon.SNOWY, "any": lexicon.ANY_SKY}[sky]
        if sky == "snowy":
            times = ("morning", "day", "afternoon", "winter day", "winter morning", "Sunday")
        else:
            times = lexicon.MORNING if time == "day" else lexicon.EVENING
        adjective, when = self.chance.pick(skies), self.chance.pick(times)
        if sky == "fair" and time == "day" and self.chance.yes(0.3):
            one_day = "one day"
        else:
            one_day = f"{self.chance.pick(('one', 'one', 'on a'))} {adjective} {when}"
        self.let(one_day=one_day, sky=adjective)

    def introduce(self, habit: float):
        """Opens the story with who A is, and perhaps what A likes."""
        self.say(*beats.INTRODUCTIONS)
        self.maybe(habit, *beats.HABITS)

    def outdoors(self, probability: float):
        """Perhaps something seen, heard or smelled out of doors."""
        self.maybe(probability, *beats.OUTDOOR_ASIDES)

    def indoors(self, probability: float):
        """Perhaps something seen, heard or smelled in the house."""
        self.maybe(probability, *beats.INDOOR_ASIDES)

    def thank(self):
        """A thanks B by name."""
        self.say(*beats.THANKS)

    def agree(self):
        """B says yes to A."""
        self.say(*beats.AGREEMENTS)

    def close(self, probability: float):
        """Perhaps a last sentence about A."""
        self.maybe(probability, *beats.CLOSINGS)

    def close_together(self, probability: float):
        """Perhaps a last sentence about A and B."""
        self.maybe(probability, *beats.SHARED_CLOSINGS)

    # Casting

    def child(self) -> Character:
        """A boy or a girl."""
        pronoun = self.chance.pick(("he", "she"))
        return Character(self._name(pronoun), pronoun, "boy" if pronoun == "he" else "girl")

    def animal(self, *kinds: str) -> Character:
        """An animal with a name, of one of the kinds or of any kind."""
        species = [s for s in lexicon.SPECIES if (s.kind in kinds if kinds else s.kind not in self._taken)]
        chosen = self.chance.pick(species)
        self._taken.add(chosen.kind)
        pronoun = self.chance.pick(("he", "she"))
        return Character(self._name(pronoun, animal=True), pronoun, chosen.kind, chosen)

    def hero(self, animals: float = 0.45) -> Character:
        """A child or an animal."""
        return self.animal() if self.chance.yes(animals) else self.child()

    def friend(self, hero: Character) -> Character:
        """Someone of the hero's world: a child for a child, another animal for an animal."""
        return self.animal() if hero.species else self.child()

    def parent(self, child: Character) -> Character:
        """The mother or the father of a character."""
        pronoun = self.chance.pick(("he", "she"))
        call = self.chance.pick(("Dad", "Papa", "Daddy") if pronoun == "he" else ("Mom", "Mama", "Mommy"))
        return self._relative(child, pronoun, call, call.lower())

    def grandparent(self, child: Character) -> Character:
        """The grandmother or the grandfather of a character."""
        pronoun = self.chance.pick(("he", "she"))
        call = self.chance.pick(("Grandpa", "Granddad") if pronoun == "he" else ("Grandma", "Granny", "Nana"))
        return self._relative(child, pronoun, call, {"Nana": "grandma", "Granny": "granny"}.get(call, call.lower()))

    def sibling(self, child: Character, size: str) -> Character:
        """A big or little brother or sister of a character."""
        pronoun = self.chance.pick(("he", "she"))
        name = self._name(pronoun, animal=bool(child.species))
        return Character(name, pronoun, f"{size} {'brother' if pronoun == 'he' else 'sister'}", child.species)

    def being(self, kind: str) -> Character:
        """Something with a name and feelings that is neither a child nor an animal on land: a fish, a cloud, a train."""
        pronoun = self.chance.pick(("he", "she"))
        return Character(self._name(pronoun, animal=True), pronoun, kind)

    def grown_up(self, *jobs: str) -> Character:
        """A neighbor with a title, "Mrs. Bell"; `kind` is one of the jobs."""
        pronoun = self.chance.pick(("he", "she"))
        title = "Mr." if pronoun == "he" else self.chance.pick(("Mrs.", "Miss", "Mrs."))
        job = self.chance.pick(jobs) if jobs else "neighbor"
        return Character(f"{title} {self._new(lexicon.SURNAMES)}", pronoun, job)

    def elder(self, *kinds: str) -> Character:
        """An animal without a name, called by what it is: "the owl", "Owl"."""
        kind = self.chance.pick(kinds)
        self._taken.add(kind)
        pronoun = self.chance.pick(("he", "she"))
        return Character(f"the {kind}", pronoun, kind, call=kind.title())

    def _relative(self, child, pronoun, call, word):
        if self.chance.yes(0.5):
            return Character(call, pronoun, word)
        return Character(word, pronoun, word, call=call, owner=child)

    def _name(self, pronoun, animal=False):
        boys, girls = (lexicon.BOY_ANIMALS, lexicon.GIRL_ANIMALS) if animal else (lexicon.BOYS, lexicon.GIRLS)
        return self._new(boys if pronoun == "he" else girls)

    def _new(self, names):
        name = self.chance.pick([name for name in names if name not in self._taken])
        self._taken.add(name)
        return name

    # Things

    def thing(self, nouns: tuple[str, ...], many: bool = False) -> Thing:
        """A thing with a colour; `many` if its noun is a plural ("boots")."""
        return Thing(self.chance.pick(nouns), self.chance.pick(lexicon.COLORS), many)

    def toy(self) -> Thing:
        """A toy that fits in a bag."""
        return self.thing(lexicon.SMALL_TOYS)

    def pick(self, *options):
        """One of the options."""
        return self.chance.pick(options)

    def two(self, words: tuple[str, ...]) -> list[str]:
        """Two different words."""
        return self.chance.pick_several(words, 2)
