"""Answers in a file: `out_of_fold.csv` written by a run and read back, so that models can be compared row by row."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxresp.evaluate.errors import DuplicatedRows, EvaluationError, UnknownPatients
from jaxresp.evaluate.metrics import check_answers
from jaxresp.splits import Fold

_TOO_MANY = "cells beyond the header"


@dataclass(frozen=True)
class Answers:
    """What a model answered, in order of the recordings' names whatever the order of the file.

    Attributes:
        recordings: names.
        patients: of each recording.
        labels: true class, an index into `classes`.
        probabilities: of every class.
        classes: their names.
    """

    recordings: Shaped[np.ndarray, " n"]
    patients: Shaped[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]
    probabilities: Float[np.ndarray, "n classes"]
    classes: tuple[str, ...]


def answers_csv(
    recordings: Shaped[np.ndarray, " n"],
    patients: Shaped[np.ndarray, " n"],
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    folds: tuple[Fold, ...],
    classes: tuple[str, ...],
) -> str:
    """One line per tested recording: who, which fold tested it, what is true, what was answered."""
    fold_of = np.full(labels.size, -1)
    for k, fold in enumerate(folds):
        fold_of[fold.test] = k
    return answers_table(recordings, patients, labels, probabilities, fold_of, classes)


def answers_table(
    recordings: Shaped[np.ndarray, " n"],
    patients: Shaped[np.ndarray, " n"],
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    fold_of: Int[np.ndarray, " n"],
    classes: tuple[str, ...],
) -> str:
    """The same from the fold that tested each recording; one that none tested (-1) has no line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["recording", "patient", "fold", "class", *(f"p({c})" for c in classes)])
    for i in np.flatnonzero(fold_of >= 0).tolist():
        shown = (f"{p:.9g}" for p in probabilities[i])
        writer.writerow([recordings[i], patients[i], fold_of[i], classes[labels[i]], *shown])
    return out.getvalue()


def read_answers(text: str, name: str) -> Answers:
    """Inverse of `answers_csv`, in whatever order the rows are.

    Args:
        text: of the file.
        name: what messages call it.

    Raises:
        EvaluationError: not such a file, or it lacks columns; a class that is no column; a line of more or fewer cells.
        DuplicatedRows: a recording that stands twice.
        NothingToEvaluate, NonFiniteScores: as `check_answers` does.
    """
    table = csv.DictReader(io.StringIO(text), restkey=_TOO_MANY, restval=None)
    rows, header = list(table), list(table.fieldnames or ())
    classes = tuple(column[2:-1] for column in header if column.startswith("p(") and column.endswith(")"))
    if len(classes) < 2 or not {"recording", "patient", "class"} <= set(header):
        raise EvaluationError(
            f"{name} is no table of answers: it needs the columns recording, patient, class and a p(…) per class, "
            "as in out_of_fold.csv"
        )
    uneven = [i for i, row in enumerate(rows, 2) if _TOO_MANY in row or None in row.values()]
    if uneven:
        raise EvaluationError(
            f"{name}: {len(uneven)} lines have more or fewer cells than the first line has names "
            f"(line {', '.join(map(str, uneven[:5]))}); a name with a comma in it has to stand in quotes"
        )
    strangers = sorted({str(row["class"]) for row in rows} - set(classes))
    if strangers:
        raise EvaluationError(f"{name} has rows of class {', '.join(strangers)} and probabilities of {classes} only")
    twice = [recording for recording, n in Counter(row["recording"] for row in rows).items() if n > 1]
    if twice:
        raise DuplicatedRows(
            f"{name} answers {len(twice)} recordings more than once ({', '.join(sorted(twice)[:5])}); keep one row each"
        )
    rows.sort(key=lambda row: row["recording"])
    answers = Answers(
        np.array([row["recording"] for row in rows], np.str_),
        np.array([row["patient"] for row in rows], np.str_),
        np.array([classes.index(row["class"]) for row in rows], np.int64),
        np.array([[_number(row[f"p({c})"]) for c in classes] for row in rows], float).reshape(-1, len(classes)),
        classes,
    )
    check_answers(answers.labels, answers.probabilities)
    return answers


def answers_of_several(each: Sequence[Answers]) -> Answers:
    """Several models as one: the mean of their logits, up to a constant the logarithms of their probabilities.

    Raises:
        EvaluationError, UnknownPatients: as `check_comparable` does of any of them and the first.
    """
    first = each[0]
    for other in each[1:]:
        check_comparable(first, other)
    logits = np.mean([np.log(np.clip(one.probabilities, 1e-30, 1)) for one in each], axis=0)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return replace(first, probabilities=odds / odds.sum(1, keepdims=True))


def check_comparable(one: Answers, other: Answers) -> None:
    """Whether two models answered the same question about the same recordings.

    Raises:
        EvaluationError: other classes, or another truth.
        UnknownPatients: recordings or patients that only one of them has; names some.
    """
    if one.classes != other.classes:
        raise EvaluationError(f"one model answers {one.classes} and the other {other.classes}: compare one task")
    for what in ("recordings", "patients"):
        strangers = sorted(set(getattr(one, what).tolist()) ^ set(getattr(other, what).tolist()))
        if strangers:
            raise UnknownPatients(
                f"{len(strangers)} {what} are answered by one model only ({', '.join(strangers[:5])}); "
                "compare models on the same recordings"
            )
    if (one.labels != other.labels).any() or (one.patients != other.patients).any():
        raise EvaluationError("the two tables disagree about the class or the patient of a recording")


def _number(text: str | None) -> float:
    """What is no number is none, and `check_answers` says so."""
    try:
        return float(text or "")
    except ValueError:
        return math.nan
