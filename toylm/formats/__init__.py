"""Checkpoints and other programs' files: what a toylm model is called there, and back."""
