"""SpecAugment, mixup and joined cycles: what happens to features, labels and pairs of examples."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxresp.dsp import augment
from jaxresp.dsp.augment import AugmentError, JoinConfig, Joining, Mixing, MixupConfig, SpecAugmentConfig, SpecMasks

# SpecAugment

BATCH, FRAMES, BANDS = 64, 50, 40
FEATURES = jnp.asarray(np.random.default_rng(0).standard_normal((BATCH, FRAMES, BANDS)), jnp.float32)
ALWAYS = SpecAugmentConfig(probability=1.0, time_share=0.2, frequency_share=0.25)


def test_masks_hide_what_was_drawn_behind_the_mean_and_leave_every_other_bit() -> None:
    masks = augment.draw_spec_masks(jax.random.key(0), ALWAYS, BATCH, FRAMES, BANDS)
    expected, means = np.array(FEATURES), np.asarray(FEATURES, np.float64).mean(axis=1)
    hidden = np.zeros(expected.shape, bool)
    for i in range(BATCH):
        for start, width in zip(masks.time_start[i], masks.time_width[i], strict=True):
            hidden[i, int(start) : int(start) + int(width), :] = True
        for start, width in zip(masks.frequency_start[i], masks.frequency_width[i], strict=True):
            hidden[i, :, int(start) : int(start) + int(width)] = True
    for masked in (augment.spec_augment(FEATURES, masks), jax.jit(augment.spec_augment)(FEATURES, masks)):
        result = np.asarray(masked)
        np.testing.assert_array_equal(result[~hidden], expected[~hidden])
        np.testing.assert_allclose(result[hidden], np.broadcast_to(means[:, None], result.shape)[hidden], atol=1e-6)
    single = jax.vmap(lambda x, m: augment.spec_augment(x[None], jax.tree.map(lambda a: a[None], m))[0])
    np.testing.assert_allclose(single(FEATURES, masks), result, atol=1e-6)


def test_masks_fit_reach_their_widest_and_are_drawn_independently() -> None:
    masks = augment.draw_spec_masks(jax.random.key(1), ALWAYS, 4_000, FRAMES, BANDS)
    for start, width, widest, size in (
        (masks.time_start, masks.time_width, 10, FRAMES),
        (masks.frequency_start, masks.frequency_width, 10, BANDS),
    ):
        assert np.unique(width).tolist() == list(range(widest + 1))
        np.testing.assert_allclose(np.bincount(np.asarray(width).ravel()) / width.size, 1 / (widest + 1), atol=0.01)
        assert int(start.min()) == 0
        assert int((start + width).max()) == size
    drawn = np.concatenate([np.asarray(part, np.float64) for part in masks], axis=1)
    related = np.abs(np.corrcoef(drawn, rowvar=False) - np.eye(8))
    for i in (0, 1, 4, 5):  # a start and the width that it must leave room for
        related[i, i + 2] = related[i + 2, i] = 0
    assert related.max() < 0.06
    assert len(np.unique(drawn, axis=0)) > 3_900  # examples differ


def test_an_example_that_is_not_chosen_is_not_masked() -> None:
    config = SpecAugmentConfig(probability=0.3, time_share=0.5, frequency_share=0.5)
    masks = augment.draw_spec_masks(jax.random.key(2), config, 4_000, FRAMES, BANDS)
    masked = (np.asarray(masks.time_width) > 0).any(1) | (np.asarray(masks.frequency_width) > 0).any(1)
    assert masked.mean() == pytest.approx(0.3, abs=0.03)
    never = augment.draw_spec_masks(jax.random.key(2), SpecAugmentConfig(probability=0.0), BATCH, FRAMES, BANDS)
    np.testing.assert_array_equal(augment.spec_augment(FEATURES, never), FEATURES)


def test_the_gradient_passes_where_nothing_is_hidden() -> None:
    masks = SpecMasks(*(jnp.full((1, 1), value, jnp.int32) for value in (10, 5, 0, 0)))
    gradient = jax.grad(lambda x: augment.spec_augment(x, masks).sum())(FEATURES[:1])
    np.testing.assert_allclose(gradient[0, 10:15], 5 / FRAMES, rtol=1e-5)  # only through the mean
    np.testing.assert_allclose(gradient[0, :10], 1 + 5 / FRAMES, rtol=1e-5)


# Mixup


def test_inputs_and_labels_are_blended_in_one_proportion() -> None:
    mixing = augment.draw_mixing(jax.random.key(0), MixupConfig(probability=1.0, alpha=1.0), BATCH)
    labels = jax.nn.one_hot(jnp.arange(BATCH) % 3, 3)
    share, partner = np.asarray(mixing.share, np.float64)[:, None], np.asarray(mixing.partner)
    for values in (FEATURES.reshape(BATCH, -1), labels):
        expected = share * np.asarray(values) + (1 - share) * np.asarray(values)[partner]
        for mixed in (augment.mixup(values, mixing), jax.jit(augment.mixup)(values, mixing)):
            np.testing.assert_allclose(mixed, expected, atol=1e-6)
    assert augment.mixup(FEATURES, mixing).shape == FEATURES.shape
    np.testing.assert_allclose(augment.mixup(labels, mixing).sum(axis=1), 1.0, atol=1e-6)


def test_proportions_follow_the_beta_distribution_and_partners_are_others_each_as_likely() -> None:
    n, alpha = 4_000, 0.4
    mixing = augment.draw_mixing(jax.random.key(1), MixupConfig(probability=1.0, alpha=alpha), n)
    share, further = np.asarray(mixing.share, np.float64), (np.asarray(mixing.partner) - np.arange(n)) % n
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)
    assert further.min() > 0
    assert further.mean() == pytest.approx(n / 2, rel=0.05)
    assert abs(np.corrcoef(share, further)[0, 1]) < 0.06


def test_what_is_not_chosen_keeps_every_bit_even_beside_a_partner_that_is_not_finite() -> None:
    mixing = augment.draw_mixing(jax.random.key(2), MixupConfig(probability=0.5), BATCH)
    kept = np.asarray(mixing.share) == 1
    assert 0.25 < kept.mean() < 0.75
    spoilt = FEATURES.at[int(mixing.partner[np.flatnonzero(kept)[0]])].set(jnp.nan)
    np.testing.assert_array_equal(augment.mixup(spoilt, mixing)[kept], spoilt[kept])


def test_a_batch_of_one_has_nobody_to_mix_with() -> None:
    with pytest.raises(AugmentError, match="at least two"):
        augment.draw_mixing(jax.random.key(0), MixupConfig(), 1)


def test_mixup_has_finite_gradients() -> None:
    mixing = Mixing(jnp.asarray([0.3, 1.0]), jnp.asarray([1, 0], jnp.int32))
    gradient = jax.grad(lambda x: augment.mixup(x, mixing).sum())(jnp.zeros((2, 5)))
    np.testing.assert_allclose(gradient, [[0.3] * 5, [1.7] * 5], rtol=1e-6)


# Joined cycles

LENGTHS = np.array([700, 300, 90, 1_000], np.int32)
CYCLES = np.random.default_rng(1).standard_normal((4, 1_000)).astype(np.float32)


def join(n_samples: int, partner: list[int], joined: list[bool], fade: int = 100) -> tuple[np.ndarray, np.ndarray]:
    config = JoinConfig(fade_samples=fade)
    joining = Joining(jnp.asarray(partner, jnp.int32), jnp.asarray(joined))
    work = jax.jit(lambda joining, x, n: augment.join_cycles(config, joining, x, n, n_samples=n_samples))
    sound, lengths = work(joining, jnp.asarray(CYCLES), jnp.asarray(LENGTHS))
    eager = augment.join_cycles(config, joining, jnp.asarray(CYCLES), jnp.asarray(LENGTHS), n_samples=n_samples)
    np.testing.assert_allclose(sound, eager[0], atol=1e-6)
    return np.asarray(sound), np.asarray(lengths)


@pytest.mark.parametrize("n_samples", [500, 1_300, 2_500])
def test_the_second_cycle_follows_the_first_behind_a_cross_fade_of_constant_power(n_samples: int) -> None:
    partner = [1, 2, 3, 0]
    sound, lengths = join(n_samples, partner, [True] * 4)
    assert sound.shape == (4, n_samples)
    for i, j in enumerate(partner):
        a, b = CYCLES[i, : LENGTHS[i]].astype(np.float64), CYCLES[j, : LENGTHS[j]].astype(np.float64)
        fade = min(100, a.size, b.size)
        rising = (np.arange(fade) + 0.5) / fade
        joint = np.sqrt(1 - rising) * a[a.size - fade :] + np.sqrt(rising) * b[:fade]
        expected = np.concatenate([a[: a.size - fade], joint, b[fade:], np.zeros(n_samples)])
        np.testing.assert_allclose(sound[i], expected[:n_samples], atol=1e-5)
        assert lengths[i] == min(a.size + b.size - fade, n_samples)


def test_a_cycle_that_is_not_joined_keeps_every_bit_and_is_padded_with_silence() -> None:
    sound, lengths = join(1_200, [1, 2, 3, 0], [False] * 4)
    np.testing.assert_array_equal(lengths, LENGTHS)
    for row, cycle, length in zip(sound, CYCLES, LENGTHS, strict=True):
        np.testing.assert_array_equal(row[:length], cycle[:length])
        assert not row[length:].any()


def test_cycles_are_joined_with_others_of_their_class_each_as_likely() -> None:
    labels = jnp.asarray([0, 0, 0, 1, 1, 2], jnp.int32)
    config = JoinConfig(probability=0.8)
    keys = jax.random.split(jax.random.key(0), 2_000)
    drawn = jax.jit(jax.vmap(lambda key: augment.draw_joining(key, config, labels)))(keys)
    partner, joined = np.asarray(drawn.partner), np.asarray(drawn.joined)
    assert (np.asarray(labels)[partner] == np.asarray(labels))[joined].all()
    assert (partner != np.arange(6))[joined].all()
    np.testing.assert_allclose(joined.mean(axis=0), [0.8] * 5 + [0.0], atol=0.03)
    assert (partner[:, 0] == 1).mean() == pytest.approx(0.5, abs=0.04)
    assert abs(np.corrcoef(partner[:, 0], partner[:, 1])[0, 1]) < 0.07


def test_gradients_of_joined_cycles_are_finite() -> None:
    joining = Joining(jnp.asarray([1, 0], jnp.int32), jnp.asarray([True, False]))
    lengths = jnp.asarray([5, 0], jnp.int32)
    gradient = jax.grad(
        lambda x: jnp.square(augment.join_cycles(JoinConfig(), joining, x, lengths, n_samples=12)[0]).sum()
    )(jnp.ones((2, 8)))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: SpecAugmentConfig(probability=2.0), "probability"),
        (lambda: SpecAugmentConfig(time_share=1.1), "time_share"),
        (lambda: SpecAugmentConfig(frequency_share=-0.1), "frequency_share"),
        (lambda: SpecAugmentConfig(time_masks=-1), "time_masks"),
        (lambda: SpecAugmentConfig(frequency_masks=True), "frequency_masks"),
        (lambda: MixupConfig(probability=-0.1), "probability"),
        (lambda: MixupConfig(alpha=0.0), "alpha"),
        (lambda: JoinConfig(probability=1.5), "probability"),
        (lambda: JoinConfig(fade_samples=0), "fade_samples"),
        (lambda: join(0, [1, 2, 3, 0], [True] * 4), "n_samples"),
    ],
)
def test_settings_that_make_no_sense_are_named(make: object, named: str) -> None:
    with pytest.raises(AugmentError, match=named):
        make()  # type: ignore[operator]
