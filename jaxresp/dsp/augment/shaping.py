"""A filter without delay: a gain for each frequency of the whole waveform."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float32


def shaped(
    waveform: Float32[Array, "*batch time"], gain: Float32[Array, " bins"], n_fft: int
) -> Float32[Array, "*batch {n_fft}"]:
    """The waveform, padded with silence to n_fft samples, filtered by a gain given at its rfft's frequencies."""
    spectrum = jnp.fft.rfft(waveform, n_fft)
    gain = gain.reshape((1,) * (spectrum.ndim - 1) + (-1,))
    return jnp.fft.irfft(spectrum * gain.astype(spectrum.dtype), n_fft)
