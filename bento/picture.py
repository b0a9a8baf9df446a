"""A recording and what was said of it, drawn as HTML: waveform, log-mel spectrogram, one bar per window.

Drawn by hand rather than with a plotting library: the labels stay text of the page's own size and colour at any width,
in light and in dark, and a picture costs milliseconds. All three parts share one time axis.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from matplotlib import colormaps
from PIL import Image

from jaxresp.audio import Recording
from jaxresp.dsp.overview import envelope, log_mel_db, time_ticks_s
from jaxresp.dsp.spectral import hz_to_mel

_COLUMNS = 900  # points drawn across: more than the page is wide
_N_MELS = 112
_LOW_HZ, _HIGH_HZ = 50.0, 5000.0  # breath sounds, and the front ends' widest band
_RANGE_DB = 70.0  # from the loudest shown value down to black
_TICKS_HZ = (100, 500, 1000, 2000, 4000)


def image_of(db: Float32[np.ndarray, "mels drawn"]) -> str:
    """Decibels → a PNG as a data address, low bands at the bottom."""
    top = float(np.percentile(db, 99.8))
    levels: UInt8[np.ndarray, "mels drawn"] = np.clip((db - top) / _RANGE_DB * 255 + 255, 0, 255).astype(np.uint8)
    image = Image.fromarray(levels[::-1].copy())
    image.putpalette((colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def draw(recording: Recording, windows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    """The whole picture. No text in it comes from outside but the names of classes."""
    waveform, duration_s = recording.waveform, len(recording.samples) / recording.rate_hz
    return (
        '<figure class="jr-figure">'
        f"{_row('Waveform', _waveform(waveform), _time_grid(duration_s))}"
        f"{_row('Log-mel spectrogram', _spectrogram(waveform, recording.rate_hz), _frequency_axis())}"
        f"{_row('Each window', _windows(windows, duration_s, classes), '', 'jr-short')}"
        f'<div class="jr-axis" aria-hidden="true">{_time_axis(duration_s)}</div>'
        '<figcaption class="jr-note">Time in seconds. Frequency in Hz on a mel scale, 50–5000 Hz, where '
        f"breath sounds lie (a model may hear less); brighter is louder, over {_RANGE_DB:.0f} dB. "
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
    db = log_mel_db(waveform, rate_hz, _COLUMNS, n_mels=_N_MELS, low_hz=_LOW_HZ, high_hz=_HIGH_HZ)
    return f'<img src="{image_of(db)}" alt="{alt}">'


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
