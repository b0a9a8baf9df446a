"""Short-time spectra: frames, power, mel bands, decibels, cepstra, deltas. Numerically those of librosa.

Frames are centred: the waveform is padded with n_fft // 2 zeros on both sides, frame i is centred on sample
i × hop, and a waveform of n samples has 1 + n // hop frames. Zeros rather than reflection: nothing is heard twice.

Products ask for full float32 (Precision.HIGHEST): accelerators would otherwise round to TF32 or bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal
from jaxtyping import Array, Complex64, Float32, Float64, Int32

from jaxresp.dsp import pieces
from jaxresp.dsp.mel import SpectralError

#: How a frame is transformed. "fft"; "matmul", a product with the DFT matrix, for the matrix unit of a TPU; "auto" is
#: the product when compiled for a TPU and else the FFT, which a CPU does seven times faster. No TPU was at hand.
Method = Literal["auto", "fft", "matmul"]


def n_frames(n_samples: int, hop_samples: int) -> int:
    """Frames of a waveform of n samples."""
    return 1 + n_samples // hop_samples


def frame(
    waveform: Float32[Array, "*batch time"], n_fft: int, hop_samples: int
) -> Float32[Array, "*batch frames n_fft"]:
    """Centred, overlapping frames, not windowed.

    Raises:
        SpectralError: a frame or a hop of no samples, or a waveform shorter than a frame.
    """
    count = _checked_frames(waveform.shape[-1], n_fft, hop_samples)
    padded = _pad_time(waveform, n_fft // 2, (count - 1) * hop_samples + n_fft)
    return _cut(padded, count, n_fft, hop_samples)


def _checked_frames(n_samples: int, n_fft: int, hop_samples: int) -> int:
    if n_fft < 2 or hop_samples < 1:
        raise SpectralError(f"n_fft is {n_fft} and hop_samples {hop_samples}; give at least 2 and 1")
    if n_samples < n_fft:
        raise SpectralError(
            f"a waveform of {n_samples} samples is shorter than one frame of n_fft = {n_fft}; "
            "give a longer one, or take a shorter n_fft"
        )
    return n_frames(n_samples, hop_samples)


def _cut(
    padded: Float32[Array, "*batch padded"], count: int, n_fft: int, hop_samples: int
) -> Float32[Array, "*batch {count} {n_fft}"]:
    if n_fft % hop_samples:
        return padded[..., np.arange(count)[:, None] * hop_samples + np.arange(n_fft)]
    # A hop that divides the frame: frames are neighbouring blocks side by side, which copies instead of gathering.
    n_blocks = n_fft // hop_samples
    blocks = padded.reshape(*padded.shape[:-1], count + n_blocks - 1, hop_samples)
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
    waveform: Float32[Array, "*batch time"], *, n_fft: int, hop_samples: int, method: Method = "auto"
) -> Complex64[Array, "*batch frames bins"]:
    """Short-time Fourier transform with a periodic Hann window; librosa.stft with the last axes swapped.

    Raises:
        SpectralError: as `frame` does.
    """
    real, imaginary = _spectrum(frame(waveform, n_fft, hop_samples), (0, n_fft // 2 + 1), method)
    return jax.lax.complex(real, imaginary)


_Parts = tuple[Float32[Array, "*batch frames bins"], Float32[Array, "*batch frames bins"]]


def _spectrum(frames: Float32[Array, "*batch frames n_fft"], bins: tuple[int, int], method: Method) -> _Parts:
    """Real and imaginary part of the windowed frames' spectrum in bins[0] ≤ bin < bins[1]."""
    n_fft = frames.shape[-1]

    def fft(frames: Float32[Array, "*batch frames n_fft"]) -> _Parts:
        window = jnp.asarray(hann(n_fft)).reshape((1,) * (frames.ndim - 1) + (-1,))
        spectrum = jnp.fft.rfft(frames * window)[..., slice(*bins)]
        return spectrum.real, spectrum.imag

    def matmul(frames: Float32[Array, "*batch frames n_fft"]) -> _Parts:
        both = _product(frames, _windowed_dft(n_fft, *bins))
        return both[..., : bins[1] - bins[0]], both[..., bins[1] - bins[0] :]

    if method == "auto":
        return jax.lax.platform_dependent(frames, tpu=matmul, default=fft)
    if method not in ("fft", "matmul"):
        raise SpectralError(f"there is no method {method!r}; choose auto, fft or matmul")
    return {"fft": fft, "matmul": matmul}[method](frames)


@lru_cache(maxsize=4)
def _windowed_dft(n_fft: int, first: int, last: int) -> Float32[np.ndarray, "n_fft two_bins"]:
    """The Hann window times the DFT matrix: real columns of these bins, then imaginary ones."""
    turns = np.outer(np.arange(n_fft), np.arange(first, last)) % n_fft * (-2 * np.pi / n_fft)
    window = scipy.signal.get_window("hann", n_fft, fftbins=True)[:, None]
    return np.hstack([np.cos(turns) * window, np.sin(turns) * window]).astype(np.float32)


def _product(
    x: Float32[Array, "*batch rows n"], matrix: Float32[np.ndarray, "n columns"]
) -> Float32[Array, "*batch rows columns"]:
    return jnp.matmul(x, jnp.asarray(matrix), precision=jax.lax.Precision.HIGHEST)


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
    waveform: Float32[Array, "*batch time"], *, n_fft: int, hop_samples: int, method: Method = "auto"
) -> Float32[Array, "*batch frames bins"]:
    """|STFT|², of 1 + n_fft // 2 bins. Long waveforms are taken piece by piece.

    Raises:
        SpectralError: as `frame` does.
    """

    def power(frames: Float32[Array, "*batch frames n_fft"]) -> Float32[Array, "*batch frames bins"]:
        return _power(frames, (0, n_fft // 2 + 1), method)

    return _over_frames(power, waveform, n_fft, hop_samples)


def mel_spectrogram(
    waveform: Float32[Array, "*batch time"],
    *,
    n_fft: int,
    hop_samples: int,
    filterbank: Float32[np.ndarray, "bins bands"],
    method: Method = "auto",
) -> Float32[Array, "*batch frames bands"]:
    """Power in the bands of a filterbank. Long waveforms are taken piece by piece.

    Only the bins that the filterbank looks at are computed beyond the transform.

    Raises:
        SpectralError: as `frame` does, and a filterbank that is not one of n_fft.
    """
    if filterbank.shape[0] != n_fft // 2 + 1:
        raise SpectralError(f"a filterbank of {filterbank.shape[0]} bins on n_fft {n_fft}, which has {n_fft // 2 + 1}")
    used = np.flatnonzero(filterbank.any(axis=1))
    first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)

    def bands(frames: Float32[Array, "*batch frames n_fft"]) -> Float32[Array, "*batch frames bands"]:
        return _product(_power(frames, (first, last), method), filterbank[first:last])

    return _over_frames(bands, waveform, n_fft, hop_samples)


def _power(
    frames: Float32[Array, "*batch frames n_fft"], bins: tuple[int, int], method: Method
) -> Float32[Array, "*batch frames bins"]:
    real, imaginary = _spectrum(frames, bins, method)
    return jnp.square(real) + jnp.square(imaginary)


def _over_frames(
    of: Callable[[Float32[Array, "*rows frames n_fft"]], Float32[Array, "*rows frames values"]],
    waveform: Float32[Array, "*batch time"],
    n_fft: int,
    hop_samples: int,
) -> Float32[Array, "*batch frames values"]:
    """`of` all frames; some rows at a time, and of a long row some frames at a time."""
    count = _checked_frames(waveform.shape[-1], n_fft, hop_samples)

    def of_rows(waveform: Float32[Array, "*rows time"], at_once: int) -> Float32[Array, "*rows frames values"]:
        n_parts = -(-waveform.shape[-1] // at_once)
        n_each = -(-count // n_parts)
        padded = _pad_time(waveform, n_fft // 2, (n_parts * n_each - 1) * hop_samples + n_fft)
        if n_parts == 1:
            return of(_cut(padded, count, n_fft, hop_samples))

        def part(i: Int32[Array, ""]) -> Float32[Array, "*rows n_each values"]:
            start, length = i * (n_each * hop_samples), (n_each - 1) * hop_samples + n_fft
            return of(_cut(jax.lax.dynamic_slice_in_dim(padded, start, length, axis=-1), n_each, n_fft, hop_samples))

        parts = jnp.moveaxis(jax.lax.map(part, jnp.arange(n_parts, dtype=jnp.int32)), 0, -3)
        return parts.reshape(*waveform.shape[:-1], n_parts * n_each, -1)[..., :count, :]

    return pieces.by_rows(of_rows, waveform)


def power_to_db(
    power: Float32[Array, "*batch frames bands"],
    *,
    reference: float | Literal["loudest"] = 1.0,
    floor_db: float | None = 80.0,
    smallest: float = 1e-10,
) -> Float32[Array, "*batch frames bands"]:
    """10 log10 of power re `reference`, held to at most `floor_db` below the largest value of each spectrogram.

    librosa.power_to_db(ref=reference, amin=smallest, top_db=floor_db), example by example. Finite everywhere, and so is
    its gradient: silence is 10 log10(smallest / reference), or 0 where the loudest cell is the reference.

    Args:
        power: of at least 0.
        reference: what 0 dB is: a power, or each spectrogram's loudest cell.
        floor_db: None for no floor.
        smallest: power below which nothing is told apart.

    Raises:
        SpectralError: a reference, a floor or a smallest power that is not above zero.
    """
    numbers = [smallest, *([] if reference == "loudest" else [reference]), *([] if floor_db is None else [floor_db])]
    if not all(number > 0 for number in numbers):
        raise SpectralError(
            f"reference {reference}, floor_db {floor_db}, smallest {smallest}: each must be above 0 (dB are taken of "
            "powers, and the floor lies below the loudest cell by that much)"
        )
    db = 10.0 * jnp.log10(jnp.maximum(power, smallest))
    loudest = db.max(axis=(-2, -1), keepdims=True)
    if floor_db is not None:
        db = jnp.maximum(db, loudest - floor_db)
    return db - (loudest if reference == "loudest" else 10.0 * float(np.log10(max(smallest, reference))))


@lru_cache(maxsize=16)
def dct_matrix(n_bands: int, n_coefficients: int) -> Float32[np.ndarray, "bands coefficients"]:
    """The first columns of the orthonormal DCT-II (Ahmed, Natarajan & Rao, 1974). Cached: do not write into it."""
    angles = np.pi / n_bands * (np.arange(n_bands)[:, None] + 0.5) * np.arange(n_coefficients)
    matrix = np.cos(angles) * np.sqrt(2 / n_bands)
    matrix[:, 0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def cepstrum(
    log_bands: Float32[Array, "*batch frames bands"], n_coefficients: int, *, lifter: float = 0.0
) -> Float32[Array, "*batch frames {n_coefficients}"]:
    """Cepstral coefficients of log bands; of a log-mel spectrogram, MFCC (Davis & Mermelstein, 1980).

    librosa.feature.mfcc(n_mfcc=n_coefficients, dct_type=2, norm="ortho", lifter=lifter). With a lifter, coefficient
    n ≥ 0 is multiplied by 1 + lifter / 2 × sin(π (n + 1) / lifter): the high ones, which are small, weigh more.

    Raises:
        SpectralError: more coefficients than bands or none, or a negative lifter.
    """
    return _product(log_bands, cepstral_matrix(log_bands.shape[-1], n_coefficients, lifter=lifter))


def cepstral_matrix(
    n_bands: int, n_coefficients: int, *, lifter: float = 0.0
) -> Float32[np.ndarray, "bands coefficients"]:
    """What `cepstrum` multiplies log bands by.

    Raises:
        SpectralError: as `cepstrum`.
    """
    if not 1 <= n_coefficients <= n_bands or lifter < 0:
        raise SpectralError(
            f"{n_coefficients} coefficients of {n_bands} bands with lifter {lifter}; there are 1 to {n_bands} "
            "coefficients, and a lifter is 0 (none) or above"
        )
    matrix = dct_matrix(n_bands, n_coefficients)
    if lifter > 0:
        weights = 1 + lifter / 2 * np.sin(np.pi * np.arange(1, n_coefficients + 1) / lifter)
        matrix = matrix * weights.astype(np.float32)
    return matrix


def delta(
    features: Float32[Array, "*batch frames coefficients"], *, order: int = 1, width: int = 9
) -> Float32[Array, "*batch frames coefficients"]:
    """The order-th derivative over frames, per frame: of the polynomial of that order that fits `width` frames best.

    librosa.feature.delta(mode="interp"), a filter of Savitzky & Golay (Anal. Chem. 36, 1964). At both ends the
    outermost fit goes on: that derivative of a polynomial of this order is a constant, so its value repeats.

    Raises:
        SpectralError: a width that is not odd, above `order` and at least 3, or more than there are frames.
    """
    count = features.shape[-2]
    if width < 3 or width % 2 == 0 or not 1 <= order < width:
        raise SpectralError(
            f"deltas of order {order} over {width} frames; the width is odd, at least 3 and above the order"
        )
    if count < width:
        raise SpectralError(f"deltas over {width} frames of features that have {count}; take a smaller width")
    weights: Float64[np.ndarray, " width"] = scipy.signal.savgol_coeffs(width, order, deriv=order, use="dot")
    inner = sum(float(w) * features[..., i : count - width + 1 + i, :] for i, w in enumerate(weights))
    half = width // 2
    return jnp.pad(inner, [(0, 0)] * (features.ndim - 2) + [(half, half), (0, 0)], mode="edge")
