"""toylm export and import: there and back through every format; what cannot be done is said in one line."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_llama2c import PIECES, make, write_pieces

from toylm.cli import run_verb
from toylm.data import train_tokenizer
from toylm.formats import llama2c, sentencepiece
from toylm.formats.checkpoint import TrainingState, load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def bpe():
    return train_tokenizer(["the cat and the dog and the cat ran"] * 3, "bpe", 270)


@pytest.fixture
def checkpoint(tmp_path, bpe):
    return save_checkpoint(tmp_path / "run" / "step-000001", make(), bpe)


def refuse(capsys, verb, *arguments):
    """The one line on stderr of a command that ends with status 2."""
    assert run_verb(verb, list(map(str, arguments))) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"toylm {verb}: ")
    return lines[0]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_export_to_hugging_face_and_import_again(checkpoint, dtype, tmp_path, capsys):
    out, again = tmp_path / "exported", tmp_path / "again"
    assert run_verb("export", [str(checkpoint), "--to", "hf", "--dtype", dtype, "--out", str(out)]) == 0
    assert "opens as     LlamaForCausalLM" in capsys.readouterr().out
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["torch_dtype"] == dtype
    assert not (out / "training.json").exists()
    assert run_verb("import", [str(out), "--out", str(again)]) == 0
    model, tokenizer, _, _ = load_checkpoint(again)
    before = make().parameters.flat
    error = np.abs(model.parameters.flat - before)
    relative, absolute = {"float32": (0, 0), "float16": (2**-11, 1e-7), "bfloat16": (2**-8, 0)}[dtype]
    assert (error <= relative * np.abs(before) + absolute).all()
    assert tokenizer.encode("the cat") == load_checkpoint(checkpoint).tokenizer.encode("the cat")


def test_export_to_llama2c_and_import_again(tmp_path, capsys):
    tokenizer = write_pieces(tmp_path / "tokenizer.bin")
    llama2c.write_model(tmp_path / "model.bin", make(vocab_size=len(PIECES)))
    run = tmp_path / "imported"
    assert run_verb("import", [str(tmp_path / "model.bin"), "--tokenizer", str(tokenizer), "--out", str(run)]) == 0
    assert "LlamaForCausalLM" in capsys.readouterr().out
    out = tmp_path / "exported.bin"
    assert run_verb("export", [str(run), "--to", "llama2c", "--out", str(out)]) == 0
    assert out.read_bytes() == (tmp_path / "model.bin").read_bytes()
    assert (tmp_path / "exported-tokenizer.bin").read_bytes() == tokenizer.read_bytes()
    assert json.loads((run / "tokenizer_config.json").read_text(encoding="utf-8"))["bos_token"] == "<s>"
    assert json.loads((run / "config.json").read_text(encoding="utf-8"))["eos_token_id"] == 1


def test_a_vocabulary_padded_beyond_its_tokenizer_is_padded_in_the_tokenizers_file_too(tmp_path):
    write_pieces(tmp_path / "tokenizer.bin")
    tokenizer = sentencepiece.read_tokenizer(tmp_path / "tokenizer.bin", len(PIECES))
    run = save_checkpoint(tmp_path / "run", make(vocab_size=300), tokenizer)
    assert run_verb("export", [str(run), "--to", "llama2c", "--out", str(tmp_path / "m.bin")]) == 0
    pair = [str(tmp_path / "m.bin"), "--tokenizer", str(tmp_path / "m-tokenizer.bin")]
    assert run_verb("import", [*pair, "--out", str(tmp_path / "again")]) == 0
    again = load_checkpoint(tmp_path / "again").tokenizer
    assert again.vocab_size == 300
    for text in ("the the\n", "hehe é ☃"):
        assert again.encode(text) == tokenizer.encode(text)


def test_a_tokenizer_that_llama2c_cannot_have_is_left_out_with_a_word(checkpoint, tmp_path, capsys):
    assert run_verb("export", [str(checkpoint), "--to", "llama2c", "--out", str(tmp_path / "m.bin")]) == 0
    assert "m.bin has no tokenizer beside it" in capsys.readouterr().err
    assert llama2c.read_model(tmp_path / "m.bin").config.vocab_size == 270


def test_what_cannot_be_exported_is_said(checkpoint, tmp_path, bpe, capsys):
    own = save_checkpoint(tmp_path / "own", make(positions="learned", feed_forward="gelu"), bpe)
    assert "note" in json.loads((own / "config.json").read_text(encoding="utf-8"))
    line = refuse(capsys, "export", own, "--to", "hf", "--out", tmp_path / "x")
    assert "no transformers class opens this model: ArceeForCausalLM, the nearest, has no positions 'learned'" in line
    assert "knows Llama models only" in refuse(capsys, "export", own, "--to", "llama2c", "--out", tmp_path / "x")
    assert "are float32" in refuse(capsys, "export", checkpoint, "--to", "llama2c", "--dtype", "float16")
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "letter.txt").write_text("dear", encoding="utf-8")
    assert "holds letter.txt" in refuse(capsys, "export", checkpoint, "--to", "hf", "--out", tmp_path / "occupied")
    for form in ("llama2c", "gguf"):
        line = refuse(capsys, "export", checkpoint, "--to", form, "--out", tmp_path / "occupied")
        assert f"occupied is a folder, and a .{'bin' if form == 'llama2c' else form} is a file" in line


def test_what_a_run_or_the_export_itself_needs_is_not_written_over(checkpoint, tmp_path, bpe, capsys, monkeypatch):
    before = sorted(path.read_bytes() for path in checkpoint.iterdir())
    line = refuse(capsys, "export", checkpoint.parent, "--to", "hf", "--dtype", "bfloat16", "--out", checkpoint)
    assert "is where the model comes from: choose another folder" in line
    monkeypatch.chdir(checkpoint)
    assert ". is where the model comes from" in refuse(capsys, "export", ".", "--to", "hf", "--out", ".")
    assert sorted(path.read_bytes() for path in checkpoint.iterdir()) == before
    other = save_checkpoint(tmp_path / "run" / "step-000002", make(), bpe, training=TrainingState({}, {"loop": {}}))
    for verb, *flags in (["export", "--to", "hf"], ["import"]):
        line = refuse(capsys, verb, checkpoint, *flags, "--out", other)
        assert "step-000002 belongs to a run, which could not be resumed from it any more" in line
    assert (other / "training.json").exists()


def test_what_cannot_be_imported_is_said(checkpoint, tmp_path, capsys):
    assert "does not exist" in refuse(capsys, "import", tmp_path / "nothing.bin")
    pickle = tmp_path / "pytorch_model.bin"
    pickle.write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    assert "is a pickle, as torch saves them" in refuse(capsys, "import", pickle)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text((checkpoint / "config.json").read_text(), encoding="utf-8")
    pickle.rename(tmp_path / "folder" / pickle.name)
    line = refuse(capsys, "import", tmp_path / "folder", "--out", tmp_path / "out")
    assert "reads safetensors only" in line and "save_pretrained" in line
    (tmp_path / "text.bin").write_text("a text, and no model of any kind, long enough for a header", encoding="utf-8")
    assert "is neither a llama2.c .bin, nor a .gguf" in refuse(capsys, "import", tmp_path / "text.bin")
    assert "choose another folder with --out" in refuse(capsys, "import", checkpoint, "--out", checkpoint)
    llama2c.write_model(tmp_path / "model.bin", make(vocab_size=300))
    pieces = write_pieces(tmp_path / "tokenizer.bin")
    line = refuse(capsys, "import", tmp_path / "model.bin", "--tokenizer", pieces)
    assert "has 270 tokens and the model 300: they do not belong together" in line
    assert "toylm import makes one" in refuse(capsys, "generate", tmp_path / "model.bin")


def test_a_file_in_column_order_and_its_permissions(tmp_path):
    from toylm.formats.safetensors_files import save_tensors

    mask = os.umask(0o022)
    os.umask(mask)
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    for dtype in (None, "bfloat16"):
        save_tensors(tmp_path / "x.safetensors", {"a": array, "b": array.T}, dtype)
        assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask
    save_tensors(tmp_path / "x.safetensors", {"a": array, "b": array.T})
    loaded = load_file(tmp_path / "x.safetensors")
    assert np.array_equal(loaded["a"], array) and np.array_equal(loaded["b"], array.T)


def test_bfloat16_rounds_to_even_and_keeps_infinity_and_nan(tmp_path):
    from toylm.formats.safetensors_files import SafetensorsFile, save_tensors

    one = 1 + 2.0**-8  # halfway between 1 and the next bfloat16
    values = np.array([1, one, one + 2**-7, one + 2**-20, -one, 3e38, np.inf, -np.inf, np.nan, 0, -0.0, 1e-40], np.float32)
    save_tensors(tmp_path / "x.safetensors", {"x": values.reshape(3, 4)}, "bfloat16")
    read = SafetensorsFile(tmp_path / "x.safetensors").read("x").reshape(-1)
    expected = [1, 1, 1 + 2**-6, 1 + 2**-7, -1]
    assert read[:5].tolist() == expected
    assert abs(read[5] / 3e38 - 1) < 2**-8 and read[6] == np.inf and read[7] == -np.inf and np.isnan(read[8])
    assert np.signbit(read[10]) and abs(read[11] - 1e-40) < 2.0**-133 / 2  # the smallest step


def test_shards_and_half_precision_are_described_and_an_end_token_is_found(checkpoint, tmp_path, capsys):
    from toylm.formats.safetensors_files import SafetensorsFile, save_tensors

    whole = SafetensorsFile(checkpoint / "model.safetensors")
    tensors = {name: whole.read(name) for name in whole.names}
    names, weight_map = sorted(tensors), {}
    for i, part in enumerate((names[:5], names[5:])):
        save_tensors(checkpoint / f"part-{i}.safetensors", {name: tensors[name] for name in part}, ("bfloat16", "float16")[i])
        weight_map |= {name: f"part-{i}.safetensors" for name in part}
    index = {"metadata": {}, "weight_map": weight_map}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "tokenizer_config.json").unlink()  # config.json knows the id
    assert run_verb("info", [str(checkpoint)]) == 0
    shown = capsys.readouterr().out
    assert "opens as     LlamaForCausalLM" in shown and "BF16" in shown and "F16" in shown
    model, tokenizer, _, _ = load_checkpoint(checkpoint)
    assert np.abs(model.parameters.flat - make().parameters.flat).max() < 0.01 and tokenizer.end_id == 0
    (checkpoint / "part-1.safetensors").unlink()
    assert "has no part-1.safetensors, which model.safetensors.index.json names" in refuse(capsys, "info", checkpoint)
