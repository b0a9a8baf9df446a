"""The same answers at three levels: a window alone, the unit that the task asks about, and the patient.

A window's answer is what the network says after five seconds; a patient's is the pooled answer of all his recordings,
as of somebody who listens at six places.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxresp.evaluate.bootstrap import Interval, headline_intervals
from jaxresp.evaluate.metrics import Metrics, check_answers, classification_metrics
from jaxresp.models import probabilities as softmax
from jaxresp.pooling import pool


class Level(NamedTuple):
    """Metrics at one level, and the 95 % patient-bootstrap intervals of the headline ones."""

    metrics: Metrics
    intervals: dict[str, Interval]


def level(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"], patients: np.ndarray, *, seed: int
) -> Level:
    """Metrics and intervals of some answers."""
    return Level(
        classification_metrics(labels, probabilities), headline_intervals(labels, probabilities, patients, seed=seed)
    )


def patient_answers(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"], patients: Shaped[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " p"], Float[np.ndarray, "p classes"], Shaped[np.ndarray, " p"]] | None:
    """Answers per unit → label, probabilities and name of every patient: the geometric mean of his units' odds.

    None where a patient has units of several classes (of sounds, not of diagnoses): then a patient has no class.

    Raises:
        EvaluationError: as `check_answers` does.
    """
    check_answers(labels, probabilities)
    names, first, patient = np.unique(patients, return_index=True, return_inverse=True)
    if (labels != labels[first][patient]).any():
        return None
    log_odds = np.log(np.clip(probabilities.astype(np.float64), 1e-30, 1))
    return labels[first], np.asarray(softmax(pool(log_odds, patient, names.size))), names
