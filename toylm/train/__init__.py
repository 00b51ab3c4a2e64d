"""Training: settings, the loop, evaluation, metrics, the run folder. `python -m toylm.train -h` explains the command."""
