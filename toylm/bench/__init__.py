"""toylm beside other engines, in turn, in one run: ratios and medians, because shared machines are noisy.

    python -m toylm.bench train --preset tiny --peers torch-eager,torch-compile
"""
