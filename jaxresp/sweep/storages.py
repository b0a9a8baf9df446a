"""Where a study is kept, and what several processes that share it need beside Optuna: a lock, and who is alive.

    SQLite        one file in the work folder; the default
    journal       one file in the work folder, to which processes of one host append
    PostgreSQL    for many machines

On one host a trial is held by a file lock, which the system lets go of the moment its process dies. Machines know of
each other by Optuna's heartbeats, kept by the database's own clock.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from jaxresp.errors import JaxrespError

#: Seconds between two heartbeats, and after which a machine that was not heard of counts as dead.
HEARTBEAT_S = 10
GRACE_S = 60
#: Seconds that a process waits for another's write to SQLite.
_BUSY_S = 60

#: How often an empty database is tried, in which several may be making tables at once.
_ATTEMPTS = 5


class StorageError(JaxrespError):
    """A study's storage that there is not, or that cannot be used."""


class Store(ABC):
    """A study and its storage, open.

    Attributes:
        study: Optuna's.
    """

    def __init__(self, storage: BaseStorage, name: str):
        self._storage = storage
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self.study = optuna.create_study(study_name=name, storage=storage, direction="minimize", load_if_exists=True)

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """A context in which no other process takes, gives up or finishes a trial of this study."""

    @abstractmethod
    def hold(self, trial: optuna.Trial) -> None:
        """Show that this process is at work on a trial, from now until `let_go` or its death."""

    @abstractmethod
    def let_go(self, trial: optuna.Trial) -> None:
        """No longer."""

    @abstractmethod
    def fail_dead(self) -> None:
        """Mark the running trials that nobody holds as failed."""

    def ask(self) -> optuna.Trial:
        with warnings.catch_warnings():
            # Heartbeats are kept here and not by Study.optimize.
            warnings.filterwarnings("ignore", message=".*supposed to be used with Study.optimize.*")
            return self.study.ask()

    def is_running(self, number: int) -> bool:
        """Whether a trial, by Optuna's number, has not been given to somebody else."""
        return any(t.number == number for t in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def fail(self, number: int) -> None:
        """Mark a trial as failed, unless it is finished: its place in the study is free again."""
        if self.is_running(number):
            self.study.tell(number, state=TrialState.FAIL)

    def close(self) -> None:
        if isinstance(self._storage, RDBStorage):
            self._storage.remove_session()
            self._storage.engine.dispose()


class _OneHost(Store):
    """A file, and beside it a folder of file locks."""

    def __init__(self, storage: BaseStorage, name: str, file: Path):
        super().__init__(storage, name)
        self._folder = file.with_name(f"{file.name}.locks")
        self._folder.mkdir(exist_ok=True)
        self._name = hashlib.sha256(name.encode()).hexdigest()[:8]
        self._held: dict[int, object] = {}

    def _file(self, what: str) -> Path:
        return self._folder / f"{self._name}-{what}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._file("study").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def hold(self, trial: optuna.Trial) -> None:
        lock = self._file(f"trial-{trial.number}").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._held[trial.number] = lock

    def let_go(self, trial: optuna.Trial) -> None:
        lock = self._held.pop(trial.number, None)
        if lock is not None:
            self._file(f"trial-{trial.number}").unlink(missing_ok=True)
            lock.close()  # type: ignore[attr-defined]

    def fail_dead(self) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            file = self._file(f"trial-{trial.number}")
            with file.open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # somebody is at work on it
                self.fail(trial.number)
                file.unlink(missing_ok=True)


class _ManyMachines(Store):
    """PostgreSQL: its advisory locks, and Optuna's heartbeats."""

    def __init__(self, storage: RDBStorage, name: str):
        super().__init__(storage, name)
        self._database = storage
        self._key = int.from_bytes(hashlib.sha256(f"jaxresp {name}".encode()).digest()[:8], "big", signed=True)
        self._beating: dict[int, tuple[threading.Event, threading.Thread]] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._database.engine.connect() as connection:  # a process that dies lets go with its connection
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
            try:
                yield
            finally:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})

    def hold(self, trial: optuna.Trial) -> None:
        number = trial._trial_id
        self._database.record_heartbeat(number)
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(HEARTBEAT_S):
                try:
                    self._database.record_heartbeat(number)
                except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError):
                    continue  # the database is away for a moment: that is what the grace is for

        thread = threading.Thread(target=beat, daemon=True, name=f"heartbeat of trial {trial.number}")
        thread.start()
        self._beating[trial.number] = (stop, thread)

    def let_go(self, trial: optuna.Trial) -> None:
        stop, thread = self._beating.pop(trial.number, (None, None))
        if stop is not None and thread is not None:
            stop.set()
            thread.join()

    def fail_dead(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(self.study)


def open_store(url: str | None, folder: Path, name: str) -> Store:
    """Open a study, made where there is none.

    Args:
        url: None or "sqlite" for SQLite in the folder, "journal" for a journal in it, "sqlite:///FILE" and
            "journal:///FILE" for a file elsewhere, or "postgresql://USER:PASSWORD@HOST/DATABASE".
        folder: the work folder.
        name: of the study.

    Raises:
        StorageError: there is no such storage, its driver is not installed, or nobody answers there.
    """
    kind, _, rest = (url or "sqlite").partition("://")
    if kind in ("sqlite", "journal"):
        file = Path(rest.removeprefix("/")) if rest else folder / ("study.db" if kind == "sqlite" else "study.journal")
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind == "journal":
            return _OneHost(JournalStorage(JournalFileBackend(str(file))), name, file)
        return _OneHost(_database(f"sqlite:///{file}", connect_args={"timeout": _BUSY_S}), name, file)
    if kind.partition("+")[0] in ("postgresql", "postgres"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            database = _database(f"postgresql+psycopg://{rest}", pool_pre_ping=True)
            database.heartbeat_interval, database.grace_period = HEARTBEAT_S, GRACE_S
            return _ManyMachines(database, name)
    raise StorageError(
        f"a study cannot be kept in {kind!r}; give sqlite, journal, or postgresql://USER:PASSWORD@HOST/DATABASE"
    )


def _database(url: str, **engine: object) -> RDBStorage:
    try:
        for _ in range(_ATTEMPTS - 1):
            try:
                return RDBStorage(url, engine_kwargs=engine)
            except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
                time.sleep(1.0)  # another machine is making the same tables at this moment
        return RDBStorage(url, engine_kwargs=engine)
    except ImportError as error:
        raise StorageError("a study in PostgreSQL needs its driver: pip install jaxresp[postgres]") from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        where = sqlalchemy.make_url(url).render_as_string(hide_password=True)
        reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        raise StorageError(f"no study can be kept in {where}: {reason}; correct the address") from error
