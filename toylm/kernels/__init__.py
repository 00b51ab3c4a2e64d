"""Numba kernels, one file an operation: forward, backward under it, and a short NumPy twin that the tests compare with."""
