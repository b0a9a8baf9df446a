"""One recording as a picture: what was annotated, the waveform, the log-mel spectrogram; and as a short sound."""

from __future__ import annotations

import io
import math
import wave
from typing import TYPE_CHECKING

import numpy as np
import soxr
from jaxtyping import Float32

from jaxresp.corpus import Annotations, Corpus
from jaxresp.dsp.mel import hz_to_mel, mel_to_hz
from jaxresp.dsp.overview import envelope, log_mel_db, time_ticks_s
from jaxresp.explore.figures import kind_colour
from jaxresp.explore.statistics import KINDS, kinds
from jaxresp.pages.style import light

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_S = 20.0
"""At most the first 20 s of a recording are shown: most of ICBHI's are that long."""

HEARD_S = 8.0
_HEARD_RATE_HZ = 8000  # breath sounds, wheezes and crackles lie below 4 kHz; a second costs 21 kB of the page

_WIDTH, _HEIGHT = 920.0, 290.0
_COLUMNS = 620
_LOW_HZ, _HIGH_HZ = 50.0, 4000.0
_MELS_PER_BAND = 0.36  # narrower bands would hold no line of the spectrum
_RANGE_DB = 65.0  # from the loudest shown value down to black
_TICKS_HZ = (100.0, 500.0, 1000.0, 2000.0, 4000.0)
_TAGS = {"neither": "–", "crackle": "C", "wheeze": "W", "both": "C+W"}


def shown_s(corpus: Corpus, i: int) -> float:
    """How much of recording i is shown, seconds."""
    return min(SHOWN_S, float(corpus.offsets[i + 1] - corpus.offsets[i]) / corpus.rate_hz)


def sound_figure(corpus: Corpus, i: int) -> Figure:
    """The first seconds of recording i; make it under `style.drawing()`."""
    from matplotlib.figure import Figure

    seconds = shown_s(corpus, i)
    waveform = corpus.waveform(i)[: round(seconds * corpus.rate_hz)]
    figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
    strip, wave_axes, spectrum = figure.subplots(3, 1, sharex=True, height_ratios=[0.16, 0.5, 1.0])
    annotations = corpus.annotations_of(i)
    _draw_strip(strip, annotations, seconds)
    _draw_waveform(wave_axes, waveform, seconds)
    _draw_spectrogram(spectrum, waveform, corpus.rate_hz, seconds)
    for start, end, kind in _intervals(annotations, seconds):
        wave_axes.axvspan(start, end, color=light(kind_colour(kind)), alpha=0.16, linewidth=0)
        for edge in (start, end):
            spectrum.axvline(edge, color="#ffffff", alpha=0.35, linewidth=0.7)
    spectrum.set_xlim(0, seconds)
    spectrum.set_xticks(time_ticks_s(seconds))
    spectrum.set_xlabel("seconds")
    return figure


def clip_wav(corpus: Corpus, i: int) -> bytes:
    """The first seconds of recording i as a small WAV file, as loud as it can be."""
    sound = corpus.waveform(i)[: round(HEARD_S * corpus.rate_hz)]
    rate_hz = min(_HEARD_RATE_HZ, corpus.rate_hz)
    sound = soxr.resample(sound, corpus.rate_hz, rate_hz)
    steps = np.rint(sound / max(float(np.abs(sound).max()), 1e-9) * 32000).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, rate_hz, len(steps), "NONE", ""))
        wav.writeframes(steps.tobytes())
    return file.getvalue()


def _intervals(annotations: Annotations, seconds: float) -> list[tuple[float, float, int]]:
    """Start, end and kind of what lies in the part shown."""
    rows = zip(annotations.start_s.tolist(), annotations.end_s.tolist(), kinds(annotations).tolist(), strict=True)
    return [(start, min(end, seconds), kind) for start, end, kind in rows if start < seconds]


def _draw_strip(axes: Axes, annotations: Annotations, seconds: float) -> None:
    """The annotations as coloured blocks, with what is heard written in those that have room."""
    for start, end, kind in _intervals(annotations, seconds):
        axes.broken_barh([(start, end - start)], (0, 1), facecolor=light(kind_colour(kind)), linewidth=0)
        axes.plot([start, start], [0, 1], color=light("paper"), linewidth=1.5)
        tag = _TAGS[KINDS[kind]]
        if (end - start) / seconds > 0.011 * len(tag) + 0.008:
            middle = (start + end) / 2
            axes.text(middle, 0.46, tag, ha="center", va="center", color=light("on-accent"), fontsize=9.5)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _draw_waveform(axes: Axes, waveform: Float32[np.ndarray, " time"], seconds: float) -> None:
    low, high = envelope(waveform, _COLUMNS)
    at = np.linspace(0, seconds, len(low))
    peak = max(float(np.abs([low, high]).max()), 1e-9)
    axes.fill_between(at, low / peak, high / peak, color=light("ink"), linewidth=0.4)
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _draw_spectrogram(axes: Axes, waveform: Float32[np.ndarray, " time"], rate_hz: int, seconds: float) -> None:
    high_hz = min(_HIGH_HZ, rate_hz / 2)
    low, high = (float(hz_to_mel(hz, "slaney")) for hz in (_LOW_HZ, high_hz))
    n_mels = math.floor((high - low) / _MELS_PER_BAND)
    db = log_mel_db(waveform, rate_hz, _COLUMNS, n_mels=n_mels, low_hz=_LOW_HZ, high_hz=high_hz)
    centres_hz = mel_to_hz(np.linspace(low, high, n_mels + 2)[1:-1], "slaney")
    db = db + 20 * np.log10(centres_hz / _LOW_HZ).astype(np.float32)[:, None]  # 6 dB per octave
    top = float(np.percentile(db, 99.8))
    axes.imshow(
        db, cmap="magma", vmin=top - _RANGE_DB, vmax=top, origin="lower", aspect="auto", extent=(0, seconds, low, high)
    )
    ticks = [hz for hz in _TICKS_HZ if hz <= high_hz]
    axes.set_yticks([float(hz_to_mel(hz, "slaney")) for hz in ticks], [f"{hz:.0f}" for hz in ticks])
    axes.set_ylabel("Hz")
    axes.spines[:].set_visible(False)
