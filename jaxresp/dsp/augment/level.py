"""Gain, and the levels that other augmentations go by."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float32


def gain(waveform: Float32[Array, "batch time"], gain_db: Float32[Array, " batch"]) -> Float32[Array, "batch time"]:
    """Louder by `gain_db` decibels; 0 dB leaves every bit."""
    return waveform * from_db(gain_db)[:, None]


def from_db(level_db: Float32[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """Decibels → a factor of amplitude."""
    return 10.0 ** (level_db / 20.0)


def rms(waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch"]:
    """Root mean square over time. Its gradient at silence is zero, where the square root's own is infinite."""
    power = jnp.mean(jnp.square(waveform), axis=-1)
    heard = power > 0
    return jnp.where(heard, jnp.sqrt(jnp.where(heard, power, 1.0)), 0.0)
