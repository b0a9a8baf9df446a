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
from jaxresp.evaluate.bootstrap import Difference, differences_from
from jaxresp.evaluate.metrics import classification_metrics, roc_auc
from jaxresp.splits import Fold, tested_rows
from jaxresp.taxonomy import Task

_N_BINS = 5  # of a numeric column, at the quantiles of its training values
_PRIOR = 1.0  # pseudo-counts per class on average, in proportion to its size: an unseen value says nothing
_CHILD_YEARS = 16.0  # every healthy patient of ICBHI is this old or younger


class Shortcut(NamedTuple):
    """How far one column gets on the same unseen patients."""

    balanced_accuracy: float
    macro_roc_auc: float


def shortcut_columns(corpus: Corpus) -> dict[str, Shaped[np.ndarray, " recordings"]]:
    """What is known of a recording before it is heard."""
    _, of_row, count = np.unique(corpus.patient, return_inverse=True, return_counts=True)
    columns = {
        "age": corpus.age_years,
        "is a child": np.where(corpus.age_years <= _CHILD_YEARS, "child", "adult, or age not known"),
        "sex": corpus.sex,
        "stethoscope": corpus.stethoscope,
        "acquisition mode": corpus.mode,
        "chest location": corpus.location,
        "native rate": corpus.native_rate_hz.astype(str),
        "recordings per patient": count[of_row].astype(np.float32),
        "duration": corpus.durations_s,
    }
    if (corpus.stethoscope_disputed != "").any():
        disputed = np.where(corpus.stethoscope_disputed != "", corpus.stethoscope_disputed, corpus.stethoscope)
        columns["stethoscope (disputed tags)"] = disputed
        columns["stethoscope (disputed tags) and mode"] = np.char.add(np.char.add(disputed, " "), corpus.mode)
    return columns


def shortcuts(
    columns: Mapping[str, Shaped[np.ndarray, " recordings"]],
    labels: Int[np.ndarray, " recordings"],
    folds: tuple[Fold, ...],
    task: Task,
) -> dict[str, Shortcut]:
    """The metrics of every column alone, on the recordings and folds that the networks are judged on."""
    found, tested = {}, tested_rows(folds)
    for name, column in columns.items():
        metrics = classification_metrics(labels[tested], answers_of(column, labels, folds, len(task.classes))[tested])
        found[name] = Shortcut(metrics.balanced_accuracy, metrics.macro_roc_auc)
    return found


def beyond_shortcuts(
    columns: Mapping[str, Shaped[np.ndarray, " recordings"]],
    labels: Int[np.ndarray, " recordings"],
    probabilities: Float[np.ndarray, "recordings classes"],
    patients: Shaped[np.ndarray, " recordings"],
    folds: tuple[Fold, ...],
    *,
    seed: int,
) -> dict[str, dict[str, Difference]]:
    """By how much a model's headline metrics exceed those of every column alone: paired, on the same patients."""
    tested, n_classes = tested_rows(folds), probabilities.shape[1]
    alone = {name: answers_of(column, labels, folds, n_classes)[tested] for name, column in columns.items()}
    return differences_from(labels[tested], probabilities[tested], alone, patients[tested], seed=seed)


def answers_of(
    column: Shaped[np.ndarray, " recordings"],
    labels: Int[np.ndarray, " recordings"],
    folds: tuple[Fold, ...],
    n_classes: int,
) -> Float[np.ndarray, "recordings classes"]:
    """Probabilities by one column for the recordings that a fold tests; zeros for those that none does.

    Bayes' rule over its values (numbers: over quantile bins; missing is a value), with equal class priors, as the
    networks are trained.
    """
    answers = np.zeros((labels.size, n_classes))
    for fold in folds:
        known = np.concatenate([fold.train, fold.validation])
        value = _values(column, known)
        answers[fold.test] = _posterior(value, labels, known, n_classes)[value[fold.test]]
    return answers


def roc_auc_in_order(
    column: Float[np.ndarray, " recordings"], positive: Int[np.ndarray, " recordings"], folds: tuple[Fold, ...]
) -> float:
    """Mean over the folds of the ROC-AUC of a number by itself, on the tested recordings where it is known.

    Rising or falling, whichever way it goes in the fold's other recordings: finer than the bins of `answers_of`, for
    what is a matter of degree, such as age.

    Args:
        column: a number; NaN where it is not known.
        positive: 1 where the recording is of the positive class, else 0.
        folds: of the split.

    Returns:
        NaN where a fold tests no recording of one of the classes.
    """
    known = np.isfinite(column)
    areas = []
    for fold in folds:
        seen = np.concatenate([fold.train, fold.validation])
        seen, asked = seen[known[seen]], fold.test[known[fold.test]]
        sign = 1.0 if roc_auc(positive[seen], column[seen]) >= 0.5 else -1.0
        areas.append(roc_auc(positive[asked], sign * column[asked]))
    return float(np.mean(areas))


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
    seen = np.bincount(labels[known], minlength=n_classes)
    prior = _PRIOR * n_classes * seen / seen.sum()
    count = np.zeros((n_values, n_classes))
    np.add.at(count, (value[known], labels[known]), 1)
    likelihood = np.divide(count + prior / n_values, seen + prior, out=np.zeros_like(count), where=seen > 0)
    return likelihood / likelihood.sum(1, keepdims=True)
