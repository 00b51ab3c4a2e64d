"""`toylm fit RUN --add story.txt` and `--remove story.txt`: a model that learns a document, or forgets one, without refitting.

The run is one of counts, or one that `toylm fit ... --part head --with ridge --by-document --out RUN` saved: there the moments
G = X'X and S = Y'X of all training documents lie beside the checkpoint. A document is added to the counts or moments, or taken
from them: the result is that of a fit on what remains.
"""

import contextlib
import json
import time

from ..console import duration
from ..data import load_corpus
from ..errors import UsageError

FITTERS = {}  # it has no name of its own: the run says what it was fitted with


def add_arguments(parser):
    """--add and --remove."""
    group = parser.add_argument_group("documents into and out of a fitted model")
    group.add_argument("--add", metavar="FILE", action="append", default=[],
                       help="learn this document too; RUN is of counts, or has a ridge head saved with --by-document")  # fmt: skip
    group.add_argument("--remove", metavar="FILE", action="append", default=[],
                       help="take this document out of the counts, or of the ridge head")  # fmt: skip


def takes(args):
    """Whether documents go into or out of a run."""
    return args.fitter in (None, "counts") and bool(args.add or args.remove)


def reads(args):
    """See fit.FAMILIES."""
    return "--add and --remove", ("add", "remove", "fitter", "separator", "out", "overwrite", "json", "threads")


def run(args):
    """Add and remove, save in place or in --out; returns the exit status."""
    from ..counts.language_model import CountsLM, load_kernels
    from ..fitters.gram_head import GramHead
    from ..fitters.output_heads import GRAM
    from ..formats.checkpoint import POINTERS, find_checkpoint, load_checkpoint, save_checkpoint
    from ..resources import locked
    from ..train.run_folder import RunFolder, check_free
    from .fitted_runs import save_checkpoint_run

    with contextlib.ExitStack() as held:
        if args.out:
            check_free(args.out, args.overwrite)
        else:  # of two processes that read the same counts, the changes of one would be lost
            folder = find_checkpoint(args.source).parent
            held.enter_context(locked(folder, "changes"))
            if any((folder / name).exists() for name in POINTERS):
                held.enter_context(RunFolder(folder))
        checkpoint = load_checkpoint(args.source, threads=args.threads)
        model, tokenizer, path = checkpoint.model, checkpoint.tokenizer, checkpoint.path
        counted = isinstance(model, CountsLM)
        if not counted and (args.fitter == "counts" or not (path / GRAM).is_file()):
            raise UsageError(
                f"{path} keeps neither counts nor moments: documents are added to and removed from what --with counts has fitted, "
                f"or --part head --with ridge --by-document"
            )
        if tokenizer is None:
            raise UsageError(f"{path} has no tokenizer.json: documents can be added from Python with token ids, not from text")
        if counted:
            load_kernels()
        else:
            head = GramHead.open(checkpoint)
            head.load_kernels(tokenizer.end_id)
        done = change_documents(args, model if counted else head, tokenizer)
        beside = {} if counted else head.beside()
        if args.out:
            path = save_checkpoint_run(args.out, checkpoint, beside, args.overwrite)
        else:
            path = save_checkpoint(path, model, tokenizer, beside=beside)
        if counted:
            total = f"counts       {model.n_tokens:,} tokens, {model.n_parameters:,} n-grams"
            print_changes(args, path, done, model.n_tokens, total)
        else:
            print_changes(args, path, done, head.gram.count, f"moments      of {head.gram.count:,} tokens")
        return 0


def change_documents(args, learner, tokenizer):
    """`--remove FILE ...`, then `--add FILE ...`: `learner.remove(ids)` and `learner.add(ids)` of every document in the files.

    Returns a row a document: action, file, tokens, seconds. Raises UsageError for a file without text and for what the learner
    refuses; what the learner holds is then of no use.
    """
    done = []
    for action, files in (("remove", args.remove), ("add", args.add)):
        for file in files:
            documents = [document for document in load_corpus(file, args.separator) if document.strip()]
            if not documents:
                raise UsageError(f"{file} holds no text, only white space or empty documents")
            for document in documents:
                ids = [*tokenizer.encode(document), tokenizer.end_id]
                began = time.perf_counter()
                try:
                    getattr(learner, action)(ids)
                except ValueError as error:
                    raise UsageError(f"{file}: {error}") from None
                done.append({"action": action, "file": file, "tokens": len(ids), "seconds": time.perf_counter() - began})
    return done


def print_changes(args, path, done, tokens, total):
    """What `change_documents` did and where it was saved; tokens: all that are learned now; total: the same as a line."""
    if args.json:
        print(json.dumps({"checkpoint": str(path), "documents": done, "tokens": tokens}, ensure_ascii=False))
        return
    for row in done:
        word = "added" if row["action"] == "add" else "removed"
        spent = f"{row['seconds'] * 1000:.0f} ms" if row["seconds"] < 1 else duration(row["seconds"])
        print(f"{word:<13}{row['file']}: {row['tokens']:,} tokens in {spent}")
    print(total)
    print(f"saved        {path}")
