"""The chain: drawn apart from being applied, every example for itself, and compiled once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxresp.dsp import augment
from jaxresp.dsp.augment import AugmentConfig, AugmentError, MixupConfig, SpecAugmentConfig

RATE_HZ = 16_000
N_SAMPLES = 4_001  # no hop divides it
ALL = AugmentConfig(
    speed_probability=0.5,
    pitch_probability=0.4,
    stretch_probability=0.25,
    vocoder_n_fft=256,
    noise_kinds=("white", "pink", "recorded"),
    band_probability=0.6,
    gain_probability=0.7,
)
# What compiles fast; everything is still drawn, and all keys are used.
LIGHT = replace(ALL, speed_probability=0.0, pitch_probability=0.0, stretch_probability=0.0, band_probability=0.0)
NONE = AugmentConfig(**{f"{what}_probability": 0.0 for what in ("pitch", "stretch", "roll", "noise")})
CLIPS = jnp.asarray(np.random.default_rng(3).standard_normal((4, 2_000)), jnp.float32)
# On faint noise: a vocoder's phases of bins without any power are rounding errors.
WAVEFORMS = (
    1e-3 * np.random.default_rng(0).standard_normal((6, N_SAMPLES))
    + 0.3 * np.sin(2 * np.pi * (300 + 50 * np.arange(6)[:, None]) * np.arange(N_SAMPLES) / RATE_HZ)
).astype(np.float32)


apply = jax.jit(partial(augment.apply, ALL, rate_hz=RATE_HZ, noise_clips=CLIPS))


def augmented(key: jax.Array, waveforms: np.ndarray) -> jax.Array:
    return apply(augment.draw(key, ALL, waveforms.shape[0]), waveforms)


def test_the_same_key_gives_the_same_sound_and_another_key_another() -> None:
    one, again, other = (np.asarray(augmented(jax.random.key(seed), WAVEFORMS)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max(axis=1).min() > 0
    assert one.shape == WAVEFORMS.shape
    assert one.dtype == np.float32
    assert np.isfinite(one).all()


def test_what_happens_to_an_example_does_not_depend_on_its_neighbours() -> None:
    drawn, order = augment.draw(jax.random.key(3), ALL, 6), np.array([4, 2, 0, 5, 1, 3])
    shuffled = apply(jax.tree.map(lambda a: a[order], drawn), WAVEFORMS[order])
    np.testing.assert_allclose(shuffled, apply(drawn, WAVEFORMS)[order], atol=1e-4)


def test_no_draw_compiles_anything_anew() -> None:
    for seed in range(3):
        augmented(jax.random.key(seed), WAVEFORMS)
    assert apply._cache_size() == 1


def test_silence_and_an_impulse_stay_finite() -> None:
    waveforms = np.zeros((6, N_SAMPLES), np.float32)
    waveforms[1, 2_000] = 1.0
    waveforms[2, 0] = 1e-30
    result = np.asarray(augmented(jax.random.key(4), waveforms))
    assert np.isfinite(result).all()
    assert not result[0].any()


def test_draws_keep_their_ranges_and_their_odds_and_no_two_are_related() -> None:
    drawn = jax.jit(augment.draw, static_argnums=(1, 2))(jax.random.key(5), ALL, 4_000)
    columns = {}
    for name, otherwise, (low, high), probability in (
        ("speed", 1.0, ALL.speed_rate, 0.5),
        ("semitones", 0.0, (-3.0, 3.0), 0.4),
        ("rate", 1.0, ALL.stretch_rate, 0.25),
        ("roll", 0.0, (0.0, 1.0), 0.5),
        ("noise_snr_db", np.inf, ALL.noise_snr_db, 0.5),
        ("band_hz", np.inf, ALL.band_hz, 0.6),
        ("gain_db", 0.0, (-6.0, 6.0), 0.7),
    ):
        values = np.asarray(getattr(drawn, name), np.float64)
        changed = values != otherwise
        assert changed.mean() == pytest.approx(probability, abs=0.03), name
        width = high - low
        assert low - 1e-6 <= values[changed].min() < low + 0.02 * width, name
        assert high - 0.02 * width < values[changed].max() <= high + 1e-6, name
        columns[f"{name} at all"], columns[name] = changed, np.where(changed, values, values[changed].mean())
    for name in ("noise_kind", "noise_clip", "noise_offset"):
        columns[name] = np.asarray(getattr(drawn, name), np.float64)
    np.testing.assert_allclose(np.bincount(drawn.noise_kind) / 4_000, 1 / 3, atol=0.03)
    related = np.abs(np.corrcoef(np.stack([*columns.values()])) - np.eye(len(columns)))
    assert related.max() < 0.07
    assert len(np.unique(jax.random.key_data(drawn.noise_key), axis=0)) == 4_000


def test_no_key_is_used_twice() -> None:
    """Watched by JAX's own checker, which is shown to see a key that is."""
    with jax.debug_key_reuse(True):
        key = jax.random.key(6)
        drawn = augment.draw(key, LIGHT, 6)
        change = jax.jit(partial(augment.apply, LIGHT, rate_hz=RATE_HZ, noise_clips=CLIPS))
        jax.block_until_ready(change(drawn, WAVEFORMS))
        with pytest.raises(jax.errors.KeyReuseError):
            jax.random.uniform(key)
        jax.block_until_ready(
            (
                augment.draw_spec_masks(jax.random.key(7), SpecAugmentConfig(), 4, 20, 10),
                augment.draw_mixing(jax.random.key(8), MixupConfig(), 4),
                augment.draw_joining(jax.random.key(9), augment.JoinConfig(), jnp.asarray([0, 0, 1, 1], jnp.int32)),
            )
        )


def test_each_kind_of_noise_is_heard_where_it_was_drawn() -> None:
    config = AugmentConfig(
        pitch_probability=0.0,
        stretch_probability=0.0,
        roll_probability=0.0,
        noise_probability=1.0,
        noise_kinds=("recorded", "pink", "white"),
    )
    drawn = augment.draw(jax.random.key(0), config, 6)._replace(noise_kind=jnp.asarray([0, 1, 2, 2, 1, 0], jnp.int32))
    noisy = augment.apply(config, drawn, jnp.asarray(WAVEFORMS), rate_hz=RATE_HZ, noise_clips=CLIPS)
    noise = np.asarray(noisy - WAVEFORMS)
    white = augment.white_noise(drawn.noise_key, N_SAMPLES)
    expected = {
        0: augment.recorded_noise(CLIPS, drawn.noise_clip, drawn.noise_offset, N_SAMPLES),
        1: augment.pink_noise(white, RATE_HZ),
        2: white,
    }
    for i, kind in enumerate((0, 1, 2, 2, 1, 0)):
        assert np.corrcoef(noise[i], expected[kind][i])[0, 1] > 0.999


def test_with_every_probability_zero_nothing_happens_and_nothing_is_compiled() -> None:
    drawn = augment.draw(jax.random.key(0), NONE, 6)
    change = partial(augment.apply, NONE, rate_hz=RATE_HZ)
    np.testing.assert_array_equal(change(drawn, jnp.asarray(WAVEFORMS)), WAVEFORMS)
    assert jax.make_jaxpr(change)(drawn, jnp.asarray(WAVEFORMS)).eqns == []


def test_a_training_step_is_traced_once_for_all_draws() -> None:
    """Waveforms, features and labels augmented, and a gradient taken, in one compiled step."""
    traces = []
    masking, mixing = SpecAugmentConfig(), MixupConfig()

    @jax.jit
    def step(
        weights: jax.Array, key: jax.Array, waveforms: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        traces.append(1)
        chain, masks, pairs = jax.random.split(key, 3)
        n = waveforms.shape[0]
        heard = augment.apply(LIGHT, augment.draw(chain, LIGHT, n), waveforms, rate_hz=RATE_HZ, noise_clips=CLIPS)
        features = jnp.log1p(jnp.abs(heard[:, :4_000].reshape(n, 40, 100)))
        features = augment.spec_augment(features, augment.draw_spec_masks(masks, masking, n, 40, 100))
        blended = augment.draw_mixing(pairs, mixing, n)
        features, soft = augment.mixup(features, blended), augment.mixup(labels, blended)

        def loss(weights: jax.Array) -> jax.Array:
            logits = features.mean(axis=1) @ weights
            return -(soft * jax.nn.log_softmax(logits)).sum(axis=1).mean()

        return jax.value_and_grad(loss)(weights)

    labels = jax.nn.one_hot(jnp.arange(6) % 3, 3)
    losses = []
    for seed in range(4):
        value, gradient = step(jnp.ones((100, 3)) / 7, jax.random.key(seed), jnp.asarray(WAVEFORMS), labels)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        losses.append(np.asarray(gradient).sum(axis=0).tobytes())
    assert len(traces) == 1
    assert len(set(losses)) == 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("noise_probability", 1.1),
        ("pitch_probability", -0.1),
        ("speed_probability", float("nan")),
        ("noise_snr_db", (30.0, 10.0)),
        ("noise_kinds", ()),
        ("noise_kinds", ("brown",)),
        ("stretch_rate", (0.0, 1.2)),
        ("stretch_rate", (1.2, 0.8)),
        ("speed_rate", (0.1, 1.0)),
        ("band_hz", (0.0, 100.0)),
        ("pitch_semitones", 40.0),
        ("gain_db", -1.0),
        ("vocoder_n_fft", 1_022),
        ("vocoder_n_fft", 8),
    ],
)
def test_settings_that_make_no_sense_are_named(field: str, value: object) -> None:
    with pytest.raises(AugmentError, match=field):
        AugmentConfig(**{field: value})  # type: ignore[arg-type]


def test_what_does_not_fit_the_waveform_is_refused_when_traced() -> None:
    waveforms = jnp.asarray(WAVEFORMS[:, :800])
    for config, message in (
        (AugmentConfig(), "800 samples is shorter than the phase vocoder's window of 1024"),
        (AugmentConfig(pitch_probability=0.0), "shorter than the phase vocoder's window"),
        (AugmentConfig(vocoder_n_fft=512, noise_kinds=("recorded",)), "noise_clips"),
        (AugmentConfig(vocoder_n_fft=512, band_probability=1.0, band_hz=(9e3, 1e4)), "between 0 and 8000 Hz"),
    ):
        drawn = augment.draw(jax.random.key(0), config, 6)
        with pytest.raises(AugmentError, match=message):
            jax.eval_shape(partial(augment.apply, config, rate_hz=RATE_HZ), drawn, waveforms)
