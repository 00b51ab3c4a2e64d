"""The story generator: determinism, the embedded corpus, English grammar, and counts that add up."""

import hashlib
import re
from pathlib import Path

import pytest

from toylm.data.stories import (
    EMBEDDED_COUNT,
    EMBEDDED_SEED,
    EMBEDDED_SHA256,
    END_OF_STORY,
    grammar,
    stories,
    story,
    write_embedded,
    write_stories,
)
from toylm.data.stories.cast import Character
from toylm.data.stories.chance import Chance
from toylm.data.stories.context import Story
from toylm.data.stories.generate import story_and_plot
from toylm.data.stories.narrator import Narrator
from toylm.data.stories.registry import PLOTS
from toylm.data.stories.statistics import measure, read_stories
from toylm.data.stories.template import parse

EMBEDDED = Path(__file__).parents[2] / "data" / "stories.txt"
NUMBERS = {grammar.number(value): value for value in range(1, 21)}
NUMBER = rf"\b({'|'.join(sorted(NUMBERS, key=len, reverse=True))})\b"


@pytest.fixture(scope="module")
def embedded():
    return read_stories(EMBEDDED)


def tell(plot_name, index):
    """The story with this index told by a certain plot."""
    plot = next(plot for plot in PLOTS if plot.__name__ == plot_name)
    telling = Story(Chance(f"test:{index}"))
    plot(telling)
    return telling.text()


# Determinism


def test_a_seed_and_an_index_give_one_story():
    assert story(5, 17) == story(5, 17)
    assert story(5, 17) != story(5, 18)
    assert story(5, 17) != story(6, 17)


def test_chance_is_python_random_and_nothing_else():
    chance = Chance("toylm")
    assert [chance.below(1000) for _ in range(5)] == [172, 326, 34, 582, 750]


def test_embedded_corpus_is_what_the_generator_makes(tmp_path):
    size = write_embedded(tmp_path / "stories.txt")
    made = (tmp_path / "stories.txt").read_bytes()
    assert size == len(made)
    assert hashlib.sha256(made).hexdigest() == EMBEDDED_SHA256
    assert EMBEDDED.read_bytes() == made


def test_embedded_corpus_has_the_promised_size(embedded):
    assert len(embedded) == EMBEDDED_COUNT >= 8000
    assert 2e6 <= EMBEDDED.stat().st_size <= 4e6
    text = EMBEDDED.read_bytes()
    assert text.endswith(f"\n{END_OF_STORY}\n".encode())
    assert b"\r" not in text
    assert text.count(END_OF_STORY.encode()) == EMBEDDED_COUNT


# Writing files


def test_write_stories_is_atomic_and_reports_progress(tmp_path):
    path = tmp_path / "few.txt"
    seen = []
    size = write_stories(path, 7, seed=3, progress=seen.append)
    assert sum(seen) == 7
    assert size == path.stat().st_size
    assert read_stories(path) == list(stories(7, seed=3))
    assert [entry.name for entry in tmp_path.iterdir()] == ["few.txt"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "few.txt"
    path.write_text("old", encoding="utf-8")

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_stories(path, 7, seed=3, progress=stop)
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["few.txt"]


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="number of stories is 0"):
        write_stories(tmp_path / "none.txt", 0, seed=1)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        write_stories(tmp_path / "missing" / "none.txt", 1, seed=1)


# Variety


def test_no_story_twice(embedded):
    assert len(set(embedded)) == len(embedded)


def test_no_template_dominates(embedded):
    figures = measure(embedded)
    assert figures["common_ngrams"][0][0] < 0.03
    assert figures["vocabulary"] > 1500
    assert figures["distinct_sentences"] > 0.4 * figures["sentences"]


def test_every_plot_is_told():
    told = {story_and_plot(EMBEDDED_SEED, index)[1] for index in range(1000)}
    assert told == {plot.__name__ for plot in PLOTS}
    assert len(told) >= 40


# Grammar


@pytest.mark.parametrize(
    "mistake",
    [
        r"\b[Aa] [aeio]\w*",  # a apple
        r"\b[Aa]n (?!hour)[^aeiou\W]\w*",  # an dog
        r"  ",
        r"[\[\]{}|]",  # an unfilled template
        r"\b(\w+) \1\b",  # the the
        r" [,.!?]",
        r"[.,!?][.,!?]",
        r'"[.,]',  # punctuation stands inside the quotation marks
        r'(?:^|[.?!] |\n)"?[a-z]',  # a sentence begins with a small letter
        r"\b(?:were|are) one\b",
        r"Good night, an? ",  # somebody is spoken to
    ],
)
def test_grammar_of_every_sentence(embedded, mistake):
    found = [match[0] for text in embedded if (match := re.search(mistake, text))]
    assert found == []


def test_quotation_marks_are_balanced_in_every_paragraph(embedded):
    assert not [text for text in embedded if any(part.count('"') % 2 for part in text.split("\n\n"))]


def test_every_story_ends_with_a_finished_sentence(embedded):
    assert not [text for text in embedded if not re.search(r'[.!?]"?$', text)]


def test_inflection():
    assert [grammar.plural(noun) for noun in ("cherry", "toy boat", "leaf", "box", "goose", "mango")] == [
        "cherries", "toy boats", "leaves", "boxes", "geese", "mangoes",
    ]  # fmt: skip
    assert [grammar.past(verb) for verb in ("fly a kite", "hop", "play", "dry", "bake bread", "swim")] == [
        "flew a kite", "hopped", "played", "dried", "baked bread", "swam",
    ]  # fmt: skip
    assert [grammar.ing(verb) for verb in ("run", "make a cake", "see", "fly")] == [
        "running", "making a cake", "seeing", "flying",
    ]  # fmt: skip
    assert grammar.join(["a", "b", "c"]) == "a, b and c"
    assert grammar.tidy("a apple and a unicorn saw a  owl .") == "an apple and a unicorn saw an owl."


def test_pronouns_are_used_only_where_they_are_clear():
    tom, ben, mia = Character("Tom", "he", "boy"), Character("Ben", "he", "boy"), Character("Mia", "she", "girl")
    narrator = Narrator(Chance("pronouns"), {"A": tom, "B": ben, "C": mia})
    assert narrator.tell("{A} saw {B} and {A.his} dog.") == "Tom saw Ben and his dog."
    assert narrator.tell("Then {B.he} saw {A.him}.") == "Then Ben saw Tom."
    narrator.forget()
    assert narrator.tell("{A} saw {C}.") == "Tom saw Mia."
    assert narrator.tell("Then {C.he} gave {A.him} {C.his} hat.") == "Then she gave him her hat."
    narrator.forget()
    assert narrator.tell("Then {A.he} ran.") == "Then Tom ran."


def test_template_mistakes_are_reported():
    for template in ("{A", "[a|b", "a]", "a|b"):
        with pytest.raises(ValueError, match="template"):
            parse(template)


# Counts


def numbers_in(text, pattern):
    r"""The numbers in words that stand where the pattern has (\w+), or None where it does not match."""
    match = re.search(pattern.replace(r"(\w+)", NUMBER), text, re.IGNORECASE)
    return match and [NUMBERS[word.lower()] for word in match.groups()]


def check_sums(plot, *checks, stories_told=300):
    """Tells many stories of a plot and checks each sum wherever it is told; each must be told at least once."""
    for pattern, holds in checks:
        found = [numbers for i in range(stories_told) if (numbers := numbers_in(tell(plot, i), pattern))]
        assert found, f"{plot} never tells {pattern}"
        assert all(holds(*numbers) for numbers in found)


def test_apples_eaten_and_left():
    check_sums(
        "apples_left",
        (r"I had (\w+)\. Now (\w+) (?:is|are) gone, so there (?:is|are) (\w+) left", lambda a, b, c: a - b == c),
        (r"(\w+) take away (\w+) is (\w+)\.", lambda a, b, c: a - b == c),
        (r"(?s)(?:picked|with) (\w+) \w+ .*take away (?:\w+) is (\w+)\.", lambda a, c: a > c),
    )


def test_eggs_from_two_nests():
    check_sums(
        "eggs_in_the_barn",
        (r"(?s)found (\w+) eggs.* (?:and|found) (\w+) (?:eggs|more).*I have (\w+) eggs", lambda a, b, c: a + b == c),
        (r"(?s)there were only (\w+)\..*There were (\w+), but I broke one", lambda left, all_: left == all_ - 1),
    )


def test_fair_shares():
    check_sums(
        "fair_shares",
        (r"(?s)(?:had|were) (\w+) [\w ]+[.!].*each of them had (\w+) [\w ]+, and none", lambda n, each: n == 3 * each),
        (r"(?s)(?:had|were) (\w+) [\w ]+[.!].*had (\w+) [\w ]+, and there was one left", lambda n, each: n == 3 * each + 1),
    )


def test_collections_grow():
    check_sums(
        "collecting",
        (r"(\w+) and (\w+) are (\w+)\. That was enough", lambda a, b, c: a + b == c),
        (r"(?s)found (\w+) .* found (\w+) more\. Now \w+ had (\w+)", lambda a, b, c: a + b == c),
    )


def test_a_missing_child_completes_the_family():
    check_sums(
        "missing_duckling",
        (r"(?s)(?:had|with) (\w+) \w+\..*counted again: .*?(\w+)\. One was", lambda all_, found: all_ == found + 1),
        (r"and so on, up to (\w+)\.", lambda found: found > 4),
        (r"(?s)(?:had|with) (\w+) \w+\..*and one make (\w+)", lambda all_, again: all_ == again),
    )


def test_coins_and_prices():
    check_sums(
        "shopping_with_coins",
        (r"(\w+) take away (\w+) is (\w+)", lambda a, b, c: a - b == c),
        (
            r"(?s)had (?:saved )?(\w+) coins.* (?:cost|\?\") (\w+) coins.*I will give you the (\w+) coins?",
            lambda have, price, gap: price - have == gap,
        ),
    )


def test_flowers_given_away():
    check_sums(
        "flowers_for_everyone",
        (r"(?s)picked (\w+) .*? gave away one \w+\. Now s?he had (\w+)\..*\n", lambda a, b: a > b),
        (r"One \w+ went to [\w ]+\. That left (\w+)\.[^.]*gave away one \w+\. Now s?he had (\w+)", lambda a, b: a - 1 == b),
        (r"(?s)Now s?he had (\w+)\. One \w+ went to [\w ]+\. That left (\w+)\.", lambda a, b: a - 1 == b),
        (r"(?s)(?:had|left) (\w+)(?: left)?\.\s+At home.*I had (\w+), but", lambda left, all_: left == 1 < all_),
    )
