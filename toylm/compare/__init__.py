"""toylm compare: gradient descent, one-shot fits and their combination on the same text, split, tokenizer and evaluation."""
