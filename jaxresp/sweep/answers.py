"""What a finished study answers: each fold for its test patients, and the network that is released."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from jaxresp.pooling import pool
from jaxresp.sweep.problem import Problem
from jaxresp.sweep.study import Report
from jaxresp.sweep.trial import Trial, graph_of, shared_shape
from jaxresp.train import Fit, embed_windows, fit, predict_windows


def best_trial(trials: tuple[Trial, ...]) -> Trial:
    """The settings of the released network: lowest mean validation loss; of equals the first, never a pruned one."""
    return min(_whole(trials), key=lambda trial: (trial.score, trial.number))


def chosen_trial(trials: tuple[Trial, ...], fold: int) -> Trial:
    """The trial that a fold's own validation preferred; never a pruned one."""
    return min(_whole(trials), key=lambda trial: (trial.fits[fold].score, trial.number))


def _whole(trials: tuple[Trial, ...]) -> list[Trial]:
    return [trial for trial in trials if not trial.pruned]


def out_of_fold_windows(
    problem: Problem, trials: tuple[Trial, ...], side: Literal["test", "validation"] = "test"
) -> Float32[np.ndarray, "windows outputs"]:
    """Logits of every window of the tested recordings; NaN for those of recordings that no fold tests.

    The network and its settings were chosen without the recording's patient (where a published split has him on both
    sides, without the recording). The validation side of a fold stopped its training, and is asked for only where no
    other held-out answers can calibrate.
    """
    logits = np.full((len(problem.bank.recording), problem.task.n_outputs), np.nan, np.float32)
    for k, fold in enumerate(problem.folds):
        chosen = chosen_trial(trials, k)
        each, bank = chosen.fits[k], problem.bank_of(chosen.frontend)
        rows = bank.windows_of(getattr(fold, side))
        logits[rows] = predict_windows(graph_of(problem, chosen), each.weights, each.standardisation, bank, rows)
    return logits


def fold_embeddings(problem: Problem, trials: tuple[Trial, ...]) -> Iterator[Float32[np.ndarray, "recordings dense"]]:
    """For each fold, what its chosen network makes of every recording before its last layer: the mean of its windows.

    Of each fold's own network: the activations of two networks have nothing to do with each other.
    """
    every = np.arange(len(problem.bank.recording))
    for k in range(len(problem.folds)):
        chosen = chosen_trial(trials, k)
        each, bank = chosen.fits[k], problem.bank_of(chosen.frontend)
        windows = embed_windows(graph_of(problem, chosen), each.weights, each.standardisation, bank, every)
        yield pool(windows, problem.bank.recording, problem.bank.n_recordings)


def out_of_fold_logits(problem: Problem, trials: tuple[Trial, ...]) -> Float32[np.ndarray, "recordings outputs"]:
    """Logits of every tested recording, pooled over its windows of `out_of_fold_windows`; NaN for the others."""
    return pool(out_of_fold_windows(problem, trials), problem.bank.recording, problem.bank.n_recordings)


def fit_final(
    problem: Problem,
    trials: tuple[Trial, ...],
    report: Report = lambda what, done: None,
    checkpoint: Path | None = None,
) -> Fit:
    """The best settings on all patients who train or validate in some fold, for the median of the folds' best epochs.

    Nothing is stopped, or chosen, by what it is fitted on; nobody is fitted on who is only tested. A killed one goes
    on from the checkpoint, which whoever calls removes.
    """
    best = best_trial(trials)
    epochs = int(np.median([each.best_epoch for each in best.fits]))
    return fit(
        problem.bank_of(best.frontend),
        problem.labels,
        problem.task,
        best.network,
        best.training,
        train=problem.split.fitted,
        epochs=epochs,
        checkpoint=checkpoint,
        within=shared_shape(best.network),
        on_epoch=lambda epoch, losses: report(f"final fit, epoch {epoch}/{epochs}", epoch / epochs),
    )
