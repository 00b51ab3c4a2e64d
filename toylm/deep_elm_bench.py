"""python -m toylm.deep_elm_bench ... is toylm deep-elm-bench ..."""

import sys

from .cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("deep-elm-bench", sys.argv[1:]))
