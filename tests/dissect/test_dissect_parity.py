"""GPT-2 and Llama directories with random weights, beside PyTorch computations written here with transformers' own modules."""

import numpy as np
import pytest

import toylm
import toylm.dissect
from toylm.dissect import DEFINITIONS, Basis, Full, LowRank, Moments, Reading, Runner, TopK, coupling_matrix, epsilon
from toylm.dissect.attention_heads import head_output_matrix, run_blocks
from toylm.dissect.coupling_analysis import linearise

pytestmark = pytest.mark.parity
TOKENS = np.random.default_rng(0).integers(0, 61, (2, 13))
RANK = 3


def directory(kind, path):
    """A transformers model of the kind, saved, with weights that make attention uneven: (model, folder)."""
    import torch
    import transformers

    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=61, n_positions=16, n_embd=24, n_layer=3, n_head=4, attn_pdrop=0, embd_pdrop=0, resid_pdrop=0,
            bos_token_id=0, eos_token_id=0, attn_implementation="eager",
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.LlamaConfig(
            vocab_size=61, max_position_embeddings=16, hidden_size=24, intermediate_size=40, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
            attn_implementation="eager",
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.config.use_cache = False
    model.eval().save_pretrained(path, safe_serialization=True)
    return model.double(), path


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def pair(request, tmp_path_factory):
    """(transformers' model in float64, toylm's in float64 from the same directory)."""
    theirs, path = directory(request.param, tmp_path_factory.mktemp(request.param) / "model")
    return theirs, toylm.TransformerLM.load(path, precision="float64")


def patched_logits(theirs, make):
    """Logits with every block's head outputs passed through make(layer, probabilities, values, context) -> (B, H, T, h)."""
    import torch

    handles, store = [], {}
    gpt2 = hasattr(theirs, "transformer")
    layers = theirs.transformer.h if gpt2 else theirs.model.layers
    for i, block in enumerate(layers):
        attention = block.attn if gpt2 else block.self_attn
        output = attention.c_proj if gpt2 else attention.o_proj
        values = attention.c_attn if gpt2 else attention.v_proj

        def keep_values(module, inputs, result, i=i):
            store["values", i] = result.chunk(3, dim=-1)[2] if gpt2 else result

        def replace(module, inputs, i=i):
            context = inputs[0]
            B, T, d = context.shape
            v = store["values", i].reshape(B, T, -1, d // 4).transpose(1, 2)
            v = v.repeat_interleave(4 // v.shape[1], dim=1)
            heads = context.reshape(B, T, 4, d // 4).transpose(1, 2)
            # p from context and v would not be unique: the scores are computed again from the block's own projections
            p = store["probabilities", i].to(v.dtype)  # Llama takes its softmax in float32
            return (make(i, p, v, heads).transpose(1, 2).reshape(B, T, d),)

        handles += [values.register_forward_hook(keep_values), output.register_forward_pre_hook(replace)]
    # eager attention passes through softmax: its output, in the order of the blocks, is p
    original, calls = torch.nn.functional.softmax, []

    def softmax(*arguments, **options):
        found = original(*arguments, **options)
        store["probabilities", len(calls)] = found
        calls.append(1)
        return found

    torch.nn.functional.softmax = softmax
    try:
        with torch.no_grad():
            return theirs(torch.tensor(TOKENS)).logits.numpy()
    finally:
        torch.nn.functional.softmax = original
        for handle in handles:
            handle.remove()


def top1(i, p, v, context):
    import torch

    return torch.gather(v, 2, p.argmax(-1)[..., None].expand(*p.shape[:3], v.shape[-1]))


def moments_of(model):
    found = []
    for a in run_blocks(model, np.random.default_rng(5).integers(0, 61, (8, 16))).blocks:
        reading, per = Reading(a), {}
        for name in DEFINITIONS:
            per[name] = Moments(model.config.n_heads, model.config.d_head)
            per[name].add(*epsilon(reading, name))
        found.append(per)
    return found


def test_top1_full_and_low_rank_logits(pair):
    import torch

    theirs, ours = pair
    runner, layers = Runner(ours, TOKENS, (0,)), range(3)
    np.testing.assert_allclose(runner.logits({i: TopK(1) for i in layers}), patched_logits(theirs, top1), atol=1e-4)
    full = patched_logits(theirs, lambda i, p, v, context: p @ v)
    np.testing.assert_allclose(runner.logits({i: Full() for i in layers}), full, atol=1e-4)
    np.testing.assert_allclose(runner.logits(), full, atol=1e-4)
    moments = moments_of(ours)
    for basis_name in ("uncentred", "centred", "output-weighted"):
        bases = [Basis(basis_name, moments[i]["difference"], head_output_matrix(ours, i)) for i in layers]

        def low_rank(i, p, v, context, bases=bases):
            star = top1(i, p, v, context)
            mean = 0 if bases[i].mean is None else torch.tensor(bases[i].mean)[:, None]
            return star + mean + (context - star - mean) @ torch.tensor(bases[i].projection(RANK))

        ready = {i: LowRank("difference", bases[i], RANK) for i in layers}
        np.testing.assert_allclose(runner.logits(ready), patched_logits(theirs, low_rank), atol=1e-4)
    single = Runner(ours.astype("float32"), TOKENS, (0,)).logits({i: Full() for i in layers})
    np.testing.assert_allclose(single, full, atol=2e-4 * np.abs(full).max())


def test_jacobians_and_coupling(pair):
    import torch

    theirs, ours = pair
    gpt2 = hasattr(theirs, "transformer")
    tokens, last = TOKENS[0], TOKENS.shape[1] - 1
    inputs = []
    layers = theirs.transformer.h if gpt2 else theirs.model.layers
    hooks = [b.register_forward_pre_hook(lambda m, a, k: inputs.append((a, k)), with_kwargs=True) for b in layers]
    with torch.no_grad():
        theirs(torch.tensor(tokens[None]))
    for hook in hooks:
        hook.remove()
    blocks, _ = linearise(ours, tokens)
    theirs_same, ours_same = [], []
    for i, block in enumerate(layers):
        arguments, keywords = inputs[i]

        def contribution(x, block=block, arguments=arguments, keywords=keywords):
            out = block(x[None], *arguments[1:], **keywords)
            return (out[0] if isinstance(out, tuple) else out)[0, last] - x[last]

        J = torch.autograd.functional.jacobian(contribution, arguments[0][0]).numpy()  # (d, T, d)
        found = blocks[i].jacobians(last, range(last + 1))
        np.testing.assert_allclose(found, J.transpose(1, 0, 2), atol=1e-4)
        theirs_same.append(J[:, last])
        ours_same.append(found[last])
    for signed in (False, True):
        for K in (2, 6, 12):
            expected = reference_coupling(np.stack(theirs_same), K, signed)
            np.testing.assert_allclose(coupling_matrix(np.stack(ours_same), K, signed), expected, atol=1e-4)


def reference_coupling(jacobians, K, signed):
    import torch

    J = torch.tensor(jacobians)
    U, S, Vh = torch.linalg.svd(J)
    found = np.empty((len(J), len(J)))
    for i in range(len(J)):
        for j in range(len(J)):
            inner = U[j, :, :K].T @ J[i] @ Vh[j, :K].T
            inner = inner if signed else inner.abs()
            found[i, j] = (inner - torch.diag(S[i, :K])).norm() / S[i, :K].norm()
    return found


def test_the_whole_analyses_run_on_a_gpt2_directory(tmp_path):
    _, path = directory("gpt2", tmp_path / "gpt2")
    model = toylm.TransformerLM.load(path)
    text = np.random.default_rng(1).integers(0, 61, 1000)
    found = toylm.dissect.residual(model, text, end_id=0, resamples=50)
    assert found.exactness["logits_float64"] < 1e-10 * 100  # logits of some hundred here
    rows = toylm.dissect.coupling(model, text[:12]).summary()
    assert all(np.isfinite(row["absolute"]) for row in rows)
