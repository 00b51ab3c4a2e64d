"""reference.py is the truth: checked against central differences and PyTorch; then the engine against it, by parameter name."""

import math

import numpy as np
import pytest
from model_golden import NAMES, open_golden

import toylm
from toylm import reference as ref
from toylm.commands.reference import main
from toylm.config import layout_of
from toylm.errors import UsageError
from toylm.kernels.matmul import matmul_mode
from toylm.parameters import Parameters
from toylm.threads import most_threads, set_threads

T, H, K, h = 5, 4, 2, 2  # of the attention that is tested by itself
TOKENS = np.array([[3, 0, 3, 6, 1], [5, 6, 2, 2, 0]])  # some twice
TARGETS = np.array([3, -1, 0, 6, -1, 1])


def attention_with_probabilities(dz, qkv):
    return ref.attention_backward(dz, qkv, ref.attention_forward(qkv, T, H, K)[1], T, H, K)


# name: (forward of the arrays, backward of dy and the arrays: (gradients that are returned, gradients that are added to), shapes)
OPERATIONS = {
    "embedding": (
        lambda table, positions: ref.embedding_forward(TOKENS, table, positions),
        lambda dy, table, positions, dtable, dpositions: ref.embedding_backward(dy, TOKENS, dtable, dpositions),
        [(7, 3), (8, 3)], 2,
    ),
    "smear": (
        lambda x, smear: ref.smear_forward(x, smear, T),
        lambda dy, x, smear, dsmear: ref.smear_backward(dy, x, smear, dsmear, T), [(2 * T, 3), (3,)], 1,
    ),
    "rmsnorm": (
        ref.rmsnorm_forward, lambda dy, x, gamma, dgamma: ref.rmsnorm_backward(dy, x, gamma, dgamma), [(6, 5), (5,)], 1,
    ),
    "layernorm": (
        ref.layernorm_forward,
        lambda dy, x, gamma, beta, dgamma, dbeta: ref.layernorm_backward(dy, x, gamma, dgamma, dbeta),
        [(6, 5), (5,), (5,)], 2,
    ),
    "linear": (ref.linear_forward, lambda dy, x, w, b, dw, db: ref.linear_backward(dy, x, w, dw, db), [(6, 5), (5, 3), (3,)], 2),
    "rope": (lambda x: ref.rope_forward(x, T, 6), lambda dy, x: ref.rope_backward(dy, T, 6), [(2 * T, 3 * 6)], 0),
    "softmax": (ref.softmax_forward, lambda dy, x: ref.softmax_backward(dy, ref.softmax_forward(x)), [(6, 5)], 0),
    "attention": (
        lambda qkv: ref.attention_forward(qkv, T, H, K)[0], attention_with_probabilities, [(2 * T, (H + 2 * K) * h)], 0,
    ),
    "gelu": (ref.gelu_forward, ref.gelu_backward, [(6, 5)], 0),
    "relu2": (ref.relu2_forward, ref.relu2_backward, [(6, 5)], 0),
    "silu": (ref.silu_forward, ref.silu_backward, [(6, 5)], 0),
    "swiglu": (ref.swiglu_forward, ref.swiglu_backward, [(6, 10)], 0),
    "cross-entropy": (
        lambda logits: ref.cross_entropy_forward(logits, TARGETS).sum(keepdims=True) / 4,
        lambda dy, logits: dy * ref.cross_entropy_backward(logits, TARGETS),
        [(6, 7)], 0,
    ),
}  # fmt: skip


def arrays_of(operation, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in OPERATIONS[operation][2]]


def gradients_of(operation, dy, arrays):
    """One gradient an array: what the backward pass returns, then what it adds to, each array holding a 1 before."""
    _, backward, _, added = OPERATIONS[operation]
    held = [np.ones_like(x) for x in arrays[len(arrays) - added :]]
    returned = backward(dy, *arrays, *held)
    return [*([] if len(held) == len(arrays) else [returned]), *(x - 1 for x in held)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_backward_is_the_derivative_of_its_forward(operation):
    forward, arrays = OPERATIONS[operation][0], arrays_of(operation)
    dy = np.random.default_rng(1).standard_normal(forward(*arrays).shape)
    found = gradients_of(operation, dy, arrays)
    assert len(found) == len(arrays)
    for array, gradient in zip(arrays, found, strict=True):
        numeric, step = np.empty(array.size), 1e-5
        for i in range(array.size):
            value = array.flat[i]
            array.flat[i] = value + step
            above = (forward(*arrays) * dy).sum()
            array.flat[i] = value - step
            below = (forward(*arrays) * dy).sum()
            array.flat[i] = value
            numeric[i] = (above - below) / (2 * step)
        np.testing.assert_allclose(gradient.ravel(), numeric, atol=1e-8)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_float32_stays_float32_and_is_near_float64(operation):
    forward, arrays = OPERATIONS[operation][0], arrays_of(operation)
    wide = forward(*arrays)
    dy = np.random.default_rng(1).standard_normal(wide.shape)
    narrow = [x.astype(np.float32) for x in arrays]
    y = forward(*narrow)
    assert y.dtype == (np.float64 if operation == "cross-entropy" else np.float32)  # losses are added up in float64
    np.testing.assert_allclose(y, wide, atol=2e-5)
    for found, expected in zip(gradients_of(operation, dy.astype(np.float32), narrow), gradients_of(operation, dy, arrays)):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=5e-5)


def torch_operations():
    """The same operations as PyTorch has them. Tensors of a batch go through its own attention in one piece."""
    import torch
    from torch.nn import functional as F

    tokens, targets = torch.tensor(TOKENS), torch.tensor(TARGETS)

    def rope(x):
        pairs = torch.view_as_complex(torch.stack(x.view(2, T, 3, 6).split(3, dim=-1), dim=-1).contiguous())
        angle = torch.outer(torch.arange(T).double(), 10000.0 ** (-torch.arange(3).double() / 3))
        turned = pairs * torch.polar(torch.ones_like(angle), angle)[:, None]
        return torch.cat([turned.real, turned.imag], dim=-1).reshape(x.shape)

    def smear(x, share):  # a depthwise causal convolution of width 2
        sequences = F.pad(x.view(2, T, -1).transpose(1, 2), (1, 0))
        weight = torch.stack([share, torch.ones_like(share)], dim=1)[:, None]
        return F.conv1d(sequences, weight, groups=len(share)).transpose(1, 2).reshape(x.shape)

    def attention(qkv):
        q, k, v = (x.view(2, T, -1, h).transpose(1, 2) for x in qkv.split([H * h, K * h, K * h], dim=1))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return z.transpose(1, 2).reshape(2 * T, H * h)

    def swiglu(x):
        gate, up = x.chunk(2, dim=-1)
        return F.silu(gate) * up

    return {
        "embedding": lambda table, positions: (F.embedding(tokens, table) + positions[:T]).flatten(0, 1),
        "smear": smear,
        "rmsnorm": lambda x, gamma: F.rms_norm(x, (5,), gamma, eps=1e-5),
        "layernorm": lambda x, gamma, beta: F.layer_norm(x, (5,), gamma, beta, eps=1e-5),
        "linear": lambda x, w, b: F.linear(x, w.T, b),
        "rope": rope,
        "softmax": lambda x: torch.softmax(x, dim=-1),
        "attention": attention,
        "gelu": lambda x: F.gelu(x, approximate="tanh"),
        "relu2": lambda x: F.relu(x).square(),
        "silu": F.silu,
        "swiglu": swiglu,
        "cross-entropy": lambda logits: F.cross_entropy(logits, targets, ignore_index=-1)[None],
    }


@pytest.mark.parity
@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_and_its_gradients_against_pytorch(operation):
    import torch

    arrays = arrays_of(operation)
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    y = torch_operations()[operation](*tensors)
    np.testing.assert_allclose(OPERATIONS[operation][0](*arrays), y.detach().numpy(), atol=1e-12)
    dy = np.random.default_rng(1).standard_normal(tuple(y.shape))
    y.backward(torch.tensor(dy))
    for gradient, tensor in zip(gradients_of(operation, dy, arrays), tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-12)


def test_large_values_neither_overflow_nor_lose_the_result():
    x = np.array([[-1000.0, -50.0, 0.0, 50.0, 1000.0]])
    np.testing.assert_allclose(ref.silu_forward(x), [[0, -50 * math.exp(-50), 0, 50, 1000]], rtol=1e-12)
    np.testing.assert_allclose(ref.silu_backward(np.ones_like(x), x), [[0, 0, 0.5, 1, 1]], atol=1e-12)
    np.testing.assert_allclose(ref.softmax_forward(x), [[0, 0, 0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(ref.cross_entropy_forward(x, np.array([3])), [950])


def test_a_batch_without_counted_targets_has_no_loss_and_no_gradient():
    logits = np.ones((2, 3))
    assert not ref.cross_entropy_forward(logits, np.array([-1, -5])).any()
    assert not ref.cross_entropy_backward(logits, np.array([-1, -5])).any()


# -- the model against PyTorch's numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_logits_loss_and_gradients_equal_pytorch(name):
    config, numbers = open_golden(name)
    parameters, gradients = (Parameters(layout_of(config), np.float64) for _ in range(2))
    parameters.flat[:] = numbers["parameters"]
    logits, _ = ref.model_forward(parameters, config, numbers["tokens"])
    np.testing.assert_allclose(logits, numbers["logits"], atol=1e-12)
    loss = ref.loss_and_gradients(parameters, gradients, config, numbers["tokens"], numbers["targets"])
    assert loss == pytest.approx(float(numbers["loss"]), rel=1e-12)
    np.testing.assert_allclose(gradients.flat, numbers["gradients"], atol=1e-12)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("name", NAMES)
def test_three_clipped_steps_equal_pytorch(name, kind):
    config, numbers = open_golden(name)
    parameters, gradients, m, v = (Parameters(layout_of(config), np.float64) for _ in range(4))
    parameters.flat[:] = numbers["parameters"]
    losses, p, g = [], parameters.flat, gradients.flat
    for step in (1, 2, 3):
        gradients.zero_()
        losses.append(ref.loss_and_gradients(parameters, gradients, config, numbers["tokens"], numbers["targets"]))
        ref.clip(g, 0.5)
        if kind == "sgd":
            ref.sgd_step(p, g, m.flat, parameters.n_decayed, learning_rate=0.1, momentum=0.9)
        else:
            ref.adamw_step(p, g, m.flat, v.flat, parameters.n_decayed, step, learning_rate=1e-2)
    np.testing.assert_allclose(losses, numbers[f"{kind}_losses"], rtol=1e-11)
    np.testing.assert_allclose(p, numbers[f"{kind}_parameters"], atol=1e-10)


def test_a_config_with_counts_is_refused():
    config = toylm.ModelConfig(5, d_model=4, n_heads=1, counts=True)
    with pytest.raises(UsageError, match="no counts model; give a config with counts=False"):
        ref.model_forward(Parameters(layout_of(config)), config, [[1, 2]])


# -- Muon --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 5), (6, 4), (4, 6), (5, 5)])
def test_newton_schulz_is_its_polynomial_of_the_singular_values(shape):
    u = np.random.default_rng(0).standard_normal(shape)
    left, s, right = np.linalg.svd(u, full_matrices=False)
    s = s / np.linalg.norm(u)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    np.testing.assert_allclose(ref.orthogonalised(u), left * s @ right, atol=1e-6)  # the norm has 1e-7 added


MUON_CONFIG = dict(vocab_size=7, d_model=6, d_ff=8, n_heads=2, n_kv_heads=1, d_head=4, n_layers=1, context_length=5)


def test_muon_by_hand_on_parts_of_fused_matrices_and_adamw_on_the_rest():
    config = toylm.ModelConfig(**MUON_CONFIG, feed_forward="swiglu", positions="learned", biases=True)
    parameters, gradients, buffer, m, v = (Parameters(layout_of(config), np.float64) for _ in range(5))
    rng = np.random.default_rng(0)
    parameters.flat[:], gradients.flat[:] = rng.standard_normal((2, parameters.size))
    before = {name: mat.array.copy() for name, mat in parameters.items()}
    for step in (1, 2):  # the same gradient twice: the buffer then holds (1 - 0.95²) of it, and Nesterov looks further ahead
        ref.muon_step(parameters, gradients, (buffer, m, v), config, step, learning_rate=0.1, weight_decay=0.2,
                      adamw=dict(learning_rate=0.01))  # fmt: skip
    parts = {"w_qkv": [(0, 4), (4, 8), (8, 12), (12, 16)], "w_ff1": [(0, 8), (8, 16)], "w_o": [(0, 6)], "w_ff2": [(0, 6)]}
    for role, ranges in parts.items():
        name = f"blocks.0.{role}"
        g, w = gradients[name].array, before[name]
        assert ranges[-1][1] == w.shape[1]
        for a, b in ranges:
            # of a direction that does not change only its own orthogonal form is taken, twice
            direction = ref.orthogonalised(g[:, a:b]) * 0.1 * math.sqrt(max(1, (b - a) / len(g)))
            expected = (w[:, a:b] * 0.98 - direction) * 0.98 - direction
            np.testing.assert_allclose(parameters[name].array[:, a:b], expected, atol=1e-5)
        np.testing.assert_allclose(buffer[name].array, (1 - 0.95**2) * g)
    for name, mat in before.items():
        if name.split(".")[-1] in parts:
            continue
        p, g, first, second = mat.ravel().copy(), gradients[name].flat, np.zeros(mat.size), np.zeros(mat.size)
        for step in (1, 2):
            ref.adamw_step(p, g, first, second, mat.size if len(mat) > 1 else 0, step, learning_rate=0.01)
        np.testing.assert_array_equal(parameters[name].flat, p)


@pytest.mark.parity
def test_muon_against_pytorch():
    import torch

    config = toylm.ModelConfig(**MUON_CONFIG)
    parameters, gradients, buffer, m, v = (Parameters(layout_of(config), np.float64) for _ in range(5))
    rng = np.random.default_rng(0)
    parameters.flat[:] = rng.standard_normal(parameters.size)
    name = "blocks.0.w_o"
    weight = torch.tensor(parameters[name].array.T.copy(), requires_grad=True)  # PyTorch: (outputs, inputs)
    theirs = torch.optim.Muon([weight], lr=0.1, weight_decay=0.2, momentum=0.95, nesterov=True)
    before = parameters[name].array.copy()
    for step in (1, 2, 3):
        gradients.flat[:] = rng.standard_normal(parameters.size)
        weight.grad = torch.tensor(gradients[name].array.T.copy())
        theirs.step()
        ref.muon_step(parameters, gradients, (buffer, m, v), config, step, learning_rate=0.1, weight_decay=0.2)
    moved, expected = parameters[name].array - before, weight.detach().numpy().T - before
    assert np.linalg.norm(moved - expected) < 0.03 * np.linalg.norm(expected)  # theirs multiplies in bfloat16


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision,bound", [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("feed_forward", ["gelu", "swiglu"])
def test_the_engines_muon_is_the_references(feed_forward, precision, bound, threads):
    """Odd sizes, clipping, rates by group, a gradient of zeros for one matrix."""
    sizes = MUON_CONFIG | {"d_model": 33, "d_ff": 67}
    config = toylm.ModelConfig(**sizes, feed_forward=feed_forward, positions="learned", biases=True)
    model = toylm.TransformerLM(config, seed=0, precision=precision, threads=min(threads, most_threads()))
    optimizer = toylm.Muon(model, 0.03, weight_decay=0.2, embedding_rate=6.0, vector_rate=3.0)
    parameters, gradients, buffer, m, v = (Parameters(layout_of(config), np.float64) for _ in range(5))
    parameters.copy_from(model.parameters)
    by_group = {rate: (parameters.like(), parameters.like()) for rate in (1.0, 3.0, 6.0)}
    rng = np.random.default_rng(0)
    for step in (1, 2, 3):
        model.gradients.flat[:] = rng.standard_normal(parameters.size)
        model.gradients["blocks.0.w_o"].array[:] = 0
        gradients.copy_from(model.gradients)
        norm = optimizer.step(model.gradients, max_norm=1.0)
        assert norm == pytest.approx(np.linalg.norm(gradients.flat), rel=1e-5)
        ref.clip(gradients.flat, 1.0)
        before = parameters.like().copy_from(parameters)
        for rate, moments in by_group.items():  # the reference once a rate: its tensors of that group are what counts
            trial, momentum = (x.like().copy_from(x) for x in (before, buffer))
            ref.muon_step(trial, gradients, (momentum, *moments), config, step, learning_rate=0.03, weight_decay=0.2,
                          adamw=dict(learning_rate=0.03 * 0.15 * rate, weight_decay=0.0))  # fmt: skip
            for name, mat in trial.items():
                if rate == (6.0 if name in ("token_embed", "pos_embed") else 3.0 if mat.nrows == 1 else 1.0):
                    parameters[name].array[:] = mat.array
        buffer.copy_from(momentum)
        for name, mat in parameters.items():
            assert np.abs(model.parameters[name].array - mat.array).max() < bound, name


def test_muon_takes_a_model():
    with pytest.raises(TypeError, match="Muon takes a model, whose shape tells its matrices apart, not Parameters"):
        toylm.Muon(Parameters(layout_of(toylm.ModelConfig(**MUON_CONFIG)), np.float32))


# -- the engine against the reference ----------------------------------------------------------------------------------

SIZES = dict(vocab_size=11, d_model=12, d_ff=20, n_heads=2, n_layers=2, context_length=13)
ARCHITECTURES = {
    "default": dict(),
    "learned positions": dict(positions="learned"),
    "another theta and eps": dict(rope_theta=77.0, norm_eps=1e-2),
    "layer norm": dict(norm="layer"),
    "biases": dict(biases=True),
    "swiglu": dict(feed_forward="swiglu"),
    "relu2": dict(feed_forward="relu2"),
    "silu": dict(feed_forward="silu"),
    "untied": dict(tied=False),
    "output bias": dict(output_bias=True),
    "one key-value head": dict(n_kv_heads=1),
    "wide heads": dict(n_heads=3, d_head=10),
    "gpt2": dict(norm="layer", positions="learned", biases=True),
    "llama": dict(feed_forward="swiglu", n_heads=4, n_kv_heads=2, d_head=2, tied=False),
    "llama with biases": dict(feed_forward="swiglu", biases=True, n_kv_heads=1, output_bias=True),
    "arcee": dict(feed_forward="relu2", d_head=4, n_heads=3),
    "layer and silu": dict(norm="layer", feed_forward="silu", biases=True, tied=False),
    "smear": dict(smear=True),
    "smear, learned positions": dict(smear=True, positions="learned", d_model=7, d_head=4),
    "primes": dict(vocab_size=37, d_model=17, d_ff=29, n_heads=3, d_head=6, n_layers=1, context_length=31),
    "ones": dict(vocab_size=2, d_model=2, d_ff=1, n_heads=1, n_layers=1, context_length=1),
}
TOLERANCES = {"float64": 1e-10, "float32": 2e-5}


@pytest.fixture(params=["numba", "blas"])
def products(request, monkeypatch):
    """All products by toylm's kernels, some of them inside larger ones; or all by NumPy's BLAS, and nothing fused."""
    monkeypatch.setenv("TOYLM_MATMUL", request.param)
    matmul_mode.cache_clear()
    yield request.param
    matmul_mode.cache_clear()


@pytest.fixture(params=[1, 2])
def threads(request):
    if request.param > most_threads():
        pytest.skip(f"this process may use {most_threads()} thread")
    return set_threads(request.param)


def compare(config, precision, B, T):
    """Loss, logits and every gradient of the engine, accumulated over two batches, against the reference in float64."""
    rng = np.random.default_rng(0)
    model = toylm.TransformerLM(config, seed=1, precision=precision)
    model.parameters.flat[:] += 0.2 * rng.standard_normal(model.parameters.size).astype(model.dtype)
    parameters, gradients = (Parameters(layout_of(config), np.float64) for _ in range(2))
    parameters.copy_from(model.parameters)
    tolerance = TOLERANCES[precision]
    for _ in range(2):
        tokens, targets = rng.integers(0, config.vocab_size, (2, B, T))
        targets[0, (T + 1) // 2 :] = -1  # unequal counted targets
        logits, _ = ref.model_forward(parameters, config, tokens)
        assert np.linalg.norm(model.forward(tokens) - logits) <= tolerance * np.linalg.norm(logits)
        expected = ref.loss_and_gradients(parameters, gradients, config, tokens, targets)
        assert model.loss(tokens, targets) == pytest.approx(expected, rel=tolerance)
        assert model.loss_and_gradients(tokens, targets) == pytest.approx(expected, rel=tolerance)
    assert model.gradients.names == gradients.names
    whole = np.linalg.norm(gradients.flat)
    for name, mat in gradients.items():
        difference = np.linalg.norm(model.gradients[name].array - mat.array)
        # A tensor of one or two values may be a difference of much larger ones, whose roundings stay.
        size = whole if mat.array.size <= 2 and precision == "float32" else np.linalg.norm(mat.array)
        assert difference <= tolerance * size, name


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_gradient_of_the_engine_equals_the_reference(kind, precision, products, threads):
    config = toylm.ModelConfig(**SIZES | ARCHITECTURES[kind])
    for B, T in {(1, 1), (3, min(7, config.context_length)), (4, config.context_length)}:
        compare(config, precision, B, T)


LARGE = dict(vocab_size=131, d_model=96, d_ff=331, n_heads=3, n_layers=1, context_length=67)


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("kind", ["default", "gpt2", "llama", "arcee"])
def test_weights_too_large_to_be_fused_and_many_rows(kind, precision, products, threads):
    """w_ff1 and w_ff2 are above what a thread sums for itself, in float32 too; and rows are many enough to be shared."""
    compare(toylm.ModelConfig(**LARGE | ARCHITECTURES[kind] | dict(d_model=96, d_ff=509, d_head=32)), precision, 3, 67)


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_ten_steps_of_the_engine_equal_the_reference(kind, precision, tolerance):
    config = toylm.ModelConfig(**SIZES)
    model = toylm.TransformerLM(config, seed=1, precision=precision)
    parameters, gradients, m, v = (Parameters(layout_of(config), np.float64) for _ in range(4))
    parameters.copy_from(model.parameters)
    if kind == "sgd":
        optimizer = toylm.SGD(model.parameters, learning_rate=0.3, momentum=0.9, weight_decay=0.1)
    else:
        optimizer = toylm.AdamW(model.parameters, learning_rate=1e-2, weight_decay=0.1)
    rng, p, g, first = np.random.default_rng(0), parameters.flat, gradients.flat, None
    for step in range(1, 11):
        tokens = np.arange(4)[:, None] + np.arange(10) * rng.integers(1, 3) % config.vocab_size  # there is something to learn
        tokens, targets = tokens[:, :-1] % config.vocab_size, tokens[:, 1:] % config.vocab_size
        expected = ref.loss_and_gradients(parameters, gradients.zero_(), config, tokens, targets)
        model.gradients.zero_()
        assert model.loss_and_gradients(tokens, targets) == pytest.approx(expected, rel=tolerance)
        assert optimizer.step(model.gradients, max_norm=0.5) == pytest.approx(ref.clip(g, 0.5), rel=tolerance)
        if kind == "sgd":
            ref.sgd_step(p, g, m.flat, parameters.n_decayed, learning_rate=0.3, momentum=0.9, weight_decay=0.1)
        else:
            ref.adamw_step(p, g, m.flat, v.flat, parameters.n_decayed, step, learning_rate=1e-2, weight_decay=0.1)
        first = expected if first is None else first
    assert expected < first - 0.1
    assert np.linalg.norm(model.parameters.flat - p) <= tolerance * np.linalg.norm(p)


def test_the_program_prints_both_losses_step_for_step(capsys):
    main(["--steps", "3", "--float64"])
    lines = capsys.readouterr().out.splitlines()
    steps = [line.split() for line in lines if line.split()[0].isdigit()]
    assert [step[0] for step in steps] == ["1", "2", "3"]
    losses = [float(step[1]) for step in steps]
    assert losses == [float(step[2]) for step in steps]
    assert losses[0] == pytest.approx(math.log(257), rel=0.02) and losses[2] < losses[0] - 0.2
    assert lines[-1].startswith("largest difference of the losses: ") and float(lines[-1].split()[-2]) < 1e-12
