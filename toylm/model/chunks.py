"""How many rows of logits exist at a time: all (N, V) of them would be far more memory than a model, and leave the cache."""

CHUNK_BYTES = 4 * 2**20


def chunk_rows(vocab_size, item):
    """Rows of a chunk of logits, `item` bytes a value."""
    return max(64, CHUNK_BYTES // (vocab_size * item))
