"""Which moments and bands of a sound spoke for the answer.

Integrated gradients (Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", ICML 2017) of the log odds of
one class, from the mean of the training sounds to the sound itself. The attributions of all cells add up to what the
sound changed about the log odds, so that windows can be compared with each other. MFCC are a linear map of mel bands,
so the attribution of every front end is told in cells of time and band.

Whether the cells matter is measured by taking them away (Petsiuk, Das & Saenko, BMVC 2018) in tests/test_explain.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int32

from jaxresp import models
from jaxresp.features import features_of
from jaxresp.frontend import FrontEnd
from jaxresp.models import Weights
from jaxresp.train import Standardisation, standardise

METHOD = "integrated gradients"
BASELINE = "the mean of the training sounds"

_STEPS = 8  # points of the path; a network of ReLUs and maxima is nearly straight along it
_JSON_COLUMNS = 512  # moments in JSON: more than a page is wide, and a bound for ten minutes
_JSON_MAP_COLUMNS = 256
_N_MOMENTS = 5

#: weights, standardisation, features of one window, class → attribution of each cell.
Attribute = Callable[
    [Weights, Standardisation, Float32[Array, "1 frames coefficients"], Int32[Array, ""]],
    Float32[Array, "frames bands"],
]

#: The features by themselves: compiled once for all Classifiers that share a front end.
window_features = jax.jit(features_of, static_argnames="frontend")


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
    bands_hz: Float[np.ndarray, " bands"] | None

    @property
    def saliency(self) -> Float32[np.ndarray, "windows frames"]:
        """How much each frame spoke for the class, in log odds; zero where it spoke against it."""
        return np.maximum(self.cells.sum(axis=-1), 0)

    @property
    def step_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.length_s / max(self.cells.shape[1] - 1, 1)

    @cached_property
    def time_s(self) -> Float[np.ndarray, "windows frames"]:
        """The middle of each frame, in seconds of the recording."""
        within = self.step_s * np.arange(self.cells.shape[1])
        time_s = np.asarray(self.start_s, np.float64)[:, None] + within
        return time_s % self.duration_s if self.duration_s < self.length_s else np.minimum(time_s, self.duration_s)

    def timeline(self, columns: int) -> Float32[np.ndarray, "drawn bands"]:
        """The recording from beginning to end in equal stretches, at most `columns` and none shorter than a frame.

        Where windows overlap, their frames are averaged. A stretch of several frames shows its strongest of either
        sign, so that no crackle is lost.
        """
        fine = max(1, round(self.duration_s / self.step_s))
        at = np.minimum((self.time_s / self.duration_s * fine).astype(np.int64), fine - 1).ravel()
        count = np.bincount(at, minlength=fine)
        total = np.zeros((fine, self.cells.shape[2]))
        np.add.at(total, at, self.cells.reshape(-1, self.cells.shape[2]))
        mean = total / np.maximum(count, 1)[:, None]
        edges = np.unique(np.linspace(0, fine, min(columns, fine), endpoint=False).astype(np.int64))
        high, low = np.maximum.reduceat(mean, edges), np.minimum.reduceat(mean, edges)
        return np.where(high >= -low, high, low).astype(np.float32)

    def moments(self, n: int = _N_MOMENTS) -> list[dict[str, float]]:
        """The stretches that spoke loudest, in the order of time.

        Each with its start and end in seconds, and its share of all that spoke for the class. A stretch grows around a
        peak as long as the saliency, smoothed over a tenth of a second, stays above half of it.
        """
        line = np.maximum(self.timeline(10**9).sum(axis=1), 0)
        each_s = self.duration_s / line.size
        width = max(1, round(0.1 / each_s))
        left = np.convolve(line, np.ones(width) / width, "same")
        total, found = max(float(line.sum()), 1e-30), []
        for _ in range(n):
            peak = int(left.argmax())
            if left[peak] <= 0:
                break
            low = high = peak
            while low > 0 and left[low - 1] > left[peak] / 2:
                low -= 1
            while high + 1 < left.size and left[high + 1] > left[peak] / 2:
                high += 1
            share = float(line[low : high + 1].sum()) / total
            found.append({"start_s": low * each_s, "end_s": (high + 1) * each_s, "share": share})
            left[low : high + 1] = 0
        return [
            {key: round(value, 3) for key, value in one.items()} for one in sorted(found, key=lambda m: m["start_s"])
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain types for json.dumps, of bounded size however long the recording is."""
        line, cells = self.timeline(_JSON_COLUMNS), self.timeline(_JSON_MAP_COLUMNS)
        return {
            "class": self.of_class,
            "method": METHOD,
            "baseline": BASELINE,
            "unit": "log odds",
            "moments": self.moments(),
            "saliency": {"step_s": self.duration_s / len(line), "values": _rounded(np.maximum(line.sum(axis=1), 0))},
            "map": {
                "step_s": self.duration_s / len(cells),
                "bands_hz": None if self.bands_hz is None else [round(float(hz), 1) for hz in self.bands_hz],
                "values": [_rounded(column) for column in cells],
            },
        }


def _rounded(values: Float32[np.ndarray, " n"]) -> list[float]:
    return [float(f"{value:.3g}") for value in values]
