"""What a finished study is worth: its out-of-fold answers, and every number drawn from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from jaxresp import models
from jaxresp.corpus import Corpus
from jaxresp.evaluate.bootstrap import headline_intervals
from jaxresp.evaluate.levels import Level, level, patient_answers
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.operating import alarm_values
from jaxresp.evaluate.result import Result, majority_probabilities
from jaxresp.evaluate.scores import challenge_scores, normal_class
from jaxresp.evaluate.shortcuts import beyond_shortcuts, shortcut_columns, shortcuts
from jaxresp.frontend import FrontEnd, band_in_words
from jaxresp.pooling import pool
from jaxresp.sweep import Problem, Trial, best_trial, out_of_fold_windows


def judge(
    problem: Problem, frontend: FrontEnd, corpus: Corpus, trials: tuple[Trial, ...], *, seed: int
) -> tuple[Result, Float[np.ndarray, "recordings classes"]]:
    """The result of a study, and its probabilities of every recording; NaN for those that no fold tests."""
    window_logits = out_of_fold_windows(problem, trials)
    logits = pool(window_logits, problem.bank.recording, problem.bank.n_recordings)
    probabilities = np.asarray(models.probabilities(logits))
    best, labels, task, tested = best_trial(trials), problem.labels, problem.task, problem.split.tested
    columns, normal = shortcut_columns(corpus), normal_class(task)
    metrics = classification_metrics(labels[tested], probabilities[tested])
    majority = majority_probabilities(labels, problem.folds, task)
    epochs = int(np.median([each.best_epoch for each in best.fits]))
    result = Result(
        name=problem.name,
        task=task.name,
        features=frontend.name,
        classes=task.classes,
        metrics=metrics,
        intervals=headline_intervals(labels[tested], probabilities[tested], corpus.patient[tested], seed=seed),
        majority=classification_metrics(labels[tested], majority[tested]),
        shortcuts=shortcuts(columns, labels, problem.folds, task),
        patients={
            name: len(set(corpus.patient[tested][labels[tested] == i].tolist())) for i, name in enumerate(task.classes)
        },
        recordings={name: int(np.sum(labels[tested] == i)) for i, name in enumerate(task.classes)},
        settings={
            "network": best.network.name,
            **best.settings,
            "epochs": epochs,
            "trials": len(trials),
            "band": band_in_words(frontend.band),
        },
        validation_loss=best.score,
        corpus=corpus_identity(corpus),
        split=problem.split.to_json(),
        levels=_levels(problem, corpus.patient, window_logits, probabilities, seed),
        scores=challenge_scores(task, np.array(metrics.confusion)),
        alarm={} if normal is None else alarm_values(labels[tested], probabilities[tested], normal),
        beyond=beyond_shortcuts(columns, labels, probabilities, corpus.patient, problem.folds, seed=seed),
    )
    return result, probabilities


def _levels(
    problem: Problem,
    patients: Shaped[np.ndarray, " recordings"],
    window_logits: np.ndarray,
    probabilities: np.ndarray,
    seed: int,
) -> dict[str, Level]:
    """Single windows, and whole patients where each has one class; the unit between them is the result's own."""
    tested, labels, of_window = problem.split.tested, problem.labels, problem.bank.recording
    rows = problem.bank.windows_of(tested)
    windows = np.asarray(models.probabilities(window_logits[rows]))
    found = {"window": level(labels[of_window[rows]], windows, patients[of_window[rows]], seed=seed)}
    of_patients = patient_answers(labels[tested], probabilities[tested], patients[tested])
    return found if of_patients is None else found | {"patient": level(*of_patients, seed=seed)}


def corpus_identity(corpus: Corpus) -> dict[str, Any]:
    """Which corpus it was, for everything that is written about it."""
    return {
        "name": corpus.name,
        "version": corpus.version,
        "partial": corpus.partial,
        "made_up": corpus.made_up,
        "fingerprint": corpus.fingerprint,
    }
