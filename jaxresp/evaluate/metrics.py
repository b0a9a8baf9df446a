"""Classification metrics of units with known labels, equal to scikit-learn's where it has them.

A metric that the data cannot define (the ROC-AUC of an absent class) is NaN, never left out of a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from jaxresp.evaluate.errors import NonFiniteScores, NothingToEvaluate


@dataclass(frozen=True)
class Metrics:
    """What is printed for one model on one set of units. Per-class tuples follow the order of the task's classes.

    Macro numbers weigh every class alike, weighted ones by its units. (Macro recall is the balanced accuracy, weighted
    recall the accuracy.)
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_precision: float
    macro_f1: float
    weighted_precision: float
    weighted_f1: float
    macro_roc_auc: float
    macro_pr_auc: float
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    roc_auc: tuple[float, ...]
    pr_auc: tuple[float, ...]
    support: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]


class Rates(NamedTuple):
    """What a confusion matrix tells, or many at once: every field has their leading axes.

    Precision, recall and F1 of a class that is never predicted or never present are 0 (scikit-learn's zero_division=0);
    balanced accuracy averages over the classes present, macro precision and F1 over those present or answered.
    """

    accuracy: Float[np.ndarray, "*samples"]
    balanced_accuracy: Float[np.ndarray, "*samples"]
    macro_precision: Float[np.ndarray, "*samples"]
    macro_f1: Float[np.ndarray, "*samples"]
    weighted_precision: Float[np.ndarray, "*samples"]
    weighted_f1: Float[np.ndarray, "*samples"]
    precision: Float[np.ndarray, "*samples classes"]
    recall: Float[np.ndarray, "*samples classes"]
    f1: Float[np.ndarray, "*samples classes"]


def confusion_matrix(
    labels: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], n_classes: int
) -> Int[np.ndarray, "classes classes"]:
    """Counts with the true class in rows and the predicted one in columns."""
    return np.bincount(labels * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def rates(confusion: np.ndarray) -> Rates:
    """Everything that confusion matrices [..., classes, classes] of counts tell."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, answered = confusion.sum(-1), confusion.sum(-2)
    precision, recall, f1 = _ratio(hits, answered), _ratio(hits, support), _ratio(2 * hits, support + answered)
    share = support / support.sum(-1, keepdims=True)
    involved = support + answered > 0
    return Rates(
        accuracy=hits.sum(-1) / support.sum(-1),
        balanced_accuracy=_mean_where(recall, support > 0),
        macro_precision=_mean_where(precision, involved),
        macro_f1=_mean_where(f1, involved),
        weighted_precision=(precision * share).sum(-1),
        weighted_f1=(f1 * share).sum(-1),
        precision=precision,
        recall=recall,
        f1=f1,
    )


def roc_auc(positive: Int[np.ndarray, " n"] | np.ndarray, score: Float[np.ndarray, " n"]) -> float:
    """Area under the ROC curve: the chance that a positive outscores a negative, ties counting half.

    NaN when there are no positives or no negatives. Hanley & McNeil, Radiology 143, 1982.
    """
    positive = np.asarray(positive, bool)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def pr_auc(positive: Int[np.ndarray, " n"] | np.ndarray, score: Float[np.ndarray, " n"]) -> float:
    """Area under the precision–recall curve by steps: average precision. Guessing reaches the share of positives.

    NaN when there are no positives or no negatives. Boyd et al., ECML PKDD 2013.
    """
    positive = np.asarray(positive, bool)
    if positive.all() or not positive.any():
        return float("nan")
    hits, false_alarms, _ = threshold_counts(positive, score)
    precision = hits / (hits + false_alarms)
    return float(np.sum(np.diff(hits, prepend=0) * precision) / positive.sum())


def threshold_counts(
    positive: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " thresholds"], Int[np.ndarray, " thresholds"], Float[np.ndarray, " thresholds"]]:
    """Positives and negatives at or above every score there is, highest score first; equal scores go together."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last_of_equals = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    hits = np.cumsum(positive[order])[last_of_equals]
    return hits, last_of_equals + 1 - hits, ordered[last_of_equals]


def check_answers(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"]) -> None:
    """Whether anything can be said of these answers.

    Raises:
        NothingToEvaluate: no rows.
        NonFiniteScores: NaN or infinite probabilities; says how many rows.
    """
    if labels.size == 0:
        raise NothingToEvaluate("there are no units to evaluate; choose a split that tests some")
    broken = ~np.isfinite(probabilities).all(1)
    if broken.any():
        raise NonFiniteScores(
            f"{int(broken.sum())} of {labels.size} rows have non-finite probabilities; "
            "the network diverged, or rows that nobody answered were not left out"
        )


def classification_metrics(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"]) -> Metrics:
    """All metrics at once, the predicted class being the most probable one.

    The one-vs-rest ROC-AUC and PR-AUC of a class that is absent (or alone) are NaN, and macro numbers average over the
    others; see Rates for what else an absent class does.

    Raises:
        EvaluationError: as `check_answers` does.
    """
    check_answers(labels, probabilities)
    n_classes = probabilities.shape[1]
    confusion = confusion_matrix(labels, probabilities.argmax(1), n_classes)
    told = rates(confusion)
    roc = np.array([roc_auc(labels == c, probabilities[:, c]) for c in range(n_classes)])
    pr = np.array([pr_auc(labels == c, probabilities[:, c]) for c in range(n_classes)])
    return Metrics(
        n=int(labels.size),
        accuracy=float(told.accuracy),
        balanced_accuracy=float(told.balanced_accuracy),
        macro_precision=float(told.macro_precision),
        macro_f1=float(told.macro_f1),
        weighted_precision=float(told.weighted_precision),
        weighted_f1=float(told.weighted_f1),
        macro_roc_auc=_mean_defined(roc),
        macro_pr_auc=_mean_defined(pr),
        precision=tuple(told.precision.tolist()),
        recall=tuple(told.recall.tolist()),
        f1=tuple(told.f1.tolist()),
        roc_auc=tuple(roc.tolist()),
        pr_auc=tuple(pr.tolist()),
        support=tuple(confusion.sum(1).tolist()),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def macro_log_loss(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"]) -> float:
    """Mean over the classes present of the mean −log probability given to the right class.

    The validation loss: proper, continuous, and a class of three patients weighs as much as one of sixty.
    """
    loss = -np.log(np.clip(probabilities[np.arange(labels.size), labels].astype(np.float64), 1e-7, 1.0))
    return float(np.mean([loss[labels == c].mean() for c in np.unique(labels)]))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator > 0)


def _mean_where(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Over the last axis; where nothing is to be averaged, NaN."""
    count = where.sum(-1)
    return np.divide((values * where).sum(-1), count, out=np.full(np.shape(count), np.nan), where=count > 0)


def _mean_defined(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
