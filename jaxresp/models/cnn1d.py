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
        return self.head(self._positions(features, train=key is not None), key=key, dropout_rate=dropout_rate)

    def embed(self, features: Float[Array, "batch frames coefficients"]) -> Float[Array, "batch dense"]:
        """Features → what the logits are a linear map of."""
        return self.head.embed(self._positions(features, train=False))

    def _positions(
        self, features: Float[Array, "batch frames coefficients"], *, train: bool
    ) -> Float[Array, "batch *positions channels"]:
        x = features
        for block in (self.block1, self.block2, self.block3):
            x = block(x, train=train)
        return x
