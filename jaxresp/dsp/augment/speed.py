"""Speed: the recording played faster or slower, pitch and pace together, as a resampler does it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from jaxresp.dsp.augment.band import low_pass_gain
from jaxresp.dsp.augment.reading import read_at
from jaxresp.dsp.augment.shaping import shaped


def change_speed(
    waveform: Float32[Array, "batch time"], speed: Float32[Array, " batch"]
) -> Float32[Array, "batch time"]:
    """Play each example `speed` times as fast.

    Ko et al., "Audio augmentation for speech recognition", Interspeech 2015. A tone at f moves to f × speed, an event
    at t to t / speed. A linear change of the time axis: unlike a phase vocoder it smears nothing, so a crackle stays a
    crackle, shorter or longer by `speed`. A sound that ends early begins again. Content that would pass beyond the
    Nyquist frequency is removed (from 0.9 of it on).

    Args:
        waveform: any level; its end is taken to join its beginning.
        speed: above 1 is faster, higher and shorter; 1 leaves every bit.
    """
    n_samples = waveform.shape[-1]
    share_of_nyquist = (np.arange(n_samples // 2 + 1) / (n_samples / 2)).astype(np.float32)

    def changed(waveform: Float32[Array, " time"], speed: Float32[Array, ""]) -> Float32[Array, " time"]:
        kept = low_pass_gain(jnp.asarray(share_of_nyquist), 1.0 / jnp.maximum(speed, 1.0))
        return read_at(shaped(waveform, kept, n_samples), n_samples, speed, periodic=True)

    return jnp.where((speed == 1.0)[:, None], waveform, jax.vmap(changed)(waveform, speed))
