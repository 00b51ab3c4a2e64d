"""python -m toylm VERB ... is the same as toylm VERB ..."""

import sys

from .cli import main

sys.exit(main())
