"""Stories for small children, made from a seed: the embedded corpus of toylm, and as many more as wanted.

>>> from toylm.data.stories import story, stories, write_stories
>>> story(seed=1, index=0)                          # one story
>>> list(stories(count=100, seed=1))                # a hundred different ones
>>> write_stories("more.txt", count=50_000, seed=1)

A story is told by a plot (`plots_*.py`): a function that casts characters and things and tells sentences written in the
notation of `template.py`. `narrator.py` fills them in and sees to it that every pronoun is clear; `grammar.py` inflects;
`lexicon.py` and `beats.py` hold the words and the sentences that all plots share. Python's standard library is enough.
"""

from toylm.data.stories.generate import (
    EMBEDDED_COUNT,
    EMBEDDED_SEED,
    EMBEDDED_SHA256,
    END_OF_STORY,
    stories,
    story,
    write_embedded,
    write_stories,
)

__all__ = [
    "EMBEDDED_COUNT",
    "EMBEDDED_SEED",
    "EMBEDDED_SHA256",
    "END_OF_STORY",
    "stories",
    "story",
    "write_embedded",
    "write_stories",
]
