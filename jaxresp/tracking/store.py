"""One MLflow experiment: how a study and its trials are written into it.

Everything is found again by tags (`jaxresp.study` of the parent, `jaxresp.trial` of a child), never by what a process
remembers: so a study that is continued, or told again after a failure, is neither doubled nor broken. A child counts
only once it is closed, which is the last thing done to it; one that is not was half written, and is removed.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from PIL import Image

import jaxresp
from jaxresp.pages.style import drawing, png_of
from jaxresp.tracking.plots import curves_figure
from jaxresp.tracking.spool import Spool

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDY, TRIAL, WHY = "jaxresp.study", "jaxresp.trial", "jaxresp.failed"

_QUIET = ("alembic", "mlflow.store.db.utils", "mlflow.tracking.fluent", "mlflow.models.model")
_METRICS_AT_ONCE, _PARAMS_AT_ONCE = 1000, 100  # MLflow's limits for one call


class Store:
    """An experiment, found or made.

    Args:
        folder: where the default SQLite store (mlflow.db) and the artifacts (mlruns/) go.
        experiment: its name.
        uri: a tracking server instead.

    Raises:
        MlflowException: the store cannot be used.
    """

    def __init__(self, folder: Path, experiment: str, uri: str | None = None):
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        self.uri = uri or f"sqlite:///{_own_store(folder).resolve()}"
        mlflow.set_tracking_uri(self.uri)
        self.client = MlflowClient(self.uri)
        found = self.client.get_experiment_by_name(experiment)
        if found is None:
            artifacts = None if uri else (folder / "mlruns").resolve().as_uri()
            self.experiment = self.client.create_experiment(experiment, artifact_location=artifacts)
        else:
            self.experiment = found.experiment_id
        if uri is None:  # nobody else writes to this store: what still runs in it was killed
            for run in self._runs("attributes.status = 'RUNNING'"):
                self.fail(run.info.run_id, "killed")

    def open_study(self, spool: Spool) -> str:
        """The parent run of a study, opened again or made. Returns its id."""
        told = spool.study()
        for run in self._runs(f"tags.`{STUDY}` = '{told['id']}'"):
            if WHY in run.data.tags:
                self.client.delete_tag(run.info.run_id, WHY)
            self.client.update_run(run.info.run_id, status="RUNNING")
            return str(run.info.run_id)
        tags = {**told["tags"], "jaxresp.version": jaxresp.__version__, STUDY: told["id"]}
        run = self.client.create_run(self.experiment, run_name=spool.name, tags=tags)
        self.log(run.info.run_id, params=told["params"])
        return str(run.info.run_id)

    def trials(self, study: str) -> set[int]:
        """Numbers of the trials that are there in whole; those that are not are removed."""
        whole = set()
        for run in self._runs(f"tags.mlflow.parentRunId = '{study}'"):
            if run.info.status == "FINISHED":
                whole.add(int(run.data.tags[TRIAL]))
            else:
                self.client.delete_run(run.info.run_id)
        return whole

    def log_trial(self, study: str, trial: Mapping[str, Any]) -> None:
        """A child run: settings, score, and the losses of every epoch of every fold and their mean.

        Args:
            study: the parent run.
            trial: as `Spool.trial` tells it.
        """
        now, folds = trial["finished_ms"], trial["folds"]
        tags = {"mlflow.parentRunId": study, TRIAL: str(trial["number"])}
        tags |= {"jaxresp.state": "pruned" if trial["pruned"] else "complete"}
        tags |= {"jaxresp.pruned": trial["pruned"]} if trial["pruned"] else {}
        name = f"trial {trial['number'] + 1}"
        run = self.client.create_run(self.experiment, start_time=now, run_name=name, tags=tags).info.run_id
        metrics = [] if trial["score"] is None else [Metric("score", trial["score"], now, 0)]
        histories = [fold["history"] for fold in folds]
        for k, fold in enumerate(folds, 1):
            metrics += [Metric(f"fold{k}.{key}", fold[key], now, 0) for key in ("score", "best_epoch")]
            metrics += _curve(f"fold{k}", fold["history"], now)
        metrics += _curve("mean", mean_history(histories), now)
        self.log(run, params=trial["settings"], metrics=metrics)
        if any(histories):
            self.log_figure(run, partial(curves_figure, histories, name), "curves.png")
        self.client.set_terminated(run, end_time=now)

    def log(
        self, run: str, *, params: Mapping[str, Any], metrics: Sequence[Metric] = (), tags: Sequence[RunTag] = ()
    ) -> None:
        """In as few calls as MLflow takes it. What is undefined is left out: its database refuses NaN."""
        finite = [metric for metric in metrics if np.isfinite(metric.value)]
        words = [Param(key, str(value)) for key, value in params.items()]
        calls = max(-(-len(finite) // _METRICS_AT_ONCE), -(-len(words) // _PARAMS_AT_ONCE), int(bool(tags)))
        for i in range(calls):
            self.client.log_batch(
                run,
                metrics=finite[i * _METRICS_AT_ONCE : (i + 1) * _METRICS_AT_ONCE],
                params=words[i * _PARAMS_AT_ONCE : (i + 1) * _PARAMS_AT_ONCE],
                tags=list(tags) if i == 0 else [],
            )

    def log_figure(self, run: str, draw: Callable[[], Figure], file: str) -> None:
        """Draw a figure and keep it as a PNG. The report may be drawn at the same moment, by another thread."""
        with drawing():
            figure = draw()
        self.client.log_image(run, Image.open(io.BytesIO(png_of(figure))), artifact_file=file)

    def fail(self, run: str, why: str) -> None:
        """Close a run as failed."""
        self.client.set_tag(run, WHY, why)
        self.client.set_terminated(run, "FAILED")

    def _runs(self, wanted: str) -> Iterator[Run]:
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment], wanted, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _curve(name: str, history: Sequence[Mapping[str, float]], now: int) -> list[Metric]:
    return [
        Metric(f"{name}.{key}", value, now, epoch)
        for epoch, losses in enumerate(history, 1)
        for key, value in losses.items()
    ]


def mean_history(histories: Sequence[Sequence[Mapping[str, float]]]) -> list[dict[str, float]]:
    """Of all folds, as far as every one of them went."""
    reached = zip(*histories, strict=False)
    return [{key: float(np.mean([losses[key] for losses in epoch])) for key in epoch[0]} for epoch in reached]


def _own_store(folder: Path) -> Path:
    """The folder's SQLite store, made where there is none.

    MLflow makes its tables in many small steps, for seconds, and cannot use what is left when it is killed between
    them. So they are made beside and renamed.
    """
    file = folder / "mlflow.db"
    if not file.exists():
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{file.name}.") as partial:
            made = Path(partial).resolve() / file.name
            SqlAlchemyStore(f"sqlite:///{made}", (folder / "mlruns").resolve().as_uri()).engine.dispose()
            os.replace(made, file)
    return file
