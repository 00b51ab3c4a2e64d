"""Time every kernel on this machine: the same as `toylm bench kernels`, with the same options (--help lists them)."""

import sys
from pathlib import Path

# The gallery belongs to this checkout, whatever toylm is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from toylm.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["bench", "kernels", *sys.argv[1:]]))
