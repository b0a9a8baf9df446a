"""Whether probabilities mean what they say: log loss, Brier score, calibration error, and the curve behind them.

Every patient weighs the same, however many recordings he has.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxresp.evaluate.metrics import check_answers

MAX_BINS = 10
_MIN_PER_BIN = 5  # units; fewer in a bin are a share of nothing


@dataclass(frozen=True)
class Reliability:
    """How far probabilities are from frequencies.

    Attributes:
        n: units.
        n_patients: patients they are of.
        log_loss: mean −log of the probability given to the right class (nats).
        brier: mean squared distance from certainty in the right class, summed over classes (Brier, 1950): 0 to 2.
        ece: class-wise calibration error, the mean over the classes; see `curve`.
        ece_by_class: of each class.
        curves: class → points (probability said, frequency seen, share of the patients), the bins of the error.
    """

    n: int
    n_patients: int
    log_loss: float
    brier: float
    ece: float
    ece_by_class: tuple[float, ...]
    curves: tuple[tuple[tuple[float, float, float], ...], ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Reliability:
        curves = tuple(tuple((float(a), float(b), float(c)) for a, b, c in curve) for curve in data["curves"])
        return cls(**{**data, "ece_by_class": tuple(data["ece_by_class"]), "curves": curves})


def patient_weights(patients: Shaped[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """A weight per unit such that every patient weighs the same and all weigh 1."""
    names, patient, count = np.unique(patients, return_inverse=True, return_counts=True)
    return 1 / (count[patient] * names.size)


def reliability(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"], patients: Shaped[np.ndarray, " n"]
) -> Reliability:
    """All of it at once.

    Raises:
        EvaluationError: as `check_answers` does.
    """
    check_answers(labels, probabilities)
    p, weight = probabilities.astype(np.float64), patient_weights(patients)
    truth = np.eye(p.shape[1])[labels]
    curves = tuple(curve(truth[:, c], p[:, c], weight) for c in range(p.shape[1]))
    errors = tuple(float(sum(share * abs(said - seen) for said, seen, share in points)) for points in curves)
    return Reliability(
        n=int(labels.size),
        n_patients=int(np.unique(patients).size),
        log_loss=float(-weight @ np.log(np.clip(p[np.arange(labels.size), labels], 1e-12, 1))),
        brier=float(weight @ np.square(p - truth).sum(1)),
        ece=float(np.mean(errors)),
        ece_by_class=errors,
        curves=curves,
    )


def curve(
    truth: Float[np.ndarray, " n"], said: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"]
) -> tuple[tuple[float, float, float], ...]:
    """Points (probability said, frequency seen, weight) of bins of about equal weight, equal probabilities together.

    Adaptive bins (Nguyen & O'Connor, EMNLP 2015): where nobody's probabilities are, there is no bin.
    """
    values, place = np.unique(said, return_inverse=True)
    n_bins = int(np.clip(said.size // _MIN_PER_BIN, 1, MAX_BINS))
    of_value = np.bincount(place, weights=weight, minlength=values.size)
    middle = (np.cumsum(of_value) - of_value / 2) / of_value.sum()
    bin_of = np.minimum((middle * n_bins).astype(int), n_bins - 1)[place]
    mass, right, sure = (
        np.bincount(bin_of, weights=each, minlength=n_bins) for each in (weight, weight * truth, weight * said)
    )
    kept = mass > 0
    shown = zip(sure[kept] / mass[kept], right[kept] / mass[kept], mass[kept] / mass.sum(), strict=True)
    return tuple((float(a), float(b), float(c)) for a, b, c in shown)
