"""What a picture of a whole sound shows: its envelope, its log-mel spectrogram, round moments on the time axis.

In NumPy: a jitted function would compile for every length, and a picture is drawn once.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32

from jaxresp.dsp.mel import mel_filterbank

_FRAME_S = 0.064  # wheezes are lines, crackles are upright strokes


def envelope(waveform: Float32[np.ndarray, " time"], columns: int) -> Float32[np.ndarray, "2 drawn"]:
    """Lowest and highest sample of each of at most `columns` equal stretches: no peak gets lost in the drawing."""
    starts = np.unique(np.linspace(0, len(waveform), min(columns, len(waveform)), endpoint=False).astype(np.int64))
    return np.stack([np.minimum.reduceat(waveform, starts), np.maximum.reduceat(waveform, starts)])


def log_mel_db(
    waveform: Float32[np.ndarray, " time"],
    rate_hz: int,
    columns: int,
    *,
    n_mels: int = 112,
    low_hz: float = 50.0,
    high_hz: float = 5000.0,
) -> Float32[np.ndarray, "{n_mels} drawn"]:
    """Power in mel bands, in dB, at no more than `columns` moments from the first sample to the last."""
    n_fft = 1 << round(math.log2(_FRAME_S * rate_hz))
    padded = np.pad(waveform, n_fft // 2)
    n = min(columns, 1 + len(waveform) // (n_fft // 8))
    starts = np.linspace(0, len(padded) - n_fft, n).astype(np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[starts] * np.hanning(n_fft).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))).astype(np.float32)
    bank = mel_filterbank(rate_hz=rate_hz, n_fft=n_fft, n_mels=n_mels, f_min_hz=low_hz, f_max_hz=high_hz)
    return 10 * np.log10(np.maximum(power @ bank, 1e-14)).T


def time_ticks_s(duration_s: float) -> list[float]:
    """Four to eight round moments."""
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300) if duration_s / s <= 7 or s == 300)
    return [float(round(i * step, 3)) for i in range(math.floor(duration_s / step) + 1)]
