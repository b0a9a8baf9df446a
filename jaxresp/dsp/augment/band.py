"""Random band-limiting: the band ends where a recorder of a lower rate would have ended it.

A corpus gathered with several recorders gives them away by where the spectrum stops, and with the recorder often the
diagnosis. A network that hears every recording with another end of the band cannot go by it.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Float32

from jaxresp.dsp.augment.errors import AugmentError
from jaxresp.dsp.augment.shaping import shaped

_PASS_SHARE = 0.9  # of the cut-off: up to there everything passes, as in a resampler's filter
_RING_PERIODS = 4  # of the transition's width: what rings longer lies 80 dB down


def low_pass_gain(frequency: Float32[Array, " bins"], cutoff: Float32[Array, ""]) -> Float32[Array, " bins"]:
    """One up to 0.9 × cutoff, nothing from the cut-off on, half a cosine between, so that it rings briefly."""
    fallen = jnp.clip((frequency / cutoff - _PASS_SHARE) / (1.0 - _PASS_SHARE), 0.0, 1.0)
    return 0.5 + 0.5 * jnp.cos(jnp.pi * fallen)


def band_limit(
    waveform: Float32[Array, "batch time"], cutoff_hz: Float32[Array, " batch"], *, lowest_hz: float, rate_hz: int
) -> Float32[Array, "batch time"]:
    """End each example's band at its own cut-off, without delay.

    Flat up to 0.9 × cutoff_hz, more than 40 dB down from cutoff_hz on: what is left of a recording made at a rate of
    2 × cutoff_hz. Before and after the waveform there is silence, as for any filter.

    Args:
        waveform: any level.
        cutoff_hz: end of the band; infinity leaves every bit.
        lowest_hz: no cut-off lies below; it fixes how much is padded, and so the shapes under jit.
        rate_hz: of the waveform.

    Raises:
        AugmentError: a lowest cut-off that is not between 0 and half the rate.
    """
    if not 0 < lowest_hz <= rate_hz / 2:
        raise AugmentError(
            f"band-limiting down to {lowest_hz:g} Hz at a rate of {rate_hz} Hz; "
            f"it lies between 0 and {rate_hz / 2:g} Hz"
        )
    n_samples = waveform.shape[-1]
    ring_samples = math.ceil(_RING_PERIODS * rate_hz / ((1 - _PASS_SHARE) * lowest_hz))
    n_fft = scipy.fft.next_fast_len(n_samples + ring_samples, real=True)
    frequency_hz = np.fft.rfftfreq(n_fft, 1 / rate_hz).astype(np.float32)

    def limited(waveform: Float32[Array, " time"], cutoff_hz: Float32[Array, ""]) -> Float32[Array, " time"]:
        return shaped(waveform, low_pass_gain(jnp.asarray(frequency_hz), cutoff_hz), n_fft)[:n_samples]

    return jnp.where(jnp.isinf(cutoff_hz)[:, None], waveform, jax.vmap(limited)(waveform, cutoff_hz))
