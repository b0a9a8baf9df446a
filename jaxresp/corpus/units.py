"""Cycles and events as rows of a corpus of their own, so that whatever takes recordings takes them too."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter

import numpy as np

from jaxresp.corpus.intervals import interval_bounds
from jaxresp.corpus.recordings import per_recording
from jaxresp.corpus.table import Corpus
from jaxresp.taxonomy import Task, UnknownLabel

MARK = "#"
"""Stands between a recording's name and the number of its interval: "101_1b1_Al_sc_Meditron#03"."""


def units(corpus: Corpus, task: Task) -> Corpus:
    """The corpus whose rows are what a task answers: the recordings themselves, or their cycles or events.

    Args:
        corpus: of whole recordings.
        task: whose labels then are one per row.

    Raises:
        CorpusError: the task asks about cycles or events, and none is annotated.
    """
    return interval_corpus(corpus) if task.labels_intervals else corpus


def answered_units(corpus: Corpus, task: Task) -> tuple[Corpus, dict[str, int]]:
    """The rows of `units` that the task has a class for, and what was left out.

    Corpora hold what one question or another has no answer to: a poor recording, a diagnosis that nobody made.

    Args:
        corpus: of whole recordings.
        task: the question.

    Returns:
        the corpus; and of every label that the task has no class for, how many rows have it ("no label": none is told).

    Raises:
        CorpusError: the task asks about cycles or events, and none is annotated.
        UnknownLabel: the task has a class for no row at all; names the labels.
    """
    asked = units(corpus, task)
    known = asked.answerable(task)
    left_out = Counter(label or "no label" for label in asked.published(task)[~known].tolist())
    if not known.any():
        raise UnknownLabel(
            f"task {task.name!r} has no class for any {task.row} of {corpus.name} "
            f"({', '.join(f'{label} {n}' for label, n in left_out.most_common(8))}); "
            f"it knows {', '.join(task.label_of)}. Choose a task that fits the corpus, or a corpus labelled for it"
        )
    return (asked if known.all() else asked.select(known)), dict(sorted(left_out.items()))


def interval_corpus(corpus: Corpus) -> Corpus:
    """One row per annotated interval: its samples, its annotation, and everything known of its recording.

    Rows stand in the order of the recordings and of time; recordings without an interval have none. Intervals are
    numbered from 0 within their recording, in the order of its annotations.

    Raises:
        CorpusError: nothing is annotated, or an interval holds not one sample.
    """
    of, start, end = interval_bounds(corpus)
    lengths = end - start
    number = np.arange(len(of)) - corpus.annotation_offsets[of]
    names = [f"{corpus.recording[i]}{MARK}{k:02d}" for i, k in zip(of.tolist(), number.tolist(), strict=True)]
    own = dataclasses.replace(
        corpus.annotations,
        start_s=np.zeros(len(of), np.float32),
        end_s=(lengths / corpus.rate_hz).astype(np.float32),
    )
    columns = {f.name: getattr(corpus, f.name)[of] for f in per_recording()}
    columns["recording"] = np.array(names)
    return dataclasses.replace(
        corpus,
        fingerprint=hashlib.sha256(f"{corpus.fingerprint}\nintervals".encode()).hexdigest(),
        samples=np.concatenate([corpus.samples[a:b] for a, b in zip(start.tolist(), end.tolist(), strict=True)]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        annotations=own,
        annotation_offsets=np.arange(len(of) + 1, dtype=np.int64),
        **columns,
    )


def recording_of(name: str) -> str:
    """The recording that a row is, or is cut from."""
    return name.partition(MARK)[0]
