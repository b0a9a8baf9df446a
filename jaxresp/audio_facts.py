"""What is heard in a sound, measured at its native rate while it goes by, block after block."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

SILENT_PEAK = 1e-7
"""-140 dBFS: below a 24-bit converter's last bit, so nothing was connected."""

_FULL_SCALE = 0.99  # a flat top at this magnitude is clipping
_SPECTRUM_FFT = 4096
_BANDWIDTH_DROP_DB = 60.0


@dataclass(frozen=True)
class AudioFacts:
    """What was heard, measured at the native rate before resampling.

    Attributes:
        duration_s: seconds that were decoded.
        native_rate_hz: the file's sampling rate.
        channels: channels in the file; the waveform is their mean.
        subtype: libsndfile's name of the encoding, for example "PCM_24"; "FLOAT" for samples given as an array.
        peak_dbfs: largest magnitude in any channel, dB re full scale.
        rms_dbfs: root mean square of the mono sound about its mean, dB re full scale.
        clipped_fraction: share of samples in flat tops: three or more equal neighbours at 99 % of full scale or above.
        bandwidth_hz: highest frequency at which the mean power density of the mono sound, in bands of about 50 Hz, lies
            within 60 dB of its largest density above 20 Hz. A recording made at 4 kHz and stored at 44.1 kHz reads
            2 kHz or less.
    """

    duration_s: float
    native_rate_hz: int
    channels: int
    subtype: str
    peak_dbfs: float
    rms_dbfs: float
    clipped_fraction: float
    bandwidth_hz: float

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON types; every number in it is finite."""
        return asdict(self)


class Meter:
    """Hears a sound go by, block after block, and remembers a few numbers of it."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz, self.channels, self.n_frames = rate_hz, channels, 0
        self._low, self._high = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._mono_low, self._mono_high = np.inf, -np.inf
        self._sum = self._sum_of_squares = 0.0
        self._clipped = 0
        self._n_fft = min(_SPECTRUM_FFT, 1 << int(math.log2(rate_hz / 4)))  # ≤ 250 ms, fits the shortest sound
        self._window = _window(self._n_fft)
        self._power = np.zeros(self._n_fft // 2 + 1)

    def hear(self, block: Float[np.ndarray, "frames channels"], mono: Float32[np.ndarray, " frames"]) -> None:
        import scipy.fft  # a tenth of a second to import, for those who hear something

        self.n_frames += len(block)
        low, high = block.min(0), block.max(0)
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        mono_low, mono_high = (low[0], high[0]) if self.channels == 1 else (mono.min(), mono.max())
        self._mono_low, self._mono_high = min(self._mono_low, mono_low), max(self._mono_high, mono_high)
        if max(-low.min(), high.max()) >= _FULL_SCALE:
            self._clipped += _n_flat_top(block)
        n_windows = len(mono) // self._n_fft
        frames = mono[: n_windows * self._n_fft].reshape(n_windows, self._n_fft)
        means = frames.mean(axis=1, keepdims=True)
        frames = frames - means
        self._add(means[:, 0], np.einsum("ij,ij->i", frames, frames), self._n_fft)
        rest = mono[n_windows * self._n_fft :]
        if len(rest):
            self._add(rest.mean(keepdims=True), np.square(rest - rest.mean()).sum(keepdims=True), len(rest))
        frames *= self._window
        # SciPy's FFT takes several frames in one vector instruction; NumPy's takes three times as long.
        parts = scipy.fft.rfft(frames, overwrite_x=True).view(np.float32)  # real, imaginary, real, …
        self._power += np.einsum("ij,ij->j", parts, parts).reshape(-1, 2).sum(axis=1)

    def _add(
        self, means: Float32[np.ndarray, " pieces"], deviations: Float32[np.ndarray, " pieces"], n_samples: int
    ) -> None:
        """Pieces of so many samples, each by its mean and the squares about it: float32 holds them beside an offset."""
        exact = means.astype(np.float64)
        self._sum += float(exact.sum()) * n_samples
        self._sum_of_squares += float(deviations.sum(dtype=np.float64) + np.square(exact).sum() * n_samples)

    @property
    def is_silent(self) -> bool:
        # A constant in every channel, or channels that cancel to rounding errors: either leaves a constant mean.
        rounding = 1e-4 * float(np.max(self._high - self._low))
        return bool(self._mono_high - self._mono_low <= max(SILENT_PEAK, rounding))

    def facts(self, subtype: str) -> AudioFacts:
        mean = self._sum / self.n_frames
        rms = math.sqrt(max(self._sum_of_squares / self.n_frames - mean**2, 0.0))
        peak = float(max(-self._low.min(), self._high.max()))
        return AudioFacts(
            duration_s=self.n_frames / self.rate_hz,
            native_rate_hz=self.rate_hz,
            channels=self.channels,
            subtype=subtype,
            peak_dbfs=_dbfs(peak),
            rms_dbfs=_dbfs(rms),
            clipped_fraction=self._clipped / (self.n_frames * self.channels),
            bandwidth_hz=self._bandwidth_hz(),
        )

    def _bandwidth_hz(self) -> float:
        bin_hz = self.rate_hz / self._n_fft
        width = max(1, round(50.0 / bin_hz))
        first = math.ceil(20.0 / bin_hz)
        bands = self._power[first : first + (len(self._power) - first) // width * width].reshape(-1, width).mean(axis=1)
        heard = np.flatnonzero(bands > np.max(bands) * 10 ** (-_BANDWIDTH_DROP_DB / 10))
        return float(min((first + (heard[-1] + 1) * width) * bin_hz, self.rate_hz / 2)) if heard.size else 0.0


@lru_cache(maxsize=16)
def _window(n_fft: int) -> Float32[np.ndarray, " n_fft"]:
    return np.hanning(n_fft).astype(np.float32)


def _dbfs(amplitude: float) -> float:
    return round(20 * math.log10(max(amplitude, 1e-10)), 2)  # -200 dBFS for nothing: JSON has no infinity


def _n_flat_top(block: Float[np.ndarray, "frames channels"]) -> int:
    """Samples in runs of three or more equal ones at full scale."""
    flat = (block[1:] == block[:-1]) & (np.abs(block[1:]) >= _FULL_SCALE)
    core = flat[1:] & flat[:-1]  # the middle of three equal samples
    member = np.zeros(block.shape, bool)
    for shift in range(3):
        member[shift : len(block) - 2 + shift] |= core
    return int(member.sum())
