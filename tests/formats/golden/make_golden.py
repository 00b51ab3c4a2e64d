"""Make the golden numbers of tests/formats/test_golden_huggingface.py with transformers: python tests/formats/golden/make_golden.py

A file for each class: config.json and the tensors as transformers saves them, a batch with targets that are not counted, and in
float64 the logits, the loss, every gradient, and the greedy continuation of a prompt.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file
from torch.nn import functional as F

HERE = Path(__file__).parent
ROPE = {"rope_type": "default", "rope_theta": 500.0}
LLAMA = dict(vocab_size=31, hidden_size=12, intermediate_size=18, num_hidden_layers=2, num_attention_heads=4, head_dim=6,
             max_position_embeddings=20, rms_norm_eps=1e-5, rope_parameters=ROPE)  # fmt: skip
KINDS = {
    "llama": ("Llama", dict(LLAMA, num_key_value_heads=2, tie_word_embeddings=False)),
    "llama-biases": ("Llama", dict(LLAMA, num_key_value_heads=1, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "arcee": ("Arcee", dict(LLAMA, num_key_value_heads=4, hidden_act="relu2", tie_word_embeddings=True)),
    "gpt2": ("GPT2", dict(vocab_size=29, n_positions=20, n_embd=12, n_layer=2, n_head=3, n_inner=17)),
}
CLASSES = {"Llama": "LlamaForCausalLM", "Arcee": "ArceeForCausalLM", "GPT2": "GPT2LMHeadModel"}


def make(kind):
    name, settings = KINDS[kind]
    config = getattr(transformers, f"{name}Config")(**settings, bos_token_id=0, eos_token_id=0)
    torch.manual_seed(len(kind))
    model = getattr(transformers, CLASSES[name])(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    rng = np.random.default_rng(1)
    tokens, targets = rng.integers(0, settings["vocab_size"], (2, 3, 13))
    targets[0, 7:], targets[2, :3] = -100, -100
    numbers = {"tokens": tokens, "targets": targets}
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        numbers["config"] = np.frombuffer((Path(folder) / "config.json").read_bytes(), np.uint8)
        numbers |= {f"tensor {k}": v for k, v in load_file(Path(folder) / "model.safetensors").items()}
    text = model.generate(torch.tensor([[3, 1, 4]]), max_new_tokens=17, do_sample=False, eos_token_id=None, pad_token_id=0)
    numbers["text"] = text[0].numpy()
    model = model.double()
    logits = model(torch.tensor(tokens)).logits
    loss = F.cross_entropy(logits.flatten(0, 1), torch.tensor(targets).flatten())
    loss.backward()
    numbers["logits"], numbers["loss"] = logits.detach().numpy(), loss.detach().numpy()
    numbers |= {f"gradient {k}": p.grad.numpy().astype(np.float32) for k, p in model.named_parameters()}
    assert json.loads(numbers["config"].tobytes())["architectures"] == [CLASSES[name]]
    np.savez_compressed(HERE / f"{kind}.npz", **numbers)


if __name__ == "__main__":
    for kind in KINDS:
        make(kind)
