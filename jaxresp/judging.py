"""What a finished study is worth: its out-of-fold answers, and every number drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from jaxresp import models
from jaxresp.calibration import Calibration
from jaxresp.corpus import Corpus
from jaxresp.corpus.recordings import corpus_identity
from jaxresp.evaluate.bootstrap import headline_intervals
from jaxresp.evaluate.calibrating import CrossFitted, cross_fitted, fit_calibration
from jaxresp.evaluate.gating import fit_gate, measure_all, refused_share
from jaxresp.evaluate.levels import Level, level, patient_answers
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.operating import alarm_values
from jaxresp.evaluate.probing import CLASS, EMBEDDING, FEATURES, Probe, probe_stethoscope, probed_stethoscopes
from jaxresp.evaluate.reliability import reliability
from jaxresp.evaluate.result import Result, majority_probabilities
from jaxresp.evaluate.scores import challenge_scores, normal_class, score_intervals
from jaxresp.evaluate.selective import promised, selective
from jaxresp.evaluate.shortcuts import beyond_shortcuts, shortcut_columns, shortcuts
from jaxresp.evaluate.sides import judge_sides
from jaxresp.evaluate.subgroups import subgroup_columns, subgroups
from jaxresp.frontend import FrontEnd
from jaxresp.gate import Gate
from jaxresp.pooling import pool
from jaxresp.sweep import Problem, Trial, best_trial, fold_embeddings, looks_at_scores, out_of_fold_windows
from jaxresp.window import WindowConfig


class Judged(NamedTuple):
    """A study's result, and what was fitted to its answers and its recordings.

    Attributes:
        result: every number.
        probabilities: of every recording, as the result is of; NaN for those that no fold tests.
        calibration: to be released.
        gate: to be released.
    """

    result: Result
    probabilities: Float[np.ndarray, "recordings classes"]
    calibration: Calibration
    gate: Gate


def judge(
    problem: Problem, frontend: FrontEnd, corpus: Corpus, trials: tuple[Trial, ...], window: WindowConfig, *, seed: int
) -> Judged:
    """The result of a study, and what its Classifier answers with beside the network."""
    window_logits = out_of_fold_windows(problem, trials)
    logits = _pooled(problem, window_logits)
    released, calibrated = calibrate(problem, trials, logits, corpus.patient)
    probabilities = calibrated.probabilities
    best, labels, task, tested = best_trial(trials), problem.labels, problem.task, problem.split.tested
    uncalibrated = np.asarray(models.probabilities(logits))
    columns, normal = shortcut_columns(corpus), normal_class(task)
    measured = (measure_all(corpus), corpus.bandwidth_hz, corpus.patient)
    gate = fit_gate(*measured, problem.split.fitted, window)
    metrics = classification_metrics(labels[tested], probabilities[tested])
    answered = (labels[tested], probabilities[tested], corpus.patient[tested])
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
        n_patients=len(set(corpus.patient[tested].tolist())),
        recordings={name: int(np.sum(labels[tested] == i)) for i, name in enumerate(task.classes)},
        settings={
            "network": best.network.name,
            "filters": best.network.filters,
            "dense": best.network.dense,
            **best.settings,
            "epochs": epochs,
            "trials": len(trials),
            "pruned": sum(bool(trial.pruned) for trial in trials),
            "proposals looked at scores": looks_at_scores(trials),
            "validation loss": round(best.score, 3),
            "validation loss of the defaults": round(trials[0].score, 3),
            "band": frontend.heard,
        },
        validation_loss=best.score,
        corpus=corpus_identity(corpus),
        split=problem.split.to_json(),
        levels=_levels(problem, corpus.patient, window_logits, probabilities, seed),
        scores=challenge_scores(task, np.array(metrics.confusion)),
        score_intervals=score_intervals(task, *answered, seed=seed),
        alarm={} if normal is None else alarm_values(labels[tested], probabilities[tested], normal),
        beyond=beyond_shortcuts(columns, labels, probabilities, corpus.patient, problem.folds, seed=seed),
        calibration=released.to_dict(),
        gate=gate.to_dict() | {"refused": refused_share(*measured, problem.folds, window)},
        subgroups=subgroups(
            {name: column[tested] for name, column in subgroup_columns(corpus).items()},
            labels[tested],
            probabilities[tested],
            corpus.patient[tested],
            seed=seed,
        ),
        reliability={
            "uncalibrated": reliability(labels[tested], uncalibrated[tested], corpus.patient[tested]),
            "calibrated": reliability(labels[tested], calibrated.as_frequent_as_seen[tested], corpus.patient[tested]),
        },
        selective=selective(
            labels[tested],
            probabilities[tested],
            corpus.patient[tested],
            calibrated.answered[tested],
            calibrated.possible[tested],
            promised(released),
        ),
        unit=task.row,
        probe=_probe(problem, trials, corpus, seed),
        sides=judge_sides(
            task, corpus.official_split, labels, probabilities, corpus.patient, tested, problem.split.fitted, seed=seed
        ),
    )
    return Judged(result, probabilities, released, gate)


def calibrate(
    problem: Problem,
    trials: tuple[Trial, ...],
    logits: Float[np.ndarray, "recordings outputs"],
    patients: Shaped[np.ndarray, " recordings"],
) -> tuple[Calibration, CrossFitted]:
    """The calibration to release, and answers for every tested recording by one that did not see its patient.

    Of several folds, each is answered by a calibration on the others, and all calibrate what is released. A published
    split has but one: there the validation patients calibrate, who also stopped the training, so that the tested ones
    stay unread.
    """
    folds, labels, n_classes = problem.folds, problem.labels, len(problem.task.classes)
    balanced = problem.training.balance != "none"
    tested = problem.split.tested
    answers = CrossFitted.of_nobody(len(logits), n_classes)
    if len(folds) == 1:
        rows = folds[0].validation
        held = _pooled(problem, out_of_fold_windows(problem, trials, "validation"))[rows]
        released = fit_calibration(
            held, labels[rows], patients[rows], n_classes, balanced=balanced, answers_of="validation answers"
        )
        answers.fill(tested, released, logits)
        return released, answers
    fold_of = np.full(len(logits), -1)
    for k, fold in enumerate(folds):
        fold_of[fold.test] = k
    asked = (logits[tested], labels[tested], patients[tested])
    crossed = cross_fitted(*asked, fold_of[tested], n_classes, balanced=balanced)
    for of_all, of_tested in zip(answers, crossed, strict=True):
        of_all[tested] = of_tested
    return fit_calibration(*asked, n_classes, balanced=balanced), answers


def _pooled(
    problem: Problem, window_logits: Float[np.ndarray, "windows outputs"]
) -> Float[np.ndarray, "recordings outputs"]:
    return pool(window_logits, problem.bank.recording, problem.bank.n_recordings)


def _probe(problem: Problem, trials: tuple[Trial, ...], corpus: Corpus, seed: int) -> Probe | None:
    """What the network knows of the stethoscope; None where it has no activations to ask."""
    if not models.has_embedding(problem.network.name):
        return None
    of = (corpus.stethoscope, corpus.patient, problem.folds)
    names, _ = probed_stethoscopes(*of)
    inputs: dict[str, Sequence[np.ndarray]] = {}
    if names:
        n = len(problem.folds)
        means = pool(problem.bank.clean.mean(1), problem.bank.recording, problem.bank.n_recordings)
        inputs = {
            EMBEDDING: list(fold_embeddings(problem, trials)),
            FEATURES: [means] * n,
            CLASS: [np.eye(len(problem.task.classes))[problem.labels]] * n,
        }
    return probe_stethoscope(inputs, *of, seed=seed)


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
