"""What llama2.c's program computes, written anew in NumPy from the description of its file: the oracle of its greedy text.

Nothing of toylm is used. Rotary pairs are neighbours here, (2m, 2m + 1), and the weights stay as they lie in the file.
"""

import struct

import numpy as np


def read(path):
    """(sizes, weights in float64 by their names in llama2.c) of a version 0 file."""
    data = path.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, length = struct.unpack_from("<7i", data)
    h, tied, vocab = dim // heads, vocab > 0, abs(vocab)
    shapes = dict(embed=(vocab, dim), att_norm=(layers, dim), wq=(layers, dim, dim), wk=(layers, kv_heads * h, dim),
                  wv=(layers, kv_heads * h, dim), wo=(layers, dim, dim), ffn_norm=(layers, dim), w1=(layers, hidden, dim),
                  w2=(layers, dim, hidden), w3=(layers, hidden, dim), norm=(dim,), cos=(length, h // 2), sin=(length, h // 2),
                  **({} if tied else {"output": (vocab, dim)}))  # fmt: skip
    weights, at = {}, 28
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        weights[name] = np.frombuffer(data, "<f4", count, at).reshape(shape).astype(float)
        at += 4 * count
    assert at == len(data)
    weights.setdefault("output", weights["embed"])
    return dict(dim=dim, layers=layers, heads=heads, kv_heads=kv_heads, h=h, length=length), weights


def logits(sizes, w, tokens):
    """(T, V) for a list of tokens."""
    T, h, group = len(tokens), sizes["h"], sizes["heads"] // sizes["kv_heads"]
    angle = np.arange(T)[:, None] * 10000.0 ** (-np.arange(0, h, 2) / h)

    def norm(x, gain):
        return gain * x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)

    def turn(x):  # (T, heads · h) -> (heads, T, h)
        pairs = (x.reshape(T, -1, h // 2, 2) @ [1, 1j]) * np.exp(1j * angle)[:, None]
        return np.stack([pairs.real, pairs.imag], -1).reshape(T, -1, h).swapaxes(0, 1)

    x = w["embed"][tokens]
    for i in range(sizes["layers"]):
        y = norm(x, w["att_norm"][i])
        q, k, v = turn(y @ w["wq"][i].T), turn(y @ w["wk"][i].T), (y @ w["wv"][i].T).reshape(T, -1, h).swapaxes(0, 1)
        scores = q @ np.repeat(k, group, 0).swapaxes(1, 2) / np.sqrt(h)
        p = np.exp(np.where(np.tril(np.ones((T, T), bool)), scores - scores.max(-1, keepdims=True), -np.inf))
        z = (p / p.sum(-1, keepdims=True)) @ np.repeat(v, group, 0)
        x = x + z.swapaxes(0, 1).reshape(T, -1) @ w["wo"][i].T
        y = norm(x, w["ffn_norm"][i])
        gate = y @ w["w1"][i].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w["w3"][i].T)) @ w["w2"][i].T
    return norm(x, w["norm"]) @ w["output"].T


def greedy(path, tokens, count):
    """tokens and the `count` likeliest that follow."""
    sizes, weights = read(path)
    tokens = list(tokens)
    for _ in range(count):
        tokens.append(int(np.argmax(logits(sizes, weights, tokens)[-1])))
    return tokens


def read_tokenizer(path, count):
    """(pieces as bytes, scores) of a tokenizer.bin."""
    data, at, pieces, scores = path.read_bytes(), 4, [], []
    for _ in range(count):
        score, length = struct.unpack_from("<fi", data, at)
        pieces.append(data[at + 8 : at + 8 + length])
        scores.append(score)
        at += 8 + length
    return pieces, scores


def encode(text, pieces, scores):
    """A leading space, characters or their bytes (+ 3), then again and again the best-scored pair of neighbours is joined."""
    ids = {piece: i for i, piece in reversed(list(enumerate(pieces)))}
    tokens = [ids[b" "]] if text else []
    for character in text:
        data = character.encode()
        tokens += [ids[data]] if data in ids else [byte + 3 for byte in data]
    while True:
        best = None
        for i in range(len(tokens) - 1):
            joined = ids.get(pieces[tokens[i]] + pieces[tokens[i + 1]])
            if joined is not None and (best is None or scores[joined] > best[0]):
                best = (scores[joined], joined, i)
        if best is None:
            return tokens
        tokens[best[2] : best[2] + 2] = [best[1]]
