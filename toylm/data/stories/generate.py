"""Stories, one or many, from a seed; and the embedded corpus."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from toylm.data.stories import (  # noqa: F401  importing a module registers its plots
    plots_animals,
    plots_counting,
    plots_friends,
    plots_growing,
    plots_home,
    plots_honesty,
    plots_lessons,
    plots_nature,
    plots_tales,
    plots_things,
)
from toylm.data.stories.chance import Chance
from toylm.data.stories.context import Story
from toylm.data.stories.registry import PLOTS

from ...errors import MissingFileError, UsageError

END_OF_STORY = "<|endoftext|>"


def story(seed: int, index: int) -> str:
    """The story with this index under this seed: paragraphs separated by an empty line, no newline at the end.

    The same seed and index give the same text on every platform.
    """
    return story_and_plot(seed, index)[0]


def story_and_plot(seed: int, index: int) -> tuple[str, str]:
    """The story with this index, and the name of its plot."""
    chance = Chance(f"{seed}:{index}")
    plot = chance.pick(PLOTS)
    telling = Story(chance)
    plot(telling)
    return telling.text(), plot.__name__


def stories(count: int, seed: int) -> Iterator[str]:
    """`count` different stories: those of the seed in order of their index, without repetitions."""
    seen = set()
    index = 0
    while len(seen) < count:
        text = story(seed, index)
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            yield text
        index += 1


def write_stories(path: str | Path, count: int, seed: int, progress: Callable[[int], None] | None = None) -> int:
    """Writes `count` different stories to a file and returns its size in bytes.

    The file is UTF-8 with line feeds; every story is closed by the line `<|endoftext|>`. It appears under its name only
    when it is complete. `progress`, if given, is called after each story with 1, the number of stories added.
    Raises ValueError for a count below 1 and FileNotFoundError where the folder does not exist.
    """
    if count < 1:
        raise UsageError(f"the number of stories is {count}; it must be at least 1")
    path = Path(path)
    if not path.parent.is_dir():
        raise MissingFileError(f"the folder {path.parent} does not exist; create it or write somewhere else")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "w", encoding="utf-8", newline="\n") as file:
            for text in stories(count, seed):
                file.write(f"{text}\n{END_OF_STORY}\n")
                if progress:
                    progress(1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path.stat().st_size


# The corpus that comes with toylm, `data/stories.txt`.
EMBEDDED_SEED = 2024
EMBEDDED_COUNT = 8000
EMBEDDED_SHA256 = "315686eceee513f72aa16583c04a3c0afb51ce2fd7d3a77a28fe3dc036073501"


def write_embedded(path: str | Path, progress: Callable[[int], None] | None = None) -> int:
    """Writes the corpus that comes with toylm, bit for bit, and returns its size in bytes."""
    return write_stories(path, EMBEDDED_COUNT, EMBEDDED_SEED, progress)
