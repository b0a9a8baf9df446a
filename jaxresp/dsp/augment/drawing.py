"""Draws, one per example: how far, and whether at all."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Key


def uniform(key: Key[Array, ""], n: int, between: tuple[float, float]) -> Float32[Array, " {n}"]:
    """Uniform between two values."""
    return jax.random.uniform(key, (n,), jnp.float32, *between)


def log_uniform(key: Key[Array, ""], n: int, between: tuple[float, float]) -> Float32[Array, " {n}"]:
    """Uniform in the logarithm between two positive values: a half is as likely as a double.

    Held to the range: exp(log(x)) may round past x.
    """
    low, high = between
    drawn = jnp.exp(uniform(key, n, (math.log(low), math.log(high))))
    return jnp.clip(drawn, low, high)


def chosen(key: Key[Array, ""], n: int, probability: Float[Array, ""] | float) -> Bool[Array, " {n}"]:
    """Which examples are changed."""
    return jax.random.bernoulli(key, probability, (n,))
