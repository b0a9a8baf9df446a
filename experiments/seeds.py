"""What several seeds of one configuration say: the mean of their numbers, and all of their networks as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as students_t

from jaxresp.evaluate.answers import Answers, answers_of_several
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.sides import Side, judge_side, judge_sides
from jaxresp.evaluate.words import number
from jaxresp.material import Material
from jaxresp.run_report.finished import answers_of
from jaxresp.taxonomy import Task, task_named

ALL = "all together"


def seeds_together(material: Material, result: Result, folders: Sequence[Path]) -> dict[str, Side]:
    """All that was tested, and each published test side, answered by the mean of the seeds' calibrated logits.

    Nothing is trained and nothing chosen for it.

    Args:
        material: with the rows that the model was asked about.
        result: of one of the seeds.
        folders: with each seed's out_of_fold.csv of the same model.

    Raises:
        EvaluationError: the seeds did not answer the same question about the same rows.
    """
    return sides_of(material, task_named(result.task), answers_of_several([answers_of(folder) for folder in folders]))


def sides_of(material: Material, task: Task, told: Answers) -> dict[str, Side]:
    """All that was tested, and each published test side, by some answers.

    Args:
        material: with the rows that the task is asked about.
        task: the question.
        told: what was answered.
    """
    asked = material.rows(task)
    place = {name: i for i, name in enumerate(asked.recording.tolist())}
    tested = np.array([place[name] for name in told.recordings.tolist()])
    labels, probabilities = asked.labels(task), np.zeros((len(asked), len(task.classes)))
    probabilities[tested] = told.probabilities
    fitted = np.flatnonzero(asked.official_split == "train")
    answered = (labels, probabilities, asked.patient)
    every = judge_side(task, *(each[tested] for each in answered), trained_on=asked.patient[fitted])
    return {ALL: every} | judge_sides(task, asked.official_split, *answered, tested, fitted)


def over_seeds(
    runs: Sequence[Sequence[Result]], together: Mapping[str, Mapping[str, Side]], score: str | None = None
) -> str:
    """A Markdown table: of every model, the mean over the seeds of balanced accuracy or challenge score.

    In brackets is Student's 95 % interval of that mean: how much the seed matters. What the patients matter, which is
    more, are the ranges behind it: the lowest and highest end of the seeds' patient bootstraps. Below each model is
    what its seeds' networks say together, with the interval over patients.

    Args:
        runs: the results of each seed, in the same order of models.
        together: model → test side → its seeds' networks as one.
        score: which of the challenge's scores; none where the task belongs to no challenge.
    """
    out = [heading(score)]
    for results in zip(*runs, strict=True):
        first = results[0]
        sides = [{ALL: result} | dict(result.sides) for result in results]
        out += rows(first.name, first.unit, sides, together.get(first.name, {}), score)
    return "\n".join(out)


def heading(score: str | None) -> str:
    """Of the table that `rows` are of."""
    return f"| model | tested | n | patients | {score or 'balanced accuracy'} | ends over patients |\n|" + " --- |" * 6


def rows(
    model: str,
    unit: str,
    seeds: Sequence[Mapping[str, Any]],
    together: Mapping[str, Side],
    score: str | None,
) -> list[str]:
    """Of one model; see `over_seeds`.

    Args:
        model: what it is called.
        unit: what it answers.
        seeds: of each, test side → Side, or what has a Side's numbers.
        together: test side → its seeds' networks as one.
        score: which of the challenge's scores, or none.
    """
    out = []
    for name, one in seeds[0].items():
        told = [_number_of(sides[name], score) for sides in seeds]
        ends = [interval for _, interval in told]
        over_patients = f"{number(min(low for low, _ in ends))}–{number(max(high for _, high in ends))}"
        spread = mean_and_interval([value for value, _ in told])
        out.append((model, name, f"{one.metrics.n} {unit}s", str(one.n_patients), spread, over_patients))
    for name, side in together.items():
        value, interval = _number_of(side, score)
        what, ends_of_one = f"{model}, {len(seeds)} seeds as one", f"{number(interval.low)}–{number(interval.high)}"
        out.append((what, name, f"{side.metrics.n} {unit}s", str(side.n_patients), number(value), ends_of_one))
    return ["| " + " | ".join(row) + " |" for row in out]


def _number_of(told: Any, score: str | None) -> tuple[float, Any]:
    """Balanced accuracy or a score, of a Result or of one of its sides, and its interval."""
    if score is None:
        return told.metrics.balanced_accuracy, told.intervals["balanced_accuracy"]
    return told.scores[score], told.score_intervals[score]


def mean_and_interval(values: Sequence[float]) -> str:
    """The mean of some seeds' numbers with Student's 95 % interval; none of a single one."""
    if len(values) < 2:
        return f"{number(values[0])} (one seed)"
    half = float(students_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(np.mean(values))
    return f"{number(mean)} [{number(mean - half)}–{number(mean + half)}] ({len(values)} seeds)"
