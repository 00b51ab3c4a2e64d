"""The gallery's kernels: every side computes the same thing, and operations and bytes are what a hand counts."""

import numpy as np
import pytest

from toylm.bench import naive, side_naive, side_numpy, side_toylm
from toylm.bench.cases import KERNELS, SMALL, Case, cases_of, sizes_of
from toylm.bench.presets import PRESETS, Shape

PYTHON = side_naive.prepare_with(side_naive.python_loops())
UPDATED_FROM_FRESH_STATE = ("SGD with momentum", "AdamW")  # PyTorch starts its own moments at zero


def results(table, name):
    return [np.array(r) for r in table[name](KERNELS[name].make(SMALL))()]


def test_every_side_has_every_kernel():
    assert set(side_toylm.PREPARE) == set(side_numpy.PREPARE) == set(PYTHON) == set(KERNELS)


@pytest.mark.parametrize("name", KERNELS)
def test_naive_loops_numpy_and_toylm_agree(name):
    expected = results(side_numpy.PREPARE, name)
    for table in (PYTHON, side_toylm.PREPARE):
        for actual, wanted in zip(results(table, name), expected):
            # With a zero gradient to start from, what is added is the gradient.
            np.testing.assert_allclose(actual.reshape(wanted.shape), wanted, rtol=2e-4, atol=2e-5)


def test_the_loops_also_run_compiled():
    compiled = side_naive.prepare_with(side_naive.compiled_loops())
    for actual, wanted in zip(results(compiled, "residual add"), results(PYTHON, "residual add")):
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parity
@pytest.mark.parametrize("name", KERNELS)
def test_pytorch_agrees(name):
    from toylm.bench import side_torch

    expected = results(side_toylm.PREPARE, name)
    actual = side_torch.PREPARE[name](KERNELS[name].make(SMALL))()
    for a, wanted in zip(actual, expected):
        a = a.detach().numpy() if hasattr(a, "detach") else np.asarray(a)
        assert a.size == wanted.size
        if name not in UPDATED_FROM_FRESH_STATE:
            np.testing.assert_allclose(a.reshape(wanted.shape), wanted, rtol=2e-4, atol=2e-5)


def test_softmax_by_hand():
    y = np.empty((1, 2))
    naive.softmax(np.log([[1.0, 3.0]]), y)
    np.testing.assert_allclose(y, [[0.25, 0.75]])


SIZES = {"N": 6, "d": 4, "ff": 8, "V": 10, "T": 3, "B": 2, "H": 2, "L": 2, "P": 100}
# Counted by hand for the sizes above: operations, bytes.
COUNTED = {
    "product A·B": (2 * 6 * 4 * 8, 4 * (24 + 32 + 48)),
    "norm + projection": (4 * 24 + 2 * 6 * 4 * 12, 4 * (24 + 24 + 48 + 72)),
    "feed-forward": (2 * 2 * 6 * 4 * 8 + 8 * 48, 4 * (24 + 32 + 32 + 48 + 24)),
    "residual add": (24, 4 * 3 * 24),
    "GELU": (8 * 48, 4 * 2 * 48),
    "GELU backward": (17 * 48, 4 * 3 * 48),
    "RMSNorm": (4 * 24, 4 * 2 * 24),
    "softmax": (5 * 12 * 3, 4 * 2 * 12 * 3),
    "AdamW": (15 * 100, 4 * 7 * 100),
    "gradient norm": (200, 400),
    # causal scores: 1 + 2 + 3 = 6 a head and sequence, 4 heads and sequences, 2 values a head: 24 · 2 · 2 multiply-adds
    "attention": (2 * 2 * 24 * 2, 4 * (6 * 12 + 6 * 4 + 6 * 2)),
    # a block: 3 · 16 + 16 + 2 · 32 = 128 weights; two blocks and 40 of the table; 1 + 1 cached rows of k and v a block
    "decode token": (2 * (2 * 128 + 40 + 2 * 2 * 4 * 2), 4 * (2 * 128 + 40 + 2 * 2 * 4 * 2)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_operations_and_bytes(name):
    case = Case(name, "", tuple(SIZES.items()))
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
    """Everything that a call changes must be in `restored`: the gallery puts it back between timings."""
    for name, kernel in KERNELS.items():
        x, fresh = kernel.make(SMALL), kernel.make(SMALL)
        side_toylm.PREPARE[name](x)()
        for key, value in vars(fresh).items():
            if isinstance(value, np.ndarray) and key not in kernel.restored:
                np.testing.assert_array_equal(getattr(x, key), value, err_msg=f"{name}: {key}")
