"""The hidden rows of a feed-forward part from what was stored of it: cheap to compute, so one buffer serves all blocks."""

from ..kernels.gelu import gelu_forward
from ..kernels.relu2 import relu2_forward
from ..kernels.silu import silu_forward
from ..kernels.swiglu import swiglu_forward

_FORWARD = {"gelu": gelu_forward, "relu2": relu2_forward, "silu": silu_forward}


def hidden_rows(kind, pre, hidden):
    """hidden (N, d_ff) = act(pre), or silu(gate) * up for "swiglu", whose pre (N, 2 d_ff) is gate | up. Returns hidden."""
    if kind == "swiglu":
        swiglu_forward(pre, hidden)
    else:
        _FORWARD[kind](pre.reshape(-1), hidden.reshape(-1))
    return hidden
