"""What a run calls: a study begins, its trials end one by one, it has its result or fails. None of these waits."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxresp.errors import JaxrespError
from jaxresp.tracking.spool import Spool

if TYPE_CHECKING:
    from jaxresp.sweep import Trial
    from jaxresp.tracking.outbox import Study

_log = logging.getLogger(__name__)

#: What MLflow does otherwise than by default, unless the user has said so. It must stand before MLflow is imported.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # the command line shows its own
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # We wait ourselves, for as long as it takes: minutes of silent retries would only hide that nobody answers.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds
}

#: How long a store may be silent once everything else is done; the same when the run was stopped, and how long it may
#: then take in all.
_PATIENCE_S, _PATIENCE_WHEN_STOPPED_S, _STOPPED_AT_MOST_S = 60.0, 5.0, 30.0


class TrackingError(JaxrespError):
    """An MLflow store or server that cannot be used."""


class Tracker:
    """Writes the studies of a work folder to one MLflow experiment.

    Args:
        work: the run's folder; the default SQLite store (mlflow.db) and the artifacts (mlruns/) go there.
        experiment: its name.
        uri: a tracking server instead.

    Raises:
        TrackingError: the store cannot be used. Later it may go: see `close`.
    """

    def __init__(self, work: Path, experiment: str, uri: str | None = None):
        for setting, value in SETTINGS.items():
            os.environ.setdefault(setting, value)
        from mlflow.exceptions import MlflowException

        from jaxresp.tracking.outbox import Outbox
        from jaxresp.tracking.store import Store

        try:
            self._store = Store(work, experiment, uri)
        except MlflowException as error:
            raise TrackingError(
                f"MLflow cannot use {uri or work}: {error}; correct the address, or leave it out"
            ) from error
        self._work, self._name = work, store_name(uri)
        self._outbox = Outbox(self._store)
        self._studies: dict[str, Study] = {}

    def start_study(self, name: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> str:
        """Open the parent run of a model's study, or open it again.

        Returns:
            the study's identity: the tag `jaxresp.study` of its run.
        """
        spool = Spool(self._work, name)
        identity = spool.begin(tags, params)
        self._add(identity, spool)
        return identity

    def log_trial(self, study: str, trial: Trial) -> None:
        """A trial has ended: a child run."""
        self._studies[study].spool.add(trial)
        self._outbox.wake()

    def finish_study(self, study: str) -> None:
        """The model's result, answers and Classifier are in its folders: they are logged, and the study is closed."""
        self._studies[study].finished = True
        self._outbox.wake()

    def fail_study(self, study: str, why: str) -> None:
        """The parent run is closed as failed. It is opened again when the study is continued."""
        self._studies[study].failed = why
        self._outbox.wake()

    def catch_up(self, name: str) -> None:
        """Log what is missing of a model that has its result already."""
        spool = Spool(self._work, name)
        identity = spool.study()["id"]
        self._add(identity, spool)
        self.finish_study(identity)

    def close(self, *, stopped: bool = False) -> None:
        """Wait until everything is logged. Where nobody answers for a minute, say what is missing and how to log it.

        Args:
            stopped: the run has been interrupted, or has failed: wait a few seconds only.
        """
        if stopped:
            missing = self._outbox.close(_PATIENCE_WHEN_STOPPED_S, at_most_s=_STOPPED_AT_MOST_S)
        else:
            missing = self._outbox.close(_PATIENCE_S)
        if missing:
            _log.warning(
                "MLflow at %s has not been told of %s. Nothing is lost: give the same command again once it answers; "
                "what is finished is not done again, only logged",
                self._store.uri,
                "; ".join(study.missing() for study in missing),
            )

    def _add(self, identity: str, spool: Spool) -> None:
        from jaxresp.tracking.outbox import Study

        self._studies[identity] = Study(spool, self._name)
        self._outbox.add(self._studies[identity])


def store_name(uri: str | None) -> str:
    """What a spool calls a store: its address; the folder's own has none, since the folder may be moved."""
    return uri or "own"
