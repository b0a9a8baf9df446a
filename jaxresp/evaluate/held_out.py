"""A finished Classifier on a corpus it has not seen: other patients of the same corpus, or another corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jaxresp.classifier import Classifier
from jaxresp.corpus import Corpus, CorpusError, answered_units
from jaxresp.evaluate import tables, words
from jaxresp.evaluate.bootstrap import HEADLINES, Interval, headline_intervals
from jaxresp.evaluate.metrics import Metrics, classification_metrics
from jaxresp.evaluate.scores import challenge_scores, score_intervals
from jaxresp.evaluate.shortcuts import Shortcut, shortcut_columns, shortcuts
from jaxresp.pooling import pool
from jaxresp.splits import PatientLeak, SplitError, cross_validation
from jaxresp.taxonomy import Task


@dataclass(frozen=True)
class HeldOut:
    """What a Classifier is worth on a corpus.

    Attributes:
        metrics: of its answers.
        intervals: 95 % patient bootstrap of the headline metrics.
        n_patients: how many patients they rest on.
        patients: per class; who has units of several classes counts in each.
        unit: what was answered: recordings, cycles or events.
        scores: of the task's own challenge, by name.
        score_intervals: their 95 % patient bootstrap.
        shortcuts: what each column of the metadata reaches on the same units, learnt from this corpus's own other
            patients in three folds; empty where a class has too few of them.
        left_out: labels that the task has no class for, and how many units have them; they are not in the metrics.
    """

    metrics: Metrics
    intervals: Mapping[str, Interval]
    n_patients: int
    patients: Mapping[str, int]
    unit: str
    scores: Mapping[str, float]
    score_intervals: Mapping[str, Interval]
    shortcuts: Mapping[str, Shortcut]
    left_out: Mapping[str, int]


def evaluate_held_out(classifier: Classifier, corpus: Corpus, *, seed: int = 0) -> HeldOut:
    """Answer every recording, cycle or event as the service would, and compare.

    Args:
        classifier: what answers.
        corpus: of whole recordings. Corpora meet in the words of jaxresp.taxonomy: in tasks of a diagnosis, in "sound"
            and in "cycles".
        seed: of the bootstrap and of the shortcuts' folds.

    Raises:
        PatientLeak: the Classifier was trained on patients of this corpus; names them.
        CorpusError: another sampling rate than the Classifier hears, or a task of cycles and none is annotated.
        UnknownLabel: not one unit has a class in the Classifier's task.
    """
    _assert_unseen(classifier, corpus)
    if corpus.rate_hz != classifier.frontend.rate_hz:
        raise CorpusError(
            f"{corpus.name} was prepared at {corpus.rate_hz} Hz and {classifier.name} hears "
            f"{classifier.frontend.rate_hz} Hz; prepare it at that rate (--config)"
        )
    task = classifier.task
    asked, left_out = answered_units(corpus, task)
    windows = asked.windows(classifier.window)
    logits = pool(classifier.logits(windows.samples, windows.scale), windows.recording, len(asked))
    answers = (asked.labels(task), classifier.calibration.probabilities(logits), asked.patient)
    metrics = classification_metrics(*answers[:2])
    return HeldOut(
        metrics=metrics,
        intervals=headline_intervals(*answers, seed=seed),
        n_patients=int(np.unique(asked.patient).size),
        patients=asked.patients_per_class(task),
        unit=task.row,
        scores=challenge_scores(task, np.array(metrics.confusion)),
        score_intervals=score_intervals(task, *answers, seed=seed),
        shortcuts=_shortcuts(asked, task, seed),
        left_out=left_out,
    )


def lines(classifier: Classifier, corpus: Corpus, held_out: HeldOut) -> list[str]:
    """The same in Markdown: what was asked of whom, every number with its interval, the shortcuts beside."""
    told, unit = held_out.metrics, held_out.unit
    per_class = tables.by_class(classifier.classes, told)
    trained = classifier.provenance.get("corpus", {}).get("name", "an unknown corpus")
    majority = max(told.support) / told.n
    out = [
        f"{classifier.name} on {told.n} {unit}s of {held_out.n_patients} patients of {corpus.name}",
        f"trained on: {trained}",
        f"patients: {', '.join(f'{name} {n}' for name, n in held_out.patients.items())}",
        *(
            f"{words.in_words(name)}: {words.with_interval(getattr(told, name), held_out.intervals[name])}"
            for name in HEADLINES
        ),
        f"accuracy: {words.number(told.accuracy)} (the most frequent class alone {words.number(majority)})",
        *(
            f"{name}: {words.with_interval(value, held_out.score_intervals[name])}"
            for name, value in held_out.scores.items()
        ),
        *tables.markdown_table(per_class.head, per_class.rows),
    ]
    columns = sorted(held_out.shortcuts.items(), key=lambda item: -item[1].balanced_accuracy)
    if columns:
        reached = ", ".join(f"{name} {words.number(each.balanced_accuracy)}" for name, each in columns)
        out.append(f"balanced accuracy without listening, learnt from {corpus.name}'s own other patients: {reached}")
    else:
        out.append("without listening: not known, some class has too few patients here for folds")
    if held_out.left_out:
        out.append(words.left_out(held_out.left_out, unit))
    return out


def _assert_unseen(classifier: Classifier, corpus: Corpus) -> None:
    trained_on = classifier.provenance.get("corpus", {})
    shared = set(classifier.provenance.get("training_patients", ())) & set(corpus.patient.tolist())
    if shared and (trained_on.get("name"), trained_on.get("made_up")) == (corpus.name, corpus.made_up):
        some = ", ".join(sorted(shared)[:5])
        raise PatientLeak(
            f"{classifier.name} was trained on {len(shared)} patients of this corpus "
            f"({some}{' …' if len(shared) > 5 else ''}); "
            "what it says of them is no evidence. Evaluate on other patients, or read the out-of-fold table of its run"
        )


def _shortcuts(corpus: Corpus, task: Task, seed: int) -> dict[str, Shortcut]:
    labels = corpus.labels(task)
    try:
        folds = cross_validation(corpus.patient, labels, task.classes, seed=seed).folds
    except SplitError:  # said in `lines`: no folds without three patients of every class
        return {}
    return shortcuts(shortcut_columns(corpus), labels, folds, task)
