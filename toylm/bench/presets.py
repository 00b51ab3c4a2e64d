"""The shapes that are measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A model and a batch: vocabulary, width, blocks, heads, feed-forward width, sequence length, batch."""

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    length: int
    batch: int

    @property
    def tokens(self):
        """Tokens a step."""
        return self.batch * self.length

    @property
    def flops(self):
        """Floating-point operations of a training step: 6 a parameter in a product and token, attention counted causally."""
        matrices = self.n_layers * (4 * self.d_model**2 + 2 * self.d_model * self.d_ff) + self.vocab_size * self.d_model
        return 6 * self.tokens * (matrices + self.n_layers * self.d_model * (self.length + 1))


# for the help of --preset
NOT_RECIPES = "recipes of the same names have other shapes"
PRESETS = {
    "nano": Shape(512, 64, 4, 4, 256, 128, 32),
    "tiny": Shape(2048, 128, 4, 4, 512, 128, 16),
    "small": Shape(4096, 256, 6, 8, 1024, 256, 8),
    "base": Shape(4096, 512, 8, 8, 2048, 256, 4),
}
