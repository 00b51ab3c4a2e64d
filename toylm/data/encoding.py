"""Text through a tokenizer into tokens, in batches that keep all cores busy and memory bounded."""

import contextlib

import numpy as np

from ..errors import UsageError
from .progress import Progress
from .split import HELD_OUT, TRAIN
from .token_file import TokenCollector, TokenFileWriter

BATCH_CHARACTERS = 1_000_000  # encoded at once; the library takes some 200 bytes a token meanwhile


def encode_corpus(corpus, tokenizer, progress=True):
    """All of a Corpus as tokens of an existing tokenizer, in memory (2 or 4 bytes a token): a TokenFile without a file.

    Of a corpus with its own held-out files, those. Raises ValueError if there is no text.
    """
    held_out = bool(corpus.held_out_files)
    files = corpus.held_out_files or corpus.files
    writer = TokenCollector(tokenizer.vocab_size, tokenizer.end_id, tokenizer.digest)
    with Progress(f"encoding {corpus.name}", sum(f.stat().st_size for f in files), show=progress) as bar:
        pieces = ((TRAIN, text, last) for text, last in corpus.pieces(held_out, bar.update))
        for batch in _in_batches(pieces):
            _encode(batch, {TRAIN: writer}, tokenizer)
    if not writer.utf8_bytes:
        raise UsageError(f"{files[0]} holds no text, only white space or empty documents")
    collected = writer.collected()
    collected.byte_lengths = tokenizer.byte_lengths
    return collected


def write_tokens(corpus, split, tokenizer, directory, progress):
    """Encode both sides into token files in `directory`; returns the counts."""
    names = {TRAIN: "train", HELD_OUT: "held_out"}
    with contextlib.ExitStack() as stack:
        writers = {
            side: stack.enter_context(
                TokenFileWriter(directory / f"{name}.bin", tokenizer.vocab_size, tokenizer.end_id, tokenizer.digest)
            )
            for side, name in names.items()
        }
        bar = stack.enter_context(Progress(f"encoding {corpus.name}", corpus.bytes, show=progress))
        for batch in _in_batches(split.pieces(bar.update)):
            _encode(batch, writers, tokenizer)
    counts = {
        names[side]: {
            "documents": writer.documents,
            "tokens": writer.count,
            "bytes": writer.utf8_bytes,
            "unknown_tokens": writer.unknown_tokens,
        }
        for side, writer in writers.items()
    }
    counts["stretches"] = split.stretches  # of few documents, of which parts are held out
    return counts | {"duplicates_removed": split.duplicates_removed, "repeated_documents": split.repeated}


def _in_batches(pieces):
    """Gather pieces into lists of about a megabyte, so that all cores have work: (side, text, first, last) of a document."""
    waiting, characters, first = [], 0, True
    for side, text, last in pieces:
        waiting.append((side, text, first, last))
        first = last
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield waiting
            waiting, characters = [], 0
    if waiting:
        yield waiting


def _encode(waiting, writers, tokenizer):
    starts = iter(tokenizer.encode_arrays([text for _, text, first, _ in waiting if first]))
    others = iter(tokenizer.continuing.encode_arrays([text for _, text, first, _ in waiting if not first]))
    for side, text, first, last in waiting:
        ids, writer = next(starts if first else others), writers[side]
        more_bytes = (tokenizer if first else tokenizer.continuing).encoded_bytes(text, ids) - tokenizer.byte_lengths[ids]
        if last:
            ids, more_bytes = np.append(ids, tokenizer.end_id), np.append(more_bytes, 0)
            writer.documents += 1
        writer.utf8_bytes += len(text.encode())
        if tokenizer.unknown_id is not None:
            writer.unknown_tokens += int(np.count_nonzero(ids == tokenizer.unknown_id))
        writer.write(ids, more_bytes)
