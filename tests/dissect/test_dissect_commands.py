"""toylm residual and toylm coupling from the command line: files, reports, mistakes."""

import json
import re
import subprocess
import sys

import pytest
from small_models import small_model

from toylm.cli import run_verb
from toylm.train.run_folder import OWN_FOLDERS

SENTENCES = [
    "The cat sat on the mat.",
    "A dog ran to the big tree.",
    "She found a red ball.",
    "He was happy.",
    "They went home.",
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint folder with a byte tokenizer, and a text."""
    from toylm.data import train_tokenizer

    folder = tmp_path_factory.mktemp("dissect")
    texts = [" ".join(SENTENCES[(i + j) % 5] for j in range(1 + i % 3)) for i in range(60)]
    tokenizer = train_tokenizer(texts, "byte")
    model = small_model("float32", vocab_size=tokenizer.vocab_size, n_layers=2)
    model.save(folder / "model", tokenizer)
    (folder / "text.txt").write_text("\n<|endoftext|>\n".join(texts), encoding="utf-8")
    return folder


def page_is_whole(folder, pictures):
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r'src="data:image/png;base64,', page)) == pictures
    assert "<script" not in page and not re.search(r'(src|href)="(?!data:)', page)
    for png in folder.glob("*.png"):
        assert png.read_bytes().startswith(b"\x89PNG")
    assert len(list(folder.glob("*.png"))) == pictures
    return page


def test_residual_writes_a_report_and_every_number(checkpoint, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "found"
    flags = [
        "--length",
        "24",
        "--blocks",
        "40",
        "--calibration",
        "6",
        "--layers",
        "0",
        "1",
        "--resamples",
        "50",
        "--out",
        str(out),
    ]
    assert run_verb("residual", [str(checkpoint / "model"), str(checkpoint / "text.txt"), *flags]) == 0
    printed = capsys.readouterr().out
    figures = json.loads((out / "residual.json").read_text(encoding="utf-8"))
    assert f"perplexity   {figures['trained']['replacements'][0]['perplexity']:.4f}" in printed
    assert "exactness" in printed and "untrained" in printed and "verdict" in printed
    page = page_is_whole(out, 5)
    assert {p.name for p in out.iterdir()} == set(OWN_FOLDERS["residual"])
    assert "rank 2, output-weighted, difference" in page
    assert figures["settings"]["layers"] == [0, 1] and figures["settings"]["unit"] == "document"


def test_coupling_writes_a_report_and_every_number(checkpoint, tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("The cat sat\n\nA dog ran\n", encoding="utf-8-sig")  # the mark of some editors is no text
    assert run_verb("coupling", [str(checkpoint / "model"), str(prompts), "She found", "--tokens", "3"]) == 0
    printed = capsys.readouterr().out
    folder = tmp_path / "model-coupling"
    figures = json.loads((folder / "coupling.json").read_text(encoding="utf-8"))
    assert figures["prompts"] == ["The cat sat", "A dog ran", "She found"]
    assert figures["settings"]["prompt_lengths"] == [12, 10, 10]  # the token that opens a document comes first
    assert printed.count("verdict") == 3
    page_is_whole(folder, 5)
    assert {p.name for p in folder.iterdir()} == set(OWN_FOLDERS["coupling"])


def test_json_is_all_that_is_printed(checkpoint, tmp_path, capsys):
    flags = ["--out", str(tmp_path / "x"), "--json", "--no-untrained", "--tokens", "2"]
    assert run_verb("coupling", [str(checkpoint / "model"), "The cat", *flags]) == 0
    assert "untrained" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("residual", ["{m}"], "belongs to no run whose held-out text could be taken; name a text"),
        ("residual", ["{m}", "{t}", "--layers", "7"], "no block 7; its blocks are 0 to 1"),
        ("residual", ["{m}", "{t}", "--bases", "pca"], "valid: uncentred"),
        ("residual", ["{m}", "{t}", "--blocks", "1"], "blocks is 1; it must be at least 2"),
        ("residual", ["{t}", "{t}"], "is a file, and no llama2.c checkpoint"),
        ("residual", ["nowhere", "{t}"], "nowhere does not exist"),
        ("coupling", ["{m}", "missing.txt"], "there is no file 'missing.txt'"),
        ("coupling", ["{m}", "The cat", "--ks", "99"], "from 1 to d_model, 24"),
        ("coupling", ["{m}", "The cat", "--seed", "-1"], "seed is -1; it must be 0 or above"),
        ("residual", ["{m}", "{t}", "--seed", "-1"], "seed is -1; it must be 0 or above"),
        ("coupling", ["{m}", "The cat", "--tokenizer", "none.json"], "there is no tokenizer none.json"),
        ("coupling", ["{m}", "The cat", "--out", "{t}"], "--out names a folder"),
    ],
)
def test_mistakes_are_one_line_and_status_2(checkpoint, tmp_path, monkeypatch, capsys, verb, arguments, said):
    monkeypatch.chdir(tmp_path)
    names = {"m": checkpoint / "model", "t": checkpoint / "text.txt"}
    assert run_verb(verb, [a.format(**names) for a in arguments]) == 2
    errors = capsys.readouterr().err.strip()
    assert said in errors and errors.splitlines()[-1].startswith(f"toylm {verb}: ")
    assert "Traceback" not in errors


@pytest.mark.parametrize("verb", ["residual", "coupling"])
def test_a_run_on_a_task_has_no_text_to_dissect(tmp_path, capsys, verb):
    shape = ["--d-model", "8", "--n-heads", "2", "--n-layers", "1", "--context-length", "16", "--batch-size", "2"]
    run = str(tmp_path / "run")
    assert run_verb("train", ["--data", "task:copy", "--steps", "1", "--out", run, *shape]) == 0
    assert run_verb(verb, [run]) == 2
    assert "was trained on a synthetic task, whose examples are no running text" in capsys.readouterr().err


def test_both_are_modules_too():
    for verb in ("residual", "coupling"):
        done = subprocess.run([sys.executable, "-m", "toylm", verb, "-h"], capture_output=True, text=True, check=True)
        assert f"toylm {verb}" in done.stdout


def test_stories260k(shared_data, tmp_path, capsys):
    """The real checkpoint: known perplexity, attention that is more than its largest value, coupling beside its controls."""
    out = tmp_path / "stories"
    flags = [
        "--blocks",
        "6",
        "--calibration",
        "4",
        "--length",
        "128",
        "--no-untrained",
        "--resamples",
        "100",
        "--out",
        str(out),
    ]
    assert (
        run_verb("residual", [str(shared_data / "stories260K.bin"), str(shared_data / "tinystories.txt"), *flags]) == 0
    )
    rows = json.loads((out / "residual.json").read_text(encoding="utf-8"))["trained"]["replacements"]
    assert 3 < rows[0]["perplexity"] < 5
    assert rows[1]["kind"] == "top-k" and rows[1]["change_interval"][0] > 0.5
    assert run_verb("coupling", [str(shared_data / "stories260K.bin"), "Once upon a time", "--out", str(out)]) == 0
    assert "5 blocks, d 64" in capsys.readouterr().out
