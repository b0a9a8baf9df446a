"""What a fault adds, on the same units, with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from jaxresp.audit.faults import FAULTS, AuditError, Fault
from jaxresp.evaluate.answers import Answers, check_comparable
from jaxresp.evaluate.bootstrap import (
    HEADLINES,
    Difference,
    confusion_samples,
    headline_intervals,
    interval_of,
    paired_differences,
    resample,
)
from jaxresp.evaluate.metrics import classification_metrics, confusion_matrix
from jaxresp.evaluate.scores import icbhi_scores, normal_class
from jaxresp.taxonomy import Task

#: The mean of sensitivity and specificity; what a lenient sensitivity is put into.
SCORE = "score"

Verdict = Literal["adds", "takes away", "nothing seen", "undefined"]


class Reached(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """One fault held against the protocol that does the same thing right.

    Attributes:
        fault: its name.
        against: name of the protocol.
        n_units: units that both answered.
        n_patients: whose they are.
        right: metric → what the protocol reaches; the headline metrics, or the score where the fault is one of scoring.
        wrong: the same under the fault.
        adds: metric → wrong less right, paired.
        n_touched: patients whose answers the fault could have helped.
        adds_touched: the same on these alone; empty where they are all.
    """

    fault: str
    against: str
    n_units: int
    n_patients: int
    right: Mapping[str, Reached]
    wrong: Mapping[str, Reached]
    adds: Mapping[str, Difference]
    n_touched: int
    adds_touched: Mapping[str, Difference]

    @property
    def verdict(self) -> Verdict:
        """What the interval of the first metric says."""
        return verdict(next(iter(self.adds.values())))


@dataclass(frozen=True)
class Audit:
    """All that an audit found.

    Attributes:
        task: its name.
        features: name of the front end.
        corpus: which; see `corpus_identity`.
        settings: of the network and its training, and of the split.
        n_units: recordings, or cycles, that were answered.
        n_patients: whose they are.
        findings: one per fault.
        impossible: fault → why it cannot be committed here.
    """

    task: str
    features: str
    corpus: Mapping[str, Any]
    settings: Mapping[str, Any]
    n_units: int
    n_patients: int
    findings: tuple[Finding, ...]
    impossible: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain types; what is undefined is null."""
        plain = asdict(self)
        plain["findings"] = [
            {"what": FAULTS[each.fault].what, "verdict": each.verdict}
            | asdict(each)
            | {name: _plain(getattr(each, name)) for name in ("right", "wrong", "adds", "adds_touched")}
            for each in self.findings
        ]
        return plain


def verdict(difference: Difference) -> Verdict:
    """Whether an interval lies above 0, below, or holds it."""
    if math.isnan(difference.low) or math.isnan(difference.high):
        return "undefined"
    return "adds" if difference.low > 0 else "takes away" if difference.high < 0 else "nothing seen"


def finding(
    fault: Fault, right: Answers, wrong: Answers, *, touched: Bool[np.ndarray, " n"] | None = None, seed: int = 0
) -> Finding:
    """Both on the same samples of patients.

    Args:
        fault: what was done wrong; one that trains.
        right: answers under the protocol that it is held against.
        wrong: answers under the fault.
        touched: the units that the fault could have helped; all where it is not given.
        seed: of the samples.

    Raises:
        EvaluationError: they did not answer for the same units.
    """
    check_comparable(right, wrong)
    some = touched is not None and not touched.all()
    return Finding(
        fault.name,
        fault.against,
        len(right.labels),
        _count(right.patients),
        _reached(right, seed),
        _reached(wrong, seed),
        _paired(right, wrong, np.ones(len(right.labels), bool), seed),
        _count(right.patients if touched is None else right.patients[touched]),
        _paired(right, wrong, touched, seed) if some and touched is not None else {},
    )


def lenient_finding(fault: Fault, answers: Answers, task: Task, *, seed: int = 0) -> Finding:
    """The same answers under the official score, in which an abnormal unit must get its own class, and a lenient one.

    Raises:
        AuditError: the task has no normal class, or not several abnormal ones; see `why_not_lenient`.
    """
    why = why_not_lenient(task)
    normal = normal_class(task)
    if why or normal is None:
        raise AuditError(f"task {task.name}: {why}")
    official, lenient = _scores(
        confusion_matrix(answers.labels, answers.probabilities.argmax(1), len(task.classes))[None], normal
    )
    drawn = resample(answers.labels, answers.patients, seed=seed)
    samples = confusion_samples(answers.labels, answers.probabilities, drawn).round().astype(np.int64)
    official_samples, lenient_samples = _scores(samples, normal)
    n_patients = _count(answers.patients)
    return Finding(
        fault.name,
        fault.against,
        len(answers.labels),
        n_patients,
        {SCORE: Reached(float(official[0]), *interval_of(official_samples, drawn))},
        {SCORE: Reached(float(lenient[0]), *interval_of(lenient_samples, drawn))},
        {SCORE: Difference(float((lenient - official)[0]), *interval_of(lenient_samples - official_samples, drawn))},
        n_patients,
        {},
    )


def why_not_lenient(task: Task) -> str | None:
    """Why there is no lenient sensitivity for a task, if so."""
    if normal_class(task) is None:
        return "it has no normal class, and so no sensitivity"
    if len(task.classes) < 3:
        return "it has one abnormal class, which cannot be taken for another"
    return None


def _scores(
    confusions: Int[np.ndarray, "samples classes classes"], normal: int
) -> tuple[Float[np.ndarray, " samples"], Float[np.ndarray, " samples"]]:
    told = [icbhi_scores(each, normal) for each in confusions]
    return (
        np.array([each["ICBHI Score"] for each in told]),
        np.array([each["lenient score, not the ICBHI Score"] for each in told]),
    )


def _reached(answers: Answers, seed: int) -> dict[str, Reached]:
    metrics = classification_metrics(answers.labels, answers.probabilities)
    intervals = headline_intervals(answers.labels, answers.probabilities, answers.patients, seed=seed)
    return {name: Reached(getattr(metrics, name), *intervals[name]) for name in HEADLINES}


def _paired(right: Answers, wrong: Answers, rows: Bool[np.ndarray, " n"], seed: int) -> dict[str, Difference]:
    return paired_differences(
        right.labels[rows], wrong.probabilities[rows], right.probabilities[rows], right.patients[rows], seed=seed
    )


def _count(patients: Shaped[np.ndarray, " n"]) -> int:
    return len(set(patients.tolist()))


def _plain(numbers: Mapping[str, tuple[float, ...]]) -> dict[str, list[float | None]]:
    return {name: [None if math.isnan(x) else x for x in each] for name, each in numbers.items()}
