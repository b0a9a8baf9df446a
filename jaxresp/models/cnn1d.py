"""A 1-D convolutional network over time; the coefficients are its input channels."""

from __future__ import annotations

from typing import ClassVar

from flax import nnx
from jaxtyping import Array, Float

from jaxresp.models.blocks import ConvNetwork


class Cnn1d(ConvNetwork):
    """Filters of a few frames."""

    #: Frames that a filter spans.
    kernel: ClassVar[int] = 5

    def __init__(
        self,
        n_coefficients: int,
        n_outputs: int,
        *,
        filters: int,
        dense: int,
        blocks: int = 3,
        kernel: int = 5,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            n_coefficients, n_outputs, filters=filters, dense=dense, blocks=blocks, window=(kernel,), rngs=rngs
        )

    def seen(self, features: Float[Array, "batch frames coefficients"]) -> Float[Array, "batch frames coefficients"]:
        return features
