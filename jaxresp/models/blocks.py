"""What the networks are built of."""

from __future__ import annotations

import functools
import itertools
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, PRNGKeyArray

from jaxresp.models.convolution import convolution


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
    # Drawn with the units first: a wider layer then draws the same for the units that a narrower one has too.
    kept = jax.random.bernoulli(key, 1.0 - rate, x.shape[::-1]).T
    return jnp.where(kept, x / (1.0 - rate), jnp.zeros_like(x))


@jax.custom_vjp
def max_pool(x: Float[Array, "batch *spatial channels"]) -> Float[Array, "batch *pooled channels"]:
    """The larger of every two neighbours along each spatial axis; an odd last one is dropped, a single one stays.

    Its gradient is written out: on a CPU that of `lax.reduce_window`, a select-and-scatter, is several times slower.
    """
    window = (1, *(min(n, 2) for n in x.shape[1:-1]), 1)
    return jax.lax.reduce_window(x, jnp.array(-jnp.inf, x.dtype), jax.lax.max, window, window, "VALID")


def _max_pool_forward(
    x: Float[Array, "batch *spatial channels"],
) -> tuple[Float[Array, "batch *pooled channels"], tuple[Array, Array]]:
    pooled = max_pool(x)
    return pooled, (x, pooled)


def _unpool(
    x: Float[Array, "batch *spatial channels"],
    pooled: Float[Array, "batch *pooled channels"],
    gradient: Float[Array, "batch *pooled channels"],
) -> Float[Array, "batch *spatial channels"]:
    """The gradient of `max_pool` by its input: all of a window that equal its maximum share alike."""
    batch, *spatial, channels = x.shape
    halves = pooled.shape[1:-1]
    size = [min(n, 2) for n in spatial]
    even = jax.lax.slice(x, (0,) * x.ndim, (batch, *(h * s for h, s in zip(halves, size, strict=True)), channels))
    windows = even.reshape(batch, *itertools.chain(*zip(halves, size, strict=True)), channels)
    within = tuple(range(2, windows.ndim - 1, 2))
    largest = windows == jnp.expand_dims(pooled, within)
    members = (
        largest[(slice(None), *(part for i in place for part in (slice(None), i)))].astype(x.dtype)
        for place in itertools.product(*map(range, size))
    )
    share = gradient / functools.reduce(jnp.add, members)
    spread = jnp.where(largest, jnp.expand_dims(share, within), jnp.zeros((), x.dtype)).reshape(even.shape)
    return jnp.pad(spread, [(0, n - m) for n, m in zip(x.shape, even.shape, strict=True)])


max_pool.defvjp(_max_pool_forward, lambda kept, gradient: (_unpool(kept[0], kept[1], gradient),))

_Normalised = tuple[Float[Array, "batch *pooled channels"], Float32[Array, " channels"], Float32[Array, " channels"]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalised_pool(
    x: Float[Array, "batch *spatial channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    epsilon: float,
) -> _Normalised:
    """Batch normalisation, ReLU and max pooling in one, and the batch's mean and variance by channel.

    The scale must not be negative: then the largest of a window stays the largest, so pooling goes first and all else
    is done on the pooled, a quarter of the plane. The gradient likewise: its two sums over the batch (Ioffe & Szegedy,
    ICML 2015) are sums over the pooled, and the full plane is read once and written once. Measured against the usual
    order in experiments/benchmarks/training_step.py.

    Mean and variance are in float32 whatever x is, and have no gradient.
    """
    return _normalised_pool_forward(x, scale, bias, epsilon)[0]


def _normalised_pool_forward(
    x: Float[Array, "batch *spatial channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    epsilon: float,
) -> tuple[_Normalised, tuple[Array, ...]]:
    every = tuple(range(x.ndim - 1))
    wide = x.astype(jnp.float32)
    mean = wide.mean(every)
    variance = jnp.maximum(jnp.square(wide).mean(every) - jnp.square(mean), 0.0)
    factor = scale.astype(jnp.float32) * jax.lax.rsqrt(variance + epsilon)
    pooled = max_pool(x)
    y = nnx.relu(pooled.astype(jnp.float32) * factor + (bias.astype(jnp.float32) - mean * factor)).astype(x.dtype)
    return (y, mean, variance), (x, pooled, y, scale, mean, variance)


def _normalised_pool_backward(
    epsilon: float, kept: tuple[Array, ...], gradients: _Normalised
) -> tuple[Float[Array, "batch *spatial channels"], Float[Array, " channels"], Float[Array, " channels"]]:
    x, pooled, y, scale, mean, variance = kept
    every, n = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    gradient = jnp.where(y > 0, gradients[0].astype(jnp.float32), 0.0)
    deviation = jax.lax.rsqrt(variance + epsilon)
    by_bias = gradient.sum(every)
    by_scale = (gradient * ((pooled.astype(jnp.float32) - mean) * deviation)).sum(every)
    factor = scale.astype(jnp.float32) * deviation
    slope = -factor * deviation * by_scale / n
    offset = -factor * by_bias / n - slope * mean
    straight = _unpool(x, pooled, (gradient * factor).astype(x.dtype))
    even = (x.astype(jnp.float32) * slope + offset).astype(x.dtype)
    return straight + even, by_scale.astype(scale.dtype), by_bias.astype(scale.dtype)


normalised_pool.defvjp(_normalised_pool_forward, _normalised_pool_backward)


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
        assert self.norm.scale is not None and self.norm.bias is not None  # Flax has norms without
        kernel, scale, bias = self.conv.kernel[...], self.norm.scale[...], self.norm.bias[...]
        if not train:
            factor = scale * jax.lax.rsqrt(self.norm.var[...] + self.norm.epsilon)
            x = max_pool(convolution(x, kernel * factor))
            return nnx.relu(x + (bias - self.norm.mean[...] * factor))
        sign = jnp.where(scale < 0, -1.0, 1.0)  # a negative scale is the same with the kernel turned over
        y, mean, variance = normalised_pool(convolution(x, kernel * sign), scale * sign, bias, self.norm.epsilon)
        for running, now in ((self.norm.mean, mean * sign), (self.norm.var, variance)):
            running[...] = self.norm.momentum * running[...] + (1 - self.norm.momentum) * now
        return y


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


class ConvNetwork(nnx.Module):
    """Blocks of f, 2f, 4f … filters, mean and maximum over what is left of time (and band), a dense layer, logits."""

    #: A dense unit without weights changes nothing: see jaxresp.train.stacking.
    can_be_padded: ClassVar[bool] = True

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        *,
        filters: int,
        dense: int,
        blocks: int,
        window: tuple[int, ...],
        rngs: nnx.Rngs,
    ):
        widths = [n_channels, *(filters << i for i in range(blocks))]
        self.n_blocks = blocks
        for i in range(blocks):  # block1, block2, … are their names in stored weights
            setattr(self, f"block{i + 1}", ConvBlock(widths[i], widths[i + 1], window, rngs=rngs))
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

    def seen(self, features: Float[Array, "batch frames coefficients"]) -> Float[Array, "batch *spatial channels"]:
        """The features by what filters move along, and by channels."""
        raise NotImplementedError

    def _positions(
        self, features: Float[Array, "batch frames coefficients"], *, train: bool
    ) -> Float[Array, "batch *positions channels"]:
        x = self.seen(features)
        for i in range(self.n_blocks):
            x = getattr(self, f"block{i + 1}")(x, train=train)
        return x
