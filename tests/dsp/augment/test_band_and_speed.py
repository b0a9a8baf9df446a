"""Where the band ends, and what a change of speed moves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from jaxresp.dsp import augment
from jaxresp.dsp.augment import AugmentError

RATE_HZ = 16_000
N_SAMPLES = 16_000

band_limit = jax.jit(partial(augment.band_limit, lowest_hz=1_000.0, rate_hz=RATE_HZ))
change_speed = jax.jit(augment.change_speed)


def floats(*values: float) -> jax.Array:
    return jnp.asarray(values, jnp.float32)


def test_the_band_ends_at_each_examples_own_cut_off() -> None:
    """Of an impulse: within 1 dB up to 0.9 × the cut-off, 40 dB down from the cut-off on, and no delay."""
    impulses = np.zeros((4, N_SAMPLES), np.float32)
    impulses[:, 8_000] = 1.0
    cutoffs_hz = (1_000.0, 1_800.0, 3_333.0, 7_000.0)
    limited = np.asarray(band_limit(jnp.asarray(impulses), floats(*cutoffs_hz)), np.float64)
    frequency_hz = np.fft.rfftfreq(N_SAMPLES, 1 / RATE_HZ)
    for waveform, cutoff_hz in zip(limited, cutoffs_hz, strict=True):
        gain_db = 20 * np.log10(np.abs(np.fft.rfft(waveform)) + 1e-12)
        assert np.abs(gain_db[frequency_hz <= 0.9 * cutoff_hz]).max() < 1
        assert gain_db[frequency_hz >= cutoff_hz].max() < -40
        np.testing.assert_allclose(waveform[8_001:12_000], waveform[7_999:4_000:-1], atol=1e-6)


def test_nothing_passes_from_one_end_to_the_other() -> None:
    impulse = np.zeros((1, N_SAMPLES), np.float32)
    impulse[0, 3] = 1.0
    assert np.abs(np.asarray(band_limit(jnp.asarray(impulse), floats(1_000.0)))[0, N_SAMPLES // 2 :]).max() < 1e-4


@pytest.mark.parametrize("lowest_hz", [0.0, -5.0, 8_001.0])
def test_a_band_that_cannot_be_is_refused(lowest_hz: float) -> None:
    with pytest.raises(AugmentError, match="between 0 and 8000 Hz"):
        augment.band_limit(jnp.zeros((1, 100)), floats(1_000.0), lowest_hz=lowest_hz, rate_hz=RATE_HZ)


SPEEDS = (0.8, 0.93, 1.07, 1.25)


def test_speed_moves_a_tone_and_an_event_together(tone: Callable[..., np.ndarray]) -> None:
    envelope = np.exp(-(((np.arange(N_SAMPLES) - 6_000) / 800) ** 2))
    bursts = jnp.asarray(np.stack([tone(600.0, N_SAMPLES) * envelope] * 4), jnp.float32)
    for waveform, speed in zip(change_speed(bursts, floats(*SPEEDS)), SPEEDS, strict=True):
        power = np.abs(np.fft.rfft(np.asarray(waveform), 16 * N_SAMPLES)) ** 2
        assert np.argmax(power) * RATE_HZ / (16 * N_SAMPLES) == pytest.approx(600 * speed, abs=1.0)
        energy = np.square(np.asarray(waveform, np.float64))
        first = energy[: round(N_SAMPLES / 1.25)]
        assert (first * np.arange(first.size)).sum() / first.sum() == pytest.approx(6_000 / speed, abs=2)


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_speed_is_resampling(speed: float) -> None:
    """scipy's over the same period, of sound that ends below 0.9 of the lower rate's band."""
    rng = np.random.default_rng(0)
    sound = scipy.signal.sosfiltfilt(
        scipy.signal.butter(8, 4_000, fs=RATE_HZ, output="sos"), rng.standard_normal(N_SAMPLES)
    )
    expected = np.resize(scipy.signal.resample(sound, round(N_SAMPLES / speed)), N_SAMPLES)
    result = change_speed(jnp.asarray(np.stack([sound] * 4), jnp.float32), floats(*[speed] * 4))[0]
    assert np.std(result - expected) < 2e-3 * np.std(sound)


def test_a_higher_speed_folds_nothing_back(tone: Callable[..., np.ndarray]) -> None:
    played = change_speed(jnp.asarray(np.stack([tone(7_000.0, N_SAMPLES)] * 4)), floats(1.25, 1.2, 1.16, 1.15))
    assert float(jnp.abs(played).max()) < 0.3e-2
