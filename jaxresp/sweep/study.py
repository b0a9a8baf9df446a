"""A study: its places, who takes them, and what is known of those that are finished.

A study of n trials has n places. A place is taken under the study's lock by one process at a time, and is free again
when that process dies; so no trial is lost and none counts twice, however many processes and machines work on it.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from jaxresp.errors import JaxrespError
from jaxresp.sweep import trial as trials_on_disk
from jaxresp.sweep.problem import Problem
from jaxresp.sweep.pruning import NEVER_PRUNED, Rival, check_pruning, pruning_of, reached
from jaxresp.sweep.space import ORIGINAL, SearchSpace
from jaxresp.sweep.storages import Store
from jaxresp.sweep.trial import Trial, clear_checkpoints, folder_of, pruned_trial, record_of, train_trial
from jaxresp.train import NonFiniteLoss

#: Proposals before Optuna's TPE (Bergstra et al., NeurIPS 2011) starts to look at scores.
STARTUP_TRIALS = 10
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)
#: Seconds between two looks at what other processes have finished while a trial is trained.
_REREAD_S = 10.0
#: Seconds between two looks at whether other processes have finished.
_POLL_S = 1.0

#: Called with a line of progress: (what, fraction of the study done).
Report = Callable[[str, float], None]


class StudyMismatch(JaxrespError):
    """A study that was begun for something else."""


class _GivenUp(Exception):
    pass


@dataclass(frozen=True)
class Search:
    """How a problem is searched.

    Attributes:
        problem: what is tuned.
        folder: where trials are kept.
        n_trials: in all.
        space: what is searched.
        pruning: how trials are given up early; one of PRUNINGS.
    """

    problem: Problem
    folder: Path
    n_trials: int
    space: SearchSpace = ORIGINAL
    pruning: str = "none"

    def __post_init__(self) -> None:
        check_pruning(self.pruning)
        self.problem.defaults(self.space)  # raises what the problem does not have


@dataclass
class Known:
    """The finished trials, loaded once each and told once each, by their number.

    Attributes:
        on_trial: called with every one.
    """

    search: Search
    store: Store
    on_trial: Callable[[Trial], None] = lambda trial: None
    trials: dict[int, Trial] = field(default_factory=dict)

    def look(self) -> None:
        """Load and tell what has been finished since the last look, by whomever."""
        for frozen in sorted(finished(self.store), key=place_of):
            number = place_of(frozen)
            if number not in self.trials and number < self.search.n_trials:
                record = frozen.user_attrs["record"]
                folder = folder_of(self.search.folder, number)
                self.trials[number] = trials_on_disk.load(self.search.problem, folder, number, record)
                self.on_trial(self.trials[number])

    def summary(self, trial: Trial) -> str:
        best = min((t.score for t in self.trials.values() if not t.pruned), default=float("nan"))
        came_to = trial.pruned if trial.pruned else f"loss {trial.score:.3f}"
        return f"trial {trial.number + 1}/{self.search.n_trials}: {came_to}, best {best:.3f}"

    @property
    def all(self) -> bool:
        return len(self.trials) == self.search.n_trials

    @property
    def done(self) -> float:
        """Fraction of the trials."""
        return len(self.trials) / self.search.n_trials


def claim(store: Store, search: Search) -> None:
    """Write down what the study is of, or see that it is ours.

    Raises:
        StudyMismatch: it is of another problem, space or pruning.
    """
    mine = search.problem.fingerprint(search.space, search.pruning)
    with store.locked():
        theirs = store.study.user_attrs.get("problem")
        if theirs is None:
            store.study.set_user_attr("problem", mine)
        elif theirs != mine:
            raise StudyMismatch(
                f"the study {store.study.study_name!r} was begun with another corpus, split, search space, pruning or "
                "configuration; give this one another name (--study), or another storage"
            )


def looks_at_scores(trials: Sequence[Trial]) -> bool:
    """Whether which settings were tried, or tried to their end, followed from the scores of others."""
    return len(trials) > STARTUP_TRIALS or any(trial.pruned for trial in trials)


def finished(store: Store) -> list[optuna.trial.FrozenTrial]:
    return store.study.get_trials(deepcopy=False, states=_DONE)


def place_of(trial: optuna.trial.FrozenTrial) -> int:
    """Its place in the study; -1 of one that was begun by a process that died before it had one."""
    return int(trial.user_attrs.get("place", -1))


def work(
    search: Search,
    store: Store,
    known: Known,
    report: Report,
    taking: Callable[[int, int], None] = lambda number, optunas: None,
) -> None:
    """Take places and train them until all are finished, by this process or by others.

    Args:
        search: what.
        store: the study.
        known: the finished trials.
        report: progress; the fraction is what of the study the trial at hand has done.
        taking: called with the number of a trial that is about to be trained, and with Optuna's number of it.
    """
    known.look()
    while not known.all:
        taken = take(search, store)
        if taken is None:
            report(f"waiting for {search.n_trials - len(known.trials)} trials of other processes", 0.0)
            time.sleep(_POLL_S)
            known.look()
            continue
        asked, number, settings = taken
        taking(number, asked.number)
        trial = _trained(search, store, asked, number, settings, report)
        known.look()
        if trial is not None:
            report(known.summary(trial), 0.0)


def take(search: Search, store: Store) -> tuple[optuna.Trial, int, dict[str, Any]] | None:
    """The lowest free place, now this process's: Optuna's trial, its number and its settings. None if all are taken.

    The sampler is seeded by the place: a continued study proposes what an unbroken one would.
    """
    problem, space = search.problem, search.space
    with store.locked():
        store.fail_dead()
        trials = store.study.get_trials(deepcopy=False)
        taken = {place_of(trial) for trial in trials if trial.state in (*_DONE, TrialState.RUNNING)}
        number = next((n for n in range(search.n_trials) if n not in taken), None)
        if number is None:
            return None
        defaults = problem.defaults(space)
        known_to_optuna = number > 0 or space.holds(
            defaults
        )  # else they are tried without Optuna's knowing what they are
        store.study.sampler = optuna.samplers.TPESampler(
            seed=_seed(problem, number), n_startup_trials=STARTUP_TRIALS, multivariate=True
        )
        given = defaults if number == 0 else _last_settings(trials, number, space)
        if given is not None and known_to_optuna and not _waiting(trials, number):
            store.study.enqueue_trial(given, user_attrs={"place": number})
        while True:
            asked = store.ask()
            store.hold(asked)
            if asked.user_attrs.get("place", number) == number:
                break
            store.let_go(asked)  # one that a process which was killed just here had meant for another place
            store.study.tell(asked, state=TrialState.FAIL)
        asked.set_user_attr("place", number)
        return asked, number, space.suggest(asked) if known_to_optuna else defaults


def _last_settings(trials: list[optuna.trial.FrozenTrial], number: int, space: SearchSpace) -> dict[str, Any] | None:
    """What a process that died was training at this place: its checkpoint may be there."""
    died = [t for t in trials if t.state is TrialState.FAIL and place_of(t) == number]
    whole = [t.params for t in died if set(t.params) == set(space.dimensions)]
    return dict(whole[-1]) if whole else None


def _waiting(trials: list[optuna.trial.FrozenTrial], number: int) -> bool:
    return any(t.state is TrialState.WAITING and place_of(t) == number for t in trials)


def _seed(problem: Problem, number: int) -> int:
    words = [problem.training.seed, number, *problem.name.encode()]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def _trained(
    search: Search, store: Store, asked: optuna.Trial, number: int, settings: dict[str, Any], report: Report
) -> Trial | None:
    """Train what was taken and put it into the study; None if it has been given to another process meanwhile."""
    problem = search.problem
    title, n_folds = f"trial {number + 1}/{search.n_trials}", len(problem.folds)
    max_epochs = problem.training.max_epochs
    pruning = pruning_of(search.pruning, number, max_epochs)
    rivals = _Rivals(store)
    histories: list[list[dict[str, float]]] = [[] for _ in range(n_folds)]

    def on_epoch(fold: int, epoch: int, losses: dict[str, float]) -> None:
        histories[fold].append(losses)
        part = (fold + epoch / max_epochs) / n_folds / search.n_trials
        what = f"{title}, fold {fold + 1}/{n_folds}, epoch {epoch}, loss {losses['validation_loss']:.3f}"
        report(what, part)
        if pruning is not None and pruning.behind([_curve(h) for h in histories if h], rivals.now()):
            raise _GivenUp(f"pruned in epoch {epoch} of fold {fold + 1}")

    checkpoints = search.folder / f"running-{number}-{_digest(settings)}"
    try:
        try:
            trial = train_trial(problem, number, settings, on_epoch, checkpoints)
        except (_GivenUp, NonFiniteLoss) as why:
            if number == NEVER_PRUNED:
                raise  # the defaults diverge: that is for the user to know
            told = str(why) if isinstance(why, _GivenUp) else f"diverged: {why}"
            trial = pruned_trial(problem, number, settings, told, [h for h in histories if h])
        with store.locked():
            if not store.is_running(asked.number):
                return None  # this machine was not heard of for too long, and another has taken the place
            trials_on_disk.save(trial, folder_of(search.folder, number))
            asked.set_user_attr("record", record_of(trial))
            if trial.pruned:
                _tell_pruned(store, asked, trial)
            else:
                store.study.tell(asked, trial.score)
        clear_checkpoints(checkpoints)
        return trial
    except BaseException:  # Ctrl-C too: others need not wait until this process counts as dead
        with store.locked():
            store.fail(asked.number)
        raise
    finally:
        store.let_go(asked)


def _tell_pruned(store: Store, asked: optuna.Trial, trial: Trial) -> None:
    """TPE takes what was given up later, and at a lower loss, for the better."""
    epochs = [len(each.history) for each in trial.fits]
    if epochs:  # else it diverged in its first epoch
        asked.report(reached([_curve(list(each.history)) for each in trial.fits], epochs), sum(epochs))
    store.study.tell(asked, state=TrialState.PRUNED)


class _Rivals:
    """The finished trials and those given up, read again from the study every now and then: others may add to them."""

    def __init__(self, store: Store):
        self._store, self._read_at = store, -math.inf
        self._found: list[Rival] = []

    def now(self) -> list[Rival]:
        if time.monotonic() - self._read_at > _REREAD_S:
            self._found = [_rival(frozen) for frozen in finished(self._store)]
            self._read_at = time.monotonic()
        return self._found


def _rival(frozen: optuna.trial.FrozenTrial) -> Rival:
    curves = [_curve(fold["history"]) for fold in frozen.user_attrs["record"]["folds"]]
    return Rival(place_of(frozen), curves, frozen.state is TrialState.COMPLETE)


def _curve(history: list[dict[str, float]]) -> list[float]:
    return [each["validation_loss"] for each in history]


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
