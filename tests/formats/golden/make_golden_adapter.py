"""Make the golden adapters of ../test_adapters.py with peft: python tests/formats/golden/make_golden_adapter.py

For each model of make_golden.py one LoRA as peft saves it with q and v, or single layers, apart, and the logits with it in float64.
"""

import tempfile
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).parent
SETTINGS = {
    "llama": dict(target_modules=["q_proj", "v_proj", "down_proj"], r=3, lora_alpha=6),
    "arcee": dict(target_modules=["k_proj", "up_proj", "o_proj"], r=2, lora_alpha=5, use_rslora=True),
    "gpt2": dict(target_modules=["c_attn", "c_fc"], r=2, lora_alpha=2, fan_in_fan_out=True),
}


def make(kind):
    with np.load(HERE / f"{kind}.npz", allow_pickle=False) as opened:
        base = dict(opened)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_bytes(base["config"].tobytes())
        tensors = {name.removeprefix("tensor "): array for name, array in base.items() if name.startswith("tensor ")}
        save_file(tensors, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        torch.manual_seed(len(kind))
        model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **SETTINGS[kind])).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.copy_(0.4 * torch.randn_like(parameter))
        model.peft_config["default"].base_model_name_or_path = "golden"
        model.save_pretrained(Path(folder) / "adapter")
        config = (Path(folder) / "adapter" / "adapter_config.json").read_bytes()
        numbers = {f"tensor {k}": v for k, v in load_file(Path(folder) / "adapter" / "adapter_model.safetensors").items()}
    with torch.no_grad():
        numbers["logits"] = model.double()(torch.tensor(base["tokens"])).logits.numpy()
    np.savez_compressed(HERE / f"adapter-{kind}.npz", config=np.frombuffer(config, np.uint8), **numbers)


if __name__ == "__main__":
    for kind in SETTINGS:
        make(kind)
