"""Random choices that come out the same on every platform and in every Python version.

`random.Random.random` is the one method whose sequence Python promises to keep for a given seed; `choice`, `shuffle`
and `sample` may change their algorithms. Every choice of the story generator is therefore made here, from `random()`.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """A seeded source of choices. The seed is a string: strings are seeded by their SHA-512, not by `hash`."""

    def __init__(self, seed: str):
        self._random = Random(seed).random

    def below(self, limit: int) -> int:
        """A whole number from 0 to limit - 1."""
        return int(self._random() * limit)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self._random() * (high - low + 1))

    def yes(self, probability: float) -> bool:
        """True with the given probability."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, each equally likely."""
        return options[int(self._random() * len(options))]

    def pick_several(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different options, in random order."""
        pool = list(options)
        return [pool.pop(int(self._random() * len(pool))) for _ in range(count)]
