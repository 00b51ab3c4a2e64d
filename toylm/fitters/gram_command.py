"""`toylm fit RUN --add story.txt` and `--remove story.txt`: a ridge head that learns a story, or forgets one, without refitting.

The run is one that `toylm fit ... --part head --with ridge --by-document --out RUN` saved: the moments G = X'X and S = Y'X of all
its training documents lie beside the checkpoint. A story's rows are added to them or taken from them, and the head is solved
for again: the result is that of a fit on what remains, to rounding.
"""

import json
import time
from pathlib import Path

from ..errors import UsageError

FITTERS = {}  # it has no name of its own: the run says what it was fitted with


def add_arguments(parser):
    """--add and --remove are those of the counts."""


def takes(args):
    """Whether stories go into or out of a run that keeps the moments of its head."""
    if args.fitter is not None or not (args.add or args.remove):
        return False
    from ..checkpoint import find_checkpoint
    from .heads import GRAM

    return (find_checkpoint(args.source) / GRAM).is_file()


def run(args):
    """Add and remove, solve, save in place or in --out; returns the exit status."""
    from ..checkpoint import load_checkpoint
    from ..data import load_corpus
    from ..train.console import duration
    from .model_command import check_out, save_checkpoint_run

    if args.out:
        check_out(args.out, args.overwrite)
    checkpoint = load_checkpoint(args.source, threads=args.threads)
    if checkpoint.tokenizer is None:
        raise UsageError(f"{checkpoint.path} has no tokenizer.json: stories cannot be read")
    head = GramHead.open(checkpoint)
    head.features([checkpoint.tokenizer.end_id])  # the first pass allocates and loads kernels, the first solve loads scipy
    head.gram.solve(head.lambda_reg)
    done = []
    for action, files in (("remove", args.remove), ("add", args.add)):
        for file in files:
            for document in load_corpus(file, args.separator):
                ids = [*checkpoint.tokenizer.encode(document), checkpoint.tokenizer.end_id]
                began = time.perf_counter()
                try:
                    getattr(head, action)(ids)
                except ValueError as error:
                    raise UsageError(f"{file}: {error}") from None
                done.append({"action": action, "file": file, "tokens": len(ids), "seconds": time.perf_counter() - began})
    path = save_checkpoint_run(args.out, checkpoint, head.beside(), args.overwrite) if args.out else head.save_in_place(checkpoint)
    if args.json:
        print(json.dumps({"checkpoint": str(path), "documents": done, "tokens": head.gram.count}, ensure_ascii=False))
        return 0
    for row in done:
        word = "added" if row["action"] == "add" else "removed"
        spent = f"{row['seconds'] * 1000:.0f} ms" if row["seconds"] < 1 else duration(row["seconds"])
        print(f"{word:<13}{row['file']}: {row['tokens']:,} tokens in {spent}")
    print(f"moments      of {head.gram.count:,} tokens")
    print(f"saved        {path}")
    return 0


class GramHead:
    """A model whose output matrix is the ridge solution of `gram` times beta: `add(ids)` and `remove(ids)` change both."""

    def __init__(self, model, gram, beta, lambda_reg):
        self.model, self.gram, self.beta, self.lambda_reg = model, gram, beta, lambda_reg

    @classmethod
    def open(cls, checkpoint):
        """Of a Checkpoint with moments beside it. Raises CheckpointError where the two do not belong together."""
        from ..errors import CheckpointError
        from .heads import GRAM
        from .token_gram import TokenGram

        gram, metadata = TokenGram.load(Path(checkpoint.path) / GRAM)
        config = checkpoint.model.config
        if gram.S.shape != (config.vocab_size, config.d_model + config.output_bias) or config.tied:
            raise CheckpointError(f"{checkpoint.path}: the moments in {GRAM} are of another head than the model's")
        return cls(checkpoint.model, gram, float(metadata["beta"]), float(metadata["lambda_reg"]))

    def features(self, ids):
        """(X, targets) of one document, its ids closed by the end token; it is read by itself, after an end token."""
        import numpy as np

        from .activations import head_features
        from .data import DocumentWindows

        ids = np.asarray(ids, np.int64)
        windows = DocumentWindows([ids], self.model.config.context_length, 16, int(ids[-1]))
        return head_features(self.model, windows)

    def add(self, ids):
        """Learn one document; returns self."""
        self.gram.add(*self.features(ids))
        return self._solve()

    def remove(self, ids):
        """Forget one document that was learned; returns self. Raises ValueError where it cannot have been."""
        self.gram.remove(*self.features(ids))
        return self._solve()

    def _solve(self):
        from .heads import write_head

        W, self.solver, self.rcond = self.gram.solve(self.lambda_reg)
        write_head(self.model, self.beta * W)
        return self

    def beside(self):
        """See Fitter.beside."""
        from .heads import GRAM

        return {GRAM: lambda path: self.gram.save(path, beta=repr(self.beta), lambda_reg=repr(self.lambda_reg))}

    def save_in_place(self, checkpoint):
        """Replace the checkpoint that it came from; returns its path."""
        from ..checkpoint import save_checkpoint

        path = save_checkpoint(checkpoint.path, self.model, checkpoint.tokenizer, beside=self.beside())
        return path
