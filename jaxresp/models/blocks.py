"""What the networks are built of."""

from __future__ import annotations

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

    Written as a reshape and a maximum: the gradient of `lax.reduce_window` is a select-and-scatter, several times
    slower on a CPU.
    """
    for axis in range(1, x.ndim - 1):
        half = x.shape[axis] // 2
        if half == 0:
            continue
        x = jax.lax.slice_in_dim(x, 0, 2 * half, axis=axis)
        x = x.reshape(*x.shape[:axis], half, 2, *x.shape[axis + 1 :]).max(axis + 1)
    return x


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
        x = nnx.relu(self.norm(self.conv(x), use_running_average=not train))
        return max_pool(x)


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
        positions = tuple(range(1, x.ndim - 1))
        pooled = jnp.concatenate([x.mean(positions), x.max(positions)], axis=-1)
        return self.logits(dropout(nnx.relu(self.dense(pooled)), dropout_rate, key))
