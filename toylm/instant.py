"""python -m toylm.instant ... is toylm instant ..."""

import sys

from .cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("instant", sys.argv[1:]))
