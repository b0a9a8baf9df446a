"""MLflow: what was tried, what came of it, and the model that came out.

One experiment per corpus. A study is a parent run with its settings, metrics, plots, out-of-fold answers and the model;
each trial is a child run with its settings, its score and the losses of every epoch of every fold.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from mlflow.types.schema import ColSpec, Schema
from PIL import Image

import jaxresp
from jaxresp.classifier import Classifier
from jaxresp.errors import JaxrespError
from jaxresp.evaluate.bootstrap import HEADLINES
from jaxresp.evaluate.plots import curves_figure
from jaxresp.evaluate.result import Result
from jaxresp.pages.style import drawing, png_of
from jaxresp.run_report import figures
from jaxresp.sweep import Trial
from jaxresp.train import TrainConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ClassifierModel", "Tracker", "set_model"]

#: What the logged model needs to answer. jaxresp itself travels inside the model, as code.
_REQUIREMENTS = ("jax", "flax", "optax", "numpy", "scipy", "soundfile", "soxr", "jaxtyping", "pandas", "mlflow")


class ClassifierModel(PythonModel):
    """A Classifier as MLflow's `pyfunc`: a table with a column `audio` (a file's bytes) → label and probabilities."""

    def load_context(self, context: Any) -> None:
        self._classifier = Classifier.load(Path(context.artifacts["classifier"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer every row.

        Raises:
            AudioError: a row that is no usable sound; names the row.
        """
        answers = [self._classifier.predict(data, name=f"row {i}") for i, data in enumerate(model_input["audio"])]
        table = pd.DataFrame([dict(answer.probabilities) for answer in answers])
        table.insert(0, "label", [answer.label for answer in answers])
        return table


class TrackingError(JaxrespError):
    """An MLflow store or server that cannot be used."""


class Tracker:
    """Writes studies to one MLflow experiment.

    Args:
        folder: where the default SQLite store (mlflow.db) and the artifacts (mlruns/) go.
        experiment: its name.
        uri: a tracking server instead.
    """

    def __init__(self, folder: Path, experiment: str, uri: str | None = None):
        for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking.fluent", "mlflow.models.model"):
            logging.getLogger(name).setLevel(logging.WARNING)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # the command line shows its own
        self.uri = uri or f"sqlite:///{_own_store(folder).resolve()}"
        mlflow.set_tracking_uri(self.uri)
        try:
            self._client = MlflowClient(self.uri)
            found = self._client.get_experiment_by_name(experiment)
        except MlflowException as error:
            raise TrackingError(
                f"MLflow cannot use {self.uri}: {error}; correct the address, or leave it out"
            ) from error
        if found is None:
            artifacts = None if uri else (folder / "mlruns").resolve().as_uri()
            self.experiment = self._client.create_experiment(experiment, artifact_location=artifacts)
        else:
            self.experiment = found.experiment_id
        if uri is None:  # nobody else writes to this store: what still runs in it was killed
            for run in self._client.search_runs([self.experiment], "attributes.status = 'RUNNING'"):
                self.fail_study(run.info.run_id, "killed")

    def start_study(self, name: str, training: TrainConfig, tags: Mapping[str, str]) -> str:
        """Open the parent run. Returns its id."""
        run = self._client.create_run(
            self.experiment, run_name=name, tags={**tags, "jaxresp.version": jaxresp.__version__}
        )
        self._log(run.info.run_id, params=training.to_dict())
        return str(run.info.run_id)

    def log_trial(self, study: str, trial: Trial) -> None:
        """A child run: settings, score, and the losses of every epoch of every fold."""
        tags = {"mlflow.parentRunId": study}
        run = self._client.create_run(self.experiment, run_name=f"trial {trial.number + 1}", tags=tags).info.run_id
        now = int(time.time() * 1000)
        curves = [
            Metric(f"fold{k + 1}.{name}", value, now, epoch)
            for k, each in enumerate(trial.fits)
            for epoch, losses in enumerate(each.history, 1)
            for name, value in losses.items()
        ]
        scores = [Metric("validation_loss", trial.score, now, 0)]
        scores += [Metric(f"fold{k + 1}.best_epoch", each.best_epoch, now, 0) for k, each in enumerate(trial.fits)]
        self._log(run, params=trial.settings, metrics=[*scores, *curves])
        figure = curves_figure([each.history for each in trial.fits], f"trial {trial.number + 1}")
        self._client.log_figure(run, figure, "curves.png")
        self._client.set_terminated(run)

    def finish_study(self, study: str, result: Result, classifier: Path, out_of_fold: str) -> None:
        """Metrics, confusion matrix, out-of-fold answers and the model; then the parent run is closed."""
        now = int(time.time() * 1000)
        metrics = [Metric("accuracy", result.metrics.accuracy, now, 0), Metric("n", result.metrics.n, now, 0)]
        for name in HEADLINES:
            interval = result.intervals[name]
            for key, value in (
                (name, getattr(result.metrics, name)),
                (f"{name}.low", interval.low),
                (f"{name}.high", interval.high),
            ):
                metrics.append(Metric(key, value, now, 0))
        metrics.append(Metric("majority.balanced_accuracy", result.majority.balanced_accuracy, now, 0))
        settings = {f"chosen.{key}": value for key, value in result.settings.items()}
        self._log(study, params=settings, metrics=metrics)
        self._log_picture(study, "confusion.png", partial(figures.confusion, result))
        if result.selective is not None:
            self._log_picture(study, "risk.png", partial(figures.risk_coverage, result.selective.curve))
        if result.reliability:
            self._log_picture(study, "reliability.png", partial(figures.reliability, result))
            for name, each in result.reliability.items():
                told = (("log_loss", each.log_loss), ("brier", each.brier), ("ece", each.ece))
                self._log(study, params={}, metrics=[Metric(f"{name}.{key}", value, now, 0) for key, value in told])
        self._client.log_text(study, out_of_fold, "out_of_fold.csv")
        self._client.log_dict(study, result.to_json(), "result.json")
        with mlflow.start_run(run_id=study), warnings.catch_warnings():
            # The signature is written out, and a sound file is no example that JSON could hold.
            warnings.filterwarnings("ignore", message=".*input example was not provided.*")
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("tracking_model.py")),
                artifacts={"classifier": str(classifier)},
                code_paths=[str(Path(jaxresp.__file__).parent)],
                signature=_signature(result.classes),
                pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
            )

    def fail_study(self, study: str, why: str) -> None:
        """Close the parent run as failed."""
        self._client.set_tag(study, "jaxresp.failed", why)
        self._client.set_terminated(study, "FAILED")

    def _log_picture(self, run: str, name: str, draw: Callable[[], Figure]) -> None:
        """A figure of the report's, on white."""
        with drawing():
            figure = draw()
        self._client.log_image(run, Image.open(io.BytesIO(png_of(figure))), artifact_file=name)

    def _log(
        self, run: str, *, params: Mapping[str, Any], metrics: Sequence[Metric] = (), tags: Sequence[RunTag] = ()
    ) -> None:
        finite = [metric for metric in metrics if metric.value == metric.value]  # MLflow's database refuses NaN
        for first in range(0, len(finite), 1000):  # MLflow takes a thousand metrics at a time
            self._client.log_batch(run, metrics=finite[first : first + 1000])
        self._client.log_batch(run, params=[Param(key, str(value)) for key, value in params.items()], tags=list(tags))


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


def _signature(classes: Sequence[str]) -> ModelSignature:
    outputs = [ColSpec("string", "label"), *(ColSpec("double", name) for name in classes)]
    return ModelSignature(inputs=Schema([ColSpec("binary", "audio")]), outputs=Schema(outputs))
