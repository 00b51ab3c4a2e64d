"""python -m toylm.residual ... is toylm residual ..."""

import sys

from .cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("residual", sys.argv[1:]))
