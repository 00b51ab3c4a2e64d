"""What a file of stories is made of: `python -m toylm.data.stories.statistics FILE`."""

import re
import sys
from collections import Counter
from pathlib import Path

from toylm.data.stories.generate import END_OF_STORY

_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_SENTENCE = re.compile(r'(?<=[.!?])(?<!Mr\.)(?<!Mrs\.)"? (?=["A-Z])|\n+')


def read_stories(path: str | Path) -> list[str]:
    """The stories of a file in which each is closed by the line `<|endoftext|>`."""
    text = Path(path).read_text(encoding="utf-8")
    return [story.strip("\n") for story in text.split(END_OF_STORY + "\n") if story.strip()]


def measure(stories: list[str], n: int = 8) -> dict:
    """Counts of stories, words and sentences, and the n-grams of words found in the most stories.

    `common_ngrams` is a list of (share of the stories, n-gram); names and marks count as words do, case does not.
    """
    words = Counter()
    sentences = Counter()
    ngrams = Counter()
    for text in stories:
        tokens = _WORD.findall(text.lower())
        words.update(tokens)
        sentences.update(_SENTENCE.split(text))
        ngrams.update({tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)})
    lengths = sorted(len(text) for text in stories)
    total = sum(words.values())
    return {
        "stories": len(stories),
        "distinct_stories": len(set(stories)),
        "words": total,
        "vocabulary": len(words),
        "type_token_ratio": len(words) / total,
        "sentences": sum(sentences.values()),
        "distinct_sentences": len(sentences),
        "characters": {f"{q}%": lengths[min(len(lengths) - 1, len(lengths) * q // 100)] for q in (0, 10, 50, 90, 100)},
        "mean_characters": sum(lengths) / len(lengths),
        "common_sentences": sentences.most_common(8),
        "common_ngrams": [(count / len(stories), " ".join(gram)) for gram, count in ngrams.most_common(8)],
    }


def main():
    """Prints the statistics of the file named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m toylm.data.stories.statistics FILE")
    for name, value in measure(read_stories(sys.argv[1])).items():
        if isinstance(value, list):
            print(f"{name}:")
            for entry in value:
                print("   ", *entry)
        else:
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
