"""Augmentation does what it says, to each example for itself, and nothing else."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxresp.dsp import augment
from jaxresp.dsp.augment import AugmentConfig, AugmentError

RATE_HZ = 16_000
N_SAMPLES = 40_000
MIDDLE = slice(4_000, 32_000)  # 40,000 / 1.2 = 33,333: before a sped-up sound begins again
N_FFT = 8 * 28_000

stretch_and_shift = jax.jit(partial(augment.stretch_and_shift, max_semitones=4.0))


def tone(frequency_hz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(N_SAMPLES) / RATE_HZ)).astype(np.float32)


def strongest_hz(waveform: jax.Array) -> float:
    cut = np.asarray(waveform)[MIDDLE].astype(np.float64)
    return float(np.argmax(np.abs(np.fft.rfft(cut * np.hanning(len(cut)), N_FFT))) * RATE_HZ / N_FFT)


def snr_of_tone_db(waveform: jax.Array, frequency_hz: float) -> float:
    """Power of the best-fitting sinusoid over that of the rest."""
    cut, t = np.asarray(waveform)[MIDDLE].astype(np.float64), np.arange(N_SAMPLES)[MIDDLE] / RATE_HZ
    basis = np.stack([np.cos(2 * np.pi * frequency_hz * t), np.sin(2 * np.pi * frequency_hz * t)], axis=1)
    fit = basis @ np.linalg.lstsq(basis, cut)[0]
    return float(10 * np.log10(np.var(fit) / np.var(cut - fit)))


def batch_of(*waveforms: np.ndarray) -> jax.Array:
    return jnp.asarray(np.stack(waveforms))


def floats(*values: float) -> jax.Array:
    return jnp.asarray(values, jnp.float32)


SEMITONES = (-4.0, -1.3, 0.5, 2.0, 3.0, 4.0)
RATES = (1 / 1.2, 0.9, 1.05, 1.1, 1.15, 1.2)


@pytest.mark.parametrize("frequency_hz", [150.0, 400.0, 1000.0, 2500.0])
def test_a_tone_moves_by_the_semitones_asked_for_and_stays_a_tone(frequency_hz: float) -> None:
    shifted = stretch_and_shift(batch_of(*[tone(frequency_hz)] * 6), jnp.ones(6), floats(*SEMITONES))
    for waveform, semitones in zip(shifted, SEMITONES, strict=True):
        target_hz = frequency_hz * 2 ** (semitones / 12)
        assert strongest_hz(waveform) == pytest.approx(target_hz, abs=RATE_HZ / N_FFT)
        assert snr_of_tone_db(waveform, target_hz) > 35
        assert float(jnp.std(waveform[MIDDLE])) == pytest.approx(0.3 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("frequency_hz", [150.0, 400.0, 1000.0, 2500.0])
def test_a_stretched_tone_keeps_its_pitch_and_stays_a_tone(frequency_hz: float) -> None:
    stretched = stretch_and_shift(batch_of(*[tone(frequency_hz)] * 6), floats(*RATES), jnp.zeros(6))
    for waveform in stretched:
        assert strongest_hz(waveform) == pytest.approx(frequency_hz, abs=RATE_HZ / N_FFT)
        assert snr_of_tone_db(waveform, frequency_hz) > 35
        assert float(jnp.std(waveform[MIDDLE])) == pytest.approx(0.3 / np.sqrt(2), rel=0.01)


def burst_times(waveform: jax.Array, n_bursts: int) -> list[float]:
    """Centres in samples of the loudest bursts, in order."""
    power = np.convolve(np.square(np.asarray(waveform, np.float64)), np.hanning(2_000), "same")
    times = []
    for _ in range(n_bursts):
        times.append(int(np.argmax(power)))
        power[max(times[-1] - 4_000, 0) : times[-1] + 4_000] = 0
    return sorted(times)


@pytest.mark.parametrize("semitones", [0.0, 3.0])
def test_a_stretch_moves_events_in_time_and_a_pitch_shift_does_not(semitones: float) -> None:
    envelope = sum(np.exp(-(((np.arange(N_SAMPLES) - at) / 600) ** 2)) for at in (10_000, 20_000, 30_000))
    waveforms = batch_of(*[(tone(500.0) * envelope).astype(np.float32)] * 6)
    stretched = stretch_and_shift(waveforms, floats(*RATES), jnp.full(6, semitones))
    shifted = stretch_and_shift(waveforms, jnp.ones(6), jnp.full(6, semitones))
    for waveform, rate in zip(stretched, RATES, strict=True):
        np.testing.assert_allclose(burst_times(waveform, 3), np.array([10_000, 20_000, 30_000]) / rate, atol=300)
    np.testing.assert_allclose(burst_times(shifted[0], 3), [10_000, 20_000, 30_000], atol=300)


def test_a_sound_that_ends_early_begins_again() -> None:
    faster = stretch_and_shift(batch_of(*[tone(500.0)] * 6), jnp.full(6, 1.2), jnp.zeros(6))
    assert float(jnp.std(faster[0, -6_000:])) > 0.1


def test_a_shift_up_folds_nothing_back() -> None:
    shifted = stretch_and_shift(batch_of(*[tone(7_500.0)] * 6), jnp.ones(6), jnp.full(6, 4.0))  # 7.5 kHz → 9.4 kHz
    assert float(jnp.abs(shifted[0][MIDDLE]).max()) < 0.3e-2


def test_examples_that_are_not_changed_come_back_bit_for_bit() -> None:
    waveforms = jnp.asarray(np.random.default_rng(0).standard_normal((6, N_SAMPLES)), jnp.float32)
    changed = stretch_and_shift(waveforms, floats(1, 1, 1, 1.1, 1, 1), floats(0, 0, 0, 0, 2, 0))
    same = np.all(np.asarray(changed) == np.asarray(waveforms), axis=1)
    assert same.tolist() == [True, True, True, False, False, True]


@pytest.mark.parametrize("gain", [1e-5, 1.0, 1e4])
def test_stretching_commutes_with_gain(gain: float) -> None:
    waveforms = jnp.asarray(np.random.default_rng(0).standard_normal((6, N_SAMPLES)), jnp.float32)
    plain = stretch_and_shift(waveforms, floats(*RATES), floats(*SEMITONES))
    scaled = stretch_and_shift(gain * waveforms, floats(*RATES), floats(*SEMITONES))
    # Noise has bins of next to no power, whose phase is anyone's guess: compare level, not samples.
    np.testing.assert_allclose(jnp.std(scaled, axis=1) / gain, jnp.std(plain, axis=1), rtol=1e-2)


@pytest.mark.parametrize("asked_db", [-5.0, 0.0, 10.0, 35.0])
def test_noise_has_the_ratio_asked_for_is_white_and_is_its_own_for_each_example(asked_db: float) -> None:
    clean = batch_of(tone(400.0), 0.01 * tone(400.0), tone(900.0))
    keys = jax.random.split(jax.random.key(0), 3)
    noise = np.asarray(
        jax.jit(augment.add_noise)(clean, augment.white_noise(keys, N_SAMPLES), jnp.full(3, asked_db)) - clean,
        np.float64,
    )
    snr_db = 10 * np.log10(np.mean(np.square(clean), axis=1) / np.mean(np.square(noise), axis=1))
    np.testing.assert_allclose(snr_db, asked_db, atol=0.1)
    assert np.abs(np.corrcoef(noise) - np.eye(3)).max() < 0.03
    octaves = [np.mean(np.abs(np.fft.rfft(noise[0])[low : 2 * low]) ** 2) for low in (2_500, 5_000, 10_000)]
    np.testing.assert_allclose(octaves, np.mean(octaves), rtol=0.15)


def test_no_noise_is_no_noise_and_silence_stays_silent() -> None:
    keys = jax.random.split(jax.random.key(0), 2)
    waveforms = batch_of(tone(400.0), 0 * tone(400.0))
    np.testing.assert_array_equal(
        augment.add_noise(waveforms, augment.white_noise(keys, N_SAMPLES), jnp.full(2, jnp.inf)), waveforms
    )
    np.testing.assert_array_equal(
        augment.add_noise(waveforms, augment.white_noise(keys, N_SAMPLES), jnp.zeros(2))[1], waveforms[1]
    )


def test_a_roll_is_numpys() -> None:
    waveforms = jnp.asarray(np.random.default_rng(0).standard_normal((3, 1_000)), jnp.float32)
    rolled = jax.jit(augment.roll)(waveforms, floats(0.0, 0.25, 0.5))
    for waveform, result, shift in zip(waveforms, rolled, (0, 250, 500), strict=True):
        np.testing.assert_array_equal(result, np.roll(waveform, shift))


CONFIG = AugmentConfig(gain_probability=1.0)
WAVEFORMS = np.stack([tone(300.0 + 50 * i) for i in range(6)])


@jax.jit
def augmented(key: jax.Array, waveforms: jax.Array) -> jax.Array:
    return augment.apply(CONFIG, augment.draw(key, CONFIG, waveforms.shape[0]), waveforms, rate_hz=RATE_HZ)


def test_the_same_key_gives_the_same_sound_and_another_key_another() -> None:
    one, again, other = (np.asarray(augmented(jax.random.key(seed), WAVEFORMS)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max(axis=1).min() > 0
    assert one.shape == WAVEFORMS.shape
    assert one.dtype == np.float32
    assert np.isfinite(one).all()


def test_what_happens_to_an_example_does_not_depend_on_its_neighbours() -> None:
    drawn = augment.draw(jax.random.key(3), CONFIG, 6)
    together = jax.jit(partial(augment.apply, CONFIG, rate_hz=RATE_HZ))(drawn, WAVEFORMS)
    alone = jax.jit(
        jax.vmap(
            lambda drawn, x: augment.apply(CONFIG, jax.tree.map(lambda a: a[None], drawn), x[None], rate_hz=RATE_HZ)[0]
        )
    )(drawn, WAVEFORMS)
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_silence_and_an_impulse_stay_finite() -> None:
    waveforms = np.zeros((6, N_SAMPLES), np.float32)
    waveforms[1, 20_000] = 1.0
    waveforms[2, 0] = 1e-30
    result = np.asarray(augmented(jax.random.key(4), waveforms))
    assert np.isfinite(result).all()
    assert not result[0].any()


def test_draws_keep_their_ranges_their_odds_and_their_independence() -> None:
    drawn = augment.draw(jax.random.key(5), AugmentConfig(gain_probability=1.0, stretch_probability=0.25), 4_000)
    snr_db, semitones, rate, gain_db = (
        np.asarray(x) for x in (drawn.noise_snr_db, drawn.semitones, drawn.rate, drawn.gain_db)
    )
    noisy, shifted, stretched = np.isfinite(snr_db), semitones != 0, rate != 1
    assert np.mean(noisy) == pytest.approx(0.5, abs=0.03)
    assert np.mean(shifted) == pytest.approx(0.5, abs=0.03)
    assert np.mean(stretched) == pytest.approx(0.25, abs=0.03)
    for values, low, high in ((snr_db[noisy], 15, 35), (semitones[shifted], -3, 3), (rate[stretched], 1 / 1.2, 1.2),
                              (gain_db, -6, 6)):  # fmt: skip
        width = high - low
        assert low <= values.min() < low + 0.02 * width
        assert high - 0.02 * width < values.max() <= high + 1e-6
    everything = np.stack([noisy, shifted, stretched, drawn.roll > 0, np.where(noisy, snr_db, 25), semitones, rate,
                           drawn.roll, gain_db])  # fmt: skip
    correlation = np.corrcoef(everything)
    pairs = {(0, 4), (1, 5), (2, 6), (3, 7)}  # whether, and how far
    for i in range(9):
        for j in range(i):
            assert (j, i) in pairs or abs(correlation[i, j]) < 0.06, (i, j)
    assert len(np.unique(jax.random.key_data(drawn.noise_key), axis=0)) == 4_000


def test_no_key_is_used_twice() -> None:
    with jax.debug_key_reuse(True):
        jax.block_until_ready(augmented(jax.random.key(6), WAVEFORMS[:2, :4_000]))


def test_with_every_probability_zero_nothing_happens() -> None:
    config = AugmentConfig(noise_probability=0.0, pitch_probability=0.0, stretch_probability=0.0, roll_probability=0.0)
    drawn = augment.draw(jax.random.key(0), config, 6)
    np.testing.assert_array_equal(augment.apply(config, drawn, jnp.asarray(WAVEFORMS), rate_hz=RATE_HZ), WAVEFORMS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("noise_probability", 1.1),
        ("pitch_probability", -0.1),
        ("noise_snr_db", (30.0, 10.0)),
        ("stretch_rate", (0.0, 1.2)),
        ("stretch_rate", (1.2, 0.8)),
        ("pitch_semitones", 40.0),
        ("gain_db", -1.0),
    ],
)
def test_settings_that_make_no_sense_are_named(field: str, value: object) -> None:
    with pytest.raises(AugmentError, match=field):
        AugmentConfig(**{field: value})
