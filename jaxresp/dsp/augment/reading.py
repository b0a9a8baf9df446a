"""Reading a waveform between its samples, at a pace of its own for each example."""

from __future__ import annotations

import math
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Float64, Int32

_POINTS = 6  # of the interpolation at twice the rate: an error of -60 dB at half the band
_HALF_TAPS = 24  # on each side of the filter that doubles the rate: flat to 0.9 × Nyquist, images 80 dB down
_KAISER_BETA = 8.0

MARGIN_SAMPLES = _HALF_TAPS + _POINTS
"""What should lie behind the last sample that is read."""


def read_at(
    track: Float32[Array, " long"], n_samples: int, step: Float32[Array, ""], *, periodic: bool = False
) -> Float32[Array, " {n_samples}"]:
    """Return track(i × step) for i < n_samples: doubled in rate, then a polynomial through the nearest six points.

    Niemitalo, "Polynomial interpolators for high-quality resampling of oversampled audio", 2001.

    Args:
        track: the sound.
        n_samples: how many to read.
        step: samples of the track between two that are read.
        periodic: whether the track begins again where it ends; else silence follows it.
    """
    fine = _doubled(track, periodic)
    whole, x = _positions(n_samples, 2.0 * step)
    offsets = range(-(_POINTS // 2 - 1), _POINTS // 2 + 1)
    result = jnp.zeros(n_samples, jnp.float32)
    for offset in offsets:
        others = [other for other in offsets if other != offset]
        weight = jnp.full_like(x, 1.0 / math.prod(offset - other for other in others))  # Lagrange's
        for other in others:
            weight = weight * (x - other)
        at = whole + offset
        at = at % fine.shape[0] if periodic else jnp.clip(at, 0, fine.shape[0] - 1)
        result = result + weight * fine[at]
    return result


def _positions(n_samples: int, step: Float32[Array, ""]) -> tuple[Int32[Array, " time"], Float32[Array, " time"]]:
    """Whole and fractional part of i × step.

    The product in float32 is off by up to 1/64 of a sample at 160,000; whole and fractional steps apart are not.
    """
    index: Int32[Array, " time"] = jnp.arange(n_samples, dtype=jnp.int32)
    coarse, fine = index // 256, index % 256
    jump = 256.0 * step
    jump_whole = jnp.floor(jump)
    start = coarse.astype(jnp.float32) * (jump - jump_whole) + fine.astype(jnp.float32) * step
    start_whole = jnp.floor(start)
    return coarse * jump_whole.astype(jnp.int32) + start_whole.astype(jnp.int32), start - start_whole


@lru_cache(maxsize=1)
def _half_band() -> Float64[np.ndarray, " taps"]:
    """One side of the symmetric filter that finds the value halfway between samples: a windowed sinc, of sum 1/2."""
    at = np.arange(_HALF_TAPS) + 0.5
    taps = np.sinc(at) * np.i0(_KAISER_BETA * np.sqrt(1 - (at / _HALF_TAPS) ** 2)) / np.i0(_KAISER_BETA)
    return taps / (2 * taps.sum())


def _doubled(track: Float32[Array, " long"], periodic: bool) -> Float32[Array, " fine"]:
    """The track at twice its rate: every sample, and the value halfway to the next."""
    n = track.shape[0]
    padded = jnp.pad(track, (_HALF_TAPS - 1, _HALF_TAPS), mode="wrap" if periodic else "constant")
    halfway = jnp.zeros_like(track)
    for i, tap in enumerate(_half_band().tolist()):
        before, after = _HALF_TAPS - 1 - i, _HALF_TAPS + i
        halfway = halfway + tap * (padded[before : before + n] + padded[after : after + n])
    return jnp.stack([track, halfway], axis=1).reshape(-1)
