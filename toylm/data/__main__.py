"""python -m toylm.data ... is toylm data ..."""

import sys

from ..cli import run_verb

sys.exit(run_verb("data", sys.argv[1:]))
