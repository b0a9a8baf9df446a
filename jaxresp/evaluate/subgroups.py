"""For whom the numbers hold: the same metrics for each stethoscope, chest location, sex, age band, mode and corpus.

A group of fewer than five patients is counted and no more is said of it: a share of so few means nothing, and what they
have may point at a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxresp.corpus import Corpus
from jaxresp.evaluate.bootstrap import HEADLINES, Interval, headline_intervals
from jaxresp.evaluate.metrics import classification_metrics

MIN_PATIENTS = 5
_NOT_KNOWN = "not known"
AGE_BANDS_YEARS = (0.0, 2.0, 17.0, 40.0, 65.0)
"""Where bands begin: infants, children, and adults in three. ICBHI's healthy are all below 17."""


@dataclass(frozen=True)
class Subgroup:
    """The answers for the recordings of one group.

    Attributes:
        n: recordings.
        n_patients: patients with such a recording.
        recordings: of each class, in the task's order: a metric is of the classes that are there; empty when
            suppressed.
        metrics: headline metric → value (NaN where undefined); empty when suppressed.
        intervals: their 95 % patient-bootstrap intervals.
    """

    n: int
    n_patients: int
    recordings: tuple[int, ...]
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]

    @property
    def suppressed(self) -> bool:
        """Whether too few patients are in it to say more than that."""
        return not self.metrics

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Subgroup:
        def known(value: float | None) -> float:
            return float("nan") if value is None else float(value)

        return cls(
            data["n"],
            data["n_patients"],
            tuple(data["recordings"]),
            {name: known(value) for name, value in data["metrics"].items()},
            {name: Interval(*map(known, ends)) for name, ends in data["intervals"].items()},
        )


def subgroup_columns(corpus: Corpus) -> dict[str, Shaped[np.ndarray, " recordings"]]:
    """Which group each recording is of, by what the groups are called."""
    columns = {
        "stethoscope": corpus.stethoscope,
        "chest location": corpus.location,
        "sex": corpus.sex,
        "age": age_bands(corpus.age_years),
        "acquisition mode": corpus.mode,
        "corpus": corpus.corpus,
    }
    return {name: np.where(column == "", _NOT_KNOWN, column) for name, column in columns.items()}


def age_bands(age_years: Float[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Years → "0–1", "2–16" and so on."""
    ends = [f"–{after - 1:.0f}" for after in AGE_BANDS_YEARS[1:]] + [" or more"]
    names = np.array([f"{start:.0f}{end} years" for start, end in zip(AGE_BANDS_YEARS, ends, strict=True)])
    band = np.clip(np.searchsorted(AGE_BANDS_YEARS, np.nan_to_num(age_years), side="right") - 1, 0, None)
    return np.where(np.isfinite(age_years), names[band], _NOT_KNOWN)


def subgroups(
    columns: Mapping[str, Shaped[np.ndarray, " n"]],
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    patients: Shaped[np.ndarray, " n"],
    *,
    seed: int = 0,
) -> dict[str, dict[str, Subgroup]]:
    """Column → group → its metrics; columns that put everybody into one group are left out.

    Raises:
        EvaluationError: as `check_answers` does.
    """
    found: dict[str, dict[str, Subgroup]] = {}
    for name, column in columns.items():
        values = sorted(np.unique(column), key=_in_order)
        if len(values) > 1:
            found[name] = {
                str(value): _subgroup(labels[own], probabilities[own], patients[own], seed)
                for value, own in ((value, column == value) for value in values)
            }
    return found


def _in_order(name: str) -> tuple[bool, int, str]:
    """By the number a name begins with, as ages do; what is not known comes last."""
    digits = re.match(r"\d+", name)
    return name == _NOT_KNOWN, int(digits[0]) if digits else 0, name


def _subgroup(
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    patients: Shaped[np.ndarray, " n"],
    seed: int,
) -> Subgroup:
    n_patients = int(np.unique(patients).size)
    if n_patients < MIN_PATIENTS:
        return Subgroup(int(labels.size), n_patients, (), {}, {})
    metrics = classification_metrics(labels, probabilities)
    return Subgroup(
        int(labels.size),
        n_patients,
        tuple(np.bincount(labels, minlength=probabilities.shape[1]).tolist()),
        {name: getattr(metrics, name) for name in HEADLINES},
        headline_intervals(labels, probabilities, patients, seed=seed),
    )
