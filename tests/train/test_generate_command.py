"""toylm generate: streaming, stop strings, the same text as the library, prompts from everywhere, mistakes."""

import io
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toylm.cli import parser_of, run_verb
from toylm.commands.generate import StopStrings, stream_text
from toylm.formats.checkpoint import load_checkpoint


@given(st.text("ab<|>", max_size=30), st.lists(st.text("ab<|>", min_size=1, max_size=4), max_size=3), st.data())
def test_stop_strings_cut_at_the_first_however_the_text_is_split(text, stops, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)])]
    matcher, shown = StopStrings(stops), ""
    for piece in pieces:
        shown += matcher.push(piece)
        if matcher.found:
            break
    else:
        shown += matcher.flush()
    ends = [text.find(stop) for stop in stops if stop in text]
    if ends:
        # A text that is shown never holds a stop string, and ends where one begins.
        assert matcher.found and text.startswith(shown) and any(text[len(shown) :].startswith(stop) for stop in stops)
        assert not any(stop in shown for stop in stops)
    else:
        assert shown == text and not matcher.found


class Scripted:
    """A model that says what it is told to."""

    def __init__(self, ids):
        self.ids = ids

    def stream(self, prompt_ids, stop_ids=(), **sampling):
        for token in self.ids:
            if token in stop_ids:
                return
            yield token


def test_pieces_are_whole_characters(trained_run):
    tokenizer = load_checkpoint(trained_run).tokenizer
    text = "naïve café 你好 🙂 end"
    ids = tokenizer.encode(text)
    pieces = list(stream_text(Scripted(ids), tokenizer, [0]))
    assert "".join(p for p, _ in pieces) == text and sum(n for _, n in pieces) == len(ids)
    assert "\ufffd" not in "".join(p for p, _ in pieces)
    # Cut inside the smiley: the character that never came is not shown.
    whole = tokenizer.encode("ok 🙂")
    assert "".join(p for p, _ in stream_text(Scripted(whole[:-1]), tokenizer, [0])) == "ok "
    # <|endoftext|> ends the text, or stands for a blank line.
    two = [*tokenizer.encode("one"), tokenizer.end_id, *tokenizer.encode("two")]
    assert "".join(p for p, _ in stream_text(Scripted(two), tokenizer, [0])) == "one"
    assert "".join(p for p, _ in stream_text(Scripted(two), tokenizer, [0], ignore_end=True)) == "one\n\ntwo"
    stopped = list(stream_text(Scripted(ids), tokenizer, [0], stop=["é 你", "zz"]))
    assert "".join(p for p, _ in stopped) == "naïve caf"


def test_the_command_writes_what_the_library_generates(trained_run, capsys):
    flags = ["--prompt", "The cat", "--max-tokens", "30", "--temperature", "0.7", "--top-k", "50", "--top-p", "0.9"]
    assert run_verb("generate", [str(trained_run), *flags, "--seed", "5", "--num-samples", "2", "--ignore-end"]) == 0
    captured = capsys.readouterr()
    model, tokenizer, _, path = load_checkpoint(trained_run)
    expected = ""
    for i in range(2):
        ids = model.generate(
            [tokenizer.end_id, *tokenizer.encode("The cat")], 30, temperature=0.7, top_k=50, top_p=0.9, seed=5 + i
        )
        text = tokenizer.stream()
        shown = "".join("\n\n" if t == tokenizer.end_id else text.push(t) for t in ids)
        expected += f"--- sample {i + 1}\nThe cat{shown}\n"
    assert captured.out == expected
    assert str(path) in captured.err and "[60 tokens, " in captured.err and "tokens/s" in captured.err


def test_prompts_from_files_and_stdin(trained_run, tmp_path, capsys, monkeypatch):
    def generate(*flags):
        common = ["--max-tokens", "12", "--temperature", "0", "--quiet"]
        assert run_verb("generate", [str(trained_run), *flags, *common]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out

    (tmp_path / "p.txt").write_bytes(b"\xef\xbb\xbfThe bird saw\r\n")
    expected = generate("--prompt", "The bird saw")
    assert expected.startswith("The bird saw")
    assert generate("--prompt-file", str(tmp_path / "p.txt")) == expected
    for flags in (["--prompt", "-"], ["--prompt-file", "-"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"The bird saw\n")))
        assert generate(*flags) == expected
    assert generate() == generate("--seed", "9")  # without a prompt a document begins; temperature 0 draws nothing
    assert generate("--prompt", "The bird saw", "--stop", " ") != expected


def test_a_bare_checkpoint_and_latest(trained_run, capsys):
    for run in (trained_run / "step-000010", trained_run / "latest"):
        assert run_verb("generate", [str(run), "--max-tokens", "3"]) == 0
        assert "step-0000" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--prompt", ""], "the prompt is empty: it has no tokens"),
        (["--temperature", "-1"], "temperature is -1.0; it must be 0"),
        (["--top-p", "0"], "top_p is 0.0; it must be above 0 and at most 1"),
        (["--top-p", "1.5"], "top_p is 1.5; it must be above 0 and at most 1"),
        (["--top-k", "0"], "top_k is 0; it must be at least 1"),
        (["--max-tokens", "0"], "max_tokens is 0; it must be at least 1"),
        (["--num-samples", "0"], "num_samples is 0; it must be at least 1"),
        (["--seed", "-1"], "seed is -1; it must be at least 0"),
        (["--prompt-file", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_mistakes(trained_run, capsys, flags, sentence):
    assert run_verb("generate", [str(trained_run), *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and sentence in captured.err


def test_a_prompt_that_is_not_utf8_and_a_run_that_is_not_there(trained_run, tmp_path, capsys):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert run_verb("generate", [str(trained_run), "--prompt-file", str(tmp_path / "latin.txt")]) == 2
    assert "latin.txt is not UTF-8 (byte 3)" in capsys.readouterr().err
    assert run_verb("generate", [str(tmp_path / "nowhere")]) == 2
    assert "nowhere does not exist" in capsys.readouterr().err


def test_a_model_without_a_tokenizer(tmp_path, capsys):
    import toylm

    config = toylm.ModelConfig(vocab_size=9, d_model=8, n_heads=2, n_layers=1, context_length=8)
    toylm.TransformerLM(config).save(tmp_path / "m")
    for verb in ("generate", "evaluate"):
        assert run_verb(verb, [str(tmp_path / "m"), *(["x.txt"] if verb == "evaluate" else [])]) == 2
        assert "has no tokenizer.json" in capsys.readouterr().err
    assert np.isfinite(toylm.TransformerLM.load(tmp_path / "m").parameters.flat).all()


def test_texts_that_look_like_options_or_escapes(trained_run, capsys):
    common = [str(trained_run), "--max-tokens", "20", "--temperature", "0", "--quiet"]
    assert run_verb("generate", [*common, "--prompt", "-cat", "--stop", "---", "--stop", "--quite"]) == 0
    assert capsys.readouterr().out.startswith("-cat")
    args = parser_of("generate")[1].parse_intermixed_args(["run", "--stop", r"\n", "--stop", r"a\\n"])
    assert args.stop == ["\n", "a\\n"]


def test_a_temperature_next_to_zero(trained_run, capsys):
    """The same as 0, without a warning."""
    texts = []
    for temperature in ("0", "1e-320"):
        assert run_verb("generate", [str(trained_run), "--max-tokens", "12", "--quiet", "--temperature", temperature]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("verb", ["generate", "evaluate"])
def test_weights_that_are_not_finite(trained_run, tmp_path, capsys, verb):
    checkpoint = load_checkpoint(trained_run)
    checkpoint.model.parameters["blocks.0.w_o"].flat[3] = np.nan
    checkpoint.model.save(tmp_path / "m", checkpoint.tokenizer)
    (tmp_path / "text.txt").write_text("some text", encoding="utf-8")
    assert run_verb(verb, [str(tmp_path / "m"), *([str(tmp_path / "text.txt")] if verb == "evaluate" else [])]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "not finite (blocks.0.w_o)" in captured.err


@pytest.mark.parametrize("verb", ["generate", "evaluate"])
def test_a_checkpoint_that_is_pruned_while_it_is_read(trained_run, tmp_path, capsys, monkeypatch, verb):
    from toylm.train import run_folder

    run = shutil.copytree(trained_run, tmp_path / "run")
    load, seen = run_folder.load_checkpoint, []

    def pruned(path, **options):
        seen.append(path.name)
        if len(seen) == 1:
            shutil.rmtree(path)
            (run / "best").write_text("step-000010\n", encoding="utf-8")
        return load(path, **options)

    monkeypatch.setattr(run_folder, "load_checkpoint", pruned)
    assert run_verb(verb, [str(run)]) == 0
    assert seen == ["step-000020", "step-000010"]
