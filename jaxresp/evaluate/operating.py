"""What an alarm is worth where it is used: sensitivity at a fixed specificity, predictive values at a prevalence."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxresp.evaluate.metrics import threshold_counts

#: Stated with every predictive value, since a value without its prevalence means nothing: a screening of the
#: apparently healthy, a general practice, and a chest clinic. None of them is a corpus's.
PREVALENCES = (0.05, 0.2, 0.5)
SPECIFICITY = 0.9


def sensitivity_at_specificity(
    positive: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"], specificity: float = SPECIFICITY
) -> float:
    """The largest sensitivity of any threshold whose specificity is at least this.

    The threshold is chosen on these very units: an upper bound of what a threshold fixed beforehand reaches. NaN
    without positives or negatives.
    """
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    hits, false_alarms, _ = threshold_counts(positive, score)
    allowed = 1 - false_alarms / n_negative >= specificity - 1e-12
    return float(hits[allowed].max(initial=0) / n_positive)


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """By Bayes' rule: the chance that an alarm is right, and that its absence is. NaN where none is ever given.

    Args:
        sensitivity: of the alarm.
        specificity: of the alarm.
        prevalence: share of the ill among those who are examined.
    """
    hit, false_alarm = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    cleared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return (
        hit / (hit + false_alarm) if hit + false_alarm else float("nan"),
        cleared / (cleared + missed) if cleared + missed else float("nan"),
    )


def alarm_values(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"], normal: int
) -> dict[str, float]:
    """What answering anything but normal is worth, as an alarm: its rates here, and its worth at stated prevalences."""
    ill, score = labels != normal, 1 - probabilities[:, normal]
    alarm = probabilities.argmax(1) != normal
    sensitivity = float(alarm[ill].mean()) if ill.any() else float("nan")
    specificity = float((~alarm[~ill]).mean()) if not ill.all() else float("nan")
    found = {
        "sensitivity of any abnormal answer": sensitivity,
        "specificity": specificity,
        f"sensitivity at specificity {SPECIFICITY:g} (threshold chosen here)": sensitivity_at_specificity(ill, score),
    }
    for prevalence in PREVALENCES:
        positive, negative = predictive_values(sensitivity, specificity, prevalence)
        found[f"PPV at prevalence {prevalence:g}"] = positive
        found[f"NPV at prevalence {prevalence:g}"] = negative
    return found
