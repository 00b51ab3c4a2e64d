"""Text in, batches out: corpora, documents and their split, tokenizers, token files, batches, the story generator, tasks.

>>> from toylm.data import prepare
>>> prepared = prepare("stories", out="runs/data", vocab_size=2048, context_length=128)
>>> tokens, targets = prepared.batches(batch_size=16, context_length=128, seed=0).next()
>>> tokens.shape, targets.shape
((16, 128), (16, 128))
"""

from ..lazy import lazy

# Public name -> the module that defines it; resolved at first use (PEP 562).
_HOMES = {
    "Batches": "batches",
    "CORPORA": "corpora",
    "Corpus": "corpora",
    "load_corpus": "corpora",
    "ExampleSet": "examples",
    "Prepared": "preparation",
    "load_prepared": "preparation",
    "prepare": "preparation",
    "encode_corpus": "encoding",
    "Split": "split",
    "split_documents": "split",
    "TokenFile": "token_file",
    "TokenFileWriter": "token_file",
    "Tokenizer": "tokenizer",
    "train_tokenizer": "tokenizer",
    "EvaluationWindows": "windows",
    "TASKS": "tasks",
    "task_dataset": "tasks",
    "generate_long_copy_dataset": "tasks",
    "generate_long_bracket_depth_dataset": "tasks",
    "generate_long_reverse_dataset": "tasks",
    "generate_running_sum_dataset": "tasks",
}

__all__ = list(_HOMES)

__getattr__, __dir__ = lazy(__name__, _HOMES)
