"""Downloads, from a loopback server that answers as the hub does."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from toylm.data import corpora, load_corpus
from toylm.data.download import hub_file

TRAIN = "\n<|endoftext|>\n".join(f"Story {i} of a cat." for i in range(40))
VALID = "A story that is held out.\n<|endoftext|>\nStory 3 of a cat.\n"
FILES = {
    "/datasets/roneneldan/TinyStories/resolve/main/TinyStoriesV2-GPT4-train.txt": TRAIN.encode(),
    "/datasets/roneneldan/TinyStories/resolve/main/TinyStoriesV2-GPT4-valid.txt": VALID.encode(),
    "/datasets/Trelis/tiny-shakespeare/resolve/main/input.txt": b"First Citizen:\n",
}


class Hub(BaseHTTPRequestHandler):
    """Answers HEAD and GET of /datasets/OWNER/NAME/resolve/main/FILE with the headers that the client relies on."""

    def do_HEAD(self):  # noqa: N802
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization")))
        body = FILES.get(self.path)
        if body is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 39 + "1")
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def do_GET(self):  # noqa: N802
        body = self.do_HEAD()
        if body is not None:
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("TOYLM_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_tinystories_is_downloaded_once_with_its_own_held_out_file(hub, tmp_path, capfd):
    corpus = load_corpus("tinystories", cache_dir=tmp_path)
    assert len(list(corpus)) == 40 and corpus.marker == "<|endoftext|>"
    assert [t for t, _ in corpus.pieces(held_out=True)] == ["A story that is held out.", "Story 3 of a cat."]
    assert "downloading TinyStoriesV2-GPT4-train.txt (2.2 GB) from http://127.0.0.1" in capfd.readouterr().err
    assert all(authorization is None for _, _, authorization in hub.requests)
    hub.requests.clear()
    assert list(load_corpus("tinystories", cache_dir=tmp_path)) == list(corpus)
    assert hub.requests == []  # found in the cache, without asking


def test_another_file_than_expected_is_refused_and_removed(hub, tmp_path):
    with pytest.raises(ValueError, match="input.txt from .* is not the file that was expected"):
        load_corpus("shakespeare", cache_dir=tmp_path)
    assert not [p for p in tmp_path.rglob("input.txt") if p.exists()]


def test_the_right_file_is_taken(hub, tmp_path, monkeypatch):
    content = FILES["/datasets/Trelis/tiny-shakespeare/resolve/main/input.txt"]
    monkeypatch.setattr(corpora, "_SHAKESPEARE_SHA256", hashlib.sha256(content).hexdigest())
    assert list(load_corpus("shakespeare", cache_dir=tmp_path)) == ["First Citizen:\n"]


def test_a_file_that_is_not_there(hub, tmp_path):
    with pytest.raises(FileNotFoundError, match="could not download nothing.txt from .*404.*HF_ENDPOINT; take a path"):
        hub_file("roneneldan/TinyStories", "nothing.txt", tmp_path, instead="take a path")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "nowhere"])
def test_without_a_network_one_sentence_says_what_to_do(tmp_path, monkeypatch, endpoint, capfd):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(FileNotFoundError) as caught:
        load_corpus("tinystories", cache_dir=tmp_path)
    sentence = str(caught.value)
    assert "\n" not in sentence and endpoint in sentence and "HF_ENDPOINT" in sentence and "--data stories" in sentence
    assert len(capfd.readouterr().err.splitlines()) == 1  # the announcement, and none of the client's retries
