"""What the metadata of a corpus tells about its classes by itself: the answers that a network must beat to have heard
anything. The estimator is the one that stands beside every result of ours (jaxresp.evaluate.shortcuts).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int, Shaped

from jaxresp.corpus import Corpus
from jaxresp.evaluate.bootstrap import Interval, headline_intervals
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.shortcuts import answers_of, shortcut_columns
from jaxresp.explore.statistics import Classes
from jaxresp.splits import Fold, SplitError, grouped_stratified_folds
from jaxresp.taxonomy import BINARY, MULTICLASS, Task

N_FOLDS = 3


@dataclass(frozen=True)
class Clue:
    """How far one column of the metadata gets on patients it was not fitted on, with 95 % intervals over patients."""

    name: str
    balanced_accuracy: float
    balanced_accuracy_interval: Interval
    macro_roc_auc: float
    macro_roc_auc_interval: Interval


@dataclass(frozen=True)
class Question:
    """A task put to the metadata alone.

    Attributes:
        name: "binary" and so on.
        classes: its classes.
        n_recordings, n_patients: answered.
        left_out: recordings that the task has no class for.
        clues: by balanced accuracy, best first; empty where the question cannot be put.
        why_not: why it cannot, or "".
    """

    name: str
    classes: tuple[str, ...]
    n_recordings: int
    n_patients: int
    left_out: int
    clues: tuple[Clue, ...] = ()
    why_not: str = ""


def clue_columns(corpus: Corpus) -> dict[str, Shaped[np.ndarray, " recordings"]]:
    """What is known of a recording before it is heard; columns that say the same of all are left out."""
    columns = shortcut_columns(corpus) | {
        "bits per sample": corpus.bits.astype(np.str_),
    }
    return {name: column for name, column in columns.items() if len(np.unique(column)) > 1}


def questions(corpus: Corpus, classes: Classes, *, seed: int = 0) -> tuple[Question, ...]:
    """The binary and the three-class task; of a corpus without diagnoses, its own labels of recordings."""
    if len(classes.known) < 2:
        only = f"one class only ({classes.known[0]})" if classes.known else "no class"
        return (Question(classes.what, classes.known, 0, 0, len(corpus), why_not=f"the corpus has {only}"),)
    if classes.what == "diagnosis":
        return tuple(_ask(task, corpus, corpus.diagnosis, seed) for task in (BINARY, MULTICLASS))
    task = Task(classes.what, "recording", classes.known, {name: name for name in classes.known})
    return (_ask(task, corpus, corpus.sound_label, seed),)


def verdict(question: Question) -> str:
    """The sentence to take away from a question's chart."""
    best, chance = question.clues[0], 1 / len(question.classes)
    around = best.balanced_accuracy_interval
    reached = (
        f"a balanced accuracy of {best.balanced_accuracy:.2f} (95 % {around.low:.2f}–{around.high:.2f}) "
        f"and an AUROC of {best.macro_roc_auc:.2f}"
    )
    if around.low <= chance:
        return (
            f"Told only “{best.name}”, which tells most, one reaches {reached}; that interval holds the {chance:.2f} "
            "of a guess, so no shortcut was found."
        )
    return (
        f"Told only “{best.name}”, and hearing nothing, one reaches {reached}: a score on this corpus must beat "
        f"that, not the {chance:.2f} of a guess."
    )


def asked_as(question: Question) -> str:
    """A question in words."""
    if not 2 <= len(question.classes) <= 3:
        return question.name.capitalize()
    return f"{', '.join(question.classes[:-1])} or {question.classes[-1]}".capitalize()


def _ask(task: Task, corpus: Corpus, published: Shaped[np.ndarray, " recordings"], seed: int) -> Question:
    rows = np.flatnonzero(np.isin(published, list(task.label_of)))
    labels = task.encode(published[rows].tolist())
    patients = corpus.patient[rows]
    left_out = len(corpus) - len(rows)
    question = Question(task.name, task.classes, len(rows), len(set(patients.tolist())), left_out)
    try:
        folds = grouped_stratified_folds(patients, labels, n_folds=N_FOLDS, seed=seed, classes=task.classes)
    except SplitError as error:
        return replace(question, why_not=str(error).partition(" (patients per class")[0])
    clues = [
        _clue(name, column[rows], labels, patients, folds, task, seed) for name, column in clue_columns(corpus).items()
    ]
    best_first = sorted(clues, key=lambda clue: (-clue.balanced_accuracy, clue.name))
    return replace(question, clues=tuple(best_first))


def _clue(
    name: str,
    column: Shaped[np.ndarray, " n"],
    labels: Int[np.ndarray, " n"],
    patients: Shaped[np.ndarray, " n"],
    folds: tuple[Fold, ...],
    task: Task,
    seed: int,
) -> Clue:
    answers = answers_of(column, labels, folds, len(task.classes))
    metrics = classification_metrics(labels, answers)
    around = headline_intervals(labels, answers, patients, seed=seed)
    return Clue(
        name,
        metrics.balanced_accuracy,
        around["balanced_accuracy"],
        metrics.macro_roc_auc,
        around["macro_roc_auc"],
    )
