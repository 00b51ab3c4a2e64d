"""Run the battery of closed-form identities and a timing table.

  toylm instant                     every identity, then closed form against gradient descent; writes results.txt
  toylm instant --out runs/check    the folder for results.txt

Each line shows what was measured and the bound that it must stay below. The exit status is 1 if an identity does not hold.
"""

import platform
from pathlib import Path


def build_parser(parser):
    """Add the arguments of `toylm instant`."""
    parser.add_argument("--out", metavar="DIR", default=".", help="folder for results.txt")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the problems")
    parser.add_argument("--no-timing", action="store_true", help="leave out the timing table")
    parser.add_argument("--n", metavar="N", type=int, default=20000, help="rows of the timing problem")
    parser.add_argument("--d", metavar="N", type=int, default=64, help="features of the timing problem")
    parser.add_argument("--threads", metavar="N", type=int, help="threads (default: physical cores)")


def run(args):
    """Run `toylm instant`; returns the exit status."""
    import numpy as np

    from .. import __version__
    from ..checks import check_count
    from ..closed_form.identities import run_battery
    from ..closed_form.timing import format_timing, timing_table
    from ..console import use_utf8_output
    from ..errors import UsageError
    from ..files import write_text
    from ..threads import set_threads

    if args.n < 2 or args.d < 1:
        raise UsageError(f"--n {args.n} --d {args.d}: the timing problem needs at least 2 rows and 1 feature")
    check_count(args.seed, "--seed", 0)
    path = Path(args.out).resolve() / "results.txt"
    if path.parent.exists() and not path.parent.is_dir():
        raise UsageError(f"{path.parent} is a file; --out names a folder")
    use_utf8_output()
    set_threads(args.threads)
    lines, failed = [], []

    def say(line=""):
        print(line, flush=True)
        lines.append(line)

    say(f"toylm {__version__} closed-form identities, seed {args.seed}, numpy {np.__version__}, {platform.machine()}")
    for check in run_battery(args.seed):
        say(str(check))
        if not check.holds:
            failed.append(check)
    if not args.no_timing:
        for decay, scales in ((0.0, "features of one scale"), (1.0, "scales from 1 to 0.1"), (2.0, "scales from 1 to 0.01")):
            say()
            say(f"ridge, {args.n:,} rows x {args.d} features x 8 targets, {scales}; descent at its optimal fixed rate:")
            say(format_timing(timing_table(args.n, args.d, decay=decay)))
    say()
    say(f"[✘] {len(failed)} checks failed: {failed[0].name}" if failed else "[✔] All checks passed")
    write_text(path, "\n".join(lines) + "\n")
    print(path)
    return 1 if failed else 0
