"""The ways without the fusions, from the same kernels: what `toylm bench fusions` measures them against."""

import math

import numpy as np

from ..kernels.gelu import C, K
from ..kernels.matmul import matmul
from ..kernels.parallel import parallel
from ..kernels.rows import rows_of
from ..kernels.softmax import softmax_backward, softmax_forward


@parallel
def scale_in_place(g, factor, threads, thread):
    """g *= factor; g: (n,)."""
    f = g.dtype.type(factor)
    start, stop = rows_of(g.shape[0], threads, thread)
    here = g[start:stop]
    for i in range(here.shape[0]):
        here[i] *= f


@parallel
def gelu_by_tanh(x, y, threads, thread):
    """y = 0.5 x (1 + tanh u) with the library's tanh; x, y: (n,)."""
    half, one, c, k = x.dtype.type(0.5), x.dtype.type(1), x.dtype.type(C), x.dtype.type(K)
    start, stop = rows_of(x.shape[0], threads, thread)
    xs, ys = x[start:stop], y[start:stop]
    for i in range(xs.shape[0]):
        v = xs[i]
        ys[i] = half * v * (one + np.tanh(c * (v + k * v * v * v)))


@parallel
def _scale_and_mask(scores, scale, T, threads, thread):
    """scores (rows, T) · scale, -infinity right of the diagonal of every T rows."""
    s, nothing = scores.dtype.type(scale), scores.dtype.type(-np.inf)
    start, stop = rows_of(scores.shape[0], threads, thread)
    for i in range(start, stop):
        row = scores[i]
        for j in range(T):
            row[j] = row[j] * s if j <= i % T else nothing


class StoredAttention:
    """Causal attention by products over whole (T, T) matrices, which are kept: p for the backward pass, dp and ds in it."""

    def __init__(self, N, d, H, T):
        self.d, self.H, self.T, self.scale = d, H, T, 1 / math.sqrt(d // H)
        self.p, self.dp, self.ds = np.empty((3, N // T * H, T, T), np.float32)

    @property
    def nbytes(self):
        """Bytes of the matrices."""
        return 3 * self.p.nbytes

    def _pairs(self, x, parts):
        """For every sequence and head its columns of q, k, v (parts 3) or z (parts 1)."""
        h = self.d // self.H
        for row in range(0, x.shape[0], self.T):
            for head in range(self.H):
                yield [x[row : row + self.T, p * self.d + head * h : p * self.d + (head + 1) * h] for p in range(parts)]

    def forward(self, qkv, z):
        """z (N, d) = attention of qkv (N, 3d)."""
        flat = self.p.reshape(-1, self.T)
        for (q, k, _), p in zip(self._pairs(qkv, 3), self.p):
            matmul(q, k, p, transpose_b=True)
        _scale_and_mask(flat, self.scale, self.T)
        softmax_forward(flat, flat)
        for (_, _, v), (out,), p in zip(self._pairs(qkv, 3), self._pairs(z, 1), self.p):
            matmul(p, v, out)

    def backward(self, qkv, dz, dqkv):
        """dqkv (N, 3d) = gradient of qkv, from dz (N, d) and the stored matrices."""
        for (_, _, v), (_, _, dv), (dout,), p, dp in zip(
            self._pairs(qkv, 3), self._pairs(dqkv, 3), self._pairs(dz, 1), self.p, self.dp
        ):
            matmul(dout, v, dp, transpose_b=True)
            matmul(p, dout, dv, transpose_a=True)
        self.ds.fill(0)
        flat = self.ds.reshape(-1, self.T)
        softmax_backward(self.dp.reshape(-1, self.T), self.p.reshape(-1, self.T), flat)
        scale_in_place(flat.reshape(-1), self.scale)
        for (q, k, _), (dq, dk, _), ds in zip(self._pairs(qkv, 3), self._pairs(dqkv, 3), self.ds):
            matmul(ds, k, dq)
            matmul(ds, q, dk, transpose_a=True)
