"""python -m toylm.export ... is toylm export ..."""

import sys

from .cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("export", sys.argv[1:]))
