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


def build_parser(parser):
    """Add the arguments of `toylm task`."""
    parser.add_argument("task", metavar="TASK", choices=(*NAMES, "all"), help=f"{', '.join(NAMES)} or all")
    parser.add_argument("--n", metavar="N", type=int, default=512, help="training sequences")
    parser.add_argument("--L", metavar="N", type=int, default=512, help="longest training sequence")
    parser.add_argument("--min-L", metavar="N", type=int, help="shortest training sequence (default: min(64, L))")
    parser.add_argument("--V", metavar="N", type=int, help="vocabulary of copy, reverse (default 32), running-sum (10)")
    parser.add_argument("--depth", metavar="N", type=int, default=16, help="greatest bracket depth")
    parser.add_argument("--modulo", metavar="N", type=int, help="modulus of the running sum (default: none)")
    parser.add_argument("--shift", metavar="N", type=int, default=0, help="copy: how many positions ago")
    parser.add_argument("--seed", metavar="N", type=int, help="seed of the training set (default: the task's own)")
    parser.add_argument("--test-L", metavar="N", type=int, default=65536, help="length of the test sequences")
    parser.add_argument("--test-n", metavar="N", type=int, default=2, help="test sequences")
    parser.add_argument("--head", choices=("none", "ridge"), default="none", help="also a position-wise ridge head")
    parser.add_argument("--json", action="store_true", help="print one JSON object a task")


def run(args):
    """Run `toylm task`; returns the exit status: 1 if a test token was wrong."""
    import json

    from .task_models import position_wise_head, solve_task

    wrong = False
    for name in NAMES if args.task == "all" else (args.task,):
        options = task_options(name, args)
        training = {
            "num_sequences": args.n,
            "min_len": min(64, args.L) if args.min_L is None else args.min_L,
            "max_len": args.L,
            "seed": args.seed,
        }
        result = solve_task(name, test_length=args.test_L, test_sequences=args.test_n, **training, **options)
        model = result.pop("model")
        if args.head == "ridge":
            result["position_wise"] = position_wise_head(name, **training, **options)
        wrong = wrong or result["test"]["accuracy"] < 1
        if args.json:
            print(json.dumps({"task": name, **options, **result}))
            continue
        print(f"{name}: {args.n} sequences of up to {args.L} tokens; {model.describe()}")
        for side, length in (("train", f"up to {args.L:,}"), ("test", f"{args.test_L:,}")):
            numbers = result[side]
            print(f"  {side:<5} length {length:<12} accuracy {numbers['accuracy']:.6f}   MSE {numbers['mse']:.2e}")
        if "position_wise" in result:
            numbers = result["position_wise"]
            print(f"  position-wise ridge head alone   accuracy {numbers['accuracy']:.6f}   MSE {numbers['mse']:.2e}")
        print(f"  fitted in {result['fit_seconds'] * 1e3:.0f} ms, test predicted in {result['predict_seconds'] * 1e3:.1f} ms")
    return 1 if wrong else 0


def task_options(name, args):
    """The generator's options of one task, from the command's arguments."""
    if name == "bracket":
        return {"max_depth": args.depth}
    options = {"vocab_size": args.V} if args.V is not None else {}
    if name == "copy":
        options["shift"] = args.shift
    if name == "running-sum":
        options["modulo"] = args.modulo
    return options
