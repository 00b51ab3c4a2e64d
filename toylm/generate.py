"""python -m toylm.generate ... is toylm generate ..."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(["generate", *sys.argv[1:]]))
