"""`toylm fit RUN --add story.txt` and `--remove story.txt`: a ridge head that learns a story, or forgets one, without refitting.

The run is one that `toylm fit ... --part head --with ridge --by-document --out RUN` saved: the moments G = X'X and S = Y'X of all
its training documents lie beside the checkpoint. A story's rows are added to them or taken from them, and the head is solved
for again: the result is that of a fit on what remains, to rounding.
"""

from pathlib import Path

from ..errors import UsageError
from ..fitters.documents import CHANGES, change_documents, print_changes

FITTERS = {}  # it has no name of its own: the run says what it was fitted with


def add_arguments(parser):
    """--add and --remove are those of the counts."""


def takes(args):
    """Whether stories go into or out of a run that keeps the moments of its head."""
    if args.fitter is not None or not (args.add or args.remove):
        return False
    from ..fitters.heads import GRAM
    from ..formats.checkpoint import find_checkpoint

    return (find_checkpoint(args.source) / GRAM).is_file()


def reads(args):
    """See command.FAMILIES."""
    return CHANGES


def run(args):
    """Add and remove, solve, save in place or in --out; returns the exit status."""
    from ..formats.checkpoint import load_checkpoint
    from .fit_part import check_out, save_checkpoint_run

    if args.out:
        check_out(args.out, args.overwrite)
    checkpoint = load_checkpoint(args.source, threads=args.threads)
    if checkpoint.tokenizer is None:
        raise UsageError(f"{checkpoint.path} has no tokenizer.json: stories cannot be read")
    head = GramHead.open(checkpoint)
    end_id = checkpoint.tokenizer.end_id
    head.features([end_id], end_id)  # the first pass allocates and loads kernels, the first solve loads scipy
    head.gram.solve(head.lambda_reg)
    done = change_documents(args, head, checkpoint.tokenizer)
    path = save_checkpoint_run(args.out, checkpoint, head.beside(), args.overwrite) if args.out else head.save_in_place(checkpoint)
    print_changes(args, path, done, head.gram.count, f"moments      of {head.gram.count:,} tokens")
    return 0


class GramHead:
    """A model whose output matrix is the ridge solution of `gram` times beta: `add(ids)` and `remove(ids)` change both.

    context_length: of the windows that the moments are of. A document is ids closed by the end token.
    """

    def __init__(self, model, gram, beta, lambda_reg, context_length):
        self.model, self.gram, self.beta, self.lambda_reg = model, gram, beta, lambda_reg
        self.context_length = context_length

    @classmethod
    def open(cls, checkpoint):
        """Of a Checkpoint with moments beside it. Raises CheckpointError where the two do not belong together."""
        from ..errors import CheckpointError
        from ..fitters.heads import GRAM
        from ..fitters.token_gram import TokenGram

        gram, metadata = TokenGram.load(Path(checkpoint.path) / GRAM)
        config = checkpoint.model.config
        if gram.S.shape != (config.vocab_size, config.d_model + config.output_bias) or config.tied:
            raise CheckpointError(f"{checkpoint.path}: the moments in {GRAM} are of another head than the model's")
        numbers = (float(metadata[name]) for name in ("beta", "lambda_reg"))
        return cls(checkpoint.model, gram, *numbers, int(metadata["context_length"]))

    def features(self, ids, end_id):
        """(X, targets) of one document; it is read by itself, after an end token."""
        import numpy as np

        from ..fitters.activations import head_features
        from ..fitters.data import DocumentWindows

        ids = np.asarray(ids, np.int64)
        windows = DocumentWindows([ids], self.context_length, 16, int(end_id))
        return head_features(self.model, windows)

    def add(self, ids):
        """Learn one document; returns self."""
        self.gram.add(*self.features(ids, ids[-1]))
        self.gram.documents.add(ids)
        return self._solve()

    def remove(self, ids):
        """Forget one document that was learned; returns self. Raises ValueError where it was not."""
        learned = self.gram.documents.as_learned(ids)
        self.gram.remove(*self.features(learned, ids[-1]))
        self.gram.documents.remove(learned)
        return self._solve()

    def _solve(self):
        from ..fitters.heads import write_head

        W, self.solver, self.rcond = self.gram.solve(self.lambda_reg)
        write_head(self.model, self.beta * W)
        return self

    def beside(self):
        """See Fitter.beside."""
        from ..fitters.heads import moments_beside

        return moments_beside(self.gram, self.beta, self.lambda_reg, self.context_length)

    def save_in_place(self, checkpoint):
        """Replace the checkpoint that it came from; returns its path."""
        from ..formats.checkpoint import save_checkpoint

        return save_checkpoint(checkpoint.path, self.model, checkpoint.tokenizer, beside=self.beside())
