"""python -m toylm.bench ... is toylm bench ..."""

import sys

from ..cli import main

sys.exit(main(["bench", *sys.argv[1:]]))
