"""python -m toylm.train ... is the same as toylm train ..."""

import sys

from ..cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("train", sys.argv[1:]))
