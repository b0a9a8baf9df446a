"""What MLflow is told of a study, read back from its SQLite store."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from jaxresp.audio import AudioError
from jaxresp.classifier import Classifier, Spec
from jaxresp.evaluate.bootstrap import HEADLINES, Interval
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.reliability import reliability
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.selective import selective
from jaxresp.evaluate.shortcuts import Shortcut
from jaxresp.frontend import Mfcc
from jaxresp.models import NetworkConfig, create
from jaxresp.sweep import Trial
from jaxresp.taxonomy import BINARY
from jaxresp.tracking import Tracker, TrackingError
from jaxresp.tracking.pyfunc import ClassifierModel
from jaxresp.tracking.store import Store, mean_history
from jaxresp.train import Fit, Standardisation, TrainConfig
from jaxresp.window import WindowConfig

NETWORK = NetworkConfig("cnn1d", 2, 8)
TRAINING = TrainConfig(max_epochs=3, seed=4)
EXPERIMENT = "icbhi 1 (made up)"


@pytest.fixture(autouse=True)
def _mlflow_as_it_was() -> Iterator[None]:
    """The tracking address and the log levels are the process's: other tests have theirs."""
    uri, level = mlflow.get_tracking_uri(), logging.getLogger("mlflow").level
    yield
    mlflow.set_tracking_uri(uri)
    logging.getLogger("mlflow").setLevel(level)


@pytest.fixture(scope="module")
def fit() -> Fit:
    size = Mfcc().n_coefficients
    _, weights = create(NETWORK, size, 1, seed=0)
    by = Standardisation(np.zeros(size, np.float32), np.full(size, 10.0, np.float32))
    history = tuple({"train_loss": 1.0 / e, "validation_loss": 2.0 / e} for e in (1, 2, 3))
    return Fit(weights, by, 3, 2 / 3, history)


@pytest.fixture(scope="module")
def classifier_folder(fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released") / "binary-mfcc"
    Classifier.from_fit(Spec("binary-mfcc", BINARY, Mfcc(), NETWORK, WindowConfig(1.0, 1.0)), fit).save(folder)
    return folder


def result(labels: np.ndarray) -> Result:
    p = np.linspace(0.1, 0.9, len(labels))
    answers, patients = np.stack([1 - p, p], 1), np.arange(len(labels))
    metrics = classification_metrics(labels, answers)
    undefined = Interval(float("nan"), float("nan"))
    defined = dict.fromkeys(HEADLINES, Interval(0.25, 0.75))
    return Result(
        name="binary-mfcc",
        task="binary",
        features="mfcc",
        classes=BINARY.classes,
        metrics=metrics,
        intervals=defined if len(set(labels.tolist())) == 2 else {**defined, "macro_roc_auc": undefined},
        majority=metrics,
        shortcuts={"age": Shortcut(0.8, 0.9)},
        patients={"Normal": 5, "Abnormal": 5},
        n_patients=10,
        recordings={"Normal": 5, "Abnormal": 5},
        settings={"network": "cnn1d", "filters": 2, "dense": 8, "dropout": 0.3, "learning_rate": 1e-3, "epochs": 3},
        validation_loss=0.6,
        corpus={"name": "icbhi", "version": "1", "partial": True, "made_up": True, "fingerprint": "f"},
        split={"name": "folds", "kind": "patient_disjoint", "evidence": "Numbers are out-of-fold.", "sentences": []},
        reliability=dict.fromkeys(("uncalibrated", "calibrated"), reliability(labels, answers, patients)),
        selective=selective(labels, answers, patients, p > 0, answers > 0.3, (None, None)),
    )


@dataclass(frozen=True)
class Stored:
    work: Path
    client: MlflowClient
    experiment: str
    study: str

    def run(self) -> Run:
        (run,) = self.client.search_runs([self.experiment], f"tags.`jaxresp.study` = '{self.study}'")
        return run

    def children(self) -> list[Run]:
        wanted = f"tags.mlflow.parentRunId = '{self.run().info.run_id}'"
        return self.client.search_runs([self.experiment], wanted, order_by=["attributes.run_name ASC"])

    def artifact(self, run: Run, name: str, folder: Path) -> Path:
        return Path(self.client.download_artifacts(run.info.run_id, name, str(folder)))


def leave_result(work: Path, name: str, told: Result, classifier: Path) -> None:
    """What a run has left in its folders when MLflow is told that a study is finished."""
    model = work / "models" / name
    model.mkdir(parents=True, exist_ok=True)
    shutil.copytree(classifier, work / "classifiers" / name)
    (model / "out_of_fold.csv").write_text("recording,patient\nr,p\n")
    (model / "importance.json").write_text(json.dumps({"dropout": 0.75, "learning_rate": 0.25}))
    (model / "result.json").write_text(json.dumps(told.to_json()))


def trials(fit: Fit) -> list[Trial]:
    """Two that are complete, and one that was stopped after its first fold's second epoch."""

    def told(n: int) -> dict[str, Any]:
        return {"filters": 2, "dense": 8, "dropout": 0.1 + n / 10, "learning_rate": 0.001}

    complete = [
        Trial(
            n,
            NETWORK,
            replace(TRAINING, dropout=0.1 + n / 10),
            (fit, replace(fit, score=0.5, best_epoch=2)),
            settings=told(n),
        )
        for n in (0, 1)
    ]
    stopped = replace(fit, score=1.0, best_epoch=2, history=fit.history[:2])
    return [*complete, Trial(2, NETWORK, replace(TRAINING, dropout=0.3), (stopped,), "pruned in epoch 2", told(2))]


@pytest.fixture(scope="module")
def stored(fit: Fit, classifier_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A finished study of three trials, told by a tracker."""
    work = tmp_path_factory.mktemp("work")
    before = mlflow.get_tracking_uri()
    tracker = Tracker(work, EXPERIMENT)
    study = tracker.start_study("binary-mfcc", {"corpus": "f" * 64, "code": "abc"}, TRAINING.to_dict())
    for trial in trials(fit):
        tracker.log_trial(study, trial)
    leave_result(work, "binary-mfcc", result(np.repeat([0, 1], 5)), classifier_folder)
    tracker.finish_study(study)
    tracker.close()
    uri = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(before)
    assert {path.name for path in work.iterdir()} == {"mlflow.db", "mlruns", "models", "classifiers"}
    client = MlflowClient(uri)
    return Stored(work, client, client.get_experiment_by_name(EXPERIMENT).experiment_id, study)


def test_a_study_is_a_finished_run_with_its_settings_and_where_it_came_from(stored: Stored) -> None:
    run = stored.run()
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "binary-mfcc"
    expected = {key: str(value) for key, value in TRAINING.to_dict().items()}
    assert expected.items() <= run.data.params.items()
    assert run.data.params["chosen.filters"] == "2"
    assert {"corpus": "f" * 64, "code": "abc"}.items() <= run.data.tags.items()


def test_its_metrics_are_the_results_with_intervals_the_baseline_and_what_mattered(stored: Stored) -> None:
    told, ours = stored.run().data.metrics, result(np.repeat([0, 1], 5))
    for name in HEADLINES:
        assert told[name] == pytest.approx(getattr(ours.metrics, name))
        assert (told[f"{name}.low"], told[f"{name}.high"]) == (0.25, 0.75)
    assert told["n"] == 10
    assert told["majority.balanced_accuracy"] == pytest.approx(ours.majority.balanced_accuracy)
    assert (told["importance.dropout"], told["importance.learning_rate"]) == (0.75, 0.25)


def test_its_artifacts_are_the_plots_the_answers_the_card_and_the_result(stored: Stored, tmp_path: Path) -> None:
    run = stored.run()
    names = {item.path for item in stored.client.list_artifacts(run.info.run_id)}
    pictures = {"confusion.png", "reliability.png", "risk.png", "history.png", "importance.png"}
    assert names == pictures | {"out_of_fold.csv", "result.json", "card.md"}
    assert stored.artifact(run, "out_of_fold.csv", tmp_path).read_text() == "recording,patient\nr,p\n"
    card = stored.work / "classifiers" / "binary-mfcc" / "card.md"
    assert stored.artifact(run, "card.md", tmp_path).read_bytes() == card.read_bytes()
    for name in pictures:
        assert stored.artifact(run, name, tmp_path).read_bytes().startswith(b"\x89PNG")


def test_every_trial_is_a_child_with_its_settings_scores_and_the_losses_of_every_epoch(stored: Stored) -> None:
    children = stored.children()
    assert [child.info.run_name for child in children] == ["trial 1", "trial 2", "trial 3"]
    for number, child in enumerate(children[:2]):
        assert child.info.status == "FINISHED"
        assert child.data.tags["jaxresp.state"] == "complete"
        assert child.data.params == {
            "filters": "2", "dense": "8", "dropout": str(0.1 + number / 10), "learning_rate": "0.001",
        }  # fmt: skip
        assert child.data.metrics["score"] == pytest.approx((2 / 3 + 0.5) / 2)
        assert child.data.metrics["fold2.best_epoch"] == 2
        for name, values in (("train_loss", (1, 1 / 2, 1 / 3)), ("validation_loss", (2, 1, 2 / 3))):
            for curve in (f"fold2.{name}", f"mean.{name}"):
                points = stored.client.get_metric_history(child.info.run_id, curve)
                assert [point.step for point in points] == [1, 2, 3]
                assert [point.value for point in points] == pytest.approx(values)
        assert [item.path for item in stored.client.list_artifacts(child.info.run_id)] == ["curves.png"]


def test_a_pruned_trial_is_a_child_that_says_so_with_its_epochs_so_far(stored: Stored) -> None:
    child = stored.children()[2]
    assert child.data.tags["jaxresp.state"] == "pruned"
    assert child.data.tags["jaxresp.pruned"] == "pruned in epoch 2"
    assert [p.step for p in stored.client.get_metric_history(child.info.run_id, "fold1.validation_loss")] == [1, 2]
    assert not [name for name in child.data.metrics if name.startswith("fold2")]


def test_a_mean_curve_ends_where_the_first_fold_stops() -> None:
    long, short = [{"loss": 1.0}, {"loss": 2.0}, {"loss": 9.0}], [{"loss": 3.0}, {"loss": 6.0}]
    assert mean_history([long, short]) == [{"loss": 2.0}, {"loss": 4.0}]
    assert mean_history([]) == []


def test_the_logged_model_answers_as_the_classifier_does_and_is_registered(
    stored: Stored, classifier_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000)
    (logged,) = stored.client.search_logged_models([stored.experiment])
    assert logged.source_run_id == stored.run().info.run_id
    (registered,) = stored.client.search_model_versions("name = 'jaxresp-binary-mfcc'")
    assert (registered.run_id, registered.version) == (logged.source_run_id, 1)
    assert registered.tags["jaxresp.study"] == stored.study and registered.tags["corpus"] == "f" * 64
    assert registered.description.startswith((classifier_folder / "card.md").read_text()[:1000])
    mlflow.set_tracking_uri(stored.client.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/jaxresp-binary-mfcc/1")
    table = model.predict(pd.DataFrame({"audio": [path.read_bytes(), path.read_bytes()]}))
    expected = Classifier.load(classifier_folder).predict(path)
    assert table["label"].tolist() == [expected.label] * 2
    for name, p in expected.probabilities.items():
        np.testing.assert_allclose(table[name], p, atol=1e-6)
    signature = model.metadata.signature
    assert [(c.name, c.type.name) for c in signature.inputs] == [("audio", "binary")]
    assert [c.name for c in signature.outputs] == ["label", *BINARY.classes] == list(table.columns)
    served = ClassifierModel()
    served._classifier = Classifier.load(classifier_folder)
    with pytest.raises(AudioError, match="row 1"):
        served.predict(None, pd.DataFrame({"audio": [path.read_bytes(), b"no sound"]}))


def test_a_study_told_again_is_neither_doubled_nor_changed(stored: Stored, fit: Fit) -> None:
    """The same command again, in another process: what the store has is found by its tags."""
    before = (stored.run().info.run_id, [child.info.run_id for child in stored.children()])
    tracker = Tracker(stored.work, EXPERIMENT)
    study = tracker.start_study("binary-mfcc", {}, {})
    assert study == stored.study
    for trial in trials(fit):
        tracker.log_trial(study, trial)
    tracker.finish_study(study)
    tracker.close()
    assert (stored.run().info.run_id, [child.info.run_id for child in stored.children()]) == before
    assert stored.run().info.status == "FINISHED"
    assert len(stored.client.search_logged_models([stored.experiment])) == 1
    assert len(stored.client.search_model_versions("name = 'jaxresp-binary-mfcc'")) == 1
    for run in (stored.run(), *stored.children()):
        for name in run.data.metrics:
            points = stored.client.get_metric_history(run.info.run_id, name)
            assert len(points) == len({point.step for point in points}), name


def test_a_trial_that_was_half_written_is_written_anew(stored: Stored, fit: Fit) -> None:
    """A process that is killed between two calls leaves a child that is not closed."""
    tracker = Tracker(stored.work, EXPERIMENT)
    study = tracker.start_study("killed", {}, {})
    tracker.close()
    (parent,) = stored.client.search_runs([stored.experiment], f"tags.`jaxresp.study` = '{study}'")
    tags = {"mlflow.parentRunId": parent.info.run_id, "jaxresp.trial": "0"}
    half = stored.client.create_run(stored.experiment, run_name="trial 1", tags=tags)
    again = Tracker(stored.work, EXPERIMENT)
    again.start_study("killed", {}, {})
    again.log_trial(study, trials(fit)[0])
    again.close()
    wanted = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    (child,) = stored.client.search_runs([stored.experiment], wanted)
    assert child.info.run_id != half.info.run_id
    assert child.info.status == "FINISHED" and "score" in child.data.metrics


def test_the_same_experiment_is_found_again_and_another_is_not_it(stored: Stored) -> None:
    assert Store(stored.work, EXPERIMENT).experiment == stored.experiment
    assert Store(stored.work, "another").experiment != stored.experiment


def test_a_study_that_fails_is_closed_as_failed_says_why_and_is_opened_again(stored: Stored) -> None:
    def told() -> Run:
        (run,) = stored.client.search_runs([stored.experiment], f"tags.`jaxresp.study` = '{study}'")
        return run

    tracker = Tracker(stored.work, EXPERIMENT)
    study = tracker.start_study("broken", {}, {})
    tracker.fail_study(study, "KeyboardInterrupt: ")
    tracker.close(stopped=True)
    assert told().info.status == "FAILED"
    assert told().data.tags["jaxresp.failed"].startswith("KeyboardInterrupt")
    again = Tracker(stored.work, EXPERIMENT)
    assert again.start_study("broken", {}, {}) == study
    again.close()
    assert told().info.status == "RUNNING"
    assert "jaxresp.failed" not in told().data.tags


def test_what_is_undefined_is_left_out_and_nothing_else(
    stored: Stored, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's database refuses NaN."""
    monkeypatch.setattr("jaxresp.tracking.finishing._register", lambda *_: None)
    tracker = Tracker(stored.work, EXPERIMENT)
    study = tracker.start_study("one-class", {}, {})
    leave_result(stored.work, "one-class", result(np.zeros(10, int)), classifier_folder)
    tracker.finish_study(study)
    tracker.close()
    (run,) = stored.client.search_runs([stored.experiment], f"tags.`jaxresp.study` = '{study}'")
    assert not [name for name in run.data.metrics if name.startswith("macro_roc_auc")]
    assert {"accuracy", "balanced_accuracy", "macro_f1.low"} <= set(run.data.metrics)
    assert run.info.status == "FINISHED"


def test_a_run_that_was_killed_does_not_stand_as_still_going(stored: Stored) -> None:
    killed = stored.client.create_run(stored.experiment, run_name="killed").info.run_id
    Store(stored.work, EXPERIMENT)
    run = stored.client.get_run(killed)
    assert run.info.status == "FAILED"
    assert run.data.tags["jaxresp.failed"] == "killed"
    assert stored.run().info.status == "FINISHED"


def test_a_server_that_is_not_there_at_the_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"MLflow cannot use http://127\.0\.0\.1:9: .*leave it out"):
        Tracker(tmp_path, "one", "http://127.0.0.1:9")


def test_a_store_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow cannot use tables that are half there."""

    def dies(uri: str, _: str) -> None:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxresp.tracking.store.SqlAlchemyStore", dies)
    with pytest.raises(KeyboardInterrupt):
        Tracker(tmp_path, "one")
    assert list(tmp_path.iterdir()) == []
