"""What a finished run has left in its work folder, read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jaxresp.errors import JaxrespError
from jaxresp.evaluate.answers import Answers, read_answers
from jaxresp.evaluate.comparing import Comparison
from jaxresp.evaluate.result import Result

_T = TypeVar("_T")


@dataclass(frozen=True)
class FinishedRun:
    """Everything that a report of a run is written from.

    Attributes:
        results: of every model, in the table's order.
        comparisons: models of one task in pairs.
        answers: model → its answers for the tested recordings.
        proofs: model → patients, recordings and classes on every side of every fold; see Split.proof.
        provenance: model → where its Classifier comes from; see provenance.json.
    """

    results: tuple[Result, ...]
    comparisons: tuple[Comparison, ...]
    answers: Mapping[str, Answers]
    proofs: Mapping[str, list[dict[str, Any]]]
    provenance: Mapping[str, Mapping[str, Any]]


def load_finished(work: Path) -> FinishedRun:
    """All of it.

    Raises:
        JaxrespError: the run has not finished, or some of its files are gone or damaged; says which, and what to do.
    """
    results, comparisons = read_table(
        work,
        lambda table: (
            tuple(map(Result.from_json, table["results"])),
            tuple(map(Comparison.from_json, table["compared"])),
        ),
    )
    names = [result.name for result in results]
    folders = {name: work / "models" / name for name in names}
    return FinishedRun(
        results,
        comparisons,
        {name: answers_of(folders[name]) for name in names},
        {name: read_json(_there(folders[name] / "folds.json", folders[name]), list) for name in names},
        {
            name: read_json(_there(work / "classifiers" / name / "provenance.json", folders[name]), dict)
            for name in names
        },
    )


def load_results(work: Path) -> tuple[Result, ...]:
    """The table of a finished run.

    Raises:
        JaxrespError: there is none.
    """
    return read_table(work, lambda table: tuple(map(Result.from_json, table["results"])))


def read_table(work: Path, parse: Callable[[Any], _T]) -> _T:
    """What a finished run has written of all its models.

    Raises:
        JaxrespError: there is none, or it is damaged.
    """
    file = work / "results.json"
    if not file.is_file():
        raise JaxrespError(f"{work} holds no finished run ({file.name} is missing); `jaxresp run` makes one")
    return read_json(file, parse)


def read_json(file: Path, parse: Callable[[Any], _T]) -> _T:
    """A file that a run has written, unless somebody else has."""
    try:
        return parse(json.loads(file.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise JaxrespError(
            f"{file} is damaged, or was written by another version ({error!r}); "
            "remove it, and the same `jaxresp run` writes it again"
        ) from error


def answers_of(folder: Path) -> Answers:
    """The answers that a finished model has left in its folder."""
    file = _there(folder / "out_of_fold.csv", folder)
    return read_answers(file.read_text(), str(file))


def _there(file: Path, folder: Path) -> Path:
    if not file.is_file():
        raise JaxrespError(
            f"{file} is gone; remove {folder / 'result.json'}, and the same `jaxresp run` writes both again"
        )
    return file
