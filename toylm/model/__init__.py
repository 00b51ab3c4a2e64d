"""The transformer, one file a part, forward and backward together.

A part is a class with `layout()`, the parameters it wants; `forward`, which reads and writes named activations; and
`backward`, which takes the gradient of what it produced, adds to the gradients of its parameters, and hands the gradient of
its input on. The block composes parts, ModelConfig chooses them, the model is a list of blocks, and no part knows another.

    tokens (B, T) -> Embedding -> [ x + Attention(Norm(x)) ; x + FeedForward(Norm(x)) ] · L -> Norm -> Unembedding -> logits

Every activation is a matrix of N = B·T rows, row b·T + t for position t of sequence b.
"""

from .functions import (
    attend,
    cross_entropy_grad,
    embed,
    feed_forward,
    gelu,
    rms_norm,
    rope,
    self_attention,
    silu,
    softmax,
    swiglu,
)

__all__ = [
    "attend", "cross_entropy_grad", "embed", "feed_forward", "gelu", "rms_norm", "rope", "self_attention", "silu", "softmax",
    "swiglu",
]  # fmt: skip
