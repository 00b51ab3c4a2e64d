"""Tokenizers in SentencePiece's manner, as Llama and llama2.c have them: from and to tokenizer.bin.

A text is led by a space, spaces are written ▁, and of all neighbours the pair is joined whose piece has the best score. What has
no piece falls back to its bytes, `<0x00>` to `<0xFF>`. Ids 0, 1, 2 are <unk>, <s>, </s>, and the bytes follow from id 3.

tokenizer.bin: int32 length of the longest piece; then for every id a float32 score, an int32 length and the piece.
"""

import json
import struct
from pathlib import Path

import tokenizers
from tokenizers import decoders, normalizers

from ..data.tokenizer import Tokenizer
from ..errors import CheckpointError
from ..files import atomic_writer

SPECIAL = ("<unk>", "<s>", "</s>")
FIRST_PIECE = 3 + 256
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SPACE = "\u2581"


def read_tokenizer(path, vocab_size):
    """The toylm.data.Tokenizer of a tokenizer.bin with `vocab_size` pieces; <s> opens and ends a document, as run.c has it.

    Raises CheckpointError where the file is truncated or holds another number of pieces.
    """
    pieces, scores = _read_pieces(Path(path), vocab_size)
    # the specials are spelt "\n<s>\n" there
    tokens = [*SPECIAL, *(piece.replace(" ", SPACE) for piece in pieces[3:])]
    if not in_sentencepiece_order(tokens):
        raise CheckpointError(f"{path} is not a llama2.c tokenizer: the ids 3 to 258 should be the bytes <0x00> to <0xFF>")
    return Tokenizer(make_backend(tokens, scores), end_token="<s>")


def _read_pieces(path, vocab_size):
    data = path.read_bytes()
    pieces, scores, at = [], [], 4
    while at < len(data):
        if at + 8 > len(data):
            raise CheckpointError(f"{path} is truncated: it ends inside token {len(pieces)}")
        score, length = struct.unpack_from("<fi", data, at)
        at += 8
        if length < 0 or at + length > len(data):
            raise CheckpointError(f"{path} is truncated or no tokenizer.bin: it ends inside token {len(pieces)}")
        try:
            pieces.append(data[at : at + length].decode())
        except UnicodeDecodeError:
            raise CheckpointError(f"{path} is no tokenizer.bin: token {len(pieces)} is not UTF-8") from None
        scores.append(score)
        at += length
    if len(pieces) != vocab_size:
        raise CheckpointError(f"{path} has {len(pieces)} tokens and the model {vocab_size}: they do not belong together")
    return pieces, scores


def in_sentencepiece_order(tokens):
    """Whether the specials and the bytes have their ids."""
    return tokens[:FIRST_PIECE] == [*SPECIAL, *BYTES]


def unused_tokens(start, stop):
    """Tokens for the ids from start to stop, where a model's vocabulary is padded to a round number."""
    return [f"<unused{i}>" for i in range(start, stop)]


def make_backend(tokens, scores):
    """The `tokenizers.Tokenizer` of pieces in the order of their ids, joined best score first."""
    ids = {token: i for i, token in enumerate(tokens)}
    merges = []
    for token, i in ids.items():
        if i >= FIRST_PIECE:
            splits = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
            found = [(ids[a], ids[b], a, b) for a, b in splits if a in ids and b in ids]
            merges += [(-scores[i], i, *split) for split in sorted(found)]
    merges = [(a, b) for *_, a, b in sorted(merges)]
    model = tokenizers.models.BPE(ids, merges, unk_token=SPECIAL[0], fuse_unk=True, byte_fallback=True)
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    backend.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens(list(SPECIAL))
    return backend


def pieces_of(tokenizer):
    """(tokens in the order of their ids, scores) of a tokenizer in this manner, or None for another.

    Only the order of the scores says anything; it is that of the merges.
    """
    state = json.loads(tokenizer.backend.to_str())
    model = state["model"]
    if model.get("type") != "BPE" or not model.get("byte_fallback"):
        return None
    vocab = tokenizer.backend.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=vocab.get)
    if [vocab[t] for t in tokens] != list(range(len(tokens))) or not in_sentencepiece_order(tokens):
        return None
    ranks = {}
    for merge in model["merges"]:
        a, b = merge.split(" ") if isinstance(merge, str) else merge
        ranks.setdefault(a + b, len(ranks))
    order = sorted(ranks, key=ranks.get)
    if [vocab[t] for t in order] == sorted(vocab[t] for t in order):  # as SentencePiece numbers them
        return tokens, [0.0] * FIRST_PIECE + [-float(i) for i in range(len(tokens) - FIRST_PIECE)]
    return tokens, [-float(ranks.get(t, 0)) for t in tokens]


def write_tokenizer(path, tokenizer, vocab_size):
    """Write a tokenizer.bin for a model of `vocab_size` tokens, atomically. Raises CheckpointError for a tokenizer of another kind.
    """
    found = pieces_of(tokenizer)
    if found is None:
        raise CheckpointError(
            "llama2.c knows tokenizers in SentencePiece's manner only (<s> is id 1, the bytes are the ids 3 to 258), and this "
            "model's is another: its checkpoint can be exported, its tokenizer cannot"
        )
    tokens, scores = found
    padding = unused_tokens(len(tokens), vocab_size)
    tokens, scores = [*tokens, *padding], [*scores, *(scores[-1] for _ in padding)]
    unknown, start, end = SPECIAL
    spelt = [unknown, f"\n{start}\n", f"\n{end}\n", *BYTES, *(token.replace(SPACE, " ") for token in tokens[FIRST_PIECE:])]
    pieces = [token.encode() for token in spelt]
    with atomic_writer(path) as file:
        file.write(struct.pack("<i", max(map(len, pieces))))
        for piece, score in zip(pieces, scores):
            file.write(struct.pack("<fi", score, len(piece)) + piece)
