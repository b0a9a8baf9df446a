"""The whole of a sweep: open the study, work until its places are filled, and see that what is chosen is here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from jaxresp.errors import JaxrespError
from jaxresp.sweep import workers as worker_processes
from jaxresp.sweep.answers import best_trial, chosen_trial
from jaxresp.sweep.importance import write_importances
from jaxresp.sweep.problem import Problem
from jaxresp.sweep.space import ORIGINAL, SearchSpace
from jaxresp.sweep.storages import open_store
from jaxresp.sweep.study import Known, Report, Search, claim, work
from jaxresp.sweep.trial import Trial, clear_checkpoints, folder_of, save, train_trial
from jaxresp.workdir import sole_user


def sweep(
    problem: Problem,
    folder: Path,
    *,
    n_trials: int,
    space: SearchSpace = ORIGINAL,
    pruning: str = "none",
    storage_url: str | None = None,
    study_name: str | None = None,
    workers: int = 1,
    report: Report = lambda what, done: None,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> tuple[Trial, ...]:
    """Run, or continue, a study until it has `n_trials` trials. The first one has the default settings.

    Args:
        problem: what to tune.
        folder: where the study and its trials are kept.
        n_trials: in all; pruned ones count.
        space: what to search.
        pruning: how trials are given up early: "median", "hyperband" or "none".
        storage_url: where the study is kept; see jaxresp.sweep.storages.open_store.
        study_name: in that storage; the problem's by default.
        workers: processes that train; one is this one.
        report: progress.
        on_trial: called once for every finished trial, pruned ones and those of before included.

    Returns:
        all trials, in order of their numbers. The weights of those that something is answered with are here, trained
        again if another machine trained them; of the others they may lie elsewhere.

    Raises:
        WorkdirInUse: another process is at work in the folder.
        StorageError: no study can be kept there.
        StudyMismatch: the study was begun for something else.
        WorkerDied: a worker died of the same trial again and again.
    """
    if workers < 1:
        raise JaxrespError(f"a sweep needs at least one worker, not {workers}")
    search = Search(problem, folder, n_trials, space, pruning)
    with sole_user(folder), closing(open_store(storage_url, folder, study_name or problem.name)) as store:
        claim(store, search)
        known = Known(search, store, on_trial)
        furthest = 0.0

        def tell(what: str, part: float) -> None:
            nonlocal furthest
            furthest = max(furthest, known.done + part)  # never back, though another process's trial may be lost
            report(what, furthest)

        if workers == 1:
            work(search, store, known, tell)
        else:
            worker_processes.work(search, store, known, tell, workers, storage_url, study_name or problem.name)
        write_importances(store.study, folder / "importance.json")
        trials = _settled(search, tuple(known.trials[n] for n in range(n_trials)), report)
        for left in folder.glob("running-*"):  # of settings that a dead process had and nobody took up again
            clear_checkpoints(left)
        return trials


def _settled(search: Search, trials: tuple[Trial, ...], report: Report) -> tuple[Trial, ...]:
    """The trials, with the weights of those that something is answered with."""
    problem = search.problem
    needed = {best_trial(trials).number, *(chosen_trial(trials, k).number for k in range(len(problem.folds)))}
    settled = list(trials)
    for number in sorted(needed):
        theirs = trials[number]
        if theirs.is_here:
            continue
        report(f"trial {number + 1}/{search.n_trials}, of another machine, is trained again for its weights", 1.0)
        checkpoints = search.folder / f"running-{number}-again"
        ours = train_trial(problem, number, theirs.settings, lambda *_: None, checkpoints).fits
        # What was chosen by stays what the study says: another processor may differ in the last bits.
        fits = tuple(
            replace(their, weights=our.weights, standardisation=our.standardisation)
            for their, our in zip(theirs.fits, ours, strict=True)
        )
        settled[number] = replace(theirs, fits=fits)
        save(settled[number], folder_of(search.folder, number))
        clear_checkpoints(checkpoints)
    return tuple(settled)
