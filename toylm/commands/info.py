"""What a run or a checkpoint holds: configuration, parameters, checkpoints, losses, and the machine it ran on.

  toylm info runs/first
  toylm info runs/first/step-000500 --json
"""

import json
import math
from pathlib import Path

from ..console import duration, size, use_utf8_output
from ..formats.checkpoint import find_checkpoint, list_checkpoints, read_json, read_pointer, read_training
from ..formats.families import open_weights, stock_class
from ..train import metrics
from ..train.run_folder import METRICS, RECORD_FORM


def build_parser(parser):
    """Add the arguments of `toylm info`."""
    parser.add_argument("run", metavar="RUN", help="run or checkpoint folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args):
    """Run `toylm info`; returns the exit status."""
    use_utf8_output()
    about = describe(args.run)
    if args.json:
        print(json.dumps(about, indent=2, ensure_ascii=False))
    else:
        _print(about)
    return 0


def describe(path):
    """Everything `toylm info` tells about a run folder or a checkpoint, as a JSON-able dictionary.

    Raises FileNotFoundError or CheckpointError where there is no checkpoint.
    """
    checkpoint = find_checkpoint(path)
    config, tables = _tensor_tables(checkpoint)
    about = {"checkpoint": str(checkpoint), "config": config.to_dict(), **tables}
    about["opens_as"] = stock_class(config)
    about["parameter_count"] = sum(math.prod(row["shape"]) for row in about["parameters"])
    training = read_training(checkpoint)
    if training:
        about["training"] = training.get("loop", {})
    run_folder = checkpoint.parent
    if not (run_folder / "run.json").is_file():
        return about
    about["run"] = read_json(run_folder / "run.json", RECORD_FORM)
    pointers = {name: read_pointer(run_folder, name) for name in ("latest", "best")}
    records = metrics.read(run_folder / METRICS)
    losses = {r["step"]: r["held_out_loss"] for r in records if r.get("held_out_loss") is not None}
    about["checkpoints"] = [
        {
            "step": step,
            "name": found.name,
            "bytes": sum(f.stat().st_size for f in Path(found).iterdir()),
            "held_out_loss": losses.get(step),
            "is": [name for name, target in pointers.items() if target == found],
        }
        for step, found in list_checkpoints(run_folder)
    ]
    about["held_out"] = [
        {k: r.get(k) for k in ("step", "held_out_loss", "perplexity", "bits_per_byte")}
        for r in records
        if r.get("held_out_loss") is not None
    ]
    ended = [r for r in records if "finished" in r]
    if ended:
        about["ended"] = ended[-1]
    return about


def _tensor_tables(checkpoint):
    """The configuration, and name, shape and dtype of each tensor, from the files' headers alone: {"parameters": those that are
    parameters, "others": what the files hold beside (buffers, a copy of a tied matrix, zeros in place of biases)}.
    """
    config, files, ours = open_weights(checkpoint)
    tables = {"parameters": [], "others": []}
    for name in sorted(files.names, key=_order):
        shape, dtype = files.header(name)
        tables["parameters" if name in ours else "others"].append({"name": name, "shape": shape, "dtype": dtype})
    return config, tables


def _order(name):
    """Embeddings, then the layers by number, then the rest."""
    numbers = [int(part) for part in name.split(".") if part.isdigit()]
    return (0 if "embed" in name else 1 if numbers else 2, numbers, name)


def _print(about):
    config = about["config"]
    print(f"checkpoint   {about['checkpoint']}")
    print(f"model        {about['parameter_count']:,} parameters; " + ", ".join(f"{k} {v}" for k, v in config.items()))
    print(f"opens as     {about['opens_as'] or 'toylm only: transformers has no class of this architecture'}")
    run_record = about.get("run")
    if run_record:
        _print_run(run_record)
    if "training" in about:
        loop = about["training"]
        time = duration(loop.get("seconds", 0))
        print(f"trained      {loop.get('step', 0):,} steps, {loop.get('tokens', 0):,} tokens, {time}")
    if "ended" in about:
        ended = about["ended"]
        peak = f", {size(ended['peak_memory_bytes'])} at the peak" if ended.get("peak_memory_bytes") else ""
        print(f"ended        {ended['finished']} at step {ended['step']:,}{peak}")
    width = max(len(row["name"]) for row in about["parameters"] + about["others"])
    for title, rows in (("parameters", about["parameters"]), ("other tensors in the file, no parameters", about["others"])):
        if rows:
            print(f"\n{title}")
        for row in rows:
            shape = " x ".join(map(str, row["shape"]))
            print(f"  {row['name']:<{width}}  {shape:>14}  {math.prod(row['shape']):>12,}  {row['dtype']}")
    if about.get("checkpoints"):
        print("\ncheckpoints")
        for row in about["checkpoints"]:
            loss = "" if row["held_out_loss"] is None else f"  held-out {row['held_out_loss']:.4f}"
            names = f"  ({', '.join(row['is'])})" if row["is"] else ""
            print(f"  {row['name']}  {size(row['bytes'])}{loss}{names}")
    if about.get("held_out"):
        print("\nheld-out text\n    step   nats/token   perplexity   bits/byte")
        for row in about["held_out"]:
            bits = "" if row["bits_per_byte"] is None else f"{row['bits_per_byte']:.4f}"
            print(f"{row['step']:>8,}{row['held_out_loss']:>13.4f}{row['perplexity'] or math.inf:>13,.2f}{bits:>12}")


def _print_run(record):
    host = record.get("host", {})
    memory = f", {size(host['memory_bytes'])} of memory" if host.get("memory_bytes") else ""
    data = record.get("data") or {}
    train = (data.get("counts") or {}).get("train", {})
    counts = f": {train['documents']:,} documents, {train['tokens']:,} tokens" if train else ""
    print(f"text         {data.get('name', '?')}{counts}")
    print(f"recipe       {record.get('recipe')}, seed {record.get('seed')}, {record.get('threads')} threads")
    print(f"command      {record.get('command')}")
    print(f"started      {record.get('started')}; resumed {len(record.get('resumed', []))} times")
    print(f"host         {host.get('cpu')}{memory}; {host.get('platform')}")
    print("versions     " + ", ".join(f"{k} {v}" for k, v in record.get("versions", {}).items()))
