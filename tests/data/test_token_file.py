"""Token files and evaluation windows."""

import json

import numpy as np
import pytest

from toylm.data import TokenFile, TokenFileWriter


def write(path, ids, vocab_size=100, documents=1, utf8_bytes=0):
    with TokenFileWriter(path, vocab_size, tokenizer="digest") as writer:
        for start in range(0, len(ids), 7):
            writer.write(ids[start : start + 7])
        writer.documents, writer.utf8_bytes = documents, utf8_bytes
    return path


@pytest.mark.parametrize("vocab_size, dtype", [(100, "uint16"), (65536, "uint16"), (65537, "uint32")])
def test_round_trip(tmp_path, vocab_size, dtype):
    ids = np.random.default_rng(0).integers(0, vocab_size, 1000)
    file = TokenFile.open(write(tmp_path / "t.bin", ids, vocab_size, documents=3, utf8_bytes=4000))
    assert (file.tokens == ids).all() and file.tokens.dtype == dtype and len(file) == 1000
    assert (file.vocab_size, file.documents, file.utf8_bytes, file.tokenizer) == (vocab_size, 3, 4000, "digest")
    assert (np.fromfile(tmp_path / "t.bin", "<u2" if dtype == "uint16" else "<u4") == ids).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.bin", "t.json", "t.npy"]


def test_an_error_leaves_the_old_file(tmp_path):
    path = write(tmp_path / "t.bin", [1, 2, 3])
    with pytest.raises(ValueError, match="token id 100 is out of range for a vocabulary of 100"):
        write(path, [4] * 20 + [100])
    with pytest.raises(ValueError, match="token id -1"):
        write(tmp_path / "new.bin", [-1])
    with pytest.raises(ValueError, match="ends in .bin"):
        TokenFileWriter(tmp_path / "new.txt", 10)
    assert TokenFile.open(path).tokens.tolist() == [1, 2, 3]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.bin", "t.json", "t.npy"]


def test_damage_is_noticed(tmp_path):
    path = write(tmp_path / "t.bin", list(range(50)))
    good, about = path.read_bytes(), json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))

    def damaged(message, data=good, error=ValueError, **changes):
        path.write_bytes(data)
        (tmp_path / "t.json").write_text(json.dumps(about | changes), encoding="utf-8")
        with pytest.raises(error, match=message):
            TokenFile.open(path)

    damaged("is truncated: 99 bytes, but 50 tokens take 100", good[:-1])
    damaged("is too long: 102 bytes", good + b"\0\0")
    damaged("token 7 is 513, out of range for a vocabulary of 100", good[:14] + b"\x01\x02" + good[16:])
    damaged("is corrupt", good[:14] + b"\x05\x00" + good[16:])
    damaged("token 40 is 40, out of range for a vocabulary of 40", vocab_size=40)
    damaged("does not describe a token file", format="other")
    damaged("does not describe a token file", dtype="float32")
    (tmp_path / "t.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="does not describe"):
        TokenFile.open(path)
    (tmp_path / "t.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no token file .*t\.json"):
        TokenFile.open(path)


@pytest.mark.parametrize("count, length, batch", [(1, 4, 2), (8, 4, 2), (9, 4, 2), (103, 8, 5), (50, 64, 4)])
def test_windows_predict_every_token_once(tmp_path, count, length, batch):
    ids = np.arange(1, count + 1)
    file = TokenFile.open(write(tmp_path / "t.bin", ids, 1000, utf8_bytes=3 * count))
    windows = file.windows(length, batch)
    for _ in range(2):  # it can be iterated again
        batches = list(windows)
        assert len(batches) == len(windows) and all(t.shape == y.shape and t.shape[1] == min(length, count) for t, y in batches)
        tokens, targets = (np.concatenate(side).reshape(-1) for side in zip(*batches))
        counted = targets >= 0
        assert targets[counted].tolist() == ids.tolist()
        assert tokens[counted].tolist() == [0, *ids[:-1]]  # each after the one before; the first after end-of-text
        assert (tokens[~counted] == 0).all()
    assert (windows.tokens, windows.bytes) == (count, 3 * count)


def test_windows_can_be_capped(tmp_path):
    file = TokenFile.open(write(tmp_path / "t.bin", np.arange(100) % 10, 10, utf8_bytes=450))
    windows = file.windows(10, 4, max_tokens=35)
    targets = np.concatenate([y for _, y in windows])
    assert targets.shape == (3, 10) and windows.tokens == 30
    assert windows.bytes == 0  # not known without the tokenizer; never an average
    file.byte_lengths = np.arange(10)
    assert file.windows(10, 4, max_tokens=35).bytes == 3 * 45
    assert file.windows(10, 4, max_tokens=1).tokens == 10 and file.windows(10, 4, max_tokens=10**9).tokens == 100
    assert file.windows(30, 4, max_tokens=60).tokens == 60
    for options in ((0, 1), (1, 0), (1, 1, 0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            file.windows(*options)
    with pytest.raises(ValueError, match="no tokens to evaluate on"):
        TokenFile.open(write(tmp_path / "empty.bin", [])).windows(4, 1)


def test_a_window_is_no_longer_than_the_text():
    """A context of 131,072 named in a config.json took gigabytes for a text of 37 tokens."""
    file = TokenFile(np.arange(37).astype(np.uint16), 40)
    long, fitting = file.windows(131_072, 4), file.windows(37, 4)
    assert (long.context_length, long.tokens, len(long)) == (37, 37, 1)
    for found, expected in zip(long, fitting):
        np.testing.assert_array_equal(found, expected)
