"""Short-time spectra: frames, power, mel bands, decibels, cepstra. Numerically those of librosa.

Frames are centred: the waveform is padded with n_fft // 2 zeros on both sides, frame i is centred on sample
i × hop, and a waveform of n samples has 1 + n // hop frames. Zeros rather than reflection: any length will do.

Products ask for full float32 (Precision.HIGHEST): accelerators would otherwise round to TF32 or bfloat16.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal
from jaxtyping import Array, Complex64, Float32

MelScale = Literal["slaney", "htk"]


def n_frames(n_samples: int, hop_samples: int) -> int:
    """Frames of a waveform of n samples."""
    return 1 + n_samples // hop_samples


def frame(
    waveform: Float32[Array, "*batch time"], n_fft: int, hop_samples: int
) -> Float32[Array, "*batch frames n_fft"]:
    """Centred, overlapping frames, not windowed."""
    count = n_frames(waveform.shape[-1], hop_samples)
    needed = (count - 1) * hop_samples + n_fft
    if n_fft % hop_samples:
        padded = _pad_time(waveform, n_fft // 2, needed)
        return padded[..., np.arange(count)[:, None] * hop_samples + np.arange(n_fft)]
    # A hop that divides the frame: frames are neighbouring blocks side by side, which copies instead of gathering.
    n_blocks = n_fft // hop_samples
    padded = _pad_time(waveform, n_fft // 2, needed)
    blocks = padded.reshape(*waveform.shape[:-1], count + n_blocks - 1, hop_samples)
    return jnp.concatenate([blocks[..., i : i + count, :] for i in range(n_blocks)], axis=-1)


def _pad_time(waveform: Float32[Array, "*batch time"], before: int, length: int) -> Float32[Array, "*batch padded"]:
    """Zeros before, and zeros or a cut after, to the length."""
    after = length - before - waveform.shape[-1]
    waveform = waveform[..., : waveform.shape[-1] + min(after, 0)]
    return jnp.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(before, max(after, 0))])


@lru_cache(maxsize=16)
def hann(n_fft: int) -> Float32[np.ndarray, " n_fft"]:
    """The periodic Hann window. Cached: do not write into the result."""
    return scipy.signal.get_window("hann", n_fft, fftbins=True).astype(np.float32)


def stft(
    waveform: Float32[Array, "*batch time"], *, n_fft: int, hop_samples: int
) -> Complex64[Array, "*batch frames bins"]:
    """Short-time Fourier transform with a periodic Hann window; librosa.stft with the last axes swapped."""
    frames = frame(waveform, n_fft, hop_samples)
    return jnp.fft.rfft(frames * jnp.asarray(hann(n_fft)).reshape((1,) * (frames.ndim - 1) + (-1,)))


def istft(
    spectrum: Complex64[Array, "*batch frames bins"], *, n_fft: int, hop_samples: int, n_samples: int
) -> Float32[Array, "*batch {n_samples}"]:
    """Inverse of `stft` by windowed overlap-add (Griffin & Lim, 1984). The hop must divide n_fft.

    Samples beyond the last frame are zero.
    """
    count, n_blocks = spectrum.shape[-2], n_fft // hop_samples
    window = jnp.asarray(hann(n_fft)).reshape((1,) * (spectrum.ndim - 1) + (-1,))
    summed = _overlap_add(jnp.fft.irfft(spectrum, n_fft) * window, n_blocks)
    weight = _overlap_add(np.broadcast_to(np.square(hann(n_fft)), (count, n_fft)), n_blocks)
    weight = weight.reshape((1,) * (spectrum.ndim - 2) + (-1,))
    return _pad_time((summed / jnp.maximum(weight, 1e-6))[..., n_fft // 2 :], 0, n_samples)


def _overlap_add(
    frames: Float32[Array | np.ndarray, "*batch frames n_fft"], n_blocks: int
) -> Float32[Array, "*batch time"]:
    *batch, count, n_fft = frames.shape
    blocks = frames.reshape(*batch, count, n_blocks, n_fft // n_blocks)
    lead = [(0, 0)] * len(batch)
    shifted = [jnp.pad(blocks[..., i, :], [*lead, (i, n_blocks - 1 - i), (0, 0)]) for i in range(n_blocks)]
    return sum(shifted[1:], start=shifted[0]).reshape(*batch, -1)


def power_spectrogram(
    waveform: Float32[Array, "*batch time"], *, n_fft: int, hop_samples: int
) -> Float32[Array, "*batch frames bins"]:
    """|STFT|², of 1 + n_fft // 2 bins."""
    spectrum = stft(waveform, n_fft=n_fft, hop_samples=hop_samples)
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


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
    """Triangles of unit area, evenly spaced in mel; librosa.filters.mel transposed. Cached: do not write into it."""
    bins_hz = np.fft.rfftfreq(n_fft, 1 / rate_hz)[:, None]
    edges_hz = mel_to_hz(np.linspace(hz_to_mel(f_min_hz, scale), hz_to_mel(f_max_hz, scale), n_mels + 2), scale)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    return (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)


def mel_power(
    power: Float32[Array, "*batch frames bins"], filterbank: Float32[np.ndarray, "bins n_mels"]
) -> Float32[Array, "*batch frames n_mels"]:
    """Power in each mel band."""
    return jnp.matmul(power, jnp.asarray(filterbank), precision=jax.lax.Precision.HIGHEST)


def power_to_db(
    power: Float32[Array, "*batch frames bands"], *, floor_db: float = 80.0, smallest: float = 1e-10
) -> Float32[Array, "*batch frames bands"]:
    """10 log10 of power re 1, held to at most `floor_db` below the largest value of the spectrogram.

    librosa.power_to_db(ref=1, top_db=floor_db). Finite everywhere: silence is 10 log10(smallest).
    """
    db = 10.0 * jnp.log10(jnp.maximum(power, smallest))
    return jnp.maximum(db, db.max(axis=(-2, -1), keepdims=True) - floor_db)


@lru_cache(maxsize=16)
def dct_matrix(n_bands: int, n_coefficients: int) -> Float32[np.ndarray, "bands coefficients"]:
    """The first columns of the orthonormal DCT-II (Ahmed, Natarajan & Rao, 1974). Cached: do not write into it."""
    angles = np.pi / n_bands * (np.arange(n_bands)[:, None] + 0.5) * np.arange(n_coefficients)
    matrix = np.cos(angles) * np.sqrt(2 / n_bands)
    matrix[:, 0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def cepstrum(
    log_bands: Float32[Array, "*batch frames bands"], n_coefficients: int
) -> Float32[Array, "*batch frames {n_coefficients}"]:
    """Cepstral coefficients of log bands; of a log-mel spectrogram, MFCC (Davis & Mermelstein, 1980)."""
    matrix = jnp.asarray(dct_matrix(log_bands.shape[-1], n_coefficients))
    return jnp.matmul(log_bands, matrix, precision=jax.lax.Precision.HIGHEST)
