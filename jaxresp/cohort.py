"""Whom and what a Classifier was trained on, as far as an answer must warn of what lies outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from jaxresp.audio_facts import AudioFacts

Range = tuple[float, float]


@dataclass(frozen=True)
class Cohort:
    """The ranges of the training data. What lies within may still be rare there.

    Attributes:
        age_years: of the youngest and of the oldest patient; None when no age is known.
        native_rate_hz: the lowest and the highest sampling rate.
        bandwidth_hz: of the dullest and of the brightest recording, see AudioFacts; None when not known.
    """

    age_years: Range | None
    native_rate_hz: Range
    bandwidth_hz: Range | None

    @classmethod
    def of(
        cls,
        *,
        age_years: Float32[np.ndarray, " recordings"],
        native_rate_hz: Int32[np.ndarray, " recordings"],
        bandwidth_hz: Float32[np.ndarray, " recordings"],
    ) -> Cohort:
        """The ranges of columns of a corpus, in which NaN is what nobody knows."""
        rates_hz = _range(native_rate_hz)
        assert rates_hz is not None, "integers are always known"
        return cls(_range(age_years), rates_hz, _range(bandwidth_hz))

    def warnings(self, facts: AudioFacts, age_years: float | None) -> tuple[str, ...]:
        """What about this sound and this patient the training has not met."""
        found = []
        if self.bandwidth_hz is not None and facts.bandwidth_hz < self.bandwidth_hz[0]:
            found.append(
                f"narrow band: hardly anything is heard above {facts.bandwidth_hz:.0f} Hz; "
                f"the recordings of the training reached {self.bandwidth_hz[0]:.0f} Hz or more"
            )
        elif facts.native_rate_hz < self.native_rate_hz[0]:
            found.append(
                f"narrow band: recorded at {facts.native_rate_hz} Hz; "
                f"the recordings of the training at {self.native_rate_hz[0]:.0f} Hz or more"
            )
        if age_years is not None and self.age_years is None:
            found.append("how old the patients of the training were is not known")
        elif age_years is not None and self.age_years is not None:
            youngest, oldest = self.age_years
            if not youngest <= age_years <= oldest:
                found.append(
                    f"the patient is {age_years:g} years old; those of the training were {youngest:g} to {oldest:g}"
                )
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Cohort:
        ranges: dict[str, Any] = {key: None if value is None else tuple(value) for key, value in stored.items()}
        return cls(**ranges)


def _range(column: np.ndarray) -> Range | None:
    known = column[np.isfinite(column)]
    return (float(known.min()), float(known.max())) if known.size else None
