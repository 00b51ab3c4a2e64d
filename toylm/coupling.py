"""python -m toylm.coupling ... is toylm coupling ..."""

import sys

from .cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("coupling", sys.argv[1:]))
