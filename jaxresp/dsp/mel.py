"""The mel scale and its filterbank, numerically librosa's. In NumPy, so that who draws a spectrogram needs no JAX."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float32

from jaxresp.errors import JaxrespError

MelScale = Literal["slaney", "htk"]


class SpectralError(JaxrespError):
    """A spectrum that cannot be taken: a waveform too short, or settings that make no sense. Raised when traced."""


def hz_to_mel(hz: np.ndarray | float, scale: MelScale) -> np.ndarray:
    """Hz → mel. "htk": O'Shaughnessy (1987). "slaney": linear below 1 kHz, logarithmic above (Auditory Toolbox)."""
    hz = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    linear = hz * 3 / 200
    return np.where(hz < 1000, linear, 15 + np.log(np.maximum(hz, 1000) / 1000) * 27 / np.log(6.4))


def mel_to_hz(mel: np.ndarray | float, scale: MelScale) -> np.ndarray:
    """Inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((np.maximum(mel, 15) - 15) * np.log(6.4) / 27))


@lru_cache(maxsize=16)
def mel_filterbank(
    *, rate_hz: int, n_fft: int, n_mels: int, f_min_hz: float, f_max_hz: float, scale: MelScale = "slaney"
) -> Float32[np.ndarray, "bins n_mels"]:
    """Triangles of unit area, evenly spaced in mel; librosa.filters.mel transposed. Cached: do not write into it.

    Raises:
        SpectralError: a rate, a frame or a number of bands below one, or edges that are not 0 ≤ low < high ≤ rate / 2.
    """
    if min(rate_hz, n_fft, n_mels) < 1 or not 0 <= f_min_hz < f_max_hz <= rate_hz / 2:
        raise SpectralError(
            f"no {n_mels} mel bands from f_min_hz {f_min_hz:g} to f_max_hz {f_max_hz:g} at a rate of {rate_hz} Hz and "
            f"n_fft {n_fft}; the edges must be 0 ≤ low < high ≤ {rate_hz / 2:g} Hz, half the rate"
        )
    bins_hz = np.fft.rfftfreq(n_fft, 1 / rate_hz)[:, None]
    edges_hz = mel_to_hz(np.linspace(hz_to_mel(f_min_hz, scale), hz_to_mel(f_max_hz, scale), n_mels + 2), scale)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    return (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)
