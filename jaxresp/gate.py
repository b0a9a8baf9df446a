"""Whether a recording is fit to be answered about: long, loud, clean and wide enough, and like those of training.

Fitted by jaxresp.evaluate.gating on training recordings; applied here, in the same way offline and served. A network
answers whatever it is given, and is often surest about what it has never met (Nguyen, Yosinski & Clune, CVPR 2015).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int16

from jaxresp.audio import Recording

FRAME_S = 0.064  # resolves 16 Hz, and a breath in dozens of frames
EDGES_HZ = tuple(float(edge) for edge in np.geomspace(60.0, 1800.0, 7))  # six bands that every stethoscope records
TOP_HZ = 4_000.0
MAX_FRAMES = 512  # of a long recording every second, third … is looked at: ten minutes cost what half a minute does
N_SHAPE = 2 * (len(EDGES_HZ) - 1) + 3

MAX_CLIPPED_FRACTION = 0.05
"""Not fitted, since a prepared corpus does not keep what was clipped: a twentieth in flat tops is no waveform."""

_FLOOR = 1e-4  # 40 dB below the mean: what is quieter is as good as nothing


class Measured(NamedTuple):
    """What the gate looks at, from a recording on the grid of the Classifier.

    Attributes:
        duration_s: seconds.
        rms_dbfs: root mean square about the mean, dB re full scale.
        shape: log₁₀ of the shares of six bands from 60 to 1800 Hz in the power between them, the spread over time of
            log₁₀ power in each, and then: that spread of all together, the power from 1.8 to 4 kHz, and how far the
            strongest frequency stands out. Loudness changes none of it.
    """

    duration_s: float
    rms_dbfs: float
    shape: Float[np.ndarray, " shape"]


def measure(samples: Int16[np.ndarray, " time"], scale: float, rate_hz: int) -> Measured:
    """Look at a recording as it is stored, int16 × scale."""
    size = round(FRAME_S * rate_hz)
    whole = np.resize(samples, max(samples.size, size))
    frames = whole[: whole.size // size * size].reshape(-1, size)
    frames = frames[:: math.ceil(len(frames) / MAX_FRAMES)].astype(np.float32)
    rms = float(np.std(samples, dtype=np.float64)) * scale
    window = np.hanning(size).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft((frames - frames.mean(1, keepdims=True)) * window)))
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    cut = np.searchsorted(hz, EDGES_HZ)
    bands = np.stack([power[:, a:b].sum(1) for a, b in itertools.pairwise(cut.tolist())], 1).astype(np.float64)
    total, tiny = bands.sum(1), float(np.finfo(np.float32).tiny)
    mean, spectrum = bands.mean(0), power[:, cut[0] : cut[-1]].mean(0)
    high = power[:, cut[-1] : np.searchsorted(hz, TOP_HZ)].sum(1).mean()
    share = [
        np.log10(mean / (total.mean() + tiny) + _FLOOR),
        _spread(bands),
        [
            _spread(total[:, None])[0],
            math.log10(float(high) / (float(np.mean(total)) + tiny) + _FLOOR),
            math.log10((float(np.max(spectrum)) + tiny) / (float(np.mean(spectrum)) + tiny)),
        ],
    ]
    return Measured(samples.size / rate_hz, 20 * math.log10(max(rms, 1e-10)), np.concatenate(share))


@dataclass(frozen=True)
class Gate:
    """Limits that training recordings set.

    Attributes:
        n_patients: whom they were fitted on.
        min_duration_s: seconds; shorter sounds hold less than a breath.
        min_rms_dbfs: dB re full scale; quieter ones are the noise of the electronics.
        min_bandwidth_hz: Hz, as AudioFacts.bandwidth_hz; narrower ones have lost the sounds asked about.
        mean: of the shape (see Measured) over the patients.
        precision: inverse of its covariance.
        max_distance: the largest Mahalanobis distance of a training patient held out from mean and covariance; None,
            no limit, where there was but one.
        max_clipped_fraction: share of samples in flat tops.
    """

    n_patients: int
    min_duration_s: float
    min_rms_dbfs: float
    min_bandwidth_hz: float
    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    max_distance: float | None
    max_clipped_fraction: float = MAX_CLIPPED_FRACTION

    def refusal(self, recording: Recording, seen: Measured | None = None) -> str | None:
        """Why a recording gets no label, or None. `seen` is what `measure` returned, where it was measured before."""
        facts = recording.facts
        seen = seen or measure(recording.samples, recording.scale, recording.rate_hz)
        return self.refusal_of(seen, facts.bandwidth_hz, facts.clipped_fraction)

    def refusal_of(self, seen: Measured, bandwidth_hz: float, clipped_fraction: float = 0.0) -> str | None:
        """The same of what was measured before."""
        if seen.duration_s < self.min_duration_s:
            return f"too short: {seen.duration_s:.1f} s, and less than {self.min_duration_s:.1f} s is no whole breath"
        if seen.rms_dbfs < self.min_rms_dbfs:
            return f"too quiet: {seen.rms_dbfs:.0f} dBFS, and training had nothing below {self.min_rms_dbfs:.0f} dBFS"
        if clipped_fraction > self.max_clipped_fraction:
            return f"clipped: {clipped_fraction:.0%} of the samples lie in flat tops; record at a lower level"
        if bandwidth_hz < self.min_bandwidth_hz:
            return (
                f"too narrow a band: nothing is heard above {bandwidth_hz:.0f} Hz, "
                f"and training recordings reach {self.min_bandwidth_hz:.0f} Hz"
            )
        away = self.distance(seen.shape)
        if self.max_distance is not None and away > self.max_distance:
            return (
                "it does not sound like the recordings of training "
                f"(distance {away:.1f}; of {self.n_patients} patients nobody was further than {self.max_distance:.1f})"
            )
        return None

    def distance(self, shape: Float[np.ndarray, " shape"]) -> float:
        """Mahalanobis distance of a shape from those of training."""
        away = shape - np.asarray(self.mean)
        return math.sqrt(max(float(away @ np.asarray(self.precision) @ away), 0.0))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Gate:
        """Inverse of `to_dict`, also after JSON has made lists of the tuples."""
        rows = tuple(tuple(row) for row in stored["precision"])
        return cls(**{**stored, "mean": tuple(stored["mean"]), "precision": rows})


def _spread(power: Float[np.ndarray, "frames bands"]) -> Float[np.ndarray, " bands"]:
    """Standard deviation over time of log₁₀ power; that of silence is 0."""
    mean = power.mean(0) + np.finfo(np.float32).tiny
    return np.log10(power / mean + _FLOOR).std(0)
