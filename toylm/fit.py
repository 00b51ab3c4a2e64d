"""python -m toylm.fit ... is toylm fit ..."""

import sys

from .cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("fit", sys.argv[1:]))
