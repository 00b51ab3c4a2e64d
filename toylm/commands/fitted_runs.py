"""What the families of `toylm fit` share: the text to fit on, and the run folder that a fitted model is kept in."""

from pathlib import Path

from ..data import prepare
from ..errors import UsageError
from ..files import write_json
from ..fitters.data import FitData
from ..formats.checkpoint import POINTERS, STEP_NAME, read_json, save_checkpoint, write_pointer
from ..train import metrics
from ..train.run_folder import METRICS, RECORD_FORM, RunFolder
from ..train.setup import text_of_run


def open_data(args, checkpoint):
    """The FitData of --data, or of the run that the checkpoint belongs to."""
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    length = model.config.context_length if args.context_length is None else args.context_length
    if length > model.config.context_length:
        raise UsageError(f"context_length is {length}; the model takes at most {model.config.context_length} tokens")
    settings = dict(context_length=length, batch_size=args.batch_size, max_tokens=args.max_tokens, seed=args.seed,
                    eval_tokens=args.eval_tokens)  # fmt: skip
    if not args.data:
        return FitData.of_prepared(text_of_run(checkpoint.path, tokenizer)[1], **settings)
    if tokenizer is None:
        raise UsageError(f"{checkpoint.path} has no tokenizer.json, so no other text than its run's own can be read")
    prepared = prepare(args.data[0] if len(args.data) == 1 else args.data, tokenizer=tokenizer, context_length=length,
                       progress=False)  # fmt: skip
    return FitData.of_prepared(prepared, **settings)


def save_fitted(out, checkpoint, fitter, reports, overwrite=False):
    """Save a fitted model as a run folder that generate, evaluate, info and train --from open; returns the checkpoint's path.

    checkpoint: the Checkpoint whose model was fitted; fitter: what it was fitted with. The folder gets the run.json of the run
    that it came from, where there is one, with the model's present shape and the reports under "fitted", and metrics.jsonl with
    the held-out losses.
    """
    checkpoint = checkpoint._replace(model=fitter.to_save(checkpoint.model))
    return save_checkpoint_run(out, checkpoint, fitter.beside(), overwrite, reports)


def save_checkpoint_run(out, checkpoint, beside, overwrite=False, reports=()):
    """A run folder with one checkpoint, and run.json where the checkpoint came from a run; returns the checkpoint's path.

    The checkpoint is written last: without one the folder is free for the next attempt.
    """
    out, match = Path(out), STEP_NAME.fullmatch(Path(checkpoint.path).name)
    step, record = int(match.group(1)) if match else 0, _run_record(checkpoint, reports)
    with RunFolder.create(out, overwrite=overwrite):
        if record is not None:
            write_json(out / "run.json", record | {"name": out.name})
        for report in reports:
            metrics.append(out / METRICS, {"step": step, "fitted": report.part, "with": report.fitter, "seconds": report.seconds})
            metrics.append(out / METRICS, {
                "step": step, "held_out_loss": report.loss_after, "perplexity": report.perplexity_after,
                "bits_per_byte": report.bits_per_byte_after, "held_out_tokens": report.tokens,
            })  # fmt: skip
        path = save_checkpoint(out / f"step-{step:06d}", checkpoint.model, checkpoint.tokenizer, beside=beside)
        for name in POINTERS:
            write_pointer(out, name, path)
    return path


def _run_record(checkpoint, reports):
    path = Path(checkpoint.path)
    run = path if (path / "run.json").is_file() else path.parent
    if not (run / "run.json").is_file():
        return None
    record = read_json(run / "run.json", RECORD_FORM | {"settings": {}})
    config = checkpoint.model.config
    if hasattr(config, "n_layers"):  # counts have none
        record["settings"] |= {"tied": config.tied, "n_layers": config.n_layers, "biases": config.biases}
    record["model"] = config.to_dict()
    record["parameters"] = checkpoint.model.n_parameters
    record["fitted"] = [*record.get("fitted", []), *({"from": str(path), **report.to_dict()} for report in reports)]
    return record
