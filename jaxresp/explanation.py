"""Which moments and bands of a recording spoke for a class, from what each cell added: lines, maps and moments.

Without JAX: it is also read, and drawn, where nothing is computed. `explain` says how cells are attributed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

METHOD = "integrated gradients"
BASELINE = "the mean of the training sounds"

_JSON_COLUMNS = 512  # moments in JSON: more than a page is wide, and a bound for ten minutes
_JSON_MAP_COLUMNS = 256
_SMOOTH_S = 0.3


@dataclass(frozen=True)
class Explanation:
    """What spoke for one class, moment by moment.

    Attributes:
        of_class: the class.
        start_s: where each window begins, seconds.
        length_s: how long a window is, seconds.
        duration_s: of the recording; a shorter one was repeated to fill its window.
        cells: what each cell added to the class's log odds; negative where it spoke against it.
        bands_hz: centres of the bands; None for a front end without frequencies.
    """

    of_class: str
    start_s: Float32[np.ndarray, " windows"]
    length_s: float
    duration_s: float
    cells: Float32[np.ndarray, "windows frames bands"]
    bands_hz: Float64[np.ndarray, " bands"] | None

    @property
    def saliency(self) -> Float32[np.ndarray, "windows frames"]:
        """How much each moment spoke for the class, in log odds; frames that spoke against it count as zero.

        Smoothed over a third of a second: of variants tried, this one finds the frames whose loss costs most.
        """
        width = max(1, round(_SMOOTH_S / self.step_s))
        kernel = np.hanning(width + 2)[1:-1]
        spoke = np.maximum(self.cells.sum(axis=-1), 0)
        smooth = [np.convolve(window, kernel / kernel.sum(), "full")[width // 2 :][: window.size] for window in spoke]
        return np.stack(smooth).astype(np.float32)

    @property
    def step_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.length_s / max(self.cells.shape[1] - 1, 1)

    @cached_property
    def time_s(self) -> Float64[np.ndarray, "windows frames"]:
        """The middle of each frame, in seconds of the recording."""
        within = self.step_s * np.arange(self.cells.shape[1])
        time_s = np.asarray(self.start_s, np.float64)[:, None] + within
        return time_s % self.duration_s if self.duration_s < self.length_s else np.minimum(time_s, self.duration_s)

    def saliency_over_time(self, columns: int) -> Float32[np.ndarray, " drawn"]:
        """`saliency` of equal stretches from the recording's beginning to its end."""
        return self._over_time(self.saliency[:, :, None], columns)[:, 0]

    def cells_over_time(self, columns: int) -> Float32[np.ndarray, "drawn bands"]:
        """`cells` of equal stretches from the recording's beginning to its end."""
        return self._over_time(self.cells, columns)

    def _over_time(
        self, values: Float32[np.ndarray, "windows frames values"], columns: int
    ) -> Float32[np.ndarray, "drawn values"]:
        """At most `columns` stretches, none shorter than a frame.

        Where windows overlap, or repeat a short recording, they are averaged. A stretch of several frames shows its
        strongest of either sign, so that no crackle is lost.
        """
        fine = max(1, math.ceil(self.duration_s / self.step_s - 1e-6))
        middle_s = (np.arange(fine) + 0.5) * self.duration_s / fine
        total, count = np.zeros((fine, values.shape[2])), np.zeros((fine, 1))
        for window, start_s in zip(values, self.start_s, strict=True):
            for repeat in range(math.ceil(self.length_s / self.duration_s)):
                within_s = middle_s - float(start_s) + repeat * self.duration_s
                inside = (within_s >= 0) & (within_s <= self.length_s)
                total[inside] += window[np.rint(within_s[inside] / self.step_s).astype(np.int64)]
                count[inside] += 1
        mean = total / np.maximum(count, 1)
        edges = np.unique(np.linspace(0, fine, min(columns, fine), endpoint=False).astype(np.int64))
        high, low = np.maximum.reduceat(mean, edges), np.minimum.reduceat(mean, edges)
        return np.where(high >= -low, high, low).astype(np.float32)

    def moments(self, n: int = 5) -> list[dict[str, float]]:
        """The stretches that spoke loudest, at most `n`, in the order of time; none that overlap.

        Each with its start and end in seconds, and its share of all that spoke for the class. A stretch grows around a
        peak as long as the saliency stays above half of it; peaks below a tenth of the highest are left out.
        """
        line = self.saliency_over_time(10**9).astype(np.float64)
        around = np.pad(line, 1, constant_values=-1)
        peaks = np.flatnonzero((line >= around[:-2]) & (line > around[2:]) & (line > 0.1 * np.max(line)))
        free, each_s = np.ones(line.size, bool), self.duration_s / line.size
        found: list[dict[str, float]] = []
        for peak in sorted(peaks.tolist(), key=lambda i: -line[i]):
            if not free[peak] or len(found) == n:
                continue
            low = high = peak
            while low > 0 and free[low - 1] and line[low - 1] > line[peak] / 2:
                low -= 1
            while high + 1 < line.size and free[high + 1] and line[high + 1] > line[peak] / 2:
                high += 1
            free[low : high + 1] = False
            share = float(line[low : high + 1].sum() / line.sum())
            found.append({"start_s": low * each_s, "end_s": (high + 1) * each_s, "share": share})
        return [{key: round(value, 3) for key, value in each.items()} for each in sorted(found, key=_start)]

    def to_json(self) -> dict[str, Any]:
        """Plain types for json.dumps, of bounded size however long the recording is."""
        line, cells = self.saliency_over_time(_JSON_COLUMNS), self.cells_over_time(_JSON_MAP_COLUMNS)
        return {
            "class": self.of_class,
            "method": METHOD,
            "baseline": BASELINE,
            "unit": "log odds",
            "moments": self.moments(),
            "saliency": {"step_s": self.duration_s / len(line), "values": _rounded(line)},
            "map": {
                "step_s": self.duration_s / len(cells),
                "bands_hz": None if self.bands_hz is None else [round(float(hz), 1) for hz in self.bands_hz],
                "values": [_rounded(column) for column in cells],
            },
        }


def _start(moment: dict[str, float]) -> float:
    return moment["start_s"]


def _rounded(values: Float32[np.ndarray, " n"]) -> list[float]:
    return [float(f"{value:.3g}") for value in values]
