"""Intervals by resampling patients: recordings of one patient are not independent witnesses.

A sample is a number of copies of every patient, so nothing is copied. Counts (confusion matrices) are sums over
patients, and of all samples together one matrix product. The ROC-AUC is a sum over pairs of patients: of how often a
unit of the one outscores a unit of the other; that table is made once, and each sample weighs it. The PR-AUC is a sum
over the thresholds at which a positive lies: of each, counts above it are sums over patients again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from jaxresp.evaluate.errors import UnknownPatients
from jaxresp.evaluate.metrics import check_answers, rates

#: Numbers that get an interval everywhere; see Metrics for what they are.
HEADLINES = ("balanced_accuracy", "macro_f1", "macro_roc_auc", "macro_pr_auc")
SAMPLES = 2000  # the ends of a 95 % interval then lie within about half a percentile point of their place

_RANKS_AT_ONCE = 1024  # bounds the memory of the table of pairs
_THRESHOLDS_AT_ONCE = 512  # and of counts by sample and threshold, to 4 MB each


class Interval(NamedTuple):
    """A 95 % percentile interval; undefined (NaN) where there is nothing to resample, or a sample is undefined."""

    low: float
    high: float


class Difference(NamedTuple):
    """One model's number less another's, on the same patients, with the 95 % interval of the paired bootstrap."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Resamples:
    """Patients drawn with replacement, many times.

    Attributes:
        patient: of every unit, a column of `copies`.
        copies: how often each sample holds each patient.
    """

    patient: Int[np.ndarray, " n"]
    copies: Float[np.ndarray, "samples patients"]

    @property
    def n_patients(self) -> int:
        return self.copies.shape[1]


def resample(
    labels: Int[np.ndarray, " n"], patients: Shaped[np.ndarray, " n"], *, samples: int = SAMPLES, seed: int = 0
) -> Resamples:
    """Draw patients with replacement within each class, so that no sample loses a class; all their units come along.

    A patient with units of several classes is drawn among those of the rarest of them. The order of the rows does not
    matter. With one patient in a class the samples know nothing of that class's spread: read them with n.

    References:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13; Field & Welsh, JRSS B 69, 2007 (clusters).
    """
    rng = np.random.default_rng(seed)
    names, patient = np.unique(patients, return_inverse=True)
    held = np.zeros((names.size, int(labels.max()) + 1), bool)
    held[patient, labels] = True
    stratum = np.where(held, held.sum(0), names.size + 1).argmin(1)
    copies = np.zeros((samples, names.size))
    for each in np.unique(stratum):
        members = np.flatnonzero(stratum == each)
        copies[:, members] = rng.multinomial(members.size, np.full(members.size, 1 / members.size), size=samples)
    return Resamples(patient, copies)


def headline_samples(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"], resamples: Resamples
) -> dict[str, Float[np.ndarray, " samples"]]:
    """The headline metrics of every sample, each what `classification_metrics` says of the sample's rows.

    Raises:
        EvaluationError: as `check_answers` does.
    """
    check_answers(labels, probabilities)
    told = rates(confusion_samples(labels, probabilities, resamples))
    n_classes = probabilities.shape[1]
    of = range(n_classes)
    return {
        "balanced_accuracy": told.balanced_accuracy,
        "macro_f1": told.macro_f1,
        "macro_roc_auc": _mean_defined([_roc_auc_samples(labels == c, probabilities[:, c], resamples) for c in of]),
        "macro_pr_auc": _mean_defined([_pr_auc_samples(labels == c, probabilities[:, c], resamples) for c in of]),
    }


def confusion_samples(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"], resamples: Resamples
) -> Float[np.ndarray, "samples classes classes"]:
    """The confusion matrix of every sample."""
    n_classes = probabilities.shape[1]
    cell = (resamples.patient * n_classes + labels) * n_classes + probabilities.argmax(1)
    of_patient = np.bincount(cell, minlength=resamples.n_patients * n_classes**2).reshape(resamples.n_patients, -1)
    return (resamples.copies @ of_patient).reshape(-1, n_classes, n_classes)


def interval_of(values: Float[np.ndarray, " samples"], resamples: Resamples) -> Interval:
    """The middle 95 % of the samples.

    Undefined where a sample is undefined (leaving it out would hide that), and where every sample is the same
    draw: with one patient per class there is nothing to resample, and an interval of no width would be a lie.
    """
    if not np.isfinite(values).all() or (resamples.copies == resamples.copies[0]).all():
        return Interval(math.nan, math.nan)
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))


def headline_intervals(
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    patients: Shaped[np.ndarray, " n"],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """95 % patient-bootstrap intervals of the headline metrics.

    Raises:
        EvaluationError: as `check_answers` does.
    """
    check_answers(labels, probabilities)
    drawn = resample(labels, patients, samples=samples, seed=seed)
    return {name: interval_of(values, drawn) for name, values in headline_samples(labels, probabilities, drawn).items()}


def paired_differences(
    labels: Int[np.ndarray, " n"],
    one: Float[np.ndarray, "n classes"],
    other: Float[np.ndarray, "m classes"],
    patients: Shaped[np.ndarray, " n"],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """By how much one model's headline metrics exceed another's, both judged on the same samples of patients.

    Row for row the answers are of the same units. An interval that holds 0 tells the two apart from nothing.

    Raises:
        EvaluationError: as `check_answers` does; UnknownPatients where the rows are not as many.
    """
    return differences_from(labels, one, {"other": other}, patients, samples=samples, seed=seed)["other"]


def differences_from(
    labels: Int[np.ndarray, " n"],
    one: Float[np.ndarray, "n classes"],
    others: Mapping[str, Float[np.ndarray, "m classes"]],
    patients: Shaped[np.ndarray, " n"],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Difference]]:
    """The same against each of several others, by its name; the one is resampled once.

    Raises:
        EvaluationError: as `paired_differences` does.
    """
    for answers in (one, *others.values()):
        if len(answers) != len(one):
            raise UnknownPatients(
                f"one model answered {len(one)} units and the other {len(answers)}: compare the same ones"
            )
        check_answers(labels, answers)
    drawn = resample(labels, patients, samples=samples, seed=seed)
    as_it_is = np.ones((1, drawn.n_patients))
    together = Resamples(drawn.patient, np.concatenate([as_it_is, drawn.copies]))
    ours, found = headline_samples(labels, one, together), {}
    for what, other in others.items():
        theirs = headline_samples(labels, other, together)
        less = {name: ours[name] - theirs[name] for name in HEADLINES}
        found[what] = {name: Difference(float(each[0]), *interval_of(each[1:], drawn)) for name, each in less.items()}
    return found


def _mean_defined(areas: Sequence[Float[np.ndarray, " samples"]]) -> Float[np.ndarray, " samples"]:
    """The mean over the classes that a sample defines; NaN where it defines none."""
    each = np.stack(areas)
    defined = np.isfinite(each)
    total = np.where(defined, each, 0).sum(0)
    return np.divide(total, defined.sum(0), out=np.full(each.shape[1], np.nan), where=defined.any(0))


def _pr_auc_samples(
    positive: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"], resamples: Resamples
) -> Float[np.ndarray, " samples"]:
    """The average precision of every sample; NaN where it has no positives or no negatives.

    Counts are whole numbers below 2^24 and so exact in float32, which halves the time of their products.
    """
    n_patients, copies = resamples.n_patients, resamples.copies.astype(np.float32)
    _, rank = np.unique(-score, return_inverse=True)  # 0 is the highest score
    wanted = np.unique(rank[positive])  # precision counts only where a positive lies
    patient = resamples.patient
    n_positive = copies @ np.bincount(patient[positive], minlength=n_patients).astype(np.float32)
    n_units = copies @ np.bincount(patient, minlength=n_patients).astype(np.float32)
    above = np.searchsorted(wanted, rank)  # the first wanted threshold that a unit lies above, or at
    total = np.zeros(len(copies))
    before = np.zeros((2, n_patients), np.float32)  # of each patient, units and positives above the thresholds so far
    hits_before = np.zeros(len(copies), np.float32)
    for first in range(0, len(wanted), _THRESHOLDS_AT_ONCE):
        size = min(_THRESHOLDS_AT_ONCE, len(wanted) - first)
        counts = []
        for k, here in enumerate((above, np.where(positive, above, -1))):
            inside = np.flatnonzero((here >= first) & (here < first + size))
            cell = patient[inside] * size + here[inside] - first
            each = np.bincount(cell, minlength=n_patients * size).reshape(n_patients, size).astype(np.float32)
            reached = before[k][:, None] + np.cumsum(each, 1)
            before[k] = reached[:, -1]
            counts.append(copies @ reached)
        units, hits = counts
        np.maximum(units, 1, out=units)  # where a sample holds no unit so far it has no hit either
        gained = np.empty_like(hits)
        np.subtract(hits[:, 0], hits_before, out=gained[:, 0])
        np.subtract(hits[:, 1:], hits[:, :-1], out=gained[:, 1:])
        hits_before = hits[:, -1]
        total += (np.divide(hits, units, dtype=np.float64) * gained).sum(1)
    defined = (n_positive > 0) & (n_units > n_positive)
    return np.divide(total, n_positive, out=np.full(len(copies), np.nan), where=defined)


def _roc_auc_samples(
    positive: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"], resamples: Resamples
) -> Float[np.ndarray, " samples"]:
    """The ROC-AUC of every sample; NaN where it has no positives or no negatives."""
    copies, n_patients = resamples.copies, resamples.n_patients
    won = _wins(positive, score, resamples.patient, n_patients)
    n_positive, n_negative = (
        copies @ np.bincount(resamples.patient[of], minlength=n_patients) for of in (positive, ~positive)
    )
    pairs = n_positive * n_negative
    return np.divide(((copies @ won) * copies).sum(1), pairs, out=np.full(len(copies), np.nan), where=pairs > 0)


def _wins(
    positive: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"], patient: Int[np.ndarray, " n"], n_patients: int
) -> Float[np.ndarray, "patients patients"]:
    """How many pairs a positive unit of one patient (row) wins against a negative one of another; a tie is half."""
    values, rank = np.unique(score, return_inverse=True)
    won, below = np.zeros((n_patients, n_patients)), np.zeros(n_patients)
    for first in range(0, len(values), _RANKS_AT_ONCE):
        last = min(first + _RANKS_AT_ONCE, len(values))
        here = (rank >= first) & (rank < last)
        losers = np.flatnonzero(here & ~positive)
        cell = (rank[losers] - first) * n_patients + patient[losers]
        theirs = np.bincount(cell, minlength=(last - first) * n_patients).reshape(-1, n_patients).astype(float)
        reached = below + np.cumsum(theirs, 0)
        winners = np.flatnonzero(here & positive)
        winners = winners[np.argsort(patient[winners], kind="stable")]
        who, start = np.unique(patient[winners], return_index=True)
        if who.size:
            won[who] += np.add.reduceat((reached - theirs / 2)[rank[winners] - first], start, axis=0)
        below = reached[-1]
    return won
