"""What the models of one run are made of: the rows of each task, and their features, kept while they are of use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jaxresp.corpus import Corpus, answered_units
from jaxresp.features import FeatureBank, build_bank
from jaxresp.frontend import FrontEnd
from jaxresp.taxonomy import Task
from jaxresp.window import WindowConfig


class Material:
    """Rows and features of a corpus, for task after task.

    Tasks that ask about the same rows share them. Only the features that were asked for last are kept, in every band
    that they were asked for.
    """

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._rows: dict[tuple[bool, bytes], tuple[Corpus, dict[str, int]]] = {}
        self._of_task: dict[str, tuple[bool, bytes]] = {}
        self._kept: dict[tuple[Any, ...], FeatureBank] = {}

    def rows(self, task: Task) -> Corpus:
        """The recordings, cycles or events that the task has a class for.

        Raises:
            CorpusError, UnknownLabel: as `answered_units` does.
        """
        return self._rows[self._key(task)][0]

    def left_out(self, task: Task) -> dict[str, int]:
        """The others: label → how many."""
        return self._rows[self._key(task)][1]

    def features(
        self, task: Task, frontend: FrontEnd, window: WindowConfig, *, variants: int, seed: int
    ) -> FeatureBank:
        """The features of `rows`; see `build_bank`."""
        same = (self._key(task), replace(frontend, band=None), window, variants, seed if variants else 0)
        self._kept = {key: bank for key, bank in self._kept.items() if key[:-1] == same}
        key = (*same, frontend.band)
        if key not in self._kept:
            self._kept[key] = build_bank(self.rows(task), frontend, window, variants=variants, seed=seed)
        return self._kept[key]

    def _key(self, task: Task) -> tuple[bool, bytes]:
        if task.name not in self._of_task:
            known = self.corpus.answerable(task)
            key = (task.labels_intervals, b"" if known.all() else known.tobytes())
            self._of_task[task.name] = key
            if key not in self._rows:
                self._rows[key] = answered_units(self.corpus, task)
        return self._of_task[task.name]
