"""Butterworth band-pass: designed in float64, applied in float32 as one linear convolution by FFT.

A recursive filter walks sample by sample, which neither XLA nor a GPU likes. A stable one forgets, though: its impulse
response is cut where it has decayed below float32's resolution, and convolving with it is the same causal filter.
"""

from __future__ import annotations

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
import scipy.fft
import scipy.signal
from jaxtyping import Array, Complex64, Float32, Float64

from jaxresp.errors import JaxrespError

_DECAYED = 1e-8  # of the peak: below float32's resolution of 6e-8
_LONGEST_S = 8.0  # a band edge of a few Hz still decays within this


class FilterError(JaxrespError):
    """A filter that cannot be designed."""


@lru_cache(maxsize=32)
def butterworth_bandpass(low_hz: float, high_hz: float, order: int, rate_hz: int) -> Float64[np.ndarray, "sections 6"]:
    """Second-order sections of a Butterworth band-pass, -3 dB at both edges.

    `order` counts as in scipy.signal.butter: the slope of each edge, so the filter has 2 × order poles
    (Oppenheim & Schafer, Discrete-Time Signal Processing, 3rd ed., ch. 7). Cached: do not write into the result.

    Raises:
        FilterError: edges that are not 0 < low < high < rate / 2, or an order below one.
    """
    if not 0 < low_hz < high_hz < rate_hz / 2 or order < 1:
        raise FilterError(
            f"no band-pass of order {order} from {low_hz:g} to {high_hz:g} Hz at a rate of {rate_hz} Hz; "
            f"the edges must be 0 < low < high < {rate_hz / 2:g} Hz and the order at least 1"
        )
    return scipy.signal.butter(order, [low_hz, high_hz], btype="bandpass", fs=rate_hz, output="sos")


@lru_cache(maxsize=32)
def bandpass_taps(low_hz: float, high_hz: float, order: int, rate_hz: int) -> Float64[np.ndarray, " taps"]:
    """The band-pass's impulse response up to where it has decayed. Cached: do not write into the result.

    Raises:
        FilterError: a low edge so low that the response rings longer than 8 s.
    """
    impulse = np.zeros(round(_LONGEST_S * rate_hz))
    impulse[0] = 1.0
    response = scipy.signal.sosfilt(butterworth_bandpass(low_hz, high_hz, order, rate_hz), impulse)
    n_taps = int(np.flatnonzero(np.abs(response) > _DECAYED * np.abs(response).max())[-1]) + 1
    if n_taps == len(impulse):
        raise FilterError(
            f"a band-pass of order {order} from {low_hz:g} Hz rings longer than {_LONGEST_S:g} s; raise its low edge"
        )
    return response[:n_taps]


@lru_cache(maxsize=32)
def _frequency_response(
    low_hz: float, high_hz: float, order: int, rate_hz: int, n_samples: int
) -> tuple[int, Complex64[np.ndarray, " bins"]]:
    """A fast FFT length in which n_samples of output do not wrap around, and the filter's response in it."""
    taps = bandpass_taps(low_hz, high_hz, order, rate_hz)[:n_samples]
    n_fft = scipy.fft.next_fast_len(n_samples + len(taps) - 1, real=True)
    return n_fft, np.fft.rfft(taps, n_fft).astype(np.complex64)


def bandpass(
    waveform: Float32[Array, "*batch time"], *, low_hz: float, high_hz: float, order: int, rate_hz: int
) -> Float32[Array, "*batch time"]:
    """The causal Butterworth band-pass, from rest: scipy.signal.sosfilt to within 1e-4 of the peak.

    Raises:
        FilterError: as `butterworth_bandpass` and `bandpass_taps` do.
    """
    n_samples = waveform.shape[-1]
    n_fft, response = _frequency_response(low_hz, high_hz, order, rate_hz, n_samples)
    gain = jnp.asarray(response).reshape((1,) * (waveform.ndim - 1) + (-1,))
    return jnp.fft.irfft(jnp.fft.rfft(waveform, n_fft) * gain, n_fft)[..., :n_samples]
