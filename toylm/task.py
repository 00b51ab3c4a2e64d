"""python -m toylm.task ... is toylm task ..."""

import sys

from .cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("task", sys.argv[1:]))
