"""The gallery's kernels: every side computes the same thing, and operations and bytes are what a hand counts."""

import numba
import numpy as np
import pytest

from toylm.bench import naive, side_numpy, side_toylm
from toylm.bench.cases import KERNELS, SMALL, Case, cases_of, sizes_of
from toylm.bench.presets import PRESETS, Shape

UPDATED_FROM_FRESH_STATE = ("SGD with momentum", "AdamW")  # PyTorch starts its own moments at zero


def written(prepare, name):
    """The results of a side that writes them to the arrays it is given."""
    x = KERNELS[name].make(SMALL)
    prepare(name, x)()
    return [getattr(x, array) for array in KERNELS[name].results]


def test_every_side_has_every_kernel():
    assert set(side_toylm.OPERATIONS) == set(side_numpy.OPERATIONS) == set(naive.OPERATIONS) == set(KERNELS)


@pytest.mark.parametrize("name", KERNELS)
def test_naive_loops_numpy_and_toylm_agree(name):
    expected = side_numpy.prepare(name, KERNELS[name].make(SMALL))()
    assert len(expected) == len(KERNELS[name].results)
    for prepare in (naive.prepare_with(lambda loop: loop), side_toylm.prepare):
        for actual, wanted in zip(written(prepare, name), expected):
            # With a zero gradient to start from, what is added is the gradient.
            np.testing.assert_allclose(actual.reshape(np.shape(wanted) or 1), wanted, rtol=2e-4, atol=2e-5)


def test_the_loops_also_run_compiled():
    for name in ("embedding", "product A·Bᵀ"):
        compiled, interpreted = (written(naive.prepare_with(how), name) for how in (numba.njit, lambda loop: loop))
        np.testing.assert_allclose(compiled, interpreted, rtol=1e-5, atol=1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("name", KERNELS)
def test_pytorch_agrees(name):
    from toylm.bench import side_torch

    expected = written(side_toylm.prepare, name)
    actual = side_torch.prepare(name, KERNELS[name].make(SMALL))()
    for a, wanted in zip(actual, expected):
        a = a.detach().numpy() if hasattr(a, "detach") else np.asarray(a)
        assert a.size == wanted.size
        if name not in UPDATED_FROM_FRESH_STATE:
            np.testing.assert_allclose(a.reshape(wanted.shape), wanted, rtol=2e-4, atol=2e-5)


def test_cross_entropy_by_hand():
    losses = np.empty(1)
    naive.cross_entropy(np.log([[1.0, 3.0]]), [1], losses)
    np.testing.assert_allclose(losses, -np.log(0.75))


SIZES = {"N": 6, "d": 4, "ff": 8, "V": 10, "T": 3, "B": 2, "H": 2, "L": 2, "P": 100}
# Counted by hand for the sizes above: operations, bytes.
COUNTED = {
    "product A·B": (2 * 6 * 4 * 8, 4 * (24 + 32 + 48)),
    "feed-forward": (2 * 2 * 6 * 4 * 8 + 8 * 48, 4 * (24 + 32 + 32 + 48 + 24)),
    "GELU": (8 * 48, 4 * 2 * 48),
    "GELU backward": (17 * 48, 4 * 3 * 48),
    "RMSNorm": (4 * 24, 4 * 2 * 24),
    "AdamW": (15 * 100, 4 * 7 * 100),
    "gradient norm": (200, 400),
    # causal scores: 1 + 2 + 3 = 6 a head and sequence, 4 heads and sequences, 2 values a head: 24 · 2 · 2 multiply-adds
    "attention": (2 * 2 * 24 * 2, 4 * (6 * 12 + 6 * 4 + 6 * 2)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_operations_and_bytes(name):
    case = Case(name, "", SIZES)
    assert (case.flops, case.nbytes) == COUNTED[name]
    assert case.intensity == case.flops / case.nbytes


def test_sizes_of_a_preset_count_the_model_s_parameters():
    import toylm

    shape = Shape(vocab_size=50, d_model=8, n_layers=2, n_heads=2, d_ff=16, length=6, batch=3)
    config = toylm.ModelConfig(50, 8, 16, 2, 2, 6, positions="learned")
    sizes = sizes_of(shape)
    assert sizes["P"] == toylm.TransformerLM(config).n_parameters
    assert sizes["N"] == 18


def test_the_list_has_every_kernel_and_memory_sizes_are_large():
    cases = cases_of("tiny", PRESETS, 2**27)
    assert {case.kernel for case in cases} == set(KERNELS)
    products = [case for case in cases if KERNELS[case.kernel].kind == "product"]
    assert {case.label for case in products} == set(PRESETS) and len(products) == 3 * len(PRESETS)
    large = [case for case in cases if case.label == "memory"]
    assert {KERNELS[case.kernel].kind for case in large} == {"row", "element"}
    assert all(case.nbytes >= 2**27 for case in large)
    assert not [case for case in cases_of("tiny", PRESETS, 0) if case.label == "memory"]


def test_inputs_that_are_overwritten_are_named():
    """A second call gives the first one's results once `restored` is put back, as the gallery does between timings."""
    for name, kernel in KERNELS.items():
        x, fresh = kernel.make(SMALL), kernel.make(SMALL)
        call = side_toylm.prepare(name, x)
        call()
        first = {array: getattr(x, array).copy() for array in kernel.results}
        for array in kernel.restored:
            getattr(x, array)[...] = getattr(fresh, array)
        call()
        for array, value in first.items():
            np.testing.assert_array_equal(getattr(x, array), value, err_msg=f"{name}: {array}")
