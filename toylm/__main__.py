"""python -m toylm VERB ... is the same as toylm VERB ..."""

import sys

try:
    from .cli import main
except KeyboardInterrupt:  # Ctrl-C in the first moments
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
