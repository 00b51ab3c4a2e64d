"""`toylm fit RUN --part PART --with FITTER`: a part of a trained model."""

import json
from dataclasses import fields

from ..console import Bar, size
from ..errors import UsageError
from ..fitters.parts import KINDS, Part
from ..fitters.registry import REGISTRY, kinds_of, make_fitter

FITTERS = {name: f"{line} [{', '.join(kinds_of(name))}]" for name, (line, _) in REGISTRY.items()}
# What `fitted_runs.open_data` reads.
DATA = ("data", "max_tokens", "eval_tokens", "batch_size", "context_length", "seed")


def settings_of_all():
    """Setting name -> [(fitter, with its kind of part where it has several, and the dataclass field)], of those with a flag."""
    found = {}
    for name, (_, entries) in REGISTRY.items():
        for kinds, _, settings in entries:
            label = name if len(entries) == 1 else f"{name} on {'the head' if kinds == ('head',) else 'blocks'}"
            for field in fields(settings):
                if field.metadata["help"]:
                    found.setdefault(field.name, []).append((label, field))
    return found


def _add_flag(group, name, uses):
    """One flag for a setting of several fitters; its help says whose, what each makes of it, and the defaults."""
    said, defaults, first = {}, {}, uses[0][1]
    for label, field in uses:
        said.setdefault(field.metadata["help"], []).append(label)
        defaults.setdefault(_default(field), []).append(label)
    if len(said) == 1 and len(defaults) > 1 and None not in defaults:
        text = next(iter(said))  # whose it is stands beside the defaults
    else:
        text = "; ".join(f"{', '.join(labels)}: {help}" for help, labels in said.items())
    known = [(default, labels) for default, labels in defaults.items() if default is not None]
    if len(defaults) == 1 and known:
        text += f" (default: {known[0][0]})"
    elif known:
        text += f" (default: {'; '.join(f'{default} for ' + ', '.join(labels) for default, labels in known)})"
    kind = next(k for k in (bool, int, float, str) if k in (first.type, *getattr(first.type, "__args__", ())))
    choices = ("yes", "no") if first.metadata["yes_no"] else first.metadata["choices"]
    if kind is bool and not choices:
        shape = dict(action="store_true", default=None)
    else:
        shape = dict(choices=choices) if choices else dict(metavar={int: "N", float: "X"}.get(kind, "TEXT"), type=kind)
    group.add_argument(f"--{name.replace('_', '-')}", dest=name, help=text, **shape)


def _default(field):
    """The default of a setting in words; None where there is nothing to say."""
    if field.metadata["default_text"]:
        return field.metadata["default_text"]
    if field.metadata["yes_no"]:
        return "yes" if field.default else "no"
    return None if isinstance(field.default, bool) or field.default is None else str(field.default)


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
    for name, uses in settings_of_all().items():
        _add_flag(group, name, uses)


def takes(args):
    """Whether the command line asks for this family."""
    return args.fitter in REGISTRY


def reads(args):
    """See fit.FAMILIES; which of the settings the fitter has is for make_fitter to say."""
    asked = ("fitter", "part", "out", "overwrite", "json", "threads", "precision", *DATA, *settings_of_all())
    return f"--with {args.fitter}", asked


def run(args):
    """Fit, report, and save where asked; returns the exit status."""
    from ..formats.checkpoint import load_checkpoint
    from ..train.run_folder import check_free
    from .fitted_runs import open_data, save_fitted

    if args.part is None:
        raise UsageError(f"--part names what to fit; {args.fitter} fits {', '.join(kinds_of(args.fitter))}")
    part = Part.parse(args.part)
    given = {name: getattr(args, name) for name in settings_of_all()}
    settings = {name: {"yes": True, "no": False}.get(value, value) for name, value in given.items() if value is not None}
    fitter = make_fitter(part, args.fitter, **settings)
    if args.out:
        if not fitter.changes_model:
            raise UsageError(
                f"{args.fitter} is measured beside the model, which does not change: there is nothing to save; leave out --out"
            )
        check_free(args.out, args.overwrite)
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


def print_report(report):
    """The report as lines for reading."""
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
