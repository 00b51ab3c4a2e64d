"""python -m toylm.data ... is toylm data ..."""

import sys

from ..cli import main

if __name__ == "__main__":
    sys.exit(main(["data", *sys.argv[1:]]))
