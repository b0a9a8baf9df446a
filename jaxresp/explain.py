"""Which moments and bands of a sound spoke for the answer.

Integrated gradients (Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", ICML 2017) of the log odds of
one class, from the mean of the training sounds to the sound itself. The attributions of all cells add up to what the
sound changed about the log odds, so that windows can be compared with each other. MFCC are a linear map of mel bands,
so the attribution of every front end is told in cells of time and band.

Whether the moments found matter is measured by taking them away (Petsiuk, Das & Saenko, "RISE", BMVC 2018):
tests/slow/test_deletion.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float32, Float64, Int32

from jaxresp import models
from jaxresp.frontend import FrontEnd
from jaxresp.models import Weights
from jaxresp.train import Standardisation, standardise

METHOD = "integrated gradients"
BASELINE = "the mean of the training sounds"

_STEPS = 8  # points of the path; a network of ReLUs and maxima is nearly straight along it
_JSON_COLUMNS = 512  # moments in JSON: more than a page is wide, and a bound for ten minutes
_JSON_MAP_COLUMNS = 256
_SMOOTH_S = 0.3

#: weights, standardisation, features of one window, class → attribution of each cell.
Attribute = Callable[
    [Weights, Standardisation, Float32[Array, "1 frames coefficients"], Int32[Array, ""]],
    Float32[Array, "frames bands"],
]


def log_odds(logits: Float32[Array, "*n outputs"], of_class: Int32[Array, ""]) -> Float32[Array, "*n"]:
    """Logits → log of the odds of one class against all others. A single logit is that of the second class."""
    if logits.shape[-1] == 1:
        return jnp.where(of_class == 1, 1.0, -1.0) * logits[..., 0]
    own = jax.nn.one_hot(of_class, logits.shape[-1], dtype=bool)
    return jnp.take(logits, of_class, axis=-1) - jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits), axis=-1)


def attribute_with(frontend: FrontEnd, graph: nnx.GraphDef) -> Attribute:
    """The function, to be jitted, that attributes the log odds of a class to the cells of one window.

    One window at a time, as a batch of the points of its path: one shape to compile for recordings of any length.
    """

    def attribute(
        weights: Weights,
        by: Standardisation,
        features: Float32[Array, "1 frames coefficients"],
        of_class: Int32[Array, ""],
    ) -> Float32[Array, "frames bands"]:
        change = features[0] - by.mean
        share = (jnp.arange(_STEPS, dtype=jnp.float32) + 0.5) / _STEPS  # midpoint rule

        def odds(path: Float32[Array, "steps frames coefficients"]) -> Float32[Array, ""]:
            return log_odds(models.apply(graph, weights, jnp.asarray(standardise(path, by))), of_class).sum()

        slope = jax.grad(odds)(by.mean + share[:, None, None] * change).mean(0)
        _, to_bands_slope = jax.vjp(frontend.from_bands, jnp.zeros_like(frontend.to_bands(change)))
        (slope_by_band,) = to_bands_slope(slope)
        return frontend.to_bands(change) * slope_by_band

    return attribute


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
