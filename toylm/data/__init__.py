"""Text in, batches out: corpora, documents and their split, tokenizers, token files, batches, the story generator, tasks."""
