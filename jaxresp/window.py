"""Cutting a recording into windows of one fixed length, the same in training and in serving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Int, Shaped


@dataclass(frozen=True)
class WindowConfig:
    """Length and step of the windows.

    Attributes:
        length_s: seconds a window lasts; 5 s holds one to two breaths at rest (the original project's choice).
        step_s: seconds between the starts of neighbouring windows.
    """

    length_s: float = 5.0
    step_s: float = 5.0

    def __post_init__(self) -> None:
        if not (self.length_s > 0 and self.step_s > 0):
            raise ValueError(f"window length and step must be positive, got {self.length_s} s and {self.step_s} s")

    def length_samples(self, rate_hz: int) -> int:
        return round(self.length_s * rate_hz)


#: How each unit is cut unless a run says otherwise. A cycle is repeated to 8 s, as the literature does; all but 15 of
#: ICBHI's 6,898 are shorter. Half of SPRSound's events last less than 1.22 s. What is longer gets several windows.
WINDOWS: Mapping[str, WindowConfig] = MappingProxyType(
    {
        "recording": WindowConfig(),
        "patient": WindowConfig(),
        "cycle": WindowConfig(8.0, 8.0),
        "event": WindowConfig(2.0, 2.0),
    }
)


def window_starts(n_samples: int, rate_hz: int, config: WindowConfig) -> Int[np.ndarray, " windows"]:
    """Where the windows of a recording begin, in samples.

    The last window is moved back to end with the recording, so that every sound is heard and nothing is padded;
    a recording shorter than one window gets one, which `cut_windows` fills by repeating it.
    """
    length, step = config.length_samples(rate_hz), round(config.step_s * rate_hz)
    if n_samples <= length:
        return np.zeros(1, dtype=np.int64)
    count = 1 + math.ceil((n_samples - length) / step)
    return np.minimum(np.arange(count, dtype=np.int64) * step, n_samples - length)


def cut_windows(
    samples: Shaped[np.ndarray, " time"], rate_hz: int, config: WindowConfig
) -> Shaped[np.ndarray, "windows length"]:
    """A recording → its windows, in the recording's own dtype.

    Raises:
        ValueError: an empty recording.
    """
    if samples.size == 0:
        raise ValueError("an empty recording has no windows")
    length = config.length_samples(rate_hz)
    if samples.size < length:  # repeat a short recording rather than append silence that no patient made
        return np.resize(samples, length)[None, :]
    starts = window_starts(samples.size, rate_hz, config)
    return np.lib.stride_tricks.sliding_window_view(samples, length)[starts]
