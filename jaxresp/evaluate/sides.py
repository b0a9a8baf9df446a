"""The test sides of a published split, each by itself: SPRSound's of new children, and of children trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxresp.evaluate.bootstrap import Interval, headline_intervals
from jaxresp.evaluate.metrics import Metrics, classification_metrics
from jaxresp.evaluate.scores import challenge_scores, score_intervals
from jaxresp.taxonomy import Task


@dataclass(frozen=True)
class Side:
    """What is known of the answers for one test side.

    Attributes:
        metrics: of its rows.
        intervals: 95 % patient bootstrap of the headline metrics.
        scores: of the task's own challenge, by name.
        score_intervals: their 95 % patient bootstrap.
        n_patients: on the side.
        n_trained_on: how many of them are trained on too; the numbers then say nothing about new patients.
    """

    metrics: Metrics
    intervals: Mapping[str, Interval]
    scores: Mapping[str, float]
    score_intervals: Mapping[str, Interval]
    n_patients: int
    n_trained_on: int


def judge_sides(
    task: Task,
    official: Shaped[np.ndarray, " n"],
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    patients: Shaped[np.ndarray, " n"],
    tested: Int[np.ndarray, " tested"],
    fitted: Int[np.ndarray, " fitted"],
    *,
    seed: int = 0,
) -> dict[str, Side]:
    """Every published side that is tested, by itself; nothing where there is but one, or where sides are trained on.

    Args:
        task: the question.
        official: the published side of each row.
        labels: their classes.
        probabilities: the answers.
        patients: whose they are.
        tested: the rows that are tested.
        fitted: the rows that train or validate.
        seed: of the bootstrap.

    Raises:
        EvaluationError: as `check_answers` does.
    """
    names = np.unique(official[tested])
    if len(names) < 2 or np.isin(names, official[fitted]).any():
        return {}
    found = {}
    for name in names.tolist():
        here = tested[official[tested] == name]
        of = (labels[here], probabilities[here], patients[here])
        found[name] = judge_side(task, *of, trained_on=patients[fitted], seed=seed)
    return found


def judge_side(
    task: Task,
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n classes"],
    patients: Shaped[np.ndarray, " n"],
    *,
    trained_on: Shaped[np.ndarray, " fitted"],
    seed: int = 0,
) -> Side:
    """What some answers are worth.

    Args:
        task: the question.
        labels: the classes of the side's rows.
        probabilities: their answers.
        patients: whose they are.
        trained_on: patients who train or validate.
        seed: of the bootstrap.

    Raises:
        EvaluationError: as `check_answers` does.
    """
    metrics = classification_metrics(labels, probabilities)
    own = set(patients.tolist())
    return Side(
        metrics,
        headline_intervals(labels, probabilities, patients, seed=seed),
        challenge_scores(task, np.array(metrics.confusion)),
        score_intervals(task, labels, probabilities, patients, seed=seed),
        len(own),
        len(own & set(trained_on.tolist())),
    )


def side_from_json(data: Mapping[str, Any], read: Any) -> Side:
    """Inverse of `dataclasses.asdict`, undefined numbers read by `read`."""
    return Side(
        Metrics(**{name: read(value) for name, value in data["metrics"].items()}),
        {name: Interval(*read(value)) for name, value in data["intervals"].items()},
        {name: read(value) for name, value in data["scores"].items()},
        {name: Interval(*read(value)) for name, value in data["score_intervals"].items()},
        data["n_patients"],
        data["n_trained_on"],
    )
