"""Classification metrics of units with known labels, equal to scikit-learn's where it has them.

A metric that the data cannot define (the ROC-AUC of an absent class) is NaN, never left out of a list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata


@dataclass(frozen=True)
class Metrics:
    """What is printed for one model on one set of units. Per-class tuples follow the order of the task's classes."""

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    macro_roc_auc: float
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    roc_auc: tuple[float, ...]
    support: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]


def confusion_matrix(
    labels: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], n_classes: int
) -> Int[np.ndarray, "classes classes"]:
    """Counts with the true class in rows and the predicted one in columns."""
    return np.bincount(labels * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


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


def classification_metrics(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"]) -> Metrics:
    """All metrics at once, the predicted class being the most probable one.

    Precision, recall and F1 of a class that is never predicted or never present are 0 (scikit-learn's zero_division=0);
    balanced accuracy and macro F1 average over the classes present, the one-vs-rest ROC-AUC over those it is defined
    for.

    Raises:
        ValueError: no rows, or probabilities that are not finite.
    """
    if labels.size == 0:
        raise ValueError("there are no units to evaluate")
    if not np.isfinite(probabilities).all():
        raise ValueError(
            f"{int((~np.isfinite(probabilities)).any(1).sum())} of {labels.size} rows have non-finite probabilities"
        )
    n_classes = probabilities.shape[1]
    confusion = confusion_matrix(labels, probabilities.argmax(1), n_classes)
    hits, support, answered = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    recall = _ratio(hits, support)
    precision = _ratio(hits, answered)
    f1 = _ratio(2 * hits, support + answered)
    present = support > 0
    aucs = np.array([roc_auc(labels == c, probabilities[:, c]) for c in range(n_classes)])
    return Metrics(
        n=int(labels.size),
        accuracy=float(hits.sum() / labels.size),
        balanced_accuracy=float(recall[present].mean()),
        macro_f1=float(f1[present | (answered > 0)].mean()),
        macro_roc_auc=float(np.nanmean(aucs)) if np.isfinite(aucs).any() else float("nan"),
        precision=tuple(precision.tolist()),
        recall=tuple(recall.tolist()),
        f1=tuple(f1.tolist()),
        roc_auc=tuple(aucs.tolist()),
        support=tuple(support.tolist()),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def macro_log_loss(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n classes"]) -> float:
    """Mean over the classes present of the mean −log probability given to the right class.

    The validation loss: proper, continuous, and a class of three patients weighs as much as one of sixty.
    """
    loss = -np.log(np.clip(probabilities[np.arange(labels.size), labels].astype(np.float64), 1e-7, 1.0))
    return float(np.mean([loss[labels == c].mean() for c in np.unique(labels)]))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
