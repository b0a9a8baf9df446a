"""Where a run stands: trials done, the best so far, and how long the rest will take, told to a person and to a file.

`progress.json` in the work folder is written whole, so that another process can read it at any moment: `jaxresp status`
does.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxresp.errors import JaxrespError
from jaxresp.files import write_whole

if TYPE_CHECKING:
    from jaxresp.sweep import Trial

#: Of the whole run: the models. The rest are the comparisons, the report and the wait for MLflow.
_MODELS_SHARE = 0.98
#: Of progress.json, while nothing ends: a file that is read by people need not be newer.
_WRITE_EVERY_S = 5.0


class NoProgress(JaxrespError):
    """A folder in which nothing says how far a run is."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands at one moment.

    Attributes:
        model: that is worked on.
        what: is being done.
        done: fraction of the whole run.
        models_done: of `models`.
        models: in all.
        trials_done: of the model's `trials`, the pruned ones too.
        trials: of each model.
        pruned: of those done.
        best: lowest validation loss of the model's complete trials; None before the first.
        elapsed_s: since the command was given.
        left_s: about how long the rest takes, at the pace of the trials so far; None before the first has ended.
        ended: something has just ended: a trial, a model, the run.
    """

    model: str
    what: str
    done: float
    models_done: int = 0
    models: int = 0
    trials_done: int = 0
    trials: int = 0
    pruned: int = 0
    best: float | None = None
    elapsed_s: float = 0.0
    left_s: float | None = None
    ended: bool = False


#: Called with where the run stands whenever that changes.
Listener = Callable[[Standing], None]


class Following:
    """Makes a Standing of what happens in a run, for a listener and for a file.

    Args:
        file: progress.json.
        listener: called at every change.
        models: names, in the order in which they are made.
        trials: of each model.
    """

    def __init__(self, file: Path, listener: Listener, models: Sequence[str], trials: int):
        self._file, self._listener, self._pace = file, listener, _Pace(len(models), trials)
        self._began = self._written = time.monotonic()
        self._state: dict[str, Any] = {"state": "running", "started": _now(), "process": os.getpid()}
        self._models = list(models)
        self._now = Standing("all models", "starting", 0.0, models=len(models), trials=trials)

    def model_begins(self, name: str, trials_kept: int) -> None:
        """A model is begun, or gone on with: so many of its trials are there already."""
        self._pace.begin(trials_kept)
        self._now = replace(self._now, model=name, trials_done=0, pruned=0, best=None)
        self.doing("features", 0.0)

    def trials_begin(self) -> None:
        """What comes before the first trial is not of it."""
        self._pace.restart()

    def model_kept(self) -> None:
        """A model was finished before."""
        self._now = replace(self._now, models_done=self._now.models_done + 1)

    def doing(self, what: str, fraction: float) -> None:
        """What is done in the model, and which fraction of the model is."""
        self._tell(what, _MODELS_SHARE * (self._now.models_done + fraction) / self._now.models)

    def trial_ended(self, trial: Trial) -> None:
        """A trial has ended, or was there already."""
        now = self._now
        best, pruned = now.best, bool(trial.pruned)
        if not pruned:
            best = trial.score if best is None else min(best, trial.score)
        done = now.trials_done + 1
        self._now = replace(now, trials_done=done, pruned=now.pruned + pruned, best=best)
        if not self._pace.trial_ended():
            return  # it is told of all of those at once, when the next begins
        outcome = trial.pruned or f"loss {trial.score:.3f}"
        self._tell(f"trial {trial.number + 1}/{now.trials}: {outcome}", now.done, ended=True)

    def model_ended(self) -> None:
        self._pace.end()
        now = replace(self._now, models_done=self._now.models_done + 1)
        self._now = now
        self._tell("finished", _MODELS_SHARE * now.models_done / now.models, ended=True)

    def closing(self, what: str) -> None:
        """All models are there; what is still to be done with them."""
        self._now = replace(self._now, model="all models", trials=0, best=None)
        self._tell(what, _MODELS_SHARE)

    def ended(self) -> None:
        """All models are there."""
        self._state["state"] = "finished"
        self._now = replace(self._now, model="all models")
        self._tell("finished", 1.0, ended=True)

    def failed(self, error: BaseException) -> None:
        """The run has ended before its time. Only the file is told: who interrupts a run does not ask how far it is."""
        stopped = isinstance(error, KeyboardInterrupt)
        self._state |= {"state": "stopped" if stopped else "failed", "why": f"{type(error).__name__}: {error}"}
        self._write()

    def _tell(self, what: str, done: float, *, ended: bool = False) -> None:
        now = time.monotonic()
        done = max(done, self._now.done)
        left_s = 0.0 if done >= 1 else self._pace.left_s(self._now)
        self._now = replace(self._now, what=what, done=done, elapsed_s=now - self._began, left_s=left_s, ended=ended)
        if ended or now - self._written >= _WRITE_EVERY_S:
            self._write()
        self._listener(self._now)

    def _write(self) -> None:
        self._written = time.monotonic()
        told = {key: value for key, value in asdict(self._now).items() if key != "ended"}
        write_whole(self._file, json.dumps({**self._state, "updated": _now(), **told}, indent=2) + "\n")


class _Pace:
    """How long a trial takes, and what a model takes beside its trials: medians of what was seen in this process."""

    def __init__(self, models: int, trials: int):
        self._models, self._trials = models, trials
        self._kept = 0
        self._trial_s: list[float] = []
        self._of_model: list[float] = []
        self._beside_s: list[float] = []
        self._began = self._last = 0.0

    def begin(self, kept: int) -> None:
        self._kept, self._of_model = kept, []
        self._began = self._last = time.monotonic()

    def restart(self) -> None:
        self._last = time.monotonic()

    def trial_ended(self) -> bool:
        """Returns whether it was made just now."""
        now = time.monotonic()
        took, self._last = now - self._last, now
        if self._kept > 0:
            self._kept -= 1
            return False
        self._of_model.append(took)
        self._trial_s.append(took)
        return True

    def end(self) -> None:
        if len(self._of_model) == self._trials:  # a model that was gone on with tells only a part
            self._beside_s.append(time.monotonic() - self._began - sum(self._of_model))

    def left_s(self, now: Standing) -> float | None:
        """Trials of the model at its own pace, those of the models to come at that of all; what is beside likewise."""
        if not self._trial_s:
            return None
        every = statistics.median(self._trial_s)
        own = statistics.median(self._of_model) if self._of_model else every
        beside = statistics.median(self._beside_s) if self._beside_s else 0.0
        to_come = max(self._models - now.models_done - 1, 0)
        spent = min(time.monotonic() - self._last, own) if now.trials_done < now.trials else 0.0
        return (now.trials - now.trials_done) * own - spent + to_come * now.trials * every + (to_come + 1) * beside


def read_progress(work: Path) -> dict[str, Any]:
    """What progress.json of a work folder says.

    Raises:
        NoProgress: there is none, or it is damaged.
    """
    file = work / "progress.json"
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError as error:
        raise NoProgress(f"no run has been at work in {work}: there is no {file.name}; name a work folder") from error
    except ValueError as error:
        raise NoProgress(f"{file} is damaged ({error}); the run writes it anew when it goes on") from error


def facts(now: Standing, since_s: float = 0.0) -> list[str]:
    """Models and trials done, the best so far, and what is left, each if there is something to say.

    Args:
        now: where the run stands, or stood.
        since_s: seconds ago.
    """
    said: list[str] = []
    if now.done >= 1:
        return said
    if now.models > 1 and now.models_done < now.models:
        said.append(f"model {now.models_done + 1}/{now.models}")
    if now.trials > 1:
        pruned = f" ({now.pruned} pruned)" if now.pruned else ""
        said.append(f"{now.trials_done}/{now.trials} trials{pruned}")
    if now.best is not None:
        said.append(f"best {now.best:.3f}")
    if now.left_s is None:
        if now.trials:
            said.append("time left not known yet")
    elif now.left_s - since_s >= 0.5:  # a trial may take longer than those before it
        said.append(f"about {duration(now.left_s - since_s)} left")
    return said


def duration(seconds: float) -> str:
    """Such as 42 s, 3 min 20 s, 50 min, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def status_lines(told: Mapping[str, Any], *, at_work: bool) -> list[str]:
    """What `read_progress` says, for a person.

    Args:
        told: of progress.json.
        at_work: whether a process is at work in the folder.
    """
    now = Standing(**{each.name: told[each.name] for each in fields(Standing) if each.name in told})
    old_s = (datetime.now(UTC) - datetime.fromisoformat(told["updated"])).total_seconds()
    match told["state"]:
        case "running" if at_work:
            head = f"at work since {told['started']} (process {told['process']})"
        case "running":
            head = "was killed; the same command goes on from there"
        case "finished":
            head = f"finished after {duration(now.elapsed_s)}"
        case state:
            head = f"{state} ({told['why']}); the same command goes on from there"
    said = [head, f"{now.done:4.0%} {now.model}: {now.what}"]
    if told["state"] == "running" and at_work:
        said.append(", ".join(facts(now, old_s)))
    elif now.best is not None and now.done < 1:
        said.append(
            f"{now.models_done}/{now.models} models, {now.trials_done}/{now.trials} trials, best {now.best:.3f}"
        )
    return [*said, f"written {duration(old_s)} ago"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
