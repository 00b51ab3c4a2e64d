"""python -m toylm.evaluate ... is toylm evaluate ..."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
