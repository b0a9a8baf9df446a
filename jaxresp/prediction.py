"""An answer, as Python and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxresp.audio import AudioFacts

NOTICE = "This is a research demonstration, not a medical device; it must not be used to diagnose or treat anyone."


@dataclass(frozen=True)
class WindowProbabilities:
    """The timeline: what one window alone would have answered, uncalibrated."""

    start_s: float
    end_s: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Prediction:
    """What a Classifier says of one recording.

    Attributes:
        label: the most probable class, or None when the Classifier abstains.
        probabilities: calibrated, by class.
        abstained: whether it abstained.
        reason: why it abstained, or None.
        windows: the timeline.
        audio: facts about the sound.
        warnings: what to keep in mind about this answer.
        model: name, version, task and features of the Classifier.
        possible: the classes that cannot be ruled out, as promised by the model card; None where nothing is promised,
            as for a recording that the quality gate refuses.
        prevalence: share of patients of each class that `probabilities` are for; None where they are not calibrated.
    """

    label: str | None
    probabilities: dict[str, float]
    abstained: bool
    reason: str | None
    windows: tuple[WindowProbabilities, ...]
    audio: AudioFacts
    warnings: tuple[str, ...]
    model: dict[str, str]
    possible: tuple[str, ...] | None = None
    prevalence: dict[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain types for json.dumps."""
        return {
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "abstained": self.abstained,
            "reason": self.reason,
            "windows": [
                {"start_s": w.start_s, "end_s": w.end_s, "probabilities": dict(w.probabilities)} for w in self.windows
            ],
            "audio": self.audio.to_json(),
            "warnings": list(self.warnings),
            "model": dict(self.model),
            "possible": None if self.possible is None else list(self.possible),
            "prevalence": None if self.prevalence is None else dict(self.prevalence),
            "notice": NOTICE,
        }
