"""What is gained by not answering: error against coverage, and sets of classes that promise theirs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from jaxresp.calibration import Calibration
from jaxresp.evaluate.reliability import patient_weights

_POINTS = 20  # of the curve that is kept: a twentieth of the patients' weight each


@dataclass(frozen=True)
class Selective:
    """What the abstention threshold and the sets did to patients that they were not fitted on.

    Attributes:
        answered: share of the patients' weight that got a label.
        error: of all, had all been answered.
        error_answered: of those that got a label; None when none did.
        curve: risk–coverage curve: (share answered, error among them), the surest first (El-Yaniv & Wiener, JMLR 11,
            2010).
        set_promised: share of each class's patients whose class the set was to hold, at least; None where too few
            patients were there to promise it.
        set_seen: the share whose class it did hold; None for a class that nobody had.
        set_size: mean number of classes in a set.
        set_single: share of the sets that hold one class.
    """

    answered: float
    error: float
    error_answered: float | None
    curve: tuple[tuple[float, float], ...]
    set_promised: tuple[float | None, ...]
    set_seen: tuple[float | None, ...]
    set_size: float
    set_single: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Selective:
        curve = tuple((float(a), float(b)) for a, b in data["curve"])
        sets = {key: tuple(data[key]) for key in ("set_promised", "set_seen")}
        return cls(**{**data, "curve": curve, **sets})


def promised(calibration: Calibration) -> tuple[float | None, ...]:
    """The coverage that a Calibration's sets promise of each class."""
    sets = calibration.conformal
    if sets is None:
        return ()
    return tuple(None if threshold is None else 1 - sets.miscoverage for threshold in sets.thresholds)


def selective(
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    patients: Shaped[np.ndarray, " n"],
    answered: Bool[np.ndarray, " n"],
    possible: Bool[np.ndarray, "n classes"],
    set_promised: tuple[float | None, ...],
) -> Selective:
    """All of it at once, every patient weighing the same.

    Args:
        labels: true classes.
        probabilities: what was answered.
        patients: whose units they are.
        answered: whether a label was given.
        possible: the set of each unit.
        set_promised: of each class, the coverage its set promises, or None.
    """
    weight = patient_weights(patients)
    wrong = probabilities.argmax(1) != labels
    held = possible[np.arange(labels.size), labels]
    seen: list[float | None] = []
    for c in range(probabilities.shape[1]):
        own = labels == c
        seen.append(_share(patient_weights(patients[own]), held[own]) if own.any() else None)
    return Selective(
        answered=_share(weight, answered),
        error=_share(weight, wrong),
        error_answered=float(weight[answered] @ wrong[answered] / weight[answered].sum()) if answered.any() else None,
        curve=risk_coverage(wrong, probabilities.max(1), weight),
        set_promised=set_promised,
        set_seen=tuple(seen),
        set_size=float(weight @ possible.sum(1)),
        set_single=_share(weight, possible.sum(1) == 1),
    )


def risk_coverage(
    wrong: Bool[np.ndarray, " n"], sureness: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"]
) -> tuple[tuple[float, float], ...]:
    """Points (share answered, error among the answered), from the surest to all; equally sure ones go together."""
    order = np.argsort(-sureness, kind="stable")
    covered, errors = np.cumsum(weight[order]), np.cumsum((weight * wrong)[order])
    ends = np.append(np.flatnonzero(np.diff(sureness[order])), len(order) - 1)
    wanted = np.searchsorted(covered[ends], np.linspace(1 / _POINTS, 1, _POINTS) * covered[-1] - 1e-9)
    chosen = ends[np.unique(np.minimum(wanted, len(ends) - 1))]
    return tuple((float(covered[i]), float(errors[i] / covered[i])) for i in chosen)


def _share(weight: Float[np.ndarray, " n"], those: Bool[np.ndarray, " n"]) -> float:
    """The share of the weight that is theirs; rounding makes it no more than all."""
    return min(float(weight @ those), 1.0)
