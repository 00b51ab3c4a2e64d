"""Measure again and put the figures into README.md here, with the two pictures: on a quiet machine, about five minutes.

  python kernels/update_readme.py                 everything
  python kernels/update_readme.py scaling startup only these
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# block in README.md -> arguments of `toylm bench`
COMMANDS = {
    "kernels": ["kernels", "--picture", str(HERE / "roofline.png")],
    "ablate": ["ablate", "--cold-rounds", "0"],
    "scaling": ["scaling", "--picture", str(HERE / "scaling.png")],
    "startup": ["startup"],
}


def replaced(text, name, output):
    """`text` with the lines between <!-- name --> and <!-- /name --> replaced by `output` as a code block.

    Raises ValueError where the markers are missing.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if start not in text or end not in text:
        raise ValueError(f"README.md has no block between {start} and {end}")
    before, rest = text.split(start, 1)
    after = rest.split(end, 1)[1]
    return f"{before}{start}\n```\n{output.rstrip()}\n```\n{end}{after}"


def measured(name):
    """What the command prints, without the line that names the picture's file."""
    command = [sys.executable, "-m", "toylm", "bench", *COMMANDS[name]]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False)
    if done.returncode not in (0, 1):  # 1: a bar was missed, which is a figure too
        raise SystemExit(f"toylm bench {name} ended with status {done.returncode}")
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("picture:"))


def main(names):
    readme = HERE / "README.md"
    for name in names or COMMANDS:
        output = measured(name)
        print(output, flush=True)
        readme.write_text(replaced(readme.read_text(encoding="utf-8"), name, output), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
