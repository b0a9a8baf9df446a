"""What a model is worth that hears only what every stethoscope of the corpus records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxresp.evaluate.bootstrap import Difference, Interval
from jaxresp.evaluate.metrics import Metrics


@dataclass(frozen=True)
class InBand:
    """The same folds, settings and calibration, with features of a narrower band.

    Attributes:
        heard: the band, in words; see FrontEnd.heard.
        metrics: of the calibrated out-of-fold answers.
        intervals: 95 % patient bootstrap of the headline metrics.
        less: the headline metrics less those of the model's own band, paired on the same patients.
    """

    heard: str
    metrics: Metrics
    intervals: Mapping[str, Interval]
    less: Mapping[str, Difference]


def in_band_from_json(data: Mapping[str, Any], read: Callable[[Any], Any]) -> InBand:
    """Inverse of `dataclasses.asdict`, undefined numbers read by `read`."""
    return InBand(
        data["heard"],
        Metrics(**{name: read(value) for name, value in data["metrics"].items()}),
        {name: Interval(*read(value)) for name, value in data["intervals"].items()},
        {name: Difference(*read(value)) for name, value in data["less"].items()},
    )
