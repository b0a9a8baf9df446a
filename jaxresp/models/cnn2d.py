"""A 2-D convolutional network over time and coefficient."""

from __future__ import annotations

from typing import ClassVar

from flax import nnx
from jaxtyping import Array, Float

from jaxresp.models.blocks import ConvNetwork


class Cnn2d(ConvNetwork):
    """Square filters."""

    #: Frames and coefficients that a filter spans.
    kernel: ClassVar[int] = 3

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
        super().__init__(1, n_outputs, filters=filters, dense=dense, blocks=blocks, window=(kernel, kernel), rngs=rngs)

    def seen(self, features: Float[Array, "batch frames coefficients"]) -> Float[Array, "batch frames coefficients 1"]:
        return features[..., None]
