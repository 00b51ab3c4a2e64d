"""A process of its own for test_amx.py: python amx_child.py TASK VECTORS LIBRARY prints what the task found, as JSON.

Numba has to be told before it is imported which CPU to compile for, so nothing of toylm is imported here at the top.
"""

import ctypes
import itertools
import json
import sys

import numpy as np

SHAPES = [(64, 64, 64), (97, 259, 65), (100, 1100, 70), (50, 40, 48), (16, 32, 16), (13, 33, 31), (40, 20, 64)]  # m, k, n
STEP = (90, 64, 128, 2, 1, 112)  # of ModelConfig, two sequences: heads of 32, a short block of queries, columns beside tiles
KINDS = ("LDTILECFG", "STTILECFG", "TILERELEASE", "TILEZERO", "TILELOADD", "TILESTORED", "TDPBF16PS")


def round_to_bf16(x):
    """float32 values that bf16 can hold, to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


class Counter:
    """Of the instructions that amx_trap.c executes."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        assert self.library.amx_install() == 0
        self.values = (ctypes.c_long * len(KINDS)).in_dll(self.library, "amx_counts")
        self.threads = ctypes.c_long.in_dll(self.library, "amx_threads")

    def read(self):
        return dict(zip(KINDS, self.values))

    def of(self, function, *arguments):
        before = self.read()
        function(*arguments)
        return {kind: count - before[kind] for kind, count in self.read().items()}


def products(counter):
    """Errors of products in all orientations, relative to the largest value, and counts of instructions."""
    from toylm.kernels.arithmetic import bf16_way
    from toylm.kernels.matmul import matmul_bf16
    from toylm.threads import most_threads, set_threads

    threads = set_threads(min(2, most_threads()))
    rng = np.random.default_rng(0)

    def normal(rows, columns):
        """A column slice of a wider matrix, and that matrix."""
        frame = rng.standard_normal((rows + 2, columns + 23)).astype(np.float32)
        return frame[1:-1, 9:-14], frame

    def plain(m, k, n):
        a, b, out = (normal(*shape)[0] for shape in ((m, k), (k, n), (m, n)))
        matmul_bf16(a, b, out)

    counts, errors, outside = {}, [], True
    if counter:
        counts["first"] = counter.of(plain, 64, 64, 64)
        counts["small"] = counter.of(plain, 15, 40, 64)
    for (m, k, n), transpose_a, transpose_b in itertools.product(SHAPES, (False, True), (False, True)):
        a, b = normal(*((k, m) if transpose_a else (m, k)))[0], normal(*((n, k) if transpose_b else (k, n)))[0]
        x, y = (round_to_bf16(matrix).astype(float) for matrix in (a, b))
        product = (x.T if transpose_a else x) @ (y.T if transpose_b else y)
        for kind in ("plain", "accumulate", "addend"):
            (out, frame), addend = normal(m, n), normal(m, n)[0]
            before = frame.copy()
            added = {"plain": 0, "accumulate": out.astype(float), "addend": addend}[kind]
            matmul_bf16(a, b, out, transpose_a, transpose_b, kind == "accumulate", addend if kind == "addend" else None)
            errors.append(float(np.abs(out - product - added).max() / max(1, np.abs(product + added).max())))
            frame[1:-1, 9:-14] = before[1:-1, 9:-14]
            outside = outside and bool((frame == before).all())
    result = {"way": bf16_way(), "errors": errors, "outside": outside, "counts": counts, "threads_asked": threads}
    if counter:
        counts["all"], result["threads"] = counter.read(), counter.threads.value
        small = 32, 32, 16  # on the calling thread
        counts["before_disturbed"] = counter.of(plain, *small)
        counter.library.amx_disturb()
        counts["disturbed"] = counter.of(plain, *small)
        counts["after_disturbed"] = counter.of(plain, *small)
    m, k, n = 97, 64, 65  # thread 0 ends at a row that fills no tile, were rows cut at those of the pair tiles
    a, b, alone, together = (normal(*shape)[0] for shape in ((m, k), (k, n), (m, n), (m, n)))
    matmul_bf16(a, b, together)
    set_threads(1)
    matmul_bf16(a, b, alone)
    result["same_on_one_thread"] = bool((alone == together).all())
    return result


def step(counter):
    """Loss and gradients of one training step."""
    import toylm
    from toylm.threads import most_threads

    config = toylm.ModelConfig(*STEP)
    model = toylm.TransformerLM(config, seed=0, precision="bf16", threads=min(2, most_threads()))
    batch = np.random.default_rng(0).integers(0, config.vocab_size, (2, config.context_length + 1))
    loss = model.loss_and_gradients(batch[:, :-1].copy(), batch[:, 1:].copy())
    assert counter is None or counter.read()["TDPBF16PS"] > 1000
    return {"loss": float(loss), "gradients": model.gradients.flat.tolist()}


if __name__ == "__main__":
    task, vectors, library = sys.argv[1:]
    if vectors == "avx512":
        from numba.core import config
        from numba.core.registry import cpu_target

        cpu_target.target_context  # noqa: B018 - made now, with the real features: a kernel at import would make it with those below
        real = config.CPU_FEATURES
        config.CPU_FEATURES += ",+avx512f"
        import toylm.kernels.tile  # noqa: F401 - takes the CPU for one with AVX-512

        config.CPU_FEATURES = real
    print(json.dumps({"products": products, "step": step}[task](Counter(library) if library else None)))
