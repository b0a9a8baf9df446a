"""A finished study asked again in the band that every stethoscope records (50–1800 Hz).

On ICBHI the recorder nearly is the diagnosis, and what lies above 1800 Hz tells the recorder. The mel bands of the
front ends end there anyway; what a wide band leaves in the features is its level, which every window is divided by.

This is the least that is honest: every fold is fitted anew with the settings that its own validation preferred in the
wide band, stopped by the same patients, calibrated in the same way, and answers for the same patients. It costs one fit
per fold. Settings searched for in the common band itself could do better; `--band common` does that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxresp.bands import BANDS
from jaxresp.corpus import Corpus
from jaxresp.evaluate.bands import InBand, in_band_from_json
from jaxresp.evaluate.bootstrap import headline_intervals, paired_differences
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.result import plain, read
from jaxresp.features import FeatureBank
from jaxresp.files import write_whole
from jaxresp.frontend import FrontEnd
from jaxresp.judging import calibrate
from jaxresp.run_report.finished import read_json
from jaxresp.sweep import Problem, Report, Trial, chosen_trial, out_of_fold_logits
from jaxresp.sweep.trial import fold_training, shared_shape
from jaxresp.taxonomy import Task
from jaxresp.train import fit


def wants_common_band(task: Task, frontend: FrontEnd) -> bool:
    """Whether the question is a diagnosis, and the front end hears more than the common band."""
    low_hz, high_hz = BANDS["common"]
    heard = frontend.band_hz
    return task.reads == "diagnosis" and (heard is None or heard[0] < low_hz or heard[1] > high_hz)


def kept_in_band(
    file: Path,
    problem: Problem,
    trials: tuple[Trial, ...],
    bank: Callable[[], FeatureBank],
    heard: str,
    corpus: Corpus,
    own: Float[np.ndarray, "recordings classes"],
    *,
    seed: int,
    report: Report = lambda what, done: None,
) -> InBand:
    """What `judge_in_band` says, kept in a file: a run that was killed after it does not fit again.

    Args:
        file: where.
        problem: as of `judge_in_band`.
        trials: as of it.
        bank: makes the features, if they are needed.
        heard: as of it, like the following.
        corpus: the rows.
        own: the answers in the own band.
        seed: of the intervals.
        report: progress.

    Raises:
        JaxrespError: the file is damaged; NonFiniteLoss as of `judge_in_band`.
    """
    if file.is_file():
        return read_json(file, lambda data: in_band_from_json(data, read))
    told = judge_in_band(problem, trials, bank(), heard, corpus, own, seed=seed, report=report)
    write_whole(file, json.dumps(plain(told), indent=2) + "\n")
    return told


def judge_in_band(
    problem: Problem,
    trials: tuple[Trial, ...],
    bank: FeatureBank,
    heard: str,
    corpus: Corpus,
    own: Float[np.ndarray, "recordings classes"],
    *,
    seed: int,
    report: Report = lambda what, done: None,
) -> InBand:
    """Fit the chosen settings of every fold on other features of the same recordings, and judge the answers.

    Args:
        problem: of the study.
        trials: the finished ones.
        bank: the features in the other band.
        heard: that band, in words.
        corpus: the rows of both banks.
        own: what the study's own networks answered, calibrated; of the tested rows.
        seed: of the intervals.
        report: progress, from 0 to 1.

    Raises:
        NonFiniteLoss: a fit diverged.
    """
    again = replace(problem, name=f"{problem.name}, {heard}", bank=bank, banks=None)
    refitted = _refit(again, trials, report)
    _, calibrated = calibrate(again, refitted, out_of_fold_logits(again, refitted), corpus.patient)
    tested = problem.split.tested
    labels, patients = problem.labels[tested], corpus.patient[tested]
    answers = calibrated.probabilities[tested]
    return InBand(
        heard,
        classification_metrics(labels, answers),
        headline_intervals(labels, answers, patients, seed=seed),
        paired_differences(labels, answers, own[tested], patients, seed=seed),
    )


def _refit(problem: Problem, trials: tuple[Trial, ...], report: Report) -> tuple[Trial, ...]:
    """The trials that some fold prefers, each fitted on the folds that do; elsewhere its loss is infinite."""
    whole = [trial for trial in trials if not trial.pruned]
    fits = {trial.number: [replace(each, score=math.inf) for each in trial.fits] for trial in whole}
    for k, fold in enumerate(problem.folds):
        chosen = chosen_trial(trials, k)
        fits[chosen.number][k] = fit(
            problem.bank,
            problem.labels,
            problem.task,
            chosen.network,
            fold_training(chosen.training, k),
            train=fold.train,
            validation=fold.validation,
            within=shared_shape(chosen.network),
            on_epoch=_told(report, f"common band, fold {k + 1}/{len(problem.folds)}", k, len(problem.folds), chosen),
        )
    # Where front ends were tuned, all folds hear the winner's: the bank is its.
    return tuple(replace(trial, fits=tuple(fits[trial.number]), frontend=None) for trial in whole)


def _told(report: Report, what: str, k: int, n: int, trial: Trial) -> Callable[[int, dict[str, float]], None]:
    def on_epoch(epoch: int, losses: dict[str, float]) -> None:
        done = (k + epoch / trial.training.max_epochs) / n
        report(f"{what}, epoch {epoch}, loss {losses['validation_loss']:.3f}", done)

    return on_epoch
