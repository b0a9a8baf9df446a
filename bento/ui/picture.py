"""A recording and what was said of it, drawn as HTML: waveform, log-mel spectrogram, what spoke for it, every window.

Drawn by hand rather than with a plotting library: the labels stay text of the page's own size and colour at any width,
in light and in dark, and a picture costs milliseconds. All parts share one time axis.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from bento.ui.magma import palette
from bento.ui.words import percent, sentence
from jaxresp.audio import Recording
from jaxresp.bands import BANDS
from jaxresp.dsp.mel import hz_to_mel
from jaxresp.dsp.overview import envelope, log_mel_db, time_ticks_s
from jaxresp.explanation import Explanation

_COLUMNS = 900  # points drawn across: more than the page is wide
_N_MELS = 112
_LOW_HZ, _HIGH_HZ = BANDS["wide"]  # breath sounds
_RANGE_DB = 70.0  # from the loudest shown value down to black
_TICKS_HZ = (100.0, 500.0, 1000.0, 2000.0, 4000.0)
_PALETTE = palette()
_OVERLAY_RGB = (255, 150, 40)  # stands out from the grey that the spectrogram turns to


def draw(
    recording: Recording,
    windows: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    explanation: Explanation | None = None,
    note: str = "",
) -> str:
    """The whole picture. No text in it comes from outside but the names of classes.

    Args:
        recording: the sound.
        windows: of the answer; none are drawn where several models answered.
        classes: in their order.
        explanation: what spoke for the answer, once it is known.
        note: a sentence in its place.
    """
    waveform, duration_s = recording.waveform, len(recording.samples) / recording.rate_hz
    grid = _time_grid(duration_s)
    rows = [_row("Waveform", _waveform(waveform), grid)]
    overlay, toggle, words = "", "", f"<p>{sentence(note)}</p>" if note else ""
    if explanation is not None:
        overlay, words = _overlay(explanation), _moments(explanation)
        toggle = _TOGGLE if overlay else ""
    rows.append(
        _row(
            "Log-mel spectrogram",
            _spectrogram(waveform, recording.rate_hz) + overlay,
            _frequency_axis(),
            "jr-tall",
            toggle,
        )
    )
    if explanation is not None:
        title = f"Spoke for “{html.escape(explanation.of_class)}”"
        rows.append(_row(title, _saliency(explanation), grid, "jr-short"))
    if windows:
        rows.append(_row("Each window by itself", _windows(windows, duration_s, classes), "", "jr-short"))
    return (
        f'<figure class="jr-figure" aria-label="The recording over time">{"".join(rows)}'
        f'<div class="jr-axis" aria-hidden="true">{_time_axis(duration_s)}</div>{_key(classes) if windows else ""}'
        f'<figcaption class="jr-note">{words}Time in seconds. Frequency in Hz on a mel scale, 50–5000 Hz, where breath '
        f"sounds lie (a model may hear less); brighter is louder, over {_RANGE_DB:.0f} dB."
        f"{_ABOUT_WINDOWS if windows else ''}</figcaption></figure>"
    )


_TOGGLE = '<label class="jr-toggle"><input type="checkbox" class="jr-show">Show what spoke for it</label>'
_ABOUT_WINDOWS = " The answer is made from all windows together; a single one means little."


def _row(title: str, body: str, axis: str, kind: str = "", control: str = "") -> str:
    return (
        f'<div class="jr-row {kind}"><div class="jr-title"><h3>{title}</h3>{control}</div>'
        f'<div class="jr-plot">{axis}{body}</div></div>'
    )


def _waveform(waveform: Float32[np.ndarray, " time"]) -> str:
    low, high = envelope(waveform, _COLUMNS)
    peak = max(float(np.abs([low, high]).max()), 1e-9)
    n = len(low)
    upper = " ".join(f"{i},{50 - 48 * v / peak:.1f}" for i, v in enumerate(high))
    lower = " ".join(f"{i},{50 - 48 * v / peak:.1f}" for i, v in reversed(list(enumerate(low))))
    return (
        f'<svg viewBox="0 0 {max(n - 1, 1)} 100" preserveAspectRatio="none" role="img" aria-label="Waveform">'
        f'<polygon class="jr-wave" points="{upper} {lower}"/></svg>'
    )


# The spectrogram, and the cells that spoke, over it


def _spectrogram(waveform: Float32[np.ndarray, " time"], rate_hz: int) -> str:
    db = log_mel_db(waveform, rate_hz, _COLUMNS, n_mels=_N_MELS, low_hz=_LOW_HZ, high_hz=_HIGH_HZ)
    return f'<img class="jr-base" src="{image_of(db)}" alt="Log-mel spectrogram from 50 to 5000 Hz">'


def image_of(db: Float32[np.ndarray, "mels drawn"]) -> str:
    """Decibels → a PNG as a data address, low bands at the bottom."""
    top = float(np.percentile(db, 99.8))
    levels: UInt8[np.ndarray, "mels drawn"] = np.clip((db - top) / _RANGE_DB * 255 + 255, 0, 255).astype(np.uint8)
    image = Image.fromarray(levels[::-1].copy())
    image.putpalette(_PALETTE)
    return _png(image)


def _overlay(explanation: Explanation) -> str:
    """Cells that spoke for the class: the stronger, the less one sees through them. Nothing without frequencies."""
    if explanation.bands_hz is None:
        return ""
    spoke = np.maximum(explanation.cells_over_time(_COLUMNS), 0)
    spoke = _smooth(_smooth(spoke, 0), 1)
    strength = np.clip(spoke / max(float(np.percentile(spoke, 99.7)), 1e-9), 0, 1)
    pixels = np.empty((spoke.shape[1], spoke.shape[0], 4), np.uint8)
    pixels[..., :3] = _OVERLAY_RGB
    pixels[..., 3] = (255 * strength**0.8).astype(np.uint8).T[::-1]
    mel = np.asarray(hz_to_mel(explanation.bands_hz, "slaney"))
    half = float(np.diff(mel).mean()) / 2 if mel.size > 1 else 0.5
    low, high = (float(hz_to_mel(hz, "slaney")) for hz in (_LOW_HZ, _HIGH_HZ))
    bottom, top = (100 * (edge - low) / (high - low) for edge in (mel[0] - half, mel[-1] + half))
    alt = f"Cells of time and frequency that spoke for {html.escape(explanation.of_class)}"
    return (
        f'<img class="jr-overlay" src="{_png(Image.fromarray(pixels))}" alt="{alt}" '
        f'style="bottom:{bottom:.2f}%;height:{top - bottom:.2f}%">'
    )


def _smooth(cells: Float32[np.ndarray, "drawn bands"], axis: int) -> Float32[np.ndarray, "drawn bands"]:
    """Binomial weights over five neighbours: single cells of a gradient are speckled."""
    padded = np.pad(cells, [(2, 2) if i == axis else (0, 0) for i in range(2)], mode="edge")
    shifted = (np.take(padded, np.arange(cells.shape[axis]) + i, axis=axis) for i in range(5))
    return (
        np.asarray(sum(weight * part for weight, part in zip((1, 4, 6, 4, 1), shifted, strict=True)), np.float32) / 16
    )


def _png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _saliency(explanation: Explanation) -> str:
    line = explanation.saliency_over_time(_COLUMNS)
    top, n = max(float(line.max()), 1e-9), len(line)
    points = " ".join(f"{i},{98 - 94 * v / top:.1f}" for i, v in enumerate(line))
    label = f"Curve: how much each moment spoke for {html.escape(explanation.of_class)}"
    return (
        f'<svg viewBox="0 0 {max(n - 1, 1)} 100" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<polygon class="jr-spoke" points="0,100 {points} {max(n - 1, 1)},100"/></svg>'
    )


def _moments(explanation: Explanation) -> str:
    moments = explanation.moments(3)
    name = html.escape(explanation.of_class)
    if not moments:
        return f"<p><strong>No moment spoke for {name}.</strong></p>"
    listed = ", ".join(f"{m['start_s']:.1f}–{m['end_s']:.1f} s ({percent(m['share'], 0)})" for m in moments)
    return (
        f"<p><strong>Spoke most for {name}: {listed}.</strong> The share is of all that spoke for it "
        "(integrated gradients against the mean of the training sounds). It shows what the network used, not why a "
        "sound is as it is.</p>"
    )


# Axes, windows, key


def _frequency_axis() -> str:
    low, high = (float(hz_to_mel(hz, "slaney")) for hz in (_LOW_HZ, _HIGH_HZ))
    at = ((hz, 100 * (float(hz_to_mel(hz, "slaney")) - low) / (high - low)) for hz in _TICKS_HZ)
    return "".join(f'<span class="jr-hz" style="bottom:{position:.1f}%">{hz:g}</span>' for hz, position in at)


def _time_grid(duration_s: float) -> str:
    return "".join(
        f'<i class="jr-line" style="left:{100 * t / duration_s:.2f}%"></i>' for t in time_ticks_s(duration_s)
    )


def _time_axis(duration_s: float) -> str:
    return "".join(f'<span style="left:{100 * t / duration_s:.2f}%">{t:g}</span>' for t in time_ticks_s(duration_s))


def _windows(windows: Sequence[Mapping[str, Any]], duration_s: float, classes: Sequence[str]) -> str:
    """One column per window. The last one may overlap its neighbour: each is drawn up to where the next one starts."""
    starts = [window["start_s"] for window in windows] + [duration_s]
    columns, spoken = [], []
    for i, window in enumerate(windows):
        left, right = 100 * starts[i] / duration_s, 100 * min(starts[i + 1], duration_s) / duration_s
        p = window["probabilities"]
        parts = "".join(
            f'<b style="height:{100 * p[name]:.1f}%;background:var(--jr-class-{k})"></b>'
            for k, name in enumerate(classes)
        )
        where = f"{window['start_s']:.1f}–{min(window['end_s'], duration_s):.1f} s"
        said = ", ".join(f"{html.escape(name)} {percent(p[name], 0)}" for name in classes)
        spoken.append(f"{where}: {said}")
        columns.append(
            f'<div class="jr-window" style="left:{left:.2f}%;width:{max(right - left, 0.2):.2f}%" '
            f'title="{where}: {said}">{parts}</div>'
        )
    label = "Probabilities of each window. " + ("; ".join(spoken) if len(spoken) <= 8 else f"{len(spoken)} windows")
    return f'<div class="jr-windows" role="img" aria-label="{label}">{"".join(columns)}</div>'


def _key(classes: Sequence[str]) -> str:
    parts = (
        f'<span><i style="background:var(--jr-class-{k})"></i>{html.escape(n)}</span>' for k, n in enumerate(classes)
    )
    return f'<p class="jr-key" aria-hidden="true">{"".join(parts)}</p>'
