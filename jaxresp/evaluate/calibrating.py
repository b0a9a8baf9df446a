"""Fitting a Calibration to answers about unseen patients, and judging it on patients that it did not see either.

The networks are trained as if all classes were equally frequent. So the bias starts from the log prevalence (the prior
correction of Saerens et al., Neural Computation 14, 2002), and what is fitted beyond it, and the temperature, are drawn
towards none: with few patients hardly anything is fitted, with many the patients decide.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped
from scipy.optimize import minimize

from jaxresp.calibration import Calibration, Conformal
from jaxresp.evaluate.reliability import patient_weights

MISCOVERAGE = 0.1  # α of the sets: nine patients of a class can promise it
ANSWERED = 0.9  # share of the patients whom the abstention threshold is meant to leave with an answer

_LOG_TEMPERATURE_SPREAD = 0.7  # prior standard deviations: a temperature of 2, or odds of e, are no surprise
_BIAS_SPREAD = 1.0
_PSEUDO_PATIENTS = 0.5  # per class: a class without a calibration patient is rare, not impossible


class CrossFitted(NamedTuple):
    """Answers by calibrations that did not see whom they are about.

    Attributes:
        probabilities: for equally frequent classes.
        as_frequent_as_seen: for the prevalence of the calibration's own patients, which alone can be checked on them.
        possible: the classes not ruled out.
        answered: whether a label is given.
    """

    probabilities: Float32[np.ndarray, "n classes"]
    as_frequent_as_seen: Float32[np.ndarray, "n classes"]
    possible: Bool[np.ndarray, "n classes"]
    answered: Bool[np.ndarray, " n"]

    @classmethod
    def of_nobody(cls, n: int, n_classes: int) -> CrossFitted:
        """Room for the answers: NaN, every class possible, nothing answered."""
        nothing = np.full((n, n_classes), np.nan, np.float32)
        return cls(nothing, nothing.copy(), np.ones((n, n_classes), bool), np.zeros(n, bool))

    def fill(self, rows: np.ndarray, by: Calibration, logits: Float[np.ndarray, "n outputs"]) -> None:
        """The answers of some rows, by a calibration."""
        self.probabilities[rows] = by.probabilities(logits[rows])
        self.as_frequent_as_seen[rows] = replace(by, prevalence=()).probabilities(logits[rows])
        kept = by.possible(logits[rows])
        self.possible[rows] = True if kept is None else kept
        self.answered[rows] = self.probabilities[rows].max(1) >= by.abstain_below


def fit_calibration(
    logits: Float[np.ndarray, "n outputs"],
    labels: Int[np.ndarray, " n"],
    patients: Shaped[np.ndarray, " n"],
    n_classes: int,
    *,
    balanced: bool = True,
    answers_of: str = "out-of-fold answers",
) -> Calibration:
    """Temperature, class bias, abstention threshold and conformal thresholds, every patient weighing the same.

    The probabilities it gives are for equally frequent classes, until `Calibration.at_prevalence` says otherwise.

    Args:
        logits: pooled, of units that the networks were not fitted on.
        labels: their classes.
        patients: whose they are.
        n_classes: of the task.
        balanced: whether training made all classes weigh the same.
        answers_of: whose answers these are, for `method`.
    """
    weight = patient_weights(patients)
    n_patients = np.unique(patients).size
    share = np.bincount(labels, weights=weight, minlength=n_classes) * n_patients + _PSEUDO_PATIENTS
    prevalence = share / share.sum()
    start = np.log(prevalence) if balanced else np.zeros(n_classes)
    temperature, bias = _fit_scale_and_bias(_spelt_out(logits), labels, weight * n_patients, start)
    # Answers are given as if every class were equally frequent, as in training: the share of the ill in a corpus is who
    # was invited, and a label that follows it is soon the majority's whatever is heard.
    fitted = Calibration(
        method=f"temperature and class bias on {answers_of} of {n_patients} patients",
        temperature=temperature,
        class_bias=tuple(bias.tolist()),
        fitted_prevalence=tuple(prevalence.tolist()),
        prevalence=(1 / n_classes,) * n_classes,
    )
    return replace(
        fitted,
        abstain_below=abstention_threshold(labels, fitted.probabilities(logits), patients),
        conformal=fit_conformal(labels, replace(fitted, prevalence=()).probabilities(logits), patients),
    )


def cross_fitted(
    logits: Float[np.ndarray, "n outputs"],
    labels: Int[np.ndarray, " n"],
    patients: Shaped[np.ndarray, " n"],
    parts: Int[np.ndarray, " n"],
    n_classes: int,
    *,
    balanced: bool = True,
) -> CrossFitted:
    """What calibration does to patients that it was not fitted on: each part is answered by a fit on the others.

    Args:
        logits: pooled, of units that the networks were not fitted on.
        labels: their classes.
        patients: whose they are.
        parts: the fold of each row; no patient is in two.
        n_classes: of the task.
        balanced: whether training made all classes weigh the same.
    """
    made = CrossFitted.of_nobody(len(logits), n_classes)
    for part in np.unique(parts):
        others = parts != part
        fitted = fit_calibration(logits[others], labels[others], patients[others], n_classes, balanced=balanced)
        made.fill(parts == part, fitted, logits)
    return made


def abstention_threshold(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"], patients: Shaped[np.ndarray, " n"]
) -> float:
    """The largest probability below which the least sure answers are withheld: those of one patient's weight in ten.

    0 (nothing is withheld) where the answers that would be left are not better than all of them.
    """
    sureness, weight = probabilities.max(1).astype(np.float64), patient_weights(patients)
    right = probabilities.argmax(1) == labels
    order = np.argsort(sureness)
    below = np.cumsum(weight[order]) - weight[order]  # the weight of all that are less sure
    threshold = float(sureness[order][below <= 1 - ANSWERED + 1e-9].max())
    kept = sureness >= threshold
    if kept.all() or weight[kept] @ right[kept] / weight[kept].sum() <= weight @ right:
        return 0.0
    return threshold


def fit_conformal(
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    patients: Shaped[np.ndarray, " n"],
    miscoverage: float = MISCOVERAGE,
) -> Conformal:
    """Thresholds such that a new patient's class is ruled out with a chance of at most `miscoverage`, for each class.

    Class-conditional (Vovk, 2012) and hierarchical: a patient's units share his one place among the patients (Lee,
    Barber & Willett, "Distribution-free inference with hierarchical data", 2023), and the new patient has another, so
    that fewer than 1/α − 1 patients can promise nothing.
    """
    thresholds: list[float | None] = []
    counts: list[int] = []
    for c in range(probabilities.shape[1]):
        own = labels == c
        n_patients = int(np.unique(patients[own]).size)
        counts.append(n_patients)
        if n_patients + 1 < 1 / miscoverage - 1e-9:
            thresholds.append(None)
            continue
        score = 1 - probabilities[own, c]
        order = np.argsort(score)
        mass = np.cumsum(patient_weights(patients[own])[order]) * n_patients / (n_patients + 1)
        reached = np.flatnonzero(mass >= 1 - miscoverage - 1e-9)
        thresholds.append(float(score[order][reached[0]]) if reached.size else None)
    return Conformal(miscoverage, tuple(thresholds), tuple(counts))


def _spelt_out(logits: Float[np.ndarray, "n outputs"]) -> Float[np.ndarray, "n classes"]:
    """A single logit is the log odds of the second class."""
    z = logits.astype(np.float64)
    return np.concatenate([np.zeros_like(z), z], axis=1) if z.shape[1] == 1 else z


def _fit_scale_and_bias(
    z: Float[np.ndarray, "n classes"],
    labels: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    start: Float[np.ndarray, " classes"],
) -> tuple[float, Float[np.ndarray, " classes"]]:
    """The most probable temperature, and bias, given the patients and the priors above."""
    truth = np.eye(z.shape[1])[labels]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        scale, beyond = math.exp(-theta[0]), theta[1:]
        s = z * scale + start + beyond
        s = s - s.max(1, keepdims=True)
        log_p = s - np.log(np.exp(s).sum(1, keepdims=True))
        residual = (np.exp(log_p) - truth) * weight[:, None]
        value = -weight @ (log_p * truth).sum(1)
        value += theta[0] ** 2 / (2 * _LOG_TEMPERATURE_SPREAD**2) + beyond @ beyond / (2 * _BIAS_SPREAD**2)
        gradient = np.concatenate(
            [
                [-(residual * z).sum() * scale + theta[0] / _LOG_TEMPERATURE_SPREAD**2],
                residual.sum(0) + beyond / _BIAS_SPREAD**2,
            ]
        )
        return float(value), gradient

    bounds = [(-3.0, 3.0)] + [(None, None)] * z.shape[1]
    found = minimize(loss, np.zeros(1 + z.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds)
    bias = start + found.x[1:]
    return math.exp(found.x[0]), bias - bias.mean()
