"""The splits by name: what the command line offers, and what a run takes. The leaking one is not among them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from jaxresp.corpus import Corpus
from jaxresp.splits.cohorts import children_single_channel, cross_validation, leave_one_corpus_out
from jaxresp.splits.fold import SplitError
from jaxresp.splits.published import icbhi_official, sprsound_official
from jaxresp.splits.split import Split
from jaxresp.taxonomy import TASKS, Task, UnknownLabel


@dataclass(frozen=True)
class _Asked:
    corpus: Corpus
    task: Task
    n_folds: int
    seed: int

    def of(self, dataset: str) -> None:
        """A published split is of its own corpus."""
        if self.corpus.name != dataset:
            raise SplitError(f"it is {dataset}'s own split, and this corpus is {self.corpus.name}")

    def who(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """What every split is made from."""
        return self.corpus.patient, self.corpus.labels(self.task), self.task.classes


def _icbhi(removed_from: Literal["train", "test"] | None) -> Callable[[_Asked], Split]:
    def make(asked: _Asked) -> Split:
        asked.of("icbhi")
        return icbhi_official(
            *asked.who(), asked.corpus.official_split, removed_from=removed_from, seed=asked.seed, row=asked.task.row
        )

    return make


def _sprsound(test: Literal["both", "inter", "intra"]) -> Callable[[_Asked], Split]:
    def make(asked: _Asked) -> Split:
        asked.of("sprsound")
        corpus = asked.corpus
        return sprsound_official(
            *asked.who(), corpus.official_split, corpus.recording, test=test, seed=asked.seed, row=asked.task.row
        )

    return make


def _folds(asked: _Asked) -> Split:
    return cross_validation(*asked.who(), n_folds=asked.n_folds, seed=asked.seed)


def _children(asked: _Asked) -> Split:
    corpus = asked.corpus
    return children_single_channel(*asked.who(), corpus.age_years, corpus.mode, n_folds=asked.n_folds, seed=asked.seed)


def _corpora(asked: _Asked) -> Split:
    return leave_one_corpus_out(*asked.who(), asked.corpus.corpus, seed=asked.seed)


SPLITS: Mapping[str, Callable[[_Asked], Split]] = MappingProxyType(
    {
        "folds": _folds,
        "icbhi-official": _icbhi(None),
        "icbhi-official-corrected-train": _icbhi("train"),
        "icbhi-official-corrected-test": _icbhi("test"),
        "children-single-channel": _children,
        "sprsound-official": _sprsound("both"),
        "sprsound-inter": _sprsound("inter"),
        "sprsound-intra": _sprsound("intra"),
        "leave-one-corpus-out": _corpora,
    }
)
"""Every split of a corpus, by name."""


def check_split_name(name: str) -> None:
    """Refuse a name that no split has.

    Raises:
        SplitError: with the nearest name.
    """
    if name not in SPLITS:
        near = difflib.get_close_matches(name, SPLITS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SplitError(f"there is no split {name!r}; choose from {', '.join(SPLITS)}.{hint}")


def make_split(name: str, corpus: Corpus, task: Task, *, n_folds: int = 3, seed: int = 0) -> Split:
    """A split of a corpus for a task.

    Args:
        name: one of SPLITS.
        corpus: what to split; of a task of cycles or events, `jaxresp.corpus.units` of it.
        task: whose classes stand on the sides.
        n_folds: of cross-validation; published splits have one.
        seed: of folds and of validation patients.

    Raises:
        SplitError: no split has this name, or this corpus cannot be split so; says why.
        UnknownLabel: a recording has no class in the task.
    """
    check_split_name(name)
    return replace(SPLITS[name](_Asked(corpus, task, n_folds, seed)), row=task.row)


def first_task(corpus: Corpus) -> Task:
    """The first task of recordings that has a class for every one of these.

    Raises:
        SplitError: none has.
    """
    for task in TASKS.values():
        try:
            if task.unit in ("recording", "patient") and len(corpus.labels(task)) == len(corpus):
                return task
        except UnknownLabel:
            continue
    raise SplitError(f"no task has a class for every recording of {corpus.name}; the tasks are {', '.join(TASKS)}")


def splits_of(
    corpus: Corpus, task: Task, *, n_folds: int = 3, seed: int = 0
) -> tuple[tuple[Split, ...], Mapping[str, str]]:
    """Every split that a corpus allows, and why it does not allow the others.

    Raises:
        UnknownLabel: a recording has no class in the task, so that there is nothing to split by.
    """
    corpus.labels(task)
    made, refused = [], {}
    for name in SPLITS:
        try:
            made.append(make_split(name, corpus, task, n_folds=n_folds, seed=seed))
        except SplitError as error:
            refused[name] = str(error)
    return tuple(made), refused
