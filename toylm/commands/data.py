"""Prepare text for training: documents, split, tokenizer, token files. Or make more stories.

  toylm data --list                                  corpora by name
  toylm data my.txt --vocab-size 4096 --out mydata   then: toylm train --data mydata
  toylm data mydata                                  what a prepared folder holds
  toylm data stories --count 50000 --seed 1 --out more.txt   more stories like the embedded ones
"""

import os
import re
from pathlib import Path

from ..data.corpora import CORPORA, TASK_PREFIX
from ..data.preparation import idle_options, prepare
from ..data.progress import Progress
from ..data.separator import add_separator
from ..data.stories import write_stories
from ..data.tasks import TASKS
from ..data.tokenizer import LEVELS
from ..errors import UsageError, nearest
from ..invocation import command_line

SAMPLE_TOKENS = 40


def build_parser(parser):
    """Add the arguments of `toylm data`."""
    parser.add_argument(
        "source", nargs="?", metavar="TEXT",
        help="a corpus name (--list), text files, a folder, a quoted pattern, or a prepared folder",
    )
    parser.add_argument("more", nargs="*", metavar="file", help="further text files")
    parser.add_argument("--list", action="store_true", help="list the corpora that have names")
    parser.add_argument("--out", metavar="DIR", help="folder for the result (default: runs/data/NAME); with --count: a file")

    text = parser.add_argument_group("text")
    add_separator(text)
    text.add_argument("--limit", metavar="N", type=int, help="read about N characters only; 500k, 20M and 1G are understood")
    text.add_argument(
        "--held-out",
        metavar="SHARE",
        type=float,
        help="share of the documents to hold out (default: 0.05; shakespeare 0.1)",
    )
    text.add_argument("--held-out-data", metavar="SOURCE", help="hold out this text instead of a share")
    text.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the split, or of the stories")

    tokens = parser.add_argument_group("tokens")
    tokens.add_argument(
        "--tokenizer",
        metavar="KIND",
        help=f"{', '.join(LEVELS)}, or the path of a tokenizer.json or of a checkpoint (default: bpe)",
    )
    tokens.add_argument(
        "--vocab-size",
        metavar="V",
        type=int,
        help="most tokens, specials included (default: 2048 for bpe, 8192 for word, all for char)",
    )
    tokens.add_argument("--context-length", metavar="T", type=int, help="check that the text fills one context of T tokens")

    stories = parser.add_argument_group("more stories")
    stories.add_argument("--count", metavar="N", type=int, help="with the source `stories`: write N stories to the file --out")


def run(args):
    """Do what the parsed arguments ask for."""
    if args.list:
        if args.source is not None:
            raise UsageError(f"--list shows all corpora: leave {args.source} out")
        print(list_corpora())
        return
    if args.source is None:
        raise UsageError("name a corpus or a text, for example: toylm data stories (toylm data --list shows the names)")
    if args.seed < 0:
        raise UsageError(f"--seed is {args.seed}; it must be at least 0")
    options = {name: getattr(args, name) for name in ("tokenizer", "vocab_size", "held_out", "separator", "limit", "held_out_data",
                                                      "context_length")}  # fmt: skip
    if args.count is not None:
        for name, value in (options | {"a second text": args.more or None}).items():
            if value is not None:
                raise UsageError(f"{name} has no effect with --count, which only writes stories: leave it out")
        make_stories(args.source, args.count, args.seed, args.out)
        return
    source = [args.source, *args.more] if args.more else args.source
    name = re.sub(r"[^\w.-]+", "-", Path(args.source).stem if os.path.exists(args.source) else args.source).strip("-") or "text"
    out = args.out or (None if "out" in idle_options(source) else Path("runs", "data", name))
    print(describe(prepare(source, out=out, seed=args.seed, **options)))


def list_corpora():
    """A table of the registry."""
    rows = [(name, s.size, s.licence, s.description) for name, s in CORPORA.items()]
    widths = [max(len(row[i]) for row in rows) + 2 for i in range(3)]
    lines = ["".join(cell.ljust(width) for cell, width in zip(row, widths)) + row[3] for row in rows]
    tasks = "  ".join(f"{TASK_PREFIX}{name}" for name in TASKS)
    return "\n".join(
        [
            *lines,
            "",
            f"synthetic tasks: {tasks}",
            "or any UTF-8 text: a file, several, a folder, a quoted pattern such as 'books/*.txt'",
        ]
    )


def make_stories(source, count, seed, out):
    """Write `count` new stories to the file `out`."""
    if source != "stories":
        raise UsageError(f"--count goes with the source 'stories', not {source!r}{nearest(source, ['stories'])}")
    if count < 1:
        raise UsageError(f"--count is {count}; it must be at least 1")
    if out is None:
        raise UsageError("--count needs --out FILE, the file to write the stories to")
    if os.path.isdir(out):
        raise UsageError(f"--out {out} is a folder; with --count name a file, such as {Path(out, 'stories.txt')}")
    with Progress("writing stories", count, "stories") as bar:
        write_stories(out, count, seed, progress=bar.update)
    print(f"{count:,} stories, {human_bytes(os.path.getsize(out))}, seed {seed}: {out}")
    print(f"train on them: {command_line('train', '--data', out)}")


def human_bytes(count):
    """A number of bytes for people: "812 B", "3.1 kB", "2.2 GB"."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000


def describe(prepared):
    """What was prepared, as lines for the terminal."""
    lines = [f"{prepared.name}{' (prepared before; nothing to do)' if prepared.reused else ''}"]
    if prepared.tokenizer is None:
        return "\n".join([*lines, *_describe_examples(prepared)])
    for label, side in (("training", "train"), ("held out", "held_out")):
        c = prepared.counts[side]
        rate = f"{c['bytes'] / c['tokens']:.2f} bytes/token" if c["tokens"] else ""
        unit = "document" if c["documents"] == 1 else "documents"
        lines.append(
            f"  {label}   {c['documents']:>9,} {unit:<9} {c['tokens']:>13,} tokens {human_bytes(c['bytes']):>9}  {rate}"
        )
    duplicates, repeated = prepared.counts["duplicates_removed"], prepared.counts["repeated_documents"]
    lines.append(
        f"  duplicates removed from the split: {duplicates:,}"
        + (f"; repeated training documents, kept: {repeated:,}" if repeated else "")
    )
    dtype = prepared.train.tokens.dtype.name
    lines.append(f"  tokenizer  {prepared.vocab_size:,} tokens, ids in {dtype}")
    lines += [f"  note: {note}" for note in prepared.notes]
    lines += _round_trip(prepared)
    if prepared.path is not None:
        lines.append(f"  in {prepared.path}; train on it: {command_line('train', '--data', prepared.path)}")
    return "\n".join(lines)


def _round_trip(prepared):
    tokenizer, ids = prepared.tokenizer, []
    for i in prepared.train.tokens[:SAMPLE_TOKENS].tolist():
        if i == tokenizer.end_id:
            break
        ids.append(i)
    text = tokenizer.decode(ids)
    pieces = "|".join(tokenizer.token_bytes[i].decode("utf-8", "replace") for i in ids).replace("\n", "\\n")
    again = tokenizer.decode(tokenizer.encode(text))
    lost = tokenizer.unknown_id is not None and tokenizer.unknown_id in ids
    verdict = "with unknown tokens" if lost else "the same text" if again == text else f"ANOTHER TEXT: {again!r}"
    return [
        f"  sample     {pieces}",
        f"  round trip {len(ids)} tokens -> {len(text.encode())} bytes -> tokens -> {verdict}",
    ]


def _describe_examples(prepared):
    lines = []
    for label, side in (("training", prepared.train), ("held out", prepared.held_out)):
        lines.append(f"  {label}   {side.documents:>9,} examples of {side.context_length} tokens, {len(side):,} targets")
    lines += [f"  {prepared.vocab_size} ids; 0 ends and pads; the first example begins"]
    lines += [f"    input   {_row(prepared.train.inputs[0])}", f"    target  {_row(prepared.train.targets[0])}"]
    return [*lines, f"  nothing was written; train on it: {command_line('train', '--data', prepared.name)}"]


def _row(ids):
    return " ".join("  ." if i < 0 else f"{i:3d}" for i in ids[:24].tolist())
