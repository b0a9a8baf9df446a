"""A recording and what was said of it, drawn as HTML: waveform, log-mel spectrogram, one bar per window.

Drawn by hand rather than with a plotting library: the labels stay text of the page's own size and colour at any width,
in light and in dark, and a picture costs milliseconds. All three parts share one time axis.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from matplotlib import colormaps
from PIL import Image

from jaxresp.audio import Recording
from jaxresp.dsp.spectral import hz_to_mel, mel_filterbank

_COLUMNS = 900  # points drawn across: more than the page is wide
_N_FFT = 1024  # 64 ms at 16 kHz: wheezes are lines, crackles are upright strokes
_N_MELS = 112
_LOW_HZ, _HIGH_HZ = 50.0, 5000.0  # the band the networks hear
_RANGE_DB = 70.0  # from the loudest shown value down to black
_TICKS_HZ = (100, 500, 1000, 2000, 4000)


def envelope(waveform: Float32[np.ndarray, " time"], columns: int) -> Float32[np.ndarray, "2 drawn"]:
    """Lowest and highest sample of each of at most `columns` equal stretches: no peak gets lost in the drawing."""
    starts = np.unique(np.linspace(0, len(waveform), min(columns, len(waveform)), endpoint=False).astype(np.int64))
    return np.stack([np.minimum.reduceat(waveform, starts), np.maximum.reduceat(waveform, starts)])


def log_mel_db(
    waveform: Float32[np.ndarray, " time"], rate_hz: int, columns: int = _COLUMNS
) -> Float32[np.ndarray, "mels drawn"]:
    """Power in mel bands, in dB, at no more than `columns` moments. In NumPy: a jitted one would compile per length."""
    padded = np.pad(waveform, _N_FFT // 2)
    n = min(columns, 1 + len(waveform) // (_N_FFT // 8))
    starts = np.linspace(0, len(padded) - _N_FFT, n).astype(np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[starts] * np.hanning(_N_FFT).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))).astype(np.float32)
    bank = mel_filterbank(rate_hz=rate_hz, n_fft=_N_FFT, n_mels=_N_MELS, f_min_hz=_LOW_HZ, f_max_hz=_HIGH_HZ)
    return 10 * np.log10(np.maximum(power @ bank, 1e-14)).T


def image_of(db: Float32[np.ndarray, "mels drawn"]) -> str:
    """Decibels → a PNG as a data address, low bands at the bottom."""
    top = float(np.percentile(db, 99.8))
    levels: UInt8[np.ndarray, "mels drawn"] = np.clip((db - top) / _RANGE_DB * 255 + 255, 0, 255).astype(np.uint8)
    image = Image.fromarray(levels[::-1].copy())
    image.putpalette((colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def time_ticks_s(duration_s: float) -> list[float]:
    """Four to eight round moments."""
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300) if duration_s / s <= 7 or s == 300)
    return [round(i * step, 3) for i in range(math.floor(duration_s / step) + 1)]


def draw(recording: Recording, windows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    """The whole picture. No text in it comes from outside but the names of classes."""
    waveform, duration_s = recording.waveform, len(recording.samples) / recording.rate_hz
    return (
        '<figure class="jr-figure">'
        f"{_row('Waveform', _waveform(waveform), _time_grid(duration_s))}"
        f"{_row('Log-mel spectrogram', _spectrogram(waveform, recording.rate_hz), _frequency_axis())}"
        f"{_row('Each window', _windows(windows, duration_s, classes), '', 'jr-short')}"
        f'<div class="jr-axis" aria-hidden="true">{_time_axis(duration_s)}</div>'
        '<figcaption class="jr-note">Time in seconds. Frequency in Hz on a mel scale, 50–5000 Hz: the band the models '
        f"hear; brighter is louder, over {_RANGE_DB:.0f} dB. "
        "The answer is made from all windows together; a single one means little.</figcaption></figure>"
    )


def _row(title: str, body: str, axis: str, kind: str = "") -> str:
    return f'<div class="jr-row {kind}"><h3>{title}</h3><div class="jr-plot">{axis}{body}</div></div>'


def _waveform(waveform: Float32[np.ndarray, " time"]) -> str:
    low, high = envelope(waveform, _COLUMNS)
    peak = max(float(np.abs([low, high]).max()), 1e-9)
    n = len(low)
    upper = " ".join(f"{i},{50 - 48 * v / peak:.1f}" for i, v in enumerate(high))
    lower = " ".join(f"{i},{50 - 48 * v / peak:.1f}" for i, v in reversed(list(enumerate(low))))
    return (
        f'<svg viewBox="0 0 {max(n - 1, 1)} 100" preserveAspectRatio="none" role="img" aria-label="Waveform">'
        f'<polygon points="{upper} {lower}"/></svg>'
    )


def _spectrogram(waveform: Float32[np.ndarray, " time"], rate_hz: int) -> str:
    alt = "Log-mel spectrogram from 50 to 5000 Hz"
    return f'<img src="{image_of(log_mel_db(waveform, rate_hz))}" alt="{alt}">'


def _frequency_axis() -> str:
    low, high = (float(hz_to_mel(hz, "slaney")) for hz in (_LOW_HZ, _HIGH_HZ))
    at = ((hz, 100 * (float(hz_to_mel(hz, "slaney")) - low) / (high - low)) for hz in _TICKS_HZ)
    return "".join(f'<span class="jr-hz" style="bottom:{percent:.1f}%">{hz}</span>' for hz, percent in at)


def _time_grid(duration_s: float) -> str:
    return "".join(
        f'<i class="jr-line" style="left:{100 * t / duration_s:.2f}%"></i>' for t in time_ticks_s(duration_s)
    )


def _time_axis(duration_s: float) -> str:
    return "".join(f'<span style="left:{100 * t / duration_s:.2f}%">{t:g}</span>' for t in time_ticks_s(duration_s))


def _windows(windows: Sequence[Mapping[str, Any]], duration_s: float, classes: Sequence[str]) -> str:
    """One column per window. The last one may overlap its neighbour: each is drawn up to where the next one starts."""
    starts = [window["start_s"] for window in windows] + [duration_s]
    columns = []
    for i, window in enumerate(windows):
        left, right = 100 * starts[i] / duration_s, 100 * min(starts[i + 1], duration_s) / duration_s
        parts = "".join(
            f'<b style="height:{100 * window["probabilities"][name]:.1f}%;background:var(--jr-class-{k})"></b>'
            for k, name in enumerate(classes)
        )
        said = ", ".join(f"{html.escape(name)} {100 * window['probabilities'][name]:.0f} %" for name in classes)
        where = f"{window['start_s']:.1f}–{min(window['end_s'], duration_s):.1f} s"
        columns.append(
            f'<div class="jr-window" style="left:{left:.2f}%;width:{max(right - left, 0.2):.2f}%" '
            f'title="{where}: {said}">{parts}</div>'
        )
    return f'<div class="jr-windows" role="img" aria-label="Probabilities of each window">{"".join(columns)}</div>'
