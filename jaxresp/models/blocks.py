"""What the networks are built of."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray


def dropout(
    x: Float[Array, "*shape"], rate: Float[Array, ""] | float, key: PRNGKeyArray | None
) -> Float[Array, "*shape"]:
    """Inverted dropout (Srivastava et al., JMLR 15, 2014) whose rate may be traced: a sweep over it compiles once.

    Args:
        x: activations.
        rate: probability in [0, 1) that an activation is zeroed.
        key: None switches dropout off.
    """
    if key is None:
        return x
    kept = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    return jnp.where(kept, x / (1.0 - rate), jnp.zeros_like(x))


def max_pool(x: Float[Array, "batch *spatial channels"]) -> Float[Array, "batch *pooled channels"]:
    """The larger of every two neighbours along each spatial axis; an odd last one is dropped, a single one stays.

    Written as the maximum of two slices: on a CPU the gradient of `lax.reduce_window`, a select-and-scatter, is
    several times slower, and that of `jnp.max`, which shares among equals, twice as slow.
    """
    for axis in range(1, x.ndim - 1):
        half = x.shape[axis] // 2
        if half == 0:
            continue
        x = jax.lax.slice_in_dim(x, 0, 2 * half, axis=axis)
        x = x.reshape(*x.shape[:axis], half, 2, *x.shape[axis + 1 :])
        first, second = (jax.lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in range(2))
        x = jnp.maximum(first, second)
    return x


def single_channel_convolution(
    x: Float[Array, "batch *spatial 1"], kernel: Float[Array, "*window 1 features"]
) -> Float[Array, "batch *spatial features"]:
    """`lax.conv` of one input channel with padding SAME and stride 1, as one matrix product over shifted copies.

    With a single channel there is little to convolve, and XLA's CPU convolution costs more than it computes: see
    experiments/benchmarks/training_step.py.
    """
    window, spatial = kernel.shape[:-2], x.shape[1:-1]
    before = [(size - 1) // 2 for size in window]
    padding = [(low, size - 1 - low) for low, size in zip(before, window, strict=True)]
    padded = jnp.pad(x, [(0, 0), *padding, (0, 0)])
    shifted = [
        jax.lax.slice(padded, (0, *offset, 0), (x.shape[0], *(o + n for o, n in zip(offset, spatial, strict=True)), 1))
        for offset in itertools.product(*map(range, window))
    ]
    return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


class ConvBlock(nnx.Module):
    """Convolution, batch normalisation, ReLU, max pooling by 2 along every axis of the kernel.

    Maps [batch, *spatial, in_features] to [batch, *max(spatial // 2, 1), out_features].
    """

    def __init__(self, in_features: int, out_features: int, kernel: tuple[int, ...], *, rngs: nnx.Rngs):
        # The normalisation that follows has its own offset, so the convolution needs none.
        self.conv = nnx.Conv(in_features, out_features, kernel, padding="SAME", use_bias=False, rngs=rngs)
        # A small corpus has few steps per epoch: running statistics must settle within about 20 of them.
        self.norm = nnx.BatchNorm(out_features, momentum=0.9, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch *spatial channels"], *, train: bool
    ) -> Float[Array, "batch *pooled features"]:
        x = single_channel_convolution(x, self.conv.kernel[...]) if x.shape[-1] == 1 else self.conv(x)
        normalised = self.norm(x, use_running_average=not train).astype(x.dtype)  # it computes in float32
        return max_pool(nnx.relu(normalised))


class Head(nnx.Module):
    """Mean and maximum over all positions, one dense layer, dropout, logits.

    A crackle lasts 10 ms and a wheeze a second: the maximum keeps the one, the mean the other.
    """

    def __init__(self, features: int, dense: int, n_outputs: int, *, rngs: nnx.Rngs):
        self.dense = nnx.Linear(2 * features, dense, rngs=rngs)
        self.logits = nnx.Linear(dense, n_outputs, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "batch *spatial channels"],
        *,
        key: PRNGKeyArray | None,
        dropout_rate: Float[Array, ""] | float,
    ) -> Float[Array, "batch outputs"]:
        return self.logits(dropout(self.embed(x), dropout_rate, key))

    def embed(self, x: Float[Array, "batch *spatial channels"]) -> Float[Array, "batch dense"]:
        """What the logits are a linear map of."""
        positions = tuple(range(1, x.ndim - 1))
        pooled = jnp.concatenate([x.mean(positions), x.max(positions)], axis=-1)
        return nnx.relu(self.dense(pooled))
