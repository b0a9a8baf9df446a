"""Laws that hold for every augmentation of waveforms, from one table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from jaxresp.dsp import augment
from jaxresp.synthetic.sounds import crackle

RATE_HZ = 16_000
CLIPS = jnp.asarray(np.random.default_rng(5).standard_normal((4, 3_000)), jnp.float32)

#: (waveform [batch, time], parameter [batch], key [batch]) → waveform
Change = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class Law(NamedTuple):
    """An augmentation, a parameter for each of three examples, and the parameter that changes nothing."""

    change: Change
    parameters: tuple[float, float, float]
    nothing: float


def _recorded(x: jax.Array, snr_db: jax.Array, key: jax.Array) -> jax.Array:
    at = jnp.full_like(snr_db, 0.4)
    return augment.add_noise(x, augment.recorded_noise(CLIPS, at, at, x.shape[-1]), snr_db)


AUGMENTATIONS = {
    "gain": Law(lambda x, p, key: augment.gain(x, p), (-6.0, 3.0, 6.0), 0.0),
    "roll": Law(lambda x, p, key: augment.roll(x, p), (0.25, 0.333, 0.9), 0.0),
    "white noise": Law(
        lambda x, p, key: augment.add_noise(x, augment.white_noise(key, x.shape[-1]), p), (0.0, 10.0, 30.0), np.inf
    ),
    "pink noise": Law(
        lambda x, p, key: augment.add_noise(
            x, augment.pink_noise(augment.white_noise(key, x.shape[-1]), RATE_HZ), p
        ),
        (0.0, 10.0, 30.0),
        np.inf,
    ),
    "recorded noise": Law(_recorded, (0.0, 10.0, 30.0), np.inf),
    "band": Law(
        lambda x, p, key: augment.band_limit(x, p, lowest_hz=1_500.0, rate_hz=RATE_HZ),
        (1_800.0, 2_500.0, 4_000.0),
        np.inf,
    ),
    "speed": Law(lambda x, p, key: augment.change_speed(x, p), (0.9, 1.05, 1.2), 1.0),
    "stretch": Law(lambda x, p, key: augment.time_stretch(x, p, n_fft=256), (0.85, 1.05, 1.2), 1.0),
    "stretch and pitch": Law(
        lambda x, p, key: augment.stretch_and_shift(x, 1.0 + p / 20.0, p, max_semitones=3.0, n_fft=256),
        (-3.0, 0.7, 3.0),
        0.0,
    ),
}  # fmt: skip
#: A stretch alone is the same vocoder without the reading: slow to compile, and it fails where both fail.
every = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "stretch" else ()) for name in AUGMENTATIONS]
)


def breath(n_samples: int) -> np.ndarray:
    """Three sounds: a chirp in noise, a wheeze of three harmonics, low-passed noise."""
    rng, t = np.random.default_rng(0), np.arange(n_samples) / RATE_HZ
    chirp = np.sin(2 * np.pi * (200 * t + 2_000 * t**2)) + 0.05 * rng.standard_normal(n_samples)
    wheeze = sum(np.sin(2 * np.pi * 330 * k * t + k) / k for k in (1, 2, 3)) + 0.01 * rng.standard_normal(n_samples)
    noise = np.convolve(rng.standard_normal(n_samples), np.hanning(20), "same")
    return np.stack([0.2 * chirp, 0.2 * wheeze, 0.05 * noise]).astype(np.float32)


def arguments(name: str, n_samples: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    parameters = jnp.asarray(AUGMENTATIONS[name].parameters, jnp.float32)
    return jnp.asarray(breath(n_samples)), parameters, jax.random.split(jax.random.key(0), 3)


@every
def test_eager_and_jitted_are_one(name: str) -> None:
    """At a length that no hop divides: a prime."""
    change, given = AUGMENTATIONS[name].change, arguments(name, 2_039)
    eager, jitted = change(*given), jax.jit(change)(*given)
    assert (eager.shape, eager.dtype) == (given[0].shape, jnp.float32)
    assert np.abs(eager - given[0]).max(axis=1).min() > 1e-3  # it does something to each
    np.testing.assert_allclose(jitted, eager, atol=2e-5 * float(jnp.abs(eager).max()))


@every
def test_batched_vmapped_and_one_by_one_are_one(name: str) -> None:
    """At a length that every hop divides."""
    change, given = AUGMENTATIONS[name].change, arguments(name, 2_048)
    batched = jax.jit(change)(*given)
    single = jax.jit(lambda x, p, key: change(x[None], p[None], key[None])[0])
    for other in (jax.vmap(single)(*given), jnp.stack([single(*one) for one in zip(*given, strict=True)])):
        np.testing.assert_allclose(other, batched, atol=2e-5 * float(jnp.abs(batched).max()))


@every
def test_the_parameter_that_changes_nothing_leaves_every_bit_beside_others_that_are_changed(name: str) -> None:
    law, (x, parameters, keys) = AUGMENTATIONS[name], arguments(name, 2_039)
    changed = jax.jit(law.change)(x, parameters.at[1].set(law.nothing), keys)
    same = (np.asarray(changed) == np.asarray(x)).all(axis=1)
    assert same.tolist() == [False, True, False]


@every
def test_silence_stays_silent_and_gradients_are_finite(name: str) -> None:
    change, (x, parameters, keys) = AUGMENTATIONS[name].change, arguments(name, 2_048)
    impulse = np.zeros(2_048, np.float32)
    impulse[700] = 1.0
    x = jnp.stack([x[0], jnp.zeros(2_048), jnp.asarray(impulse)])

    @jax.jit
    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return change(x, parameters, keys), jax.grad(lambda x: jnp.square(change(x, parameters, keys)).sum())(x)

    result, gradient = both(x)
    assert np.isfinite(result).all()
    assert not np.asarray(result[1]).any()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0]).max() > 0


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if "stretch" not in name])
def test_the_gradient_is_the_slope(name: str) -> None:
    """Along one direction, against a difference; for the noise too, whose level follows the sound's.

    Not for the vocoder: the phase of a bin next to nothing turns faster than any difference can follow.
    """
    change, (x, parameters, keys) = AUGMENTATIONS[name].change, arguments(name, 2_048)
    direction = jnp.asarray(np.random.default_rng(1).standard_normal(x.shape), jnp.float32) * 0.1
    weights = jnp.asarray(np.random.default_rng(2).standard_normal(x.shape), jnp.float32)
    loss = jax.jit(lambda step: (weights * change(x + step * direction, parameters, keys)).sum())
    slope, h = float(jax.jit(jax.grad(loss))(0.0)), 1e-3
    assert slope == pytest.approx((float(loss(h)) - float(loss(-h))) / (2 * h), rel=0.05, abs=0.05)


def concentration(waveform: jax.Array) -> float:
    """The largest share of the energy that lies within 10 ms."""
    energy = np.square(np.asarray(waveform, np.float64))
    return float(np.convolve(energy, np.ones(160), "valid").max() / energy.sum())


vocoded = jax.jit(partial(augment.stretch_and_shift, max_semitones=3.0))
CRACKLE = np.zeros(8_192, np.float32)
CRACKLE[4_000:4_160] = 0.5 * scipy.signal.resample_poly(crackle(0.010), 2, 1)


@pytest.mark.parametrize("name", ["gain", "roll", "white noise", "pink noise", "recorded noise", "band", "speed"])
def test_a_crackle_survives_what_should_keep_it(name: str) -> None:
    """10 ms stay 10 ms, at the same peak: with noise 30 dB below, all but its own thousandth of the energy."""
    law = AUGMENTATIONS[name]
    parameters = jnp.asarray([30.0 if "noise" in name else p for p in law.parameters], jnp.float32)
    waveforms = jnp.asarray(np.stack([CRACKLE] * 3))
    gain = 10.0 ** (np.asarray(parameters) / 20) if name == "gain" else np.ones(3)
    changed = jax.jit(law.change)(waveforms, parameters, jax.random.split(jax.random.key(1), 3))
    for waveform, factor in zip(changed, gain, strict=True):
        assert concentration(waveform) > 0.985
        assert float(jnp.abs(waveform).max()) == pytest.approx(0.5 * factor, rel=0.12)


@pytest.mark.parametrize(("noise_db", "least"), [(-np.inf, 0.95), (-40.0, 0.88), (-30.0, 0.6)])
def test_a_crackle_survives_the_vocoder(noise_db: float, least: float) -> None:
    """Stretched either way and shifted either way, in silence and in noise so far below its peak.

    Without the new phases at an onset 48 to 67 % would be left, and a third of the peak.
    """
    noise = 0.5 * 10 ** (noise_db / 20) * np.random.default_rng(0).standard_normal(CRACKLE.size)
    heard = jnp.asarray(np.stack([CRACKLE + noise] * 4), jnp.float32)
    rate, semitones = (
        jnp.asarray([1.2, 1 / 1.2, 1.0, 1.0], jnp.float32),
        jnp.asarray([0.0, 0.0, 3.0, -3.0], jnp.float32),
    )
    for waveform, pace in zip(vocoded(heard, rate, semitones), rate, strict=True):
        at = int(np.abs(waveform).argmax())
        assert at == pytest.approx(4_050 / float(pace), abs=200)
        assert concentration(waveform[at - 1_600 : at + 1_600]) > least
        assert float(jnp.abs(waveform).max()) > 0.45 * 0.5
