import copy
import gc
import math
import pickle
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import toylm
from toylm import reference
from toylm.kernels import memory
from toylm.model.generation import KeyValueCache


def tiny(positions="rope", precision="float64", **changes):
    fields = dict(vocab_size=11, d_model=12, d_ff=20, n_heads=2, n_layers=2, context_length=9, positions=positions)
    return toylm.TransformerLM(toylm.ModelConfig(**{**fields, **changes}), seed=1, precision=precision)


def batch(model, B=3, T=7, seed=0):
    rng = np.random.default_rng(seed)
    V = model.config.vocab_size
    return rng.integers(0, V, (B, T)), rng.integers(0, V, (B, T))


ARCHITECTURES = {
    "default": dict(),
    "learned": dict(positions="learned"),
    "gpt2": dict(norm="layer", positions="learned", biases=True),
    "llama": dict(feed_forward="swiglu", n_heads=4, n_kv_heads=2, d_head=2, tied=False),
    "llama with biases": dict(feed_forward="swiglu", biases=True, n_kv_heads=1),
    "arcee": dict(feed_forward="relu2", d_head=4, n_heads=3),
    "smear": dict(smear=True, positions="learned"),
    "layer and silu": dict(norm="layer", feed_forward="silu", n_kv_heads=1, tied=False),
}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_gradient_of_every_parameter_against_central_differences(kind):
    model = tiny(n_layers=1, **{"d_model": 8, "d_ff": 10, **ARCHITECTURES[kind]})
    model.parameters.flat[:] += 0.3 * np.random.default_rng(0).standard_normal(model.parameters.size)
    tokens, targets = batch(model)
    targets[0, 3:], targets[2, :2] = -1, -1  # unequal counted targets
    check = toylm.check_gradients(model, tokens, targets, values=None)
    assert check, check


def test_gradient_under_dropout_against_central_differences():
    model = tiny(n_layers=2, d_model=8, d_ff=10)
    model.parameters.flat[:] += 0.3 * np.random.default_rng(0).standard_normal(model.parameters.size)
    tokens, targets = batch(model)

    plain = model.loss(tokens, targets)
    model.loss = model.loss_and_gradients = partial(model.loss_and_gradients, dropout=0.3, dropout_seed=[4, 2])
    assert model.loss(tokens, targets) == model.loss(tokens, targets) != plain
    check = toylm.check_gradients(model, tokens, targets)
    assert check, check


def test_dropout_draws_its_masks_from_the_seed_and_keeps_the_mean():
    model, tokens = tiny(), np.zeros((3, 9), np.int64)
    losses = [model.loss_and_gradients(tokens, tokens, dropout=0.1, dropout_seed=seed) for seed in range(40)]
    assert len(set(losses)) == 40
    assert np.mean(losses) == pytest.approx(model.loss(tokens, tokens), abs=0.1)
    with pytest.raises(ValueError, match="dropout is 1"):
        model.loss_and_gradients(tokens, tokens, dropout=1.0)


def test_gradients_start_at_zero_and_accumulate():
    model = tiny()
    assert not model.gradients.flat.any()
    tokens, targets = batch(model)
    model.loss_and_gradients(tokens, targets)
    once = model.gradients.flat.copy()
    model.loss_and_gradients(tokens, targets, scale=0.5)
    np.testing.assert_allclose(model.gradients.flat, 1.5 * once, rtol=1e-12, atol=1e-15)


def test_a_batch_is_the_mean_of_its_sequences_weighted_by_counted_targets():
    model = tiny()
    tokens, targets = batch(model, B=2)
    targets[0, 2:] = -1
    counted = (targets >= 0).sum(axis=1)
    whole = model.loss_and_gradients(tokens, targets)
    gradients = model.gradients.flat.copy()
    model.gradients.zero_()
    parts = [
        model.loss_and_gradients(tokens[i : i + 1], targets[i : i + 1], scale=counted[i] / counted.sum()) for i in range(2)
    ]
    assert whole == pytest.approx(np.average(parts, weights=counted), rel=1e-12)
    np.testing.assert_allclose(model.gradients.flat, gradients, rtol=1e-9, atol=1e-14)


def test_backward_from_logits_equals_the_fused_loss():
    model = tiny("learned")
    tokens, targets = batch(model)
    model.loss_and_gradients(tokens, targets)
    fused = model.gradients.flat.copy()
    model.gradients.zero_()
    logits = model.forward(tokens)
    dlogits = reference.cross_entropy_backward(logits.reshape(21, 11), targets.reshape(-1))
    model.backward(dlogits)
    np.testing.assert_allclose(model.gradients.flat, fused, rtol=1e-9, atol=1e-14)


def test_seed_case_learns_three_sequences():
    config = toylm.ModelConfig(7, 16, 32, 2, 2, 8, positions="learned", init="uniform")
    model = toylm.TransformerLM(config, seed=1)
    assert model.n_parameters == 4416
    losses = []
    for _ in range(40):
        for sequence in ([0, 1, 2], [3, 4, 5], [1, 2, 3]):
            losses.append(model.loss_and_gradients(sequence[:-1], sequence[1:]))
            model.apply_gradients_sgd(0.05)
    assert np.mean(losses[:3]) == pytest.approx(2.0, abs=0.3)
    assert np.mean(losses[-3:]) == pytest.approx(0.03, abs=0.01)
    assert model.generate_from_ids([0], 2) == [0, 1, 2]


@pytest.mark.parametrize("positions", ["learned", "rope"])
def test_loss_starts_at_log_of_the_vocabulary(positions):
    config = toylm.ModelConfig(512, 128, n_heads=4, n_layers=4, context_length=64, positions=positions)
    model = toylm.TransformerLM(config, seed=0)
    tokens, targets = batch(model, 4, 64)
    assert model.loss(tokens, targets) == pytest.approx(math.log(512), rel=0.05)


def test_initial_scales_by_role():
    config = toylm.ModelConfig(300, 64, n_heads=4, n_layers=8, context_length=64, positions="learned")
    p = toylm.TransformerLM(config, seed=0).parameters
    expected = {"token_embed": 0.02, "pos_embed": 0.02, "blocks.3.w_qkv": 1 / 8, "blocks.3.w_ff1": 1 / 8}
    expected |= {"blocks.3.w_o": 1 / 8 / 4, "blocks.3.w_ff2": 1 / 16 / 4}
    for name, std in expected.items():
        assert p[name].array.std() == pytest.approx(std, rel=0.05), name
    assert (p["blocks.3.norm1_gamma"].flat == 1).all()
    other = toylm.TransformerLM(config, seed=0).parameters
    np.testing.assert_array_equal(p.flat, other.flat)
    assert (toylm.TransformerLM(config, seed=1).parameters.flat != p.flat).any()


def test_one_batch_overfits():
    model = tiny(precision="float32", d_model=32, d_ff=64)
    tokens, targets = batch(model, 2, 8)
    for _ in range(150):
        loss = model.loss_and_gradients(tokens, targets)
        model.apply_gradients_adam(1e-2)
    assert loss < 0.01


def test_a_training_step_allocates_nothing_that_grows():
    model = tiny(precision="float32")
    optimizer = toylm.Adam(model.parameters)
    tokens, targets = batch(model)

    def steps(n):
        for _ in range(n):
            model.loss_and_gradients(tokens, targets)
            optimizer.step(model.gradients, max_norm=1.0)
            model.gradients.zero_()

    def traced():
        """Bytes that toylm's own lines hold: a test process has other threads, which hold more or less at any time."""
        gc.collect()
        own = tracemalloc.Filter(True, str(Path(toylm.__file__).parent / "*"))
        return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([own]).traces)

    tracemalloc.start()
    steps(600)  # until the interpreter keeps as many spare tuples and numbers as it ever will
    held, found = model.workspace.nbytes, [traced()]
    for _ in range(3):
        steps(200)
        found.append(traced())
    tracemalloc.stop()
    assert model.workspace.nbytes == held
    # What grows, grows in every stretch; what Numba and the interpreter keep for reuse grows once in a while.
    assert min(np.diff(found)) < 10_000


class SilentCounts:
    """Stands for a CountsLM that finds every token equally likely."""

    def log_probabilities(self, tokens, folds=None, out=None):
        out[...] = 0
        return out


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("mode", ["numba", "blas"])
@pytest.mark.parametrize("changes", [
    dict(counts=True), dict(d_model=256, n_heads=4), dict(precision="float64", feed_forward="swiglu"), *ARCHITECTURES.values(),
])  # fmt: skip
def test_workspace_and_scratch_bytes_are_what_a_step_allocates(changes, mode, dropout, monkeypatch):
    monkeypatch.setattr("toylm.kernels.matmul.matmul_mode", lambda: mode)
    sizes = dict(precision="float32", vocab_size=500, d_model=64, d_ff=256, context_length=64)
    for B, T in ((8, 64), (3, 17)):
        model = tiny(**{**sizes, **changes})
        model.counts = SilentCounts() if model.config.counts else None
        tokens, targets = batch(model, B, T)
        monkeypatch.setattr(memory.scratch, "buffers", memory._Buffers())
        model.loss_and_gradients(tokens, targets, dropout=dropout)
        optimizer = toylm.Muon(model)
        optimizer.step(model.gradients)
        assert model.workspace_bytes(B, T, dropout > 0) == model.workspace.nbytes
        assert model.scratch_sizes(B, T) | optimizer.scratch_sizes() == memory.scratch.sizes()


def test_activations_by_name():
    model = tiny("learned")
    tokens, _ = batch(model)
    logits = model.forward(tokens)
    a, p = model.activations, model.parameters
    block = a.blocks[1]
    probabilities = block.attention_probabilities
    assert probabilities.shape == (3, 2, 7, 7)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-12)
    assert not np.triu(probabilities, 1).any()
    heads = (probabilities @ block.values).transpose(0, 2, 1, 3).reshape(21, 12)
    np.testing.assert_allclose(heads, block.head_outputs, atol=1e-12)
    np.testing.assert_allclose(block.residual_mid, block.residual_in + heads @ p["blocks.1.w_o"].array, atol=1e-12)
    np.testing.assert_allclose(a.blocks[0].residual_out, block.residual_in)
    hidden = block.ff_hidden @ p["blocks.1.w_ff2"].array
    np.testing.assert_allclose(block.residual_mid + hidden, block.residual_out, atol=1e-12)
    np.testing.assert_allclose(a.final_norm @ p["token_embed"].array.T, logits.reshape(21, 11), atol=1e-12)
    x, w = block.norm1, model.head_mats("v", 1)
    np.testing.assert_allclose(x @ w[1].array, block.values[:, 1].reshape(21, 6), atol=1e-12)
    w[1].array[:] = 0
    assert not p["blocks.1.w_qkv"].array[:, 30:36].any()


def test_number_of_threads_changes_rounding_only():
    from toylm.threads import get_threads, set_threads

    before = get_threads()
    model = tiny(precision="float32", d_model=32, vocab_size=400)
    tokens, targets = batch(model)
    results = []
    try:
        for threads in (1, before, before):
            set_threads(threads)
            model.gradients.zero_()
            results.append((model.loss_and_gradients(tokens, targets), model.gradients.flat.copy()))
    finally:
        set_threads(before)
    np.testing.assert_array_equal(results[1][1], results[2][1])
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-6)


def test_bad_input_is_named():
    model = tiny()
    tokens, targets = batch(model)
    for call, error, message in [
        (lambda: model.forward([[0, 11]]), ValueError, "token id 11 is out of range; this model has ids 0 to 10"),
        (lambda: model.forward([[0, -1]]), ValueError, "token id -1"),
        (lambda: model.forward([[0.5]]), TypeError, "float64"),
        (lambda: model.forward(np.zeros((1, 10), int)), ValueError, "10 tokens in a row; context_length is 9"),
        (lambda: model.forward([]), TypeError, "integers"),
        (lambda: model.loss(tokens, targets[:, :-1]), ValueError, "one target a token"),
        (lambda: model.loss(tokens, targets + 20), ValueError, "target id"),
        (lambda: model.backward(np.zeros(3)), ValueError, "last forward"),
        (lambda: model.head_mats("z", 0), ValueError, "'z'"),
        (lambda: toylm.TransformerLM(model.config, precision="bf8"), ValueError, "bf8"),
        (lambda: toylm.TransformerLM(11), TypeError, "ModelConfig"),
        (lambda: toylm.ModelConfig(11, d_model=10, n_heads=3), ValueError, "10 is not divisible by n_heads 3.*n_heads 2"),
        (lambda: toylm.ModelConfig(11, d_model=6, n_heads=2), ValueError, "odd"),
        (lambda: toylm.ModelConfig(0), ValueError, "vocab_size is 0"),
        (lambda: toylm.ModelConfig(5, positions="rotary"), ValueError, "rotary"),
        (lambda: toylm.ModelConfig(5, norm="rmsnorm"), ValueError, "norm is 'rmsnorm'; valid: rms, layer|did you mean 'rms'"),
        (lambda: toylm.ModelConfig(5, feed_forward="geglu"), ValueError, "did you mean 'gelu'|did you mean 'swiglu'"),
        (lambda: toylm.ModelConfig(5, n_heads=4, n_kv_heads=3), ValueError, "4 is not divisible by n_kv_heads 3.*n_kv_heads [24]"),
        (lambda: toylm.ModelConfig(5, d_head=7), ValueError, "head size.*is 7, which is odd"),
        (lambda: toylm.ModelConfig(5, n_kv_heads=0), ValueError, "n_kv_heads is 0"),
        (lambda: toylm.ModelConfig(5, tied="no"), TypeError, "tied must be true or false, not 'no'"),
        (lambda: toylm.ModelConfig.from_dict({"vocab_size": 5, "n_head": 2}), ValueError, "did you mean 'n_heads'"),
        (lambda: model.parameters["blocks.0.w_q"], KeyError, "did you mean 'blocks.0.w_o'|did you mean 'blocks.0.w_qkv'"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_sizes_that_follow_from_others_go_on_doing_so():
    config = toylm.ModelConfig(11, d_model=64, n_heads=4)
    assert (config.d_ff, config.n_kv_heads, config.d_head) == (256, 4, 16)
    wider = config.replace(d_model=128, n_heads=2)
    assert (wider.d_ff, wider.n_kv_heads, wider.d_head) == (512, 2, 64)
    gated = config.replace(feed_forward="swiglu")
    assert gated.d_ff == 192 and gated.d_ff_in == 384  # 8/3 · 64 = 170.7, in steps of 32
    chosen = config.replace(d_head=10, n_kv_heads=1, d_ff=100).replace(d_model=72, n_heads=2)
    assert (chosen.d_ff, chosen.n_kv_heads, chosen.d_head, chosen.d_qkv) == (100, 1, 10, 40)
    assert toylm.ModelConfig.from_dict(chosen.to_dict()) == chosen
    assert toylm.ModelConfig.from_dict({"vocab_size": 11, "d_model": 64, "init": "normal"}) == config  # an older checkpoint's


def test_optimizers_refuse_what_cannot_work():
    model = tiny()
    model.gradients.flat[:] = 1
    before = model.parameters.flat.copy()
    for call, message in [
        (lambda: toylm.Adam(model.parameters, -1), "learning_rate is -1"),
        (lambda: toylm.Adam(model.parameters, betas=(0.9, 1.0)), "betas"),
        (lambda: toylm.SGD(model.parameters, momentum=1.5), "momentum is 1.5"),
        (lambda: toylm.SGD(model.parameters).load_state({}, 1) or toylm.Adam(model.parameters).load_state({}, 1), "lacks 'm'"),
        (lambda: toylm.Adam(model.parameters).step(tiny(d_ff=24).gradients), "gradients of another layout"),
        (lambda: toylm.SGD(model.parameters).step(model.gradients, max_norm=0), "max_norm is 0; it must be above 0, or None"),
        (lambda: toylm.SGD(model.parameters).step(model.gradients, max_norm=-1.0), "max_norm is -1.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    from toylm.errors import DivergedError

    model.gradients.flat[3] = np.nan
    with pytest.raises(DivergedError, match="step 1 is not finite"):
        toylm.Adam(model.parameters).step(model.gradients)
    np.testing.assert_array_equal(model.parameters.flat, before)


def test_importing_toylm_is_light():
    import subprocess
    import sys

    code = "import sys, toylm; print([m for m in ('numba', 'scipy', 'matplotlib', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_bf16_is_refused_where_the_cpu_lacks_it(monkeypatch):
    from toylm.kernels import arithmetic

    monkeypatch.delenv("TOYLM_BF16", raising=False)
    monkeypatch.setattr(arithmetic, "HOST_BF16", False)
    config = toylm.ModelConfig(64, d_model=32, n_heads=2, n_layers=2, context_length=16)
    with pytest.raises(ValueError, match="bf16 needs a CPU"):
        toylm.TransformerLM(config, precision="bf16")
    assert toylm.TransformerLM(config, precision="auto").precision == "float32"


@pytest.mark.bf16
def test_bf16_trains_like_float32():
    config = toylm.ModelConfig(64, d_model=32, n_heads=2, n_layers=2, context_length=16)
    losses = {}
    for precision in ("float32", "bf16"):
        model = toylm.TransformerLM(config, seed=0, precision=precision)
        assert model.parameters.dtype == np.float32
        tokens, targets = batch(model, 4, 16)
        for _ in range(40):
            losses[precision] = model.loss_and_gradients(tokens, targets)
            model.apply_gradients_adam(3e-3)
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bf16"] != losses["float32"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_a_copy_trains_like_the_original(copied):
    model = tiny(precision="float32")
    tokens, targets = batch(model)
    optimizer = toylm.AdamW(model, 1e-2)
    model.loss_and_gradients(tokens, targets)
    other, other_optimizer = copied((model, optimizer))
    assert other_optimizer.parameters is other.parameters and other.parameters is not model.parameters
    np.testing.assert_array_equal(other.gradients.flat, model.gradients.flat)
    runs = []
    for m, o in ((model, optimizer), (other, other_optimizer)):
        o.step(m.gradients)
        m.gradients.zero_()
        runs.append([])
        for _ in range(5):
            runs[-1].append(m.loss_and_gradients(tokens, targets))
            o.step(m.gradients)
            m.gradients.zero_()
    assert runs[0] == runs[1] and runs[0][-1] < runs[0][0]
    assert np.shares_memory(other.parameters["token_embed"].array, other.parameters.flat)
    alone = copied(model.parameters)
    alone["token_embed"].array[:] = 7
    assert (alone.flat == 7).any() and not (model.parameters.flat == 7).any()


def test_an_optimizer_takes_a_model_and_refuses_what_is_none():
    model = tiny()
    assert toylm.AdamW(model).parameters is model.parameters
    with pytest.raises(TypeError, match="takes a model or its parameters, not ndarray"):
        toylm.SGD(model.parameters.flat)


def test_ids_without_a_token_are_never_generated():
    model = tiny(vocab_size=40)
    model.valid_ids = 7
    model.parameters["token_embed"].array[7:] *= 30  # likelier than all others
    assert max(model.generate([1], 30)) < 7
    assert max(model.generate([1], 30, temperature=1.0)) < 7
    assert max(max(ids) for ids in model.generate_batch([[1], [2]], 30, temperature=5.0)) < 7


def test_the_decoders_cache_grows_with_the_text():
    model = tiny(context_length=5000)
    cache = KeyValueCache(model)
    cache.extend([1, 2, 3])
    assert cache.decoder.keys.shape[4] < 500
    tokens = np.random.default_rng(0).integers(0, 11, 300)
    cache.extend(tokens[:250])
    for token in tokens[250:]:
        logits = cache.append(token)
    np.testing.assert_allclose(logits, model.forward(np.array([1, 2, 3, *tokens]))[-1], atol=1e-12)


def test_clipping_as_a_function():
    gradients = toylm.TransformerLM(toylm.ModelConfig(vocab_size=9, d_model=8, n_heads=2, n_layers=1)).parameters
    before = gradients.flat.copy()
    length = float(np.linalg.norm(before.astype(np.float64)))
    assert toylm.clip_gradients(gradients, 2 * length) == pytest.approx(length, rel=1e-6)
    np.testing.assert_array_equal(gradients.flat, before)
    assert toylm.clip_gradients(gradients, length / 4) == pytest.approx(length, rel=1e-6)
    np.testing.assert_allclose(gradients.flat, before / 4, rtol=1e-6)
    gradients.flat[3] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        toylm.clip_gradients(gradients, 1.0)
    with pytest.raises(ValueError, match="max_norm is 0"):
        toylm.clip_gradients(gradients, 0)
