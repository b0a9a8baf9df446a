"""A sweep through every change of rate: flat where sound is kept, nothing where it is not, and int16 loses neither."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from jaxresp.audio import Recording, from_samples, read_audio

PASS_BAND = 0.91  # of the lower of the two Nyquist frequencies; above it the filter may fall
CHANGES = [
    *((native, 16_000) for native in (4_000, 8_000, 10_000, 44_100)),
    *((native, 8_000) for native in (4_000, 10_000, 44_100)),
    *((native, 4_000) for native in (8_000, 10_000, 44_100)),
]
MARK_HZ, MARK = 300.0, 0.5  # a tone that is kept, so that what is left of another can be compared with it


def tone(rate_hz: int, frequency_hz: float, amplitude: float) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(2 * rate_hz) / rate_hz)


def without(recording: Recording, *frequencies_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes of some tones, and what is left without them, away from the ends."""
    inside = slice(recording.rate_hz // 4, -recording.rate_hz // 4)
    t = np.arange(len(recording.samples))[inside] / recording.rate_hz
    phases = 2 * np.pi * np.outer(t, frequencies_hz)
    waveform = recording.waveform.astype(np.float64)[inside]
    basis = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    found, *_ = np.linalg.lstsq(basis, waveform, rcond=None)
    return np.hypot(*found.reshape(2, -1)), waveform - basis @ found


def db(ratio: float | np.ndarray) -> np.ndarray:
    return 20 * np.log10(ratio)


def spectral_peak(samples: np.ndarray) -> float:
    """Amplitude of the strongest tone: what images and aliases are; rounding to int16 is spread over all bins."""
    window = np.hanning(len(samples))
    return float(2 * np.abs(np.fft.rfft(samples * window)).max() / window.sum())


@pytest.mark.parametrize(("native_hz", "rate_hz"), CHANGES)
def test_the_pass_band_is_flat_and_holds_no_image(native_hz: int, rate_hz: int) -> None:
    for frequency_hz in np.linspace(30, PASS_BAND * min(native_hz, rate_hz) / 2, 12):
        recording = from_samples(tone(native_hz, frequency_hz, 0.9), native_hz, rate_hz=rate_hz)
        (amplitude,), rest = without(recording, float(frequency_hz))
        assert abs(db(amplitude / 0.9)) < 0.1
        assert db(spectral_peak(rest) / amplitude) < -90
        assert db(np.sqrt(np.mean(rest**2)) / amplitude) < -90  # all of it together: int16's rounding too


@pytest.mark.parametrize(("native_hz", "rate_hz"), [(a, b) for a, b in CHANGES if a > b])
def test_what_lies_above_the_new_nyquist_frequency_is_gone(native_hz: int, rate_hz: int) -> None:
    for frequency_hz in np.linspace(1.005 * rate_hz / 2, native_hz / 2 - 30, 12):
        both = tone(native_hz, MARK_HZ, MARK) + tone(native_hz, float(frequency_hz), 0.5)
        (mark,), rest = without(from_samples(both, native_hz, rate_hz=rate_hz), MARK_HZ)
        assert abs(db(mark / MARK)) < 0.1
        assert db(spectral_peak(rest) / 0.5) < -90


@pytest.mark.parametrize("peak", [0.8, 0.003])
def test_int16_with_a_scale_keeps_a_24_bit_recording_to_90_db_below_its_peak(peak: float) -> None:
    noise = np.random.default_rng(0).standard_normal(44_100)
    noise *= peak / np.abs(noise).max()
    file = io.BytesIO()
    soundfile.write(file, noise, 44_100, subtype="PCM_24", format="WAV")
    recording = read_audio(file.getvalue(), rate_hz=None)
    published, _ = soundfile.read(io.BytesIO(file.getvalue()))
    assert recording.rate_hz == recording.facts.native_rate_hz == 44_100
    error = recording.waveform - published
    assert db(np.abs(error).max() / peak) < -90
    assert db(np.sqrt(np.mean(error**2)) / peak) < -98
