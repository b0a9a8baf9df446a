"""The thread that tells MLflow what the spools hold, so that a store which is slow, or down, stops no training.

What is missing is what lies in a spool and not in the store: nothing waits in memory, however long nobody answers. One
thread tells it in order; when it fails, it looks again what the store has, and tries again after a while, and longer
each time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from jaxresp.tracking.finishing import finish_study
from jaxresp.tracking.spool import Spool

if TYPE_CHECKING:
    from jaxresp.tracking.store import Store

_log = logging.getLogger(__name__)

#: Seconds until the first new attempt, doubled each time, up to the second.
_FIRST_S, _LONGEST_S = 1.0, 60.0
#: The same once everything else is done and only MLflow is waited for.
_LONGEST_AT_END_S = 4.0
#: The first may be of a run that somebody has removed meanwhile; looking again then mends it.
_REFUSALS = 3


@dataclass
class Study:
    """One study on its way to the store.

    Attributes:
        spool: what is to be told.
        name: how the store is called in the spool's mark.
        finished: its result is there to be told.
        failed: why it ended without one.
        run: the parent run, once it is known.
        trials: numbers of the trials that the store has.
        closed: nothing is left to tell.
        refusals: how often the store has understood, and would not.
        refused: what it had against it in the end.
    """

    spool: Spool
    name: str
    finished: bool = False
    failed: str | None = None
    run: str | None = None
    trials: set[int] = field(default_factory=set)
    closed: bool = False
    refusals: int = 0
    refused: str | None = None

    def tell(self, store: Store) -> Iterator[None]:
        """Tell the store what it does not have yet; yields whenever it has taken something new."""
        if self.run is None:
            run = store.open_study(self.spool)
            self.trials, self.run = store.trials(run), run
        for number in self.spool.trials():
            if number not in self.trials:
                store.log_trial(self.run, self.spool.trial(number))
                self.trials.add(number)
                yield
        if self.finished:
            finish_study(store, self.run, self.spool)
            self.spool.mark_told(self.name)
            self.closed = True
        elif self.failed is not None:
            store.fail(self.run, self.failed)
            self.closed = True
        yield

    def missing(self) -> str:
        """What the store does not have, for a person."""
        trials = len(set(self.spool.trials()) - self.trials)
        parts = [f"{trials} trial{'s' * (trials != 1)}"] if trials else []
        parts += ["the result and the model"] if self.finished else []
        why = f", which MLflow refused: {self.refused}" if self.refused else ""
        return f"{self.spool.name} ({', '.join(parts) or 'how it ended'}{why})"


class Outbox:
    """Tells one store about studies, from a thread of its own.

    Args:
        store: where to.
    """

    def __init__(self, store: Store):
        self._store = store
        self._studies: list[Study] = []
        self._wake, self._closing, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._patience_s, self._answered_at, self._down = 0.0, time.monotonic(), False
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="jaxresp-tracking", daemon=True)
        self._thread.start()

    def add(self, study: Study) -> None:
        with self._lock:
            self._studies.append(study)
        self.wake()

    def wake(self) -> None:
        """There is something new in a spool."""
        self._wake.set()

    def close(self, patience_s: float, at_most_s: float | None = None) -> list[Study]:
        """Wait until everything is told, or until nobody has answered for so long.

        Args:
            patience_s: with a store that does not answer.
            at_most_s: even with one that does, only more slowly.

        Returns:
            the studies that are not told in whole.

        Raises:
            BaseException: what the thread fell over, where it was no failure of the store.
        """
        self._patience_s, self._answered_at = patience_s, time.monotonic()
        self._closing.set()
        self.wake()
        self._thread.join(at_most_s)  # every request ends after a while, so the thread does
        if self._fault is not None:
            raise self._fault
        return [study for study in self._open() if study.finished or study.failed is not None]

    def _open(self) -> list[Study]:
        with self._lock:
            return [study for study in self._studies if not study.closed]

    def _work(self) -> None:
        try:
            self._tell_until_closed()
        except BaseException as error:  # a fault of ours stops no training: `close` raises it
            self._fault = error

    def _tell_until_closed(self) -> None:
        wait_s = _FIRST_S
        while True:
            if not self._down:
                self._wake.wait()
            elif self._closing.is_set():
                time.sleep(min(wait_s, _LONGEST_AT_END_S))
            else:
                self._closing.wait(wait_s)
            self._wake.clear()
            closing = self._closing.is_set()  # before telling: what came before it is told
            self._tell_all()
            wait_s = min(2 * wait_s, _LONGEST_S) if self._down else _FIRST_S
            if closing and (not self._down or time.monotonic() - self._answered_at > self._patience_s):
                return

    def _tell_all(self) -> None:
        for study in self._open():
            while study.refused is None:
                try:
                    for _ in study.tell(self._store):
                        self._answered()
                    break
                except (MlflowException, OSError) as error:
                    study.run = None  # look again what the store has
                    if not _refuses(error):
                        self._cannot_be_told(error)
                        return
                    study.refusals += 1
                    if study.refusals == _REFUSALS:
                        study.refused = _one_line(error)
                        where, what = self._store.uri, study.spool.name
                        _log.warning("MLflow at %s takes no more of %s: %s", where, what, study.refused)
        self._answered()

    def _answered(self) -> None:
        self._answered_at = time.monotonic()
        if self._down:
            self._down = False
            _log.warning("MLflow at %s can be told again", self._store.uri)

    def _cannot_be_told(self, error: Exception) -> None:
        if not self._down:
            self._down = True
            _log.warning(
                "MLflow at %s cannot be told (%s); the work goes on, and what is missing is logged once it can",
                self._store.uri,
                _one_line(error),
            )


def _refuses(error: Exception) -> bool:
    """Whether the store has understood, and will not; else it is not there, busy, or broken."""
    return (
        isinstance(error, MlflowException)
        and error.get_http_status_code() in range(400, 500)
        and (error.get_http_status_code() not in (408, 429))
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
