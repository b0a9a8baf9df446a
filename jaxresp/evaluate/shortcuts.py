"""What a classifier could know without listening: the answers that a column of the metadata gives by itself.

On ICBHI the patient's age, or the number of recordings, or the native sampling rate nearly is the diagnosis. A network
that does not beat the best of these may have learned the room and not the lungs (Geirhos et al., "Shortcut learning in
deep neural networks", Nature Machine Intelligence 2, 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxresp.corpus import Corpus
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.splits import Fold
from jaxresp.taxonomy import Task

_N_BINS = 5  # of a numeric column, at the quantiles of its training values
_PRIOR = 1.0  # pseudo-counts per class, spread over the values: an unseen value says nothing


class Shortcut(NamedTuple):
    """How far one column gets on the same unseen patients."""

    balanced_accuracy: float
    macro_roc_auc: float


def shortcut_columns(corpus: Corpus) -> dict[str, Shaped[np.ndarray, " recordings"]]:
    """What is known of a recording before it is heard."""
    _, of_row, count = np.unique(corpus.patient, return_inverse=True, return_counts=True)
    return {
        "age": corpus.age_years,
        "sex": corpus.sex,
        "stethoscope": corpus.stethoscope,
        "acquisition mode": corpus.mode,
        "chest location": corpus.location,
        "native rate": corpus.native_rate_hz.astype(str),
        "recordings per patient": count[of_row].astype(np.float32),
    }


def shortcuts(
    columns: Mapping[str, Shaped[np.ndarray, " recordings"]],
    labels: Int[np.ndarray, " recordings"],
    folds: tuple[Fold, ...],
    task: Task,
) -> dict[str, Shortcut]:
    """The out-of-fold metrics of every column alone, on the folds that the networks are judged on."""
    found = {}
    for name, column in columns.items():
        metrics = classification_metrics(labels, answers_of(column, labels, folds, len(task.classes)))
        found[name] = Shortcut(metrics.balanced_accuracy, metrics.macro_roc_auc)
    return found


def answers_of(
    column: Shaped[np.ndarray, " recordings"],
    labels: Int[np.ndarray, " recordings"],
    folds: tuple[Fold, ...],
    n_classes: int,
) -> Float[np.ndarray, "recordings classes"]:
    """Out-of-fold probabilities by one column.

    Bayes' rule over its values (numbers: over quantile bins; missing is a value), with equal class priors, as the
    networks are trained.
    """
    answers = np.zeros((labels.size, n_classes))
    for fold in folds:
        known = np.concatenate([fold.train, fold.validation])
        value = _values(column, known)
        answers[fold.test] = _posterior(value, labels, known, n_classes)[value[fold.test]]
    return answers


def _values(column: Shaped[np.ndarray, " n"], known: Int[np.ndarray, " k"]) -> Int[np.ndarray, " n"]:
    """A column as small integers: its categories, or the bins of its numbers."""
    if column.dtype.kind != "f":
        return np.unique(column, return_inverse=True)[1]
    finite = column[known][np.isfinite(column[known])]
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, _N_BINS + 1)[1:-1])) if finite.size else np.empty(0)
    return np.where(np.isfinite(column), np.searchsorted(edges, column, side="right"), len(edges) + 1)


def _posterior(
    value: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"], known: Int[np.ndarray, " k"], n_classes: int
) -> Float[np.ndarray, "values classes"]:
    """P(class | value) under equal priors, from the known rows."""
    n_values = int(value.max()) + 1
    count = np.full((n_values, n_classes), _PRIOR / n_values)
    np.add.at(count, (value[known], labels[known]), 1)
    likelihood = count / count.sum(0)
    return likelihood / likelihood.sum(1, keepdims=True)
