"""Laws of cutting: every sound is heard, nothing is made up, and the last window ends with the recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxresp.window import WindowConfig, cut_windows, window_starts

RATE_HZ = 100

configs = st.builds(
    lambda length, step: WindowConfig(length / RATE_HZ, step / RATE_HZ), st.integers(1, 90), st.integers(1, 90)
)
overlapping = configs.filter(lambda config: config.step_s <= config.length_s)
sizes = st.integers(1, 400)


@given(n=sizes, config=overlapping)
def test_every_sample_is_heard(n: int, config: WindowConfig) -> None:
    heard = cut_windows(np.arange(n), RATE_HZ, config)
    assert set(heard.ravel().tolist()) == set(range(n)) or n < heard.shape[1]
    assert set(heard.ravel().tolist()) <= set(range(n))


@given(n=sizes, config=configs)
def test_windows_are_pieces_of_the_recording_and_the_last_ends_with_it(n: int, config: WindowConfig) -> None:
    samples = np.arange(n, dtype=np.int16)
    windows, starts = cut_windows(samples, RATE_HZ, config), window_starts(n, RATE_HZ, config)
    length = config.length_samples(RATE_HZ)
    assert windows.shape == (len(starts), length)
    assert windows.dtype == samples.dtype
    if n >= length:
        for window, start in zip(windows, starts, strict=True):
            np.testing.assert_array_equal(window, samples[start : start + length])
        assert starts[0] == 0
        assert starts[-1] + length == n


@given(n=sizes, config=configs)
def test_steps_are_as_told_but_for_the_last_and_no_window_is_wasted(n: int, config: WindowConfig) -> None:
    starts, step = window_starts(n, RATE_HZ, config), round(config.step_s * RATE_HZ)
    steps = np.diff(starts)
    assert (steps[:-1] == step).all()
    assert (steps > 0).all()
    assert (steps <= step).all()


@given(n=sizes, config=configs)
def test_a_short_recording_is_repeated_and_never_padded(n: int, config: WindowConfig) -> None:
    length = config.length_samples(RATE_HZ)
    if n > length:
        return
    samples = np.arange(1, n + 1)
    windows = cut_windows(samples, RATE_HZ, config)
    np.testing.assert_array_equal(windows, np.tile(samples, length)[None, :length])


@pytest.mark.parametrize(("seconds", "starts_s"), [(4, [0]), (5, [0]), (6, [0, 1]), (10, [0, 5]), (12, [0, 5, 7])])
def test_the_default_windows(seconds: int, starts_s: list[int]) -> None:
    starts = window_starts(seconds * 16_000, 16_000, WindowConfig())
    assert (starts / 16_000).tolist() == starts_s


def test_cutting_leaves_the_recording_alone() -> None:
    samples = np.arange(50)
    windows = cut_windows(samples, RATE_HZ, WindowConfig(0.2, 0.1))
    windows[:] = -1
    np.testing.assert_array_equal(samples, np.arange(50))


def test_an_empty_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        cut_windows(np.zeros(0, np.int16), RATE_HZ, WindowConfig())


@pytest.mark.parametrize("config", [{"length_s": 0.0}, {"step_s": 0.0}, {"step_s": -1.0}, {"length_s": float("nan")}])
def test_windows_take_time(config: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        WindowConfig(**config)
