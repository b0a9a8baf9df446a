"""The band-pass is scipy's, is causal, and is what a Butterworth filter must be."""

from __future__ import annotations

from functools import partial

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
    {"low_hz": 100.0, "high_hz": 1800.0, "order": 4, "rate_hz": RATE_HZ},
    {"low_hz": 500.0, "high_hz": 700.0, "order": 1, "rate_hz": RATE_HZ},
    {"low_hz": 20.0, "high_hz": 1900.0, "order": 5, "rate_hz": 4_000},
]
NOISE = np.random.default_rng(0).standard_normal((2, 5 * RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("n_samples", [5 * RATE_HZ, 7_919, 1])
def test_it_equals_the_recursive_filter_in_double_precision(settings: dict, n_samples: int) -> None:
    waveform = NOISE[:, :n_samples]
    ours = jax.jit(partial(filters.bandpass, **settings))(waveform)
    low_hz, high_hz = settings["low_hz"], settings["high_hz"]
    sos = scipy.signal.butter(settings["order"], [low_hz, high_hz], "bandpass", fs=settings["rate_hz"], output="sos")
    scipys = scipy.signal.sosfilt(sos, waveform.astype(np.float64))
    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours, scipys, rtol=0, atol=1e-5 * np.abs(scipys).max())


def test_nothing_comes_out_before_something_goes_in() -> None:
    impulse = jnp.zeros(5 * RATE_HZ).at[30_000].set(1.0)
    response = np.asarray(jax.jit(partial(filters.bandpass, **CLINICAL))(impulse))
    assert np.abs(response[:30_000]).max() < 1e-5 * np.abs(response).max()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_both_edges_lie_at_minus_three_decibels(settings: dict) -> None:
    taps = filters.bandpass_taps(**settings)
    edges_hz = [settings["low_hz"], settings["high_hz"]]
    _, gain = scipy.signal.freqz(taps, worN=edges_hz, fs=settings["rate_hz"])
    np.testing.assert_allclose(20 * np.log10(np.abs(gain)), -3.0103, atol=0.01)


@pytest.mark.parametrize(
    "settings",
    [
        CLINICAL | {"low_hz": 0.0},
        CLINICAL | {"high_hz": 8000.0},
        CLINICAL | {"low_hz": 5000.0},
        CLINICAL | {"order": 0},
        CLINICAL | {"low_hz": 0.1, "order": 4},  # rings for longer than any window
    ],
    ids=str,
)
def test_what_cannot_be_designed_is_named(settings: dict) -> None:
    with pytest.raises(filters.FilterError, match=f"{settings['low_hz']:g}"):
        filters.bandpass(jnp.ones(1_000), **settings)
