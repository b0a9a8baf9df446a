"""What MLflow is told once a study has its result: numbers, pictures, answers, the card, and the model, registered."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

import jaxresp
from jaxresp.evaluate.bootstrap import HEADLINES
from jaxresp.evaluate.result import Result
from jaxresp.run_report import figures
from jaxresp.run_report.finished import read_json
from jaxresp.tracking.plots import history_figure, importance_figure
from jaxresp.tracking.pyfunc import requirements, signature
from jaxresp.tracking.spool import Spool
from jaxresp.tracking.store import STUDY, Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The signature is written out, and a sound file is no example that JSON could hold. Said once and for good, since the
# filters of a block would be everybody's while it lasts: this runs beside the training.
warnings.filterwarnings("ignore", message=".*input example was not provided.*")


_DESCRIPTION = 5000  # characters: the column of MLflow's database


def finish_study(store: Store, study: str, spool: Spool) -> None:
    """Write a study's result from what the run has left in its folders, and close the parent run.

    Args:
        store: where.
        study: the parent run.
        spool: of the study; its result, answers and Classifier are there.
    """
    file = spool.model / "result.json"
    result, now = read_json(file, Result.from_json), int(file.stat().st_mtime * 1000)
    importance = _importance(spool)
    settings = {f"chosen.{key}": value for key, value in result.settings.items()}
    store.log(study, params=settings, metrics=_metrics(result, importance, now))
    _pictures(store, study, result)
    trials = [trial for trial in map(spool.trial, spool.trials()) if trial["score"] is not None]
    history = partial(
        history_figure,
        [trial["number"] for trial in trials],
        [trial["score"] for trial in trials],
        [bool(trial["pruned"]) for trial in trials],
    )
    store.log_figure(study, history, "history.png")
    if importance:
        store.log_figure(study, partial(importance_figure, importance), "importance.png")
    store.client.log_artifact(study, str(spool.model / "out_of_fold.csv"))
    store.client.log_artifact(study, str(spool.classifier / "card.md"))
    store.client.log_artifact(study, str(file))
    _register(store, study, spool, result)
    store.client.set_terminated(study)


def _metrics(result: Result, importance: dict[str, float], now: int) -> list[Metric]:
    told: dict[str, float] = {"accuracy": result.metrics.accuracy, "n": result.metrics.n}
    for name in HEADLINES:
        interval = result.intervals[name]
        told |= {name: getattr(result.metrics, name), f"{name}.low": interval.low, f"{name}.high": interval.high}
    told["majority.balanced_accuracy"] = result.majority.balanced_accuracy
    told["validation_loss"] = result.validation_loss
    for name, each in result.reliability.items():
        told |= {f"{name}.log_loss": each.log_loss, f"{name}.brier": each.brier, f"{name}.ece": each.ece}
    told |= {f"importance.{name}": share for name, share in importance.items()}
    return [Metric(key, value, now, 0) for key, value in told.items()]


def _pictures(store: Store, study: str, result: Result) -> None:
    drawn: dict[str, Callable[[], Figure]] = {"confusion.png": partial(figures.confusion, result)}
    if result.selective is not None:
        drawn["risk.png"] = partial(figures.risk_coverage, result.selective.curve)
    if result.reliability:
        drawn["reliability.png"] = partial(figures.reliability, result)
    for name, draw in drawn.items():
        store.log_figure(study, draw, name)


def _register(store: Store, study: str, spool: Spool, result: Result) -> None:
    """The model, logged once and registered once, with the card as the version's description."""
    client, name = store.client, f"jaxresp-{spool.name}"
    if client.search_model_versions(f"name = '{name}' and run_id = '{study}'"):
        return
    logged = None
    for model in client.search_logged_models([store.experiment], f"source_run_id = '{study}'"):
        if str(model.status) == "READY":
            logged = model.model_id
        else:
            client.delete_logged_model(model.model_id)
    with mlflow.start_run(run_id=study):
        logged = logged or _log_model(spool, result).model_id
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.get_logged_model(logged)
    told = spool.study()
    client.create_model_version(
        name,
        made.model_uri,
        run_id=study,
        model_id=made.model_id,
        description=_card(spool),
        tags={**told["tags"], STUDY: told["id"]},  # models of several corpora may have one name
        await_creation_for=0,
    )


def _card(spool: Spool) -> str:
    """As much of the model card as MLflow's registry takes; the run has all of it."""
    text = (spool.classifier / "card.md").read_text()
    rest = "\n\n… The whole card is the artifact card.md of the run."
    return text if len(text) <= _DESCRIPTION else text[: _DESCRIPTION - len(rest)] + rest


def _log_model(spool: Spool, result: Result) -> Any:
    return mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("model.py")),
        artifacts={"classifier": str(spool.classifier)},
        code_paths=[str(Path(jaxresp.__file__).parent)],
        signature=signature(result.classes),
        pip_requirements=requirements(),
    )


def _importance(spool: Spool) -> dict[str, float]:
    """What the sweep has worked out; empty where too few trials tell."""
    file = spool.model / "importance.json"
    return dict(json.loads(file.read_text())) if file.is_file() else {}
