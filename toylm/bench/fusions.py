"""What each fusion buys: the same work by toylm's kernels with and without it, in turn, medians.

  toylm bench fusions
  toylm bench fusions --preset tiny --json fusions.json

MiB is what the way without it has to keep in memory besides.
"""

import statistics
import time
from dataclasses import dataclass

from .presets import NOT_RECIPES, PRESETS


def add_arguments(parser):
    """The arguments of `toylm bench fusions`."""
    parser.add_argument("--preset", default="small", choices=list(PRESETS), help=f"shapes; {NOT_RECIPES} (default: small)")
    parser.add_argument("--rounds", type=int, default=9, help="how often the two ways take turns (default: 9)")
    parser.add_argument("--threads", type=int, default=None, help="threads (default: physical cores)")
    parser.add_argument("--json", default=None, metavar="FILE", help="write every number there")


@dataclass(frozen=True)
class Fusion:
    """One fusion: two calls that leave the same result in `result()`, and the bytes that only the second needs."""

    name: str
    fused: object
    apart: object
    extra_bytes: int
    result: object


def _shape_sizes(shape):
    return shape.tokens, shape.d_model, shape.d_ff, shape.vocab_size


def residual_as_addend(shape, rng):
    """x + hidden·w: the sum starts in the product's registers, or the product goes to memory and is read again."""
    import numpy as np

    from ..kernels.matmul import matmul
    from ..kernels.residual import residual_forward

    N, d, ff, _ = _shape_sizes(shape)
    x, hidden, w = (rng.standard_normal(s, np.float32) for s in ((N, d), (N, ff), (ff, d)))
    out, between = np.empty((2, N, d), np.float32)

    def apart():
        matmul(hidden, w, between)
        residual_forward(x.reshape(-1), between.reshape(-1), out.reshape(-1))

    return Fusion(f"residual add in the product ({N}, {ff}) x ({ff}, {d})", lambda: matmul(hidden, w, out, addend=x), apart,
                  between.nbytes, lambda: out)  # fmt: skip


def norm_with_projection(shape, rng):
    """h = norm(x) and h·w, block of rows by block of rows, or one after the other over all rows."""
    import numpy as np

    from ..kernels.matmul import matmul
    from ..kernels.norm_projection import RMS, norm_projection
    from ..kernels.rmsnorm import rmsnorm_forward

    N, d, _, _ = _shape_sizes(shape)
    x, w, gamma = (rng.standard_normal(s, np.float32) for s in ((N, d), (d, 3 * d), d))
    h, rstd, y = np.empty((N, d), np.float32), np.empty(N, np.float32), np.empty((N, 3 * d), np.float32)

    def apart():
        rmsnorm_forward(x, gamma, 1e-5, h, rstd)
        matmul(h, w, y)

    return Fusion(f"norm and projection ({N}, {d}) x ({d}, {3 * d})",
                  lambda: norm_projection((RMS, gamma, gamma, 1e-5), x, h, rstd, w, y), apart, 0, lambda: y)  # fmt: skip


def feed_forward_forward(shape, rng):
    """Both products of the feed-forward part with its activation between, a block of rows at a time, or one by one."""
    import numpy as np

    from ..kernels import feed_forward
    from ..kernels.gelu import gelu_forward
    from ..kernels.matmul import matmul

    N, d, ff, _ = _shape_sizes(shape)
    x, w1, w2 = (rng.standard_normal(s, np.float32) / np.float32(8) for s in ((N, d), (d, ff), (ff, d)))
    pre, hidden, out = (np.empty(s, np.float32) for s in ((N, ff), (N, ff), (N, d)))

    def apart():
        matmul(x, w1, pre)
        gelu_forward(pre.reshape(-1), hidden.reshape(-1))
        matmul(hidden, w2, out, addend=x)

    return Fusion(f"feed-forward in one dispatch ({N}, {d}) x {ff}",
                  lambda: feed_forward.feed_forward_forward("gelu", x, w1, w2, pre, out, x), apart, hidden.nbytes,
                  lambda: out)  # fmt: skip


def feed_forward_backward(shape, rng):
    """dh from dout through both matrices, the hidden values computed again on the way, or operation by operation."""
    import numpy as np

    from ..kernels import feed_forward
    from ..kernels.gelu import gelu_backward, gelu_forward
    from ..kernels.matmul import matmul

    N, d, ff, _ = _shape_sizes(shape)
    dout, pre, w1, w2 = (rng.standard_normal(s, np.float32) / np.float32(8) for s in ((N, d), (N, ff), (d, ff), (ff, d)))
    hidden, dpre, dh = (np.empty(s, np.float32) for s in ((N, ff), (N, ff), (N, d)))

    def apart():
        gelu_forward(pre.reshape(-1), hidden.reshape(-1))
        matmul(dout, w2, dpre, transpose_b=True)
        gelu_backward(dpre.reshape(-1), pre.reshape(-1))
        matmul(dpre, w1, dh, transpose_b=True)

    return Fusion(f"its gradient of the input ({N}, {d}) x {ff}",
                  lambda: feed_forward.feed_forward_backward("gelu", dout, pre, w1, w2, hidden, dpre, dh), apart, 0,
                  lambda: dh)  # fmt: skip


def cross_entropy_in_chunks(shape, rng):
    """Logits, losses and both gradients, chunk by chunk in the cache, or operation by operation over all (N, V) logits."""
    import numpy as np

    from ..kernels.cross_entropy import cross_entropy_backward
    from ..kernels.matmul import matmul
    from ..model.chunks import chunk_rows

    N, d, _, V = _shape_sizes(shape)
    x, table = rng.standard_normal((N, d), np.float32), rng.standard_normal((V, d), np.float32)
    targets, losses = rng.integers(0, V, N), np.empty(N)
    dx, dtable = np.empty((N, d), np.float32), np.empty((V, d), np.float32)
    logits = np.empty((N, V), np.float32)

    def in_chunks(rows):
        for start in range(0, N, rows):
            part = slice(start, min(start + rows, N))
            z = logits[: part.stop - start]
            matmul(x[part], table, z, transpose_b=True)
            cross_entropy_backward(z, targets[part], 1.0 / N, losses[part])
            matmul(z, table, dx[part])
            matmul(z, x[part], dtable, transpose_a=True, accumulate=start > 0)

    rows = min(N, chunk_rows(V, 4))
    return Fusion(f"cross-entropy in chunks of {rows} rows ({N}, {V})", lambda: in_chunks(rows), lambda: in_chunks(N),
                  logits.nbytes - rows * V * 4, lambda: dx)  # fmt: skip


def loss_with_gradient(shape, rng):
    """The gradient over the logits takes the losses along, or a pass of its own computes them first."""
    import numpy as np

    from ..kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward
    from ..model.chunks import chunk_rows

    V = shape.vocab_size
    N = min(shape.tokens, chunk_rows(V, 4))
    logits, targets, losses = rng.standard_normal((N, V), np.float32), rng.integers(0, V, N), np.empty(N)

    def fused():
        cross_entropy_backward(logits, targets, 1.0 / N, losses)

    def apart():
        cross_entropy_forward(logits, targets, losses)
        fused()

    return Fusion(f"loss and its gradient in one pass ({N}, {V})", fused, apart, 0, lambda: losses)


def _attention(length):
    def make(shape, rng):
        """Attention forward and backward in scratch, or by whole square matrices of scores, kept for the backward pass."""
        import numpy as np

        from ..kernels.attention import attention_backward, attention_forward
        from .unfused import StoredAttention

        d, H, N = shape.d_model, shape.n_heads, max(shape.tokens, length)
        qkv, dz = rng.standard_normal((N, 3 * d), np.float32), rng.standard_normal((N, d), np.float32)
        z, dqkv, log_sums = np.empty((N, d), np.float32), np.empty((N, 3 * d), np.float32), np.empty((N, H), np.float32)
        stored = StoredAttention(N, d, H, length)

        def fused():
            attention_forward(qkv, z, log_sums, length, H)
            attention_backward(qkv, z, dz, log_sums, dqkv, length, H)

        def apart():
            stored.forward(qkv, z)
            stored.backward(qkv, dz, dqkv)

        return Fusion(f"attention without (T, T) matrices, T {length}, {N // length} x {H} heads", fused, apart,
                      stored.nbytes - log_sums.nbytes, lambda: dqkv)  # fmt: skip

    return make


def small_attention_backward(shape, rng):
    """The backward pass of a small attention part, from behind w_o to before the norm, in one kernel or operation by operation."""
    import numpy as np

    from ..kernels.attention import attention_backward, attention_backward_with_projections, attention_forward
    from ..kernels.matmul import matmul
    from ..kernels.rmsnorm import add_parts, rmsnorm_backward, rmsnorm_forward
    from ..threads import get_threads

    T, d, threads = 128, min(shape.d_model, 64), get_threads()
    N, H = max(shape.tokens // T, 1) * T, max(d // 16, 1)
    x, h, dout, z, dz, dh = rng.standard_normal((6, N, d), np.float32)
    w_qkv, w_o, gamma = (rng.standard_normal(size, np.float32) / np.float32(8) for size in ((d, 3 * d), (d, d), d))
    rstd, log_sums, dqkv = np.empty(N, np.float32), np.empty((N, H), np.float32), np.empty((N, 3 * d), np.float32)
    rmsnorm_forward(x, gamma, 1e-5, h, rstd)
    qkv = h @ w_qkv
    attention_forward(qkv, z, log_sums, T, H)
    dx, (dw_qkv, dw_o, dgamma) = np.zeros((N, d), np.float32), map(np.zeros_like, (w_qkv, w_o, gamma))
    sums, parts = np.empty(threads * (w_qkv.size + w_o.size + d), np.float32), np.empty((threads, d), np.float32)

    def fused():
        attention_backward_with_projections(qkv, z, dout, log_sums, T, H, w_qkv, w_o, h, (x, gamma, rstd), dx,
                                            (dw_qkv, dw_o, dgamma), sums)  # fmt: skip

    def apart():
        matmul(dout, w_o, dz, transpose_b=True)
        matmul(z, dout, dw_o, transpose_a=True, accumulate=True)
        attention_backward(qkv, z, dz, log_sums, dqkv, T, H)
        matmul(dqkv, w_qkv, dh, transpose_b=True)
        matmul(h, dqkv, dw_qkv, transpose_a=True, accumulate=True)
        rmsnorm_backward(dh, x, gamma, rstd, dx, parts)
        add_parts(parts, dgamma)

    return Fusion(f"backward of an attention part in one kernel, {N // T} x {T}, d {d}", fused, apart,
                  dz.nbytes + dqkv.nbytes + dh.nbytes - sums.nbytes, lambda: np.concatenate([dx, dw_qkv.T, dw_o]))  # fmt: skip


def clipping_in_adam(shape, rng):
    """Clipping as a factor that AdamW multiplies the gradient with, or as a pass over the gradient."""
    import numpy as np

    from ..kernels.optimizer import adam, norm
    from .cases import BETA1, BETA2, EPS, LEARNING_RATE, WEIGHT_DECAY, sizes_of
    from .unfused import scale_in_place

    n = sizes_of(shape)["P"]
    p, g, m, v = np.zeros((4, n), np.float32)
    g[:] = rng.standard_normal(n, np.float32)

    def step(factor):
        adam(p, g, m, v, n, LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY, 3, factor)

    def fused():
        # The limit is the norm itself: the factor is 1, so that both ways can be run again and again.
        step(1.0 / max(1.0, norm(g) / norm_of_g))

    def apart():
        scale_in_place(g, 1.0 / max(1.0, norm(g) / norm_of_g))
        step(1.0)

    norm_of_g = norm(g)
    return Fusion(f"clipping inside AdamW, {n:,} parameters", fused, apart, 0, lambda: m)


def gelu_by_sigmoid(shape, rng):
    """GELU as x·sigmoid with a polynomial exp that vectorises, or by the library's tanh; both in threads."""
    import numpy as np

    from ..kernels.gelu import gelu_forward
    from .unfused import gelu_by_tanh

    N, _, ff, _ = _shape_sizes(shape)
    x = rng.standard_normal(N * ff, np.float32)
    y = np.empty_like(x)
    return Fusion(f"GELU as x·sigmoid, polynomial exp ({N}, {ff})", lambda: gelu_forward(x, y), lambda: gelu_by_tanh(x, y), 0,
                  lambda: y)  # fmt: skip


FUSIONS = (
    residual_as_addend, norm_with_projection, feed_forward_forward, feed_forward_backward, cross_entropy_in_chunks,
    loss_with_gradient, _attention(128), _attention(1024), small_attention_backward, clipping_in_adam, gelu_by_sigmoid,
)  # fmt: skip


def measure(fusion, rounds, seconds=0.03):
    """Seconds with and without the fusion, medians over the turns, and the median ratio."""
    for call in (fusion.fused, fusion.apart):
        call()
    start = time.perf_counter()
    fusion.apart()
    repeat = max(1, round(seconds / (time.perf_counter() - start)))
    times = {"fused": [], "apart": []}
    for _ in range(rounds):
        for way, call in (("fused", fusion.fused), ("apart", fusion.apart)):
            start = time.perf_counter()
            for _ in range(repeat):
                call()
            times[way].append((time.perf_counter() - start) / repeat)
    ratio = statistics.median(a / f for a, f in zip(times["apart"], times["fused"]))
    return {
        "fusion": fusion.name,
        "fused_seconds": statistics.median(times["fused"]),
        "apart_seconds": statistics.median(times["apart"]),
        "ratio": ratio,
        "extra_bytes": fusion.extra_bytes,
    }


def run(args):
    """Returns the exit status."""
    import numpy as np

    from ..host import cpu_name
    from ..threads import set_threads

    threads = set_threads(args.threads)
    print(f"{cpu_name()}, {threads} threads, shapes of preset {args.preset}; medians of {args.rounds} turns")
    print(f"{'':<64}{'ms':>9}{'without':>9}{'ratio':>9}{'MiB':>7}")
    rows = []
    for make in FUSIONS:
        row = measure(make(PRESETS[args.preset], np.random.default_rng(0)), args.rounds)
        rows.append(row)
        extra = f"{row['extra_bytes'] / 2**20:.0f}" if row["extra_bytes"] else ""
        print(f"{row['fusion']:<64}{row['fused_seconds'] * 1e3:9.2f}{row['apart_seconds'] * 1e3:9.2f}{row['ratio']:7.2f} x"
              f"{extra:>7}", flush=True)  # fmt: skip
    if args.json:
        from ..files import write_json

        write_json(args.json, {"cpu": cpu_name(), "threads": threads, "preset": args.preset, "fusions": rows})
    return 0
