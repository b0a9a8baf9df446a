"""Intervals by resampling patients: recordings of one patient are not independent witnesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Interval(NamedTuple):
    """A 95 % percentile interval."""

    low: float
    high: float


def patient_bootstrap(
    statistics: Callable[[Int[np.ndarray, " n"], Float[np.ndarray, "n classes"]], Sequence[float]],
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    patients: np.ndarray,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> list[Interval]:
    """95 % percentile intervals of some statistics over resampled patients.

    Patients are drawn with replacement within each class, so that no sample loses a class; a patient brings all
    its recordings. With one patient in a class the interval knows nothing of that class's spread: read it with n.

    Args:
        statistics: (labels, probabilities) → numbers.
        labels: class per unit.
        probabilities: per unit.
        patients: patient per unit; each has one class.
        samples: how many resamples.
        seed: same seed, same intervals.

    References:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13; Field & Welsh, JRSS B 69, 2007 (clusters).
    """
    rng = np.random.default_rng(seed)
    names, first, unit_patient = np.unique(patients, return_index=True, return_inverse=True)
    rows_of = [np.flatnonzero(unit_patient == p) for p in range(names.size)]
    strata = [np.flatnonzero(labels[first] == c) for c in np.unique(labels[first])]
    values = []
    for _ in range(samples):
        drawn = np.concatenate([rng.choice(stratum, stratum.size) for stratum in strata])
        rows = np.concatenate([rows_of[p] for p in drawn])
        values.append(statistics(labels[rows], probabilities[rows]))
    # A statistic that a sample leaves undefined has no interval: leaving such samples out would hide that.
    low, high = np.percentile(np.asarray(values, float), [2.5, 97.5], axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]
