"""python -m toylm.compare ... is toylm compare ..."""

import sys

from .cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("compare", sys.argv[1:]))
