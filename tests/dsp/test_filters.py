"""The band-pass is scipy's, and is what a Butterworth filter must be; in blocks, in pieces, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from jaxresp.dsp import filters

RATE_HZ = 16_000
CLINICAL = {"low_hz": 50.0, "high_hz": 5000.0, "order": 10, "rate_hz": RATE_HZ}
SETTINGS = [
    CLINICAL,
    {"low_hz": 50.0, "high_hz": 1800.0, "order": 10, "rate_hz": RATE_HZ},
    {"low_hz": 500.0, "high_hz": 700.0, "order": 1, "rate_hz": RATE_HZ},
    {"low_hz": 20.0, "high_hz": 1900.0, "order": 5, "rate_hz": 4_000},
]
ATOL = 1e-5  # of the peak; 1e-4 is what is promised
Signals = Callable[[int], np.ndarray]
every_setting = pytest.mark.parametrize("settings", SETTINGS, ids=str)


def sections(settings: dict[str, Any]) -> np.ndarray:
    edges_hz = [settings["low_hz"], settings["high_hz"]]
    return scipy.signal.butter(settings["order"], edges_hz, "bandpass", fs=settings["rate_hz"], output="sos")


def assert_same(ours: Any, expected: np.ndarray, atol: float = ATOL) -> None:
    assert ours.dtype == jnp.float32
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=0, atol=atol * np.abs(expected).max())


@every_setting
@pytest.mark.parametrize("n_samples", [40_064, 7_919, 1])  # whole blocks, a broken one, less than one
def test_it_equals_the_recursive_filter_in_double_precision(
    settings: dict[str, Any], n_samples: int, signals: Signals
) -> None:
    waveform = signals(n_samples)
    ours = jax.jit(partial(filters.bandpass, **settings))(waveform)
    expected = scipy.signal.sosfilt(sections(settings), waveform.astype(np.float64))
    for one, other in zip(ours, expected, strict=True):
        assert_same(one, other)


@every_setting
def test_zero_phase_equals_filtering_forwards_and_backwards(settings: dict[str, Any], signals: Signals) -> None:
    waveform = signals(7_919) + np.float32(0.5)  # an offset: both ends then depend on how they are padded
    ours = jax.jit(partial(filters.bandpass_zero_phase, **settings))(waveform)
    expected = scipy.signal.sosfiltfilt(sections(settings), waveform.astype(np.float64))
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=ATOL * max(np.abs(other).max(), 0.5))


def test_real_recordings_are_filtered_as_by_scipy(real_windows: dict[int, np.ndarray]) -> None:
    waveform = np.stack(list(real_windows.values()))
    for ours, scipys in (
        (filters.bandpass, scipy.signal.sosfilt),
        (filters.bandpass_zero_phase, scipy.signal.sosfiltfilt),
    ):
        expected = scipys(sections(CLINICAL), waveform.astype(np.float64))
        for one, other in zip(jax.jit(partial(ours, **CLINICAL))(waveform), expected, strict=True):
            assert_same(one, other)


@hypothesis.given(
    order=st.integers(1, 10),
    low_hz=st.floats(20.0, 500.0),
    width=st.floats(1.3, 12.0),
    rate_hz=st.sampled_from([4_000, 10_000, 16_000, 44_100]),
)
@hypothesis.example(order=1, low_hz=381.875, width=5.236328125, rate_hz=4_000)
@hypothesis.settings(max_examples=8, deadline=None)
def test_any_band_is_scipys_or_is_refused_by_name(order: int, low_hz: float, width: float, rate_hz: int) -> None:
    settings = {"order": order, "low_hz": low_hz, "high_hz": low_hz * width, "rate_hz": rate_hz}
    waveform = np.random.default_rng(0).standard_normal(4_000).astype(np.float32)
    try:
        ours = jax.jit(partial(filters.bandpass, **settings))(waveform)
    except filters.FilterError:
        narrow = order * 50.0 / (low_hz * (width - 1)) > 1.0
        assert narrow or settings["high_hz"] > rate_hz / 2 - 5.0 * order  # at half the rate, or so near that it rings
        return
    assert_same(ours, scipy.signal.sosfilt(sections(settings), waveform.astype(np.float64)), atol=1e-4)


@pytest.mark.parametrize(
    ("function", "n_samples"),
    [(filters.bandpass, 8_192), (filters.bandpass, 7_919), (filters.bandpass_zero_phase, 7_919)],
)
def test_eager_jit_vmap_batches_and_pieces_agree(
    function: Callable[..., jax.Array], n_samples: int, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = partial(function, **CLINICAL)
    waveform = jnp.asarray(signals(n_samples))
    together = np.asarray(jax.jit(ours)(waveform))
    assert_same(ours(waveform), together)
    assert_same(jax.jit(jax.vmap(ours))(waveform), together)
    assert_same(jax.jit(ours)(waveform[0]), together[0])
    assert_same(jax.jit(ours)(jnp.stack([waveform, waveform])), np.stack([together, together]))
    for samples in (1_000, 17_000):  # rows in parts; two rows at a time, of five
        monkeypatch.setattr("jaxresp.dsp.pieces.CPU_SAMPLES", samples)
        assert_same(jax.jit(partial(function, **CLINICAL))(waveform), together)


def gain_db(function: Callable[..., jax.Array], settings: dict[str, Any], at_hz: list[float]) -> np.ndarray:
    """The gain of the compiled float32 filter itself, from what it makes of an impulse."""
    impulse = jnp.zeros(65_536).at[32_768].set(1.0)
    response = np.asarray(jax.jit(partial(function, **settings))(impulse), np.float64)
    _, gain = scipy.signal.freqz(response, worN=at_hz, fs=settings["rate_hz"])
    return 20 * np.log10(np.abs(gain))


@every_setting
def test_both_edges_lie_at_minus_three_decibels_and_without_phase_at_minus_six(settings: dict[str, Any]) -> None:
    edges_hz = [settings["low_hz"], settings["high_hz"]]
    np.testing.assert_allclose(gain_db(filters.bandpass, settings, edges_hz), -3.0103, atol=0.01)
    np.testing.assert_allclose(gain_db(filters.bandpass_zero_phase, settings, edges_hz), -6.0206, atol=0.02)


def test_rumble_at_25_hz_is_sixty_decibels_down_and_the_band_is_flat() -> None:
    assert gain_db(filters.bandpass, CLINICAL, [25.0])[0] <= -60
    np.testing.assert_allclose(gain_db(filters.bandpass, CLINICAL, [100.0, 500.0, 3_000.0]), 0.0, atol=0.01)


def test_nothing_comes_out_before_something_goes_in_and_without_phase_as_much_before_as_after() -> None:
    impulse = jnp.zeros(20_001).at[10_000].set(1.0)
    response = np.asarray(jax.jit(partial(filters.bandpass, **CLINICAL))(impulse))
    assert np.abs(response[:10_000]).max() == 0
    symmetric = np.asarray(jax.jit(partial(filters.bandpass_zero_phase, **CLINICAL))(impulse))
    np.testing.assert_allclose(symmetric, symmetric[::-1], atol=1e-6)


def test_what_is_not_finite_stays_in_its_row_and_after_itself(signals: Signals) -> None:
    waveform = signals(7_919)
    clean = np.asarray(jax.jit(partial(filters.bandpass, **CLINICAL))(waveform))
    spoilt = waveform.copy()
    spoilt[1, 5_000] = np.nan
    heard = np.asarray(jax.jit(partial(filters.bandpass, **CLINICAL))(spoilt))
    np.testing.assert_array_equal(heard[[0, 2, 3, 4]], clean[[0, 2, 3, 4]])
    np.testing.assert_array_equal(heard[1, :4_900], clean[1, :4_900])  # its block is spoilt, nothing before
    assert np.isnan(heard[1, 5_000:]).all()


@pytest.mark.parametrize("function", [filters.bandpass, filters.bandpass_zero_phase])
def test_gradients_are_the_filter_backwards_and_finite_in_silence(
    function: Callable[..., jax.Array], signals: Signals
) -> None:
    """The gradient of Σ v·f(x) is fᵀ(v): with v an impulse, f's response read backwards."""
    ours, n_samples = partial(function, **CLINICAL), 4_000
    gradient = jax.jit(jax.grad(lambda x: ours(x)[:, 2_000].sum()))(jnp.asarray(signals(n_samples)))
    assert np.isfinite(gradient).all()
    impulse = jnp.zeros(n_samples).at[1_999].set(1.0)
    response = np.asarray(jax.jit(ours)(impulse))
    for row in np.asarray(gradient):
        np.testing.assert_allclose(row[500:2_001], response[1_999 : 1_999 + 1_501][::-1], atol=1e-5)


def test_a_constant_is_taken_off_and_nothing_else(signals: Signals) -> None:
    waveform = signals(7_919)
    np.testing.assert_allclose(filters.remove_dc(jnp.asarray(waveform)).mean(axis=-1), 0.0, atol=1e-6)
    moved = filters.remove_dc(jnp.asarray(waveform + np.float32(3.0)))
    np.testing.assert_allclose(moved, filters.remove_dc(jnp.asarray(waveform)), atol=1e-5)


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.97])
def test_pre_emphasis_is_the_filter_it_says(coefficient: float, signals: Signals) -> None:
    waveform = signals(1_001)
    ours = jax.jit(partial(filters.pre_emphasis, coefficient=coefficient))(waveform)
    assert_same(ours, scipy.signal.lfilter([1.0, -coefficient], [1.0], waveform.astype(np.float64)))


@pytest.mark.parametrize(
    "settings",
    [
        CLINICAL | {"low_hz": 0.0},
        CLINICAL | {"high_hz": 8000.0},
        CLINICAL | {"low_hz": 5000.0},
        CLINICAL | {"order": 0},
        CLINICAL | {"rate_hz": 0},
        CLINICAL | {"low_hz": 0.1, "order": 4},  # rings for longer than any window
        CLINICAL | {"low_hz": 4_999.9},  # so narrow that it rings for ever
    ],
    ids=str,
)
def test_what_cannot_be_designed_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(filters.FilterError, match=f"{settings['low_hz']:g}"):
        jax.eval_shape(partial(filters.bandpass, **settings), jnp.ones(1_000))


def test_too_little_to_pad_with_and_an_emphasis_that_is_none_are_named() -> None:
    with pytest.raises(filters.FilterError, match=r"63 samples .* more than 63"):
        jax.eval_shape(partial(filters.bandpass_zero_phase, **CLINICAL), jnp.ones(63))
    with pytest.raises(filters.FilterError, match=r"1\.5"):
        filters.pre_emphasis(jnp.ones(9), 1.5)
