"""Live against transformers: its models opened here, ours opened there, on odd and random configurations."""

import json
import warnings

import numpy as np
import pytest

import toylm
from toylm.data import train_tokenizer
from toylm.formats.checkpoint import save_checkpoint

pytestmark = pytest.mark.parity

# (class, settings there)
LLAMA = dict(vocab_size=61, hidden_size=24, intermediate_size=50, num_hidden_layers=3, num_attention_heads=6,
             num_key_value_heads=2, max_position_embeddings=70, rms_norm_eps=1e-5, tie_word_embeddings=True)  # fmt: skip
GPT2 = dict(vocab_size=57, n_positions=40, n_embd=20, n_layer=2, n_head=5, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
KINDS = {
    "llama grouped": ("Llama", LLAMA),
    "llama untied, head size apart": ("Llama", {**LLAMA, "head_dim": 10, "tie_word_embeddings": False}),
    "llama biases, theta": ("Llama", {**LLAMA, "attention_bias": True, "mlp_bias": True, "rope_theta": 77.0}),
    "llama one key-value head, eps": ("Llama", {**LLAMA, "num_key_value_heads": 1, "rms_norm_eps": 1e-3}),
    "arcee relu2": ("Arcee", {**LLAMA, "hidden_act": "relu2"}),
    "arcee gelu untied": ("Arcee", {**LLAMA, "hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": False}),
    "arcee silu": ("Arcee", {**LLAMA, "hidden_act": "silu", "num_key_value_heads": 6}),
    "gpt2": ("GPT2", {**GPT2, "activation_function": "gelu_new"}),
    "gpt2 inner, eps": ("GPT2", {**GPT2, "n_inner": 33, "layer_norm_epsilon": 1e-3}),
    "gpt2 untied": ("GPT2", {**GPT2, "tie_word_embeddings": False}),
}


def make(kind, seed=0):
    """A transformers model with random weights, gains and biases included."""
    import torch
    import transformers

    name, settings = KINDS[kind]
    if name != "GPT2" and transformers.__version__ >= "5":
        settings = dict(settings)
        settings["rope_parameters"] = {"rope_type": "default", "rope_theta": settings.pop("rope_theta", 10000.0)}
    config = getattr(transformers, f"{name}Config")(**settings, bos_token_id=0, eos_token_id=0)
    torch.manual_seed(seed)
    model = getattr(transformers, {"GPT2": "GPT2LMHeadModel"}.get(name, f"{name}ForCausalLM"))(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.15 * torch.randn_like(parameter)
    return model


def open_there(path):
    """AutoModelForCausalLM, with its warnings (a key without a place, a new random head) turned into errors."""
    import transformers

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        model, report = transformers.AutoModelForCausalLM.from_pretrained(path, output_loading_info=True, dtype="float32")
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    return model.eval()


def batch(config, seed=1):
    rng = np.random.default_rng(seed)
    shape = (3, config.context_length - 5)
    tokens, targets = rng.integers(0, config.vocab_size, shape), rng.integers(0, config.vocab_size, shape)
    targets[0, 7:], targets[2, :3] = -100, -100
    return tokens, targets


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_from_transformers_gives_the_same_numbers(kind, tmp_path):
    import torch
    from torch.nn import functional as F

    theirs = make(kind)
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    ours = toylm.TransformerLM.load(tmp_path)
    tokens, targets = batch(ours.config)
    logits = theirs(torch.tensor(tokens)).logits
    difference = np.abs(ours.forward(tokens) - logits.detach().numpy()).max()
    assert difference < 2e-5
    loss = F.cross_entropy(logits.flatten(0, 1), torch.tensor(targets).flatten())
    loss.backward()
    assert ours.loss_and_gradients(tokens, targets) == pytest.approx(float(loss.detach()), rel=1e-5)
    gradients = {name: parameter.grad.numpy() for name, parameter in theirs.named_parameters()}
    from toylm.formats.families import family_of
    from toylm.formats.tensors import to_tensors

    found = to_tensors(family_of(ours.config).entries(ours.config), ours.gradients)
    assert set(gradients) == set(found)
    for name, wanted in gradients.items():
        if name.endswith("k_proj.bias"):  # softmax does not see a shift of all keys: this gradient is rounding
            assert np.abs(found[name] - wanted).max() < 1e-6
        else:
            error = np.linalg.norm(found[name] - wanted) / np.linalg.norm(wanted)
            assert error < 1e-4, (name, error)
    prompt = [3, 1, 4, 1, 5]
    text = theirs.generate(torch.tensor([prompt]), max_new_tokens=30, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert ours.generate_from_ids(prompt, 30) == text[0].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_round_trips_are_bit_equal_and_open_there(kind, tmp_path):
    import torch

    theirs = make(kind, seed=2)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = toylm.TransformerLM.load(tmp_path / "theirs")
    ours.save(tmp_path / "ours")
    again = open_there(tmp_path / "ours")
    assert type(again) is type(theirs)
    before, after = theirs.state_dict(), again.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    reloaded = toylm.TransformerLM.load(tmp_path / "ours")
    assert reloaded.config == ours.config
    np.testing.assert_array_equal(reloaded.parameters.flat, ours.parameters.flat)
    tokens = torch.tensor(batch(ours.config)[0])
    with torch.no_grad():
        assert torch.equal(theirs(tokens).logits, again(tokens).logits)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["llama grouped", "gpt2"])
def test_half_precision_both_ways(kind, dtype, tmp_path):
    import torch

    theirs = make(kind).to(getattr(torch, dtype))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = toylm.TransformerLM.load(tmp_path / "theirs")
    tokens = batch(ours.config)[0]
    # opened anew: a model that was converted has its rotary frequencies rounded too
    wanted = open_there(tmp_path / "theirs")(torch.tensor(tokens)).logits.detach().numpy()
    assert np.abs(ours.forward(tokens) - wanted).max() < 2e-5
    save_checkpoint(tmp_path / "ours", ours, dtype=dtype)
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["torch_dtype"] == dtype
    again = open_there(tmp_path / "ours")
    for name, value in theirs.state_dict().items():
        assert torch.equal(value.float(), again.state_dict()[name]), name
    rounded = make(kind, seed=5)
    rounded.save_pretrained(tmp_path / "full")
    save_checkpoint(tmp_path / "half", toylm.TransformerLM.load(tmp_path / "full"), dtype=dtype)
    half = open_there(tmp_path / "half").state_dict()
    for name, value in rounded.to(getattr(torch, dtype)).state_dict().items():
        assert torch.equal(value.float(), half[name]), name


OURS = {
    "default": dict(),
    "llama": dict(feed_forward="swiglu", n_kv_heads=1, tied=False),
    "gpt2": dict(norm="layer", positions="learned", biases=True),
    "gpt2 without biases": dict(norm="layer", positions="learned", feed_forward="relu2"),
}


@pytest.mark.parametrize("kind", OURS)
def test_a_model_made_here_opens_there(kind, tmp_path):
    import torch

    config = toylm.ModelConfig(45, d_model=24, n_heads=2, n_layers=2, context_length=20, **OURS[kind])
    model = toylm.TransformerLM(config, seed=4)
    model.parameters.flat[:] += 0.1 * np.random.default_rng(0).standard_normal(model.parameters.size).astype(np.float32)
    model.save(tmp_path / "ours")
    theirs = open_there(tmp_path / "ours")
    tokens = batch(config)[0]
    with torch.no_grad():
        assert np.abs(theirs(torch.tensor(tokens)).logits.numpy() - model.forward(tokens)).max() < 2e-5
    assert toylm.TransformerLM.load(tmp_path / "ours").config == config


@pytest.mark.parametrize("kind", ["sentencepiece", "bpe"])
def test_auto_tokenizer_gives_the_same_ids(kind, tmp_path):
    import transformers
    from test_llama2c import PIECES, write_pieces

    from toylm.formats.sentencepiece import read_tokenizer

    if kind == "bpe":
        tokenizer = train_tokenizer(["the cat and the dog and the cat ran"] * 3, "bpe", 270)
    else:
        tokenizer = read_tokenizer(write_pieces(tmp_path / "t.bin"), len(PIECES))
    config = toylm.ModelConfig(270, d_model=12, n_heads=2, n_layers=1, context_length=20, feed_forward="swiglu")
    toylm.TransformerLM(config).save(tmp_path / "model", tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    for text in ("the cat ran", "é ☃\n and  the", "a"):
        assert theirs(text, add_special_tokens=False).input_ids == theirs(text).input_ids == tokenizer.encode(text)
        assert theirs.decode(tokenizer.encode(text)) == text
    assert (theirs.bos_token_id, theirs.eos_token_id) == (tokenizer.start_id, tokenizer.end_id)
