"""A 2-D convolutional network over time and coefficient."""

from __future__ import annotations

from typing import ClassVar

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxresp.models.blocks import ConvBlock, Head


class Cnn2d(nnx.Module):
    """Square blocks of f, 2f, 4f … filters, then mean and maximum over the plane, a dense layer and logits."""

    #: Frames and coefficients that a filter spans.
    kernel: ClassVar[int] = 3

    #: A dense unit without weights changes nothing: see jaxresp.train.stacking.
    can_be_padded: ClassVar[bool] = True

    def __init__(
        self,
        n_coefficients: int,
        n_outputs: int,
        *,
        filters: int,
        dense: int,
        blocks: int = 3,
        kernel: int = 3,
        rngs: nnx.Rngs,
    ):
        del n_coefficients  # the plane may have any height
        widths = [1, *(filters << i for i in range(blocks))]
        self.n_blocks = blocks
        for i in range(blocks):  # block1, block2, … are their names in stored weights
            setattr(self, f"block{i + 1}", ConvBlock(widths[i], widths[i + 1], (kernel, kernel), rngs=rngs))
        self.head = Head(widths[-1], dense, n_outputs, rngs=rngs)

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
        x = features[..., None]
        for i in range(self.n_blocks):
            x = getattr(self, f"block{i + 1}")(x, train=train)
        return x
