"""Solve a long synthetic task in closed form: fitted on short sequences, tested at 65,536 tokens.

  toylm task copy --n 64 --L 128 --V 64           copy; --shift 40 for Y[t] = X[t - 40]
  toylm task bracket --n 64 --L 128 --depth 32    bracket depth
  toylm task reverse
  toylm task running-sum --modulo 7
  toylm task all                                  the four of them

--head ridge also fits a ridge head on the one-hot token of each position alone, with no view of other positions: what it cannot
do is what the task is about.
"""

NAMES = ("copy", "bracket", "reverse", "running-sum")
# The options that not every task has a use for, and what they are called in its generator.
USERS = {"V": ("copy", "reverse", "running-sum"), "depth": ("bracket",), "modulo": ("running-sum",), "shift": ("copy",)}
KEYWORDS = {"V": "vocab_size", "depth": "max_depth"}


def build_parser(parser):
    """Add the arguments of `toylm task`."""
    parser.add_argument("task", metavar="TASK", choices=(*NAMES, "all"), help=f"{', '.join(NAMES)} or all")
    parser.add_argument("--n", metavar="N", type=int, default=512, help="training sequences")
    parser.add_argument("--L", metavar="N", type=int, default=512, help="longest training sequence")
    parser.add_argument("--min-L", metavar="N", type=int, help="shortest training sequence (default: 64, at most L / 2)")
    parser.add_argument("--V", metavar="N", type=int, help="vocabulary of copy, reverse (default 32), running-sum (10)")
    parser.add_argument("--depth", metavar="N", type=int, help="greatest bracket depth (default 16)")
    parser.add_argument("--modulo", metavar="N", type=int, help="modulus of the running sum (default: none)")
    parser.add_argument("--shift", metavar="N", type=int, help="copy: how many positions ago (default 0)")
    parser.add_argument("--seed", metavar="N", type=int, help="seed of the training set (default: the task's own)")
    parser.add_argument("--test-L", metavar="N", type=int, default=65536, help="length of the test sequences")
    parser.add_argument("--test-n", metavar="N", type=int, default=2, help="test sequences")
    parser.add_argument("--head", choices=("none", "ridge"), default="none", help="also a position-wise ridge head")
    parser.add_argument("--json", action="store_true", help="print one JSON object a task")


def run(args):
    """Run `toylm task`; returns the exit status: 1 if a test token was wrong."""
    import json

    from ..errors import UsageError

    names = NAMES if args.task == "all" else (args.task,)
    for option, users in USERS.items():
        if getattr(args, option) is not None and not set(users) & set(names):
            raise UsageError(f"--{option} {getattr(args, option)}: {args.task} has no use for it, only {', '.join(users)}")
    from ..checks import check_count
    from ..closed_form.task_models import position_wise_head, solve_task

    if args.seed is not None:
        check_count(args.seed, "--seed", 0)
    wrong = False
    for name in names:
        options = task_options(name, args)
        training = {
            "num_sequences": args.n,
            "min_len": shortest(args, options) if args.min_L is None else args.min_L,
            "max_len": args.L,
            "seed": args.seed,
        }
        result = solve_task(name, test_length=args.test_L, test_sequences=args.test_n, **training, **options)
        model = result.pop("model")
        if args.head == "ridge":
            result["position_wise"] = position_wise_head(name, **training, **options)
        missed = result["test"]["accuracy"] < 1
        wrong = wrong or missed
        if args.json:
            print(json.dumps({"task": name, **options, **result}))
            continue
        print(f"{name}: {args.n} sequences of up to {args.L} tokens; {model.describe()}")
        for side, length in (("train", f"up to {args.L:,}"), ("test", f"{args.test_L:,}")):
            numbers = result[side]
            print(f"  {side:<5} length {length:<12} accuracy {numbers['accuracy']:.6f}   MSE {numbers['mse']:.2e}")
        if missed and training["min_len"] == args.L:
            print(f"  every training sequence has {args.L} tokens, which hides what depends on the length: give --min-L below --L")
        elif missed:
            print("  the training sequences do not show enough of the task: give more (--n) or longer ones (--L)")
        if "position_wise" in result:
            numbers = result["position_wise"]
            print(f"  position-wise ridge head alone   accuracy {numbers['accuracy']:.6f}   MSE {numbers['mse']:.2e}")
        print(f"  fitted in {result['fit_seconds'] * 1e3:.0f} ms, test predicted in {result['predict_seconds'] * 1e3:.1f} ms")
    return 1 if wrong else 0


def shortest(args, options):
    """The default of --min-L: below L, or what depends on the length could not be told from a constant; past the shift."""
    return min(args.L, max(min(64, args.L // 2), options.get("shift", 0) + 1, 1))


def task_options(name, args):
    """The generator's options of one task, from the command's arguments."""
    given = {option: getattr(args, option) for option, users in USERS.items() if name in users}
    return {KEYWORDS.get(option, option): value for option, value in given.items() if value is not None}
