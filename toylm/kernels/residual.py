"""The residual add: y = x + f. Its backward pass hands dy to both branches, so the gradient of the stream is added to."""


from .parallel import parallel
from .rows import rows_of


@parallel
def residual_forward(x, f, y, threads, thread):
    """y = x + f; all (n,); y may be x or f."""
    start, stop = rows_of(x.shape[0], threads, thread)
    xs, fs, ys = x[start:stop], f[start:stop], y[start:stop]
    for i in range(ys.shape[0]):
        ys[i] = xs[i] + fs[i]


@parallel
def residual_backward(dy, dx, df, threads, thread):
    """dx += dy; df += dy; all (n,)."""
    start, stop = rows_of(dy.shape[0], threads, thread)
    dys, dxs, dfs = dy[start:stop], dx[start:stop], df[start:stop]
    for i in range(dys.shape[0]):
        dxs[i] += dys[i]
        dfs[i] += dys[i]


def residual_reference(x, f):
    return x + f
