"""One-shot (closed-form) fitting."""
