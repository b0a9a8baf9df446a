"""A 1-D convolutional network over time; the coefficients are its input channels."""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxresp.models.blocks import ConvBlock, Head


class Cnn1d(nnx.Module):
    """Three blocks of f, 2f and 4f filters of five frames, mean and maximum over time, a dense layer, logits."""

    def __init__(self, n_coefficients: int, n_outputs: int, *, filters: int, dense: int, rngs: nnx.Rngs):
        self.block1 = ConvBlock(n_coefficients, filters, (5,), rngs=rngs)
        self.block2 = ConvBlock(filters, 2 * filters, (5,), rngs=rngs)
        self.block3 = ConvBlock(2 * filters, 4 * filters, (5,), rngs=rngs)
        self.head = Head(4 * filters, dense, n_outputs, rngs=rngs)

    def __call__(
        self,
        features: Float[Array, "batch frames coefficients"],
        *,
        key: PRNGKeyArray | None = None,
        dropout_rate: Float[Array, ""] | float = 0.0,
    ) -> Float[Array, "batch outputs"]:
        """Features → logits. With a key the network is in training: batch statistics and dropout."""
        x, train = features, key is not None
        for block in (self.block1, self.block2, self.block3):
            x = block(x, train=train)
        return self.head(x, key=key, dropout_rate=dropout_rate)
