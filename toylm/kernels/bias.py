"""A bias: y = x + b for every row. Its gradient is the sum of the rows."""


from .parallel import parallel
from .rows import rows_of


@parallel
def bias_forward(x, b, threads, thread):
    """x += b; x: (N, n); b: (n,)."""
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        row = x[i]
        for j in range(b.shape[0]):
            row[j] += b[j]


@parallel
def bias_backward(dy, db, threads, thread):
    """db += sum of the rows of dy; dy: (N, n); db: (n,). Threads share the columns, so every sum has the same order."""
    n = db.shape[0]
    start, stop = rows_of(n, threads, thread)
    out = db[start:stop]
    for i in range(dy.shape[0]):
        row = dy[i, start:stop]
        for j in range(out.shape[0]):
            out[j] += row[j]


def bias_reference(x, b):
    return x + b


def bias_backward_reference(dy):
    return dy.sum(axis=0)
