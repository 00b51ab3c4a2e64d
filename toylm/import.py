"""python -m toylm.import ... is toylm import ..."""

import sys

from .cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("import", sys.argv[1:]))
