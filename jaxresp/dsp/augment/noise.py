"""Noise at a given signal-to-noise ratio: white, pink, or recorded.

White noise is a recorder's electronics, pink noise a room (equal power in every octave), recorded noise whatever the
ward sounds like: clips without a breath in them, at the rate of the waveforms.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Key

from jaxresp.dsp.augment.errors import AugmentError
from jaxresp.dsp.augment.level import from_db, rms
from jaxresp.dsp.augment.shaping import shaped

NoiseKind = Literal["white", "pink", "recorded"]

_PINK_FROM_HZ = 20.0  # level below: by octaves, half of the power would otherwise lie where nobody hears it


def white_noise(keys: Key[Array, " batch"], n_samples: int) -> Float32[Array, "batch {n_samples}"]:
    """Gaussian noise of equal power in every hertz, a key per example."""
    return jax.vmap(lambda key: jax.random.normal(key, (n_samples,), jnp.float32))(keys)


def pink_noise(white: Float32[Array, "batch time"], rate_hz: int) -> Float32[Array, "batch time"]:
    """White noise → pink: the power spectrum falls by 3 dB per octave (1/f) from 20 Hz up, and is level below.

    Shaped in the frequency domain over the whole length (Timmer & König, Astron. Astrophys. 300, 1995), so it has no
    mean and its end joins its beginning.
    """
    n_samples = white.shape[-1]
    frequency_hz = np.fft.rfftfreq(n_samples, 1 / rate_hz)
    shape = np.sqrt(_PINK_FROM_HZ / np.maximum(frequency_hz, _PINK_FROM_HZ)).astype(np.float32)
    shape[0] = 0.0
    return shaped(white, jnp.asarray(shape), n_samples)


def recorded_noise(
    clips: Float32[Array, "clips clip_time"],
    clip: Float32[Array, " batch"],
    offset: Float32[Array, " batch"],
    n_samples: int,
) -> Float32[Array, "batch {n_samples}"]:
    """A stretch of one of the clips for each example; a clip that ends early begins again.

    Args:
        clips: recorded noise, at the rate of the waveforms and any level.
        clip: which one, as a share of their number in [0, 1).
        offset: where in it to begin, as a share of its length in [0, 1).
        n_samples: how much.

    Raises:
        AugmentError: there is no clip, or clips without a sample.
    """
    n_clips, length = clips.shape
    if n_clips == 0 or length == 0:
        raise AugmentError(f"recorded noise of shape {clips.shape} holds no sound; give [clips, samples]")
    which = (clip * n_clips).astype(jnp.int32)
    begin = (offset * length).astype(jnp.int32)
    endless = jnp.pad(clips, ((0, 0), (0, n_samples)), mode="wrap")
    return jax.vmap(lambda row, first: jax.lax.dynamic_slice(endless, (row, first), (1, n_samples))[0])(which, begin)


def add_noise(
    waveform: Float32[Array, "batch time"], noise: Float32[Array, "batch time"], snr_db: Float32[Array, " batch"]
) -> Float32[Array, "batch time"]:
    """Add noise, scaled so that the ratio of powers (about zero, over the whole length) is exactly the one asked for.

    Silence stays silent, and silent noise adds nothing.

    Args:
        waveform: any level.
        noise: any level.
        snr_db: signal-to-noise ratio in dB; infinity leaves every bit.
    """
    own = rms(noise)
    factor = rms(waveform) * from_db(-snr_db) / jnp.where(own > 0, own, 1.0)
    return waveform + noise * factor[:, None]
