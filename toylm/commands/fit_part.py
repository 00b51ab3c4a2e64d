"""`toylm fit RUN --part PART --with FITTER`: a part of a trained model."""

import json
from pathlib import Path

from ..errors import UsageError
from ..fitters.fitter import REGISTRY, kinds_of, make_fitter
from ..fitters.parts import KINDS, Part

FITTERS = {name: f"{line} [{', '.join(kinds_of(name))}]" for name, (_, line) in REGISTRY.items()}

# setting of a fitter -> (type, help); what is not given stays the fitter's own default
SETTINGS = {
    "l2": (float, "cross-entropy, bohning: penalty on the distance to the start (default: 0.001)"),
    "iterations": (int, "cross-entropy, bohning, ridge on the own gradient: at most (default: 30; 8 for ridge)"),
    "start": (("current", "zero"), "cross-entropy, bohning: where to start (default: current)"),
    "lambda_reg": (float, "ridge penalty, on moments a row (default: 1e-4 for a ridge head, 1e-9 for ridge on blocks, 1e-5 for elm "
                          "and deep-elm, else 1e-6)"),
    "max_rows": (int, "training tokens read, at most (default: 1000000 for cross-entropy, bohning and a ridge head, all with "
                      "--by-document, 200000 for elm and deep-elm, 50000 for kernel-ridge, 20000 for ridge on a teacher's stream, "
                      "else 40000)"),
    "targets": (("teacher", "gradient"), "ridge on blocks: a teacher's stream, or the model's own gradient (default: gradient, "
                                         "unless --teacher or --reset is given)"),
    "teacher": (str, "ridge, lora: the run whose activations are the targets"),
    "reset": (bool, "ridge on blocks: set the matrices to random first, imitate the model as it was"),
    "matrices": (("output", "all"), "ridge on feed-forward: w_ff2 alone, or w_ff1 as well (default: output)"),
    "landmarks": (int, "kernel-ridge: landmarks, at most (default: 1000)"),
    "kernel": (str, "kernel-ridge: rbf, laplacian, matern, polynomial, linear (default: rbf)"),
    "length_scale": (float, "kernel-ridge: of the kernel (default: the median distance)"),
    "hidden_units": (int, "elm, deep-elm: random features a layer (default: 1024)"),
    "depth": (int, "deep-elm: layers; deep-linear: factors (default: 2)"),
    "activation": (("tanh", "relu"), "elm, deep-elm: of the random features (default: relu)"),
    "replacement": (("refit", "linear", "none"), "collapse: w_ff2 solved for, a d x d map of its output, nothing (default: refit)"),
    "repair": (("yes", "no"), "collapse, deep-linear: solve for w_o and w_ff2 of the blocks behind again (default: yes)"),
    "head": (("yes", "no"), "collapse, deep-linear: end with a cross-entropy head (default: no)"),
    "rank": (int, "lora: of the correction; deep-linear: of the map (default: 8 for lora, d_model for deep-linear)"),
    "keep_beside": (bool, "lora: save the factors beside the weights as they were, in place of merging them"),
    "by_document": (bool, "ridge on the head: keep its moments, by document, for --add and --remove"),
    "steps": (int, "sgd, adam: steps, in place of seconds"),
    "seconds": (float, "sgd, adam: seconds (default: 10)"),
    "learning_rate": (float, "sgd, adam: peak learning rate (default: 0.1 for sgd, 0.003 for adam)"),
}  # fmt: skip


def add_arguments(parser):
    """The arguments of this family."""
    kinds = "; ".join(f"{kind if kind in ('head', 'all') else kind + ':K'}, {what}" for kind, what in KINDS.items())
    group = parser.add_argument_group("a part of a trained model")
    group.add_argument("--part", metavar="PART", help=f"{kinds}. Blocks count from 0; blocks:2-3 and blocks:1,4 name two")
    group.add_argument("--data", metavar="TEXT", nargs="+", help="fit on this text instead of the run's own")
    group.add_argument("--max-tokens", metavar="N", type=int, help="read at most this many training tokens, spread over the text")
    group.add_argument("--eval-tokens", metavar="N", type=int, help="measure on at most this many held-out tokens (default: all)")
    group.add_argument("--batch-size", metavar="N", type=int, default=16, help="windows at once")
    group.add_argument("--precision", choices=("float32", "float64"), default="float32", help="arithmetic of the model")
    for name, (kind, text) in SETTINGS.items():
        flag = f"--{name.replace('_', '-')}"
        if kind is bool:
            group.add_argument(flag, dest=name, action="store_true", default=None, help=text)
        elif isinstance(kind, tuple):
            group.add_argument(flag, dest=name, choices=kind, help=text)
        else:
            metavar = {int: "N", float: "X"}.get(kind, "TEXT")
            group.add_argument(flag, dest=name, metavar=metavar, type=kind, help=text)


def takes(args):
    """Whether the command line asks for this family."""
    return args.fitter in REGISTRY


DATA = ("data", "max_tokens", "eval_tokens", "batch_size", "context_length", "seed")  # what `open_data` reads


def reads(args):
    """See command.FAMILIES; which of the settings the fitter has is for make_fitter to say."""
    return f"--with {args.fitter}", ("fitter", "part", "out", "overwrite", "json", "threads", "precision", *DATA, *SETTINGS)


def run(args):
    """Fit, report, and save where asked; returns the exit status."""
    from ..formats.checkpoint import load_checkpoint

    if args.part is None:
        raise UsageError(f"--part names what to fit; {args.fitter} fits {', '.join(kinds_of(args.fitter))}")
    part = Part.parse(args.part)
    settings = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    settings |= {name: settings[name] == "yes" for name in ("repair", "head") if name in settings}
    fitter = make_fitter(part, args.fitter, **settings)
    if args.out:
        if not fitter.changes_model:
            raise UsageError(
                f"{args.fitter} is measured beside the model, which does not change: there is nothing to save; leave out --out"
            )
        check_out(args.out, args.overwrite)
    checkpoint = load_checkpoint(args.source, args.precision, args.threads, transformer=True)
    part.check(checkpoint.model.config)
    data = open_data(args, checkpoint)
    with Bar(args.json) as progress:
        report = fitter.fit(checkpoint.model, data, progress)
    figures = {"checkpoint": str(checkpoint.path), **report.to_dict()}
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        print_report(report)
    if args.out:
        path = save_fitted(args.out, checkpoint, fitter, [report], args.overwrite)
        if not args.json:
            print(f"saved        {path}")
    elif not args.json and report.model_changed:
        print("not saved: --out RUN keeps the fitted model")
    return 0


def open_data(args, checkpoint):
    """The FitData of --data, or of the run that the checkpoint belongs to."""
    from ..fitters.data import FitData

    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    length = model.config.context_length if args.context_length is None else args.context_length
    if length > model.config.context_length:
        raise UsageError(f"context_length is {length}; the model takes at most {model.config.context_length} tokens")
    settings = dict(context_length=length, batch_size=args.batch_size, max_tokens=args.max_tokens, seed=args.seed,
                    eval_tokens=args.eval_tokens)  # fmt: skip
    if not args.data:
        return FitData.of_run(checkpoint.path, tokenizer, **settings)
    from ..data import prepare

    if tokenizer is None:
        raise UsageError(f"{checkpoint.path} has no tokenizer.json, so no other text than its run's own can be read")
    prepared = prepare(args.data[0] if len(args.data) == 1 else args.data, tokenizer=tokenizer, context_length=length,
                       progress=False)  # fmt: skip
    return FitData.of_prepared(prepared, **settings)


def print_report(report):
    """The report as lines for reading."""
    from ..console import size

    print(f"fitted       {report.part} with {report.fitter}: {', '.join(report.changed) or 'beside the model'}")
    rcond = "" if report.rcond is None else f", rcond {report.rcond:.1e}"
    print(f"solver       {report.solver}{rcond}; {report.parameters:,} values, {size(report.n_bytes)}, {report.seconds:.2f} s")
    print(f"held-out     {report.tokens:,} tokens")
    for label, loss, bits, nats in (
        ("before", report.perplexity_before, report.bits_per_byte_before, report.loss_before),
        ("after", report.perplexity_after, report.bits_per_byte_after, report.loss_after),
    ):
        said = "" if bits is None else f" | {bits:.4f} bits/byte"
        print(f"{label:<13}{nats:.4f} nats/token | perplexity {loss:,.2f}{said}")
    for name, value in report.details.items():
        print(f"  {name:<26} {_figure(value)}")
    if not report.model_changed:
        print("the model is not changed: this part is measured beside it")


def _figure(value):
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return " ".join(_figure(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{k} {_figure(v)}" for k, v in value.items())
    return str(value)


class Bar:
    """A progress bar on a terminal; a context manager whose value is a fitter's `progress`."""

    def __init__(self, quiet=False):
        from tqdm import tqdm

        self._bar = tqdm(total=1.0, leave=False, disable=True if quiet else None, bar_format="{percentage:3.0f}%|{bar}| {desc}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._bar.close()

    def __call__(self, done, total, what=""):
        self._bar.set_description_str(what, refresh=False)
        self._bar.update(done / total - self._bar.n)


# -- keeping it --------------------------------------------------------------------------------------------------------------


def check_out(out, overwrite):
    """Raise UsageError where --out may not be written."""
    from ..train.run_folder import check_free

    check_free(out, overwrite)


def save_fitted(out, checkpoint, fitter, reports, overwrite=False):
    """Save a fitted model as a run folder that generate, evaluate, info and train --from open; returns the checkpoint's path.

    checkpoint: the Checkpoint whose model was fitted; fitter: what it was fitted with. The folder gets the run.json of the run
    that it came from, where there is one, with the model's present shape and the reports under "fitted", and metrics.jsonl with
    the held-out losses.
    """
    from ..train import metrics
    from ..train.run_folder import METRICS

    checkpoint = checkpoint._replace(model=fitter.to_save(checkpoint.model))
    path = save_checkpoint_run(out, checkpoint, fitter.beside(), overwrite, reports)
    step = int(path.name.rpartition("-")[2])
    for report in reports:
        metrics.append(path.parent / METRICS, {"step": step, "fitted": report.part, "with": report.fitter,
                                               "seconds": report.seconds})  # fmt: skip
        metrics.append(path.parent / METRICS, {
            "step": step, "held_out_loss": report.loss_after, "perplexity": report.perplexity_after,
            "bits_per_byte": report.bits_per_byte_after, "held_out_tokens": report.tokens,
        })  # fmt: skip
    return path


def save_checkpoint_run(out, checkpoint, beside, overwrite=False, reports=()):
    """A run folder with one checkpoint, and run.json where the checkpoint came from a run; returns the checkpoint's path."""
    from ..files import write_json
    from ..formats.checkpoint import STEP_NAME, save_checkpoint, write_pointer
    from ..train.run_folder import RunFolder

    out, match = Path(out), STEP_NAME.fullmatch(Path(checkpoint.path).name)
    step, record = int(match.group(1)) if match else 0, _run_record(checkpoint, reports)
    with RunFolder.create(out, overwrite=overwrite):
        path = save_checkpoint(out / f"step-{step:06d}", checkpoint.model, checkpoint.tokenizer, beside=beside)
        write_pointer(out, "latest", path)
        write_pointer(out, "best", path)
        if record is not None:
            write_json(out / "run.json", record | {"name": out.name})
    return path


def _run_record(checkpoint, reports):
    from ..formats.checkpoint import read_json

    path = Path(checkpoint.path)
    run = path if (path / "run.json").is_file() else path.parent
    if not (run / "run.json").is_file():
        return None
    record = read_json(run / "run.json")
    config = checkpoint.model.config
    if hasattr(config, "n_layers"):  # counts have none
        record["settings"] |= {"tied": config.tied, "n_layers": config.n_layers, "biases": config.biases}
    record["model"] = config.to_dict()
    record["parameters"] = checkpoint.model.n_parameters
    record["fitted"] = [*record.get("fitted", []), *({"from": str(path), **report.to_dict()} for report in reports)]
    return record
