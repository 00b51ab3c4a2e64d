"""What `toylm fit TEXT --with counts` measures and keeps: the report of a counts model, and its run folder."""

import math
import shlex
import sys
import time
from pathlib import Path

import numpy as np

from ..errors import CheckpointError, UsageError
from ..evaluation import evaluate
from ..files import write_json, write_text
from ..fitters.report import FitReport
from ..formats.checkpoint import POINTERS, find_checkpoint, write_pointer
from ..host import host, versions
from ..threads import get_threads
from ..train import metrics
from ..train.run_folder import METRICS, SAMPLES, RunFolder
from ..train.settings import TrainSettings
from ..train.setup import settle_text

SAMPLE_PROMPTS, SAMPLE_TOKENS = 3, 120


def settings_of(args):
    """TrainSettings that say which text is prepared, and how; kept in run.json."""
    names = ("tokenizer", "vocab_size", "held_out", "separator", "limit", "seed", "threads")
    context_length = 256 if args.context_length is None else args.context_length
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return settle_text(TrainSettings().updated({"data": (args.source,), "context_length": context_length, **given}), given)


def check_text(source):
    """Raise UsageError for a run or a checkpoint, whose files would be read as texts."""
    try:
        find_checkpoint(source)
    except (CheckpointError, FileNotFoundError):
        if not (Path(source) / "run.json").is_file():
            return
    raise UsageError(f"{source} is a run: counts are fitted to a text; give --with counts the text that it was trained on")


def report_of(args, model, prepared, seconds):
    """(FitReport on cold windows, (nats/token, bits/byte) with the context carried over)."""
    began = time.perf_counter()
    cold = evaluate(model, prepared.held_out.windows(model.config.context_length, 64))
    evaluation_seconds = time.perf_counter() - began
    stream = float(model.stream_losses(np.asarray(prepared.held_out.tokens), args.window).mean())
    bits = stream * cold.tokens / math.log(2) / cold.bytes if cold.bytes else None
    details = {
        "order": model.config.order, "context_length": model.config.context_length, "window": args.window,
        "streaming_loss": stream, "streaming_perplexity": math.exp(stream), "streaming_bits_per_byte": bits,
        "evaluation_seconds": evaluation_seconds, **model.fitting,
    }  # fmt: skip
    report = FitReport(
        fitter="counts", part="all", changed=("ngrams", "counts", "weights"), solver="counting and EM", seconds=seconds,
        parameters=model.n_parameters, n_bytes=model.nbytes, loss_after=cold.loss, tokens=cold.tokens,
        bits_per_byte_after=cold.bits_per_byte, details=details,
    )  # fmt: skip
    return report, (stream, bits)


def save(args, settings, model, prepared, report):
    """A run folder that generate, evaluate and info open; returns the checkpoint's path."""
    out = Path(args.out)
    with RunFolder.create(out, overwrite=args.overwrite):
        data = {"name": prepared.name, "path": str(prepared.path), "counts": prepared.counts, "notes": prepared.notes}
        write_json(out / "run.json", {
            "name": out.name, "recipe": "counts", "settings": settings.to_dict(), "parameters": model.n_parameters,
            "model": model.config.to_dict(), "data": data, "seed": args.seed, "threads": get_threads(), "versions": versions(),
            "host": host(), "command": shlex.join(["toylm", *sys.argv[1:]]), "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "fitted": [report.to_dict()],
        })  # fmt: skip
        metrics.append(out / METRICS, {"step": 0, "held_out_loss": report.loss_after, "perplexity": report.perplexity_after,
                                       "bits_per_byte": report.bits_per_byte_after, "held_out_tokens": report.tokens})  # fmt: skip
        write_text(out / SAMPLES, _samples(model, prepared.tokenizer, args.seed))
        path = model.save(out / "step-000000", prepared.tokenizer)  # last: without it the folder is free for the next attempt
        for name in POINTERS:
            write_pointer(out, name, path)
    return path


def _samples(model, tokenizer, seed):
    texts = []
    for i in range(SAMPLE_PROMPTS):
        ids = model.generate([tokenizer.start_id], SAMPLE_TOKENS, 0.8, seed=seed + i, stop_ids=(tokenizer.end_id,))
        texts.append(f"--- sample {i + 1}, temperature 0.8\n{tokenizer.decode(ids)}\n")
    return "\n".join(texts)
