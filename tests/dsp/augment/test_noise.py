"""Noise has the level and the colour asked for, and is each example's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxresp.dsp import augment
from jaxresp.dsp.augment import AugmentError

RATE_HZ = 16_000
N_SAMPLES = 40_000
CLIPS = jnp.asarray(np.random.default_rng(3).uniform(-1, 1, (5, 30_000)) + 0.2, jnp.float32)  # with an offset


def noise_of(kind: str, seed: int = 0) -> jax.Array:
    white = augment.white_noise(jax.random.split(jax.random.key(seed), 3), N_SAMPLES)
    match kind:
        case "white":
            return white
        case "pink":
            return augment.pink_noise(white, RATE_HZ)
    clip, offset = jnp.asarray([0.1, 0.5, 0.9]), jnp.asarray([0.0, 0.3, 0.99])
    return augment.recorded_noise(CLIPS, clip, offset, N_SAMPLES)


@pytest.mark.parametrize("kind", ["white", "pink", "recorded"])
def test_the_ratio_is_the_one_asked_for_at_any_level(kind: str, tone: Callable[..., np.ndarray]) -> None:
    clean = jnp.asarray(np.stack([tone(400.0, N_SAMPLES), 0.01 * tone(400.0, N_SAMPLES), tone(900.0, N_SAMPLES)]))
    for asked_db in ([-5.0, 0.0, 10.0], [20.0, 35.0, 3.0]):
        noisy = jax.jit(augment.add_noise)(clean, noise_of(kind), jnp.asarray(asked_db, jnp.float32))
        noise = np.asarray(noisy, np.float64) - np.asarray(clean, np.float64)
        snr_db = 10 * np.log10(np.mean(np.square(clean, dtype=np.float64), axis=1) / np.mean(noise**2, axis=1))
        np.testing.assert_allclose(snr_db, asked_db, atol=0.1)


@pytest.mark.parametrize("kind", ["white", "pink", "recorded"])
def test_each_example_has_its_own(kind: str) -> None:
    assert np.abs(np.corrcoef(noise_of(kind)) - np.eye(3)).max() < 0.06


@pytest.mark.parametrize(("kind", "slope_db"), [("white", 0.0), ("pink", -3.01)])
def test_power_per_hertz_falls_by_the_slope_of_its_colour(kind: str, slope_db: float) -> None:
    """Fitted over eight octaves from 31 Hz, and in no octave far from the line."""
    edges_hz = 31.25 * 2.0 ** np.arange(9)
    power = np.mean([np.abs(np.fft.rfft(noise_of(kind, seed))) ** 2 for seed in range(8)], axis=(0, 1))
    frequency_hz = np.fft.rfftfreq(N_SAMPLES, 1 / RATE_HZ)
    octaves_db = 10 * np.log10(
        [power[(frequency_hz >= a) & (frequency_hz < b)].mean() for a, b in itertools.pairwise(edges_hz)]
    )
    slope, at_zero = np.polyfit(np.arange(8), octaves_db, 1)
    assert slope == pytest.approx(slope_db, abs=0.1)
    np.testing.assert_allclose(octaves_db, at_zero + slope_db * np.arange(8), atol=0.6)


def test_recorded_noise_is_a_stretch_of_the_clip_drawn_and_begins_again() -> None:
    noise = np.asarray(jax.jit(augment.recorded_noise, static_argnums=3)(
        CLIPS, jnp.asarray([0.0, 0.39, 0.999]), jnp.asarray([0.0, 0.5, 0.75]), 70_000
    ))  # fmt: skip
    for row, (clip, begin) in enumerate(((0, 0), (1, 15_000), (4, 22_500))):
        np.testing.assert_array_equal(noise[row], np.take(CLIPS[clip], begin + np.arange(70_000), mode="wrap"))


def test_no_noise_is_no_noise_and_silent_noise_adds_nothing(tone: Callable[..., np.ndarray]) -> None:
    waveforms = jnp.asarray(np.stack([tone(400.0, N_SAMPLES)] * 3))
    none = augment.add_noise(waveforms, noise_of("pink"), jnp.full(3, jnp.inf))
    np.testing.assert_array_equal(none, waveforms)
    np.testing.assert_array_equal(augment.add_noise(waveforms, 0 * waveforms, jnp.zeros(3)), waveforms)


def test_clips_without_sound_are_refused() -> None:
    for shape in ((0, 100), (3, 0)):
        with pytest.raises(AugmentError, match="recorded noise of shape"):
            augment.recorded_noise(jnp.zeros(shape), jnp.zeros(2), jnp.zeros(2), 50)
