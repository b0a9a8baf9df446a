"""What MLflow is told of a study, read back from its SQLite store."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

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
from jaxresp.tracking import ClassifierModel, Tracker
from jaxresp.train import Fit, Standardisation, TrainConfig
from jaxresp.window import WindowConfig

NETWORK = NetworkConfig("cnn1d", 2, 8)
TRAINING = TrainConfig(max_epochs=3, seed=4)


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
    client: MlflowClient
    experiment: str
    study: str

    def run(self) -> Run:
        return self.client.get_run(self.study)

    def children(self) -> list[Run]:
        wanted = f"tags.mlflow.parentRunId = '{self.study}'"
        return self.client.search_runs([self.experiment], wanted, order_by=["attributes.run_name ASC"])


@pytest.fixture(scope="module")
def stored(fit: Fit, classifier_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A finished study of two trials of two folds. Its model is not logged here."""
    folder = tmp_path_factory.mktemp("work")
    before = mlflow.get_tracking_uri()
    tracker = Tracker(folder, "icbhi 1 (made up)")
    study = tracker.start_study("binary-mfcc", TRAINING, {"corpus": "f" * 64, "code": "abc"})
    for number in (0, 1):
        training = replace(TRAINING, dropout=0.1 + number / 10)
        tracker.log_trial(study, Trial(number, NETWORK, training, (fit, replace(fit, score=0.5, best_epoch=2))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.pyfunc, "log_model", lambda **_: None)
        tracker.finish_study(study, result(np.repeat([0, 1], 5)), classifier_folder, "recording,patient\nr,p\n")
    mlflow.set_tracking_uri(before)
    assert {path.name for path in folder.iterdir()} == {"mlflow.db", "mlruns"}
    return Stored(MlflowClient(tracker.uri), tracker.experiment, study)


def test_a_study_is_a_finished_run_with_its_settings_and_where_it_came_from(stored: Stored) -> None:
    run = stored.run()
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "binary-mfcc"
    expected = {key: str(value) for key, value in TRAINING.to_dict().items()}
    assert expected.items() <= run.data.params.items()
    assert run.data.params["chosen.filters"] == "2"
    assert {"corpus": "f" * 64, "code": "abc"}.items() <= run.data.tags.items()


def test_its_metrics_are_the_results_with_intervals_and_the_baseline(stored: Stored) -> None:
    told, ours = stored.run().data.metrics, result(np.repeat([0, 1], 5))
    for name in HEADLINES:
        assert told[name] == pytest.approx(getattr(ours.metrics, name))
        assert (told[f"{name}.low"], told[f"{name}.high"]) == (0.25, 0.75)
    assert told["n"] == 10
    assert told["majority.balanced_accuracy"] == pytest.approx(ours.majority.balanced_accuracy)


def test_its_artifacts_are_the_plots_the_answers_and_the_result(stored: Stored, tmp_path: Path) -> None:
    names = {item.path for item in stored.client.list_artifacts(stored.study)}
    assert {"confusion.png", "reliability.png", "risk.png", "out_of_fold.csv", "result.json"} <= names
    table = stored.client.download_artifacts(stored.study, "out_of_fold.csv", str(tmp_path))
    assert Path(table).read_text() == "recording,patient\nr,p\n"
    for name in ("confusion.png", "reliability.png", "risk.png"):
        figure = Path(stored.client.download_artifacts(stored.study, name, str(tmp_path)))
        assert figure.read_bytes().startswith(b"\x89PNG")


def test_every_trial_is_a_child_with_its_settings_scores_and_the_losses_of_every_epoch(stored: Stored) -> None:
    children = stored.children()
    assert [child.info.run_name for child in children] == ["trial 1", "trial 2"]
    for number, child in enumerate(children):
        assert child.info.status == "FINISHED"
        assert child.data.params == {
            "filters": "2", "dense": "8", "dropout": str(0.1 + number / 10), "learning_rate": "0.001",
        }  # fmt: skip
        assert child.data.metrics["validation_loss"] == pytest.approx((2 / 3 + 0.5) / 2)
        assert child.data.metrics["fold2.best_epoch"] == 2
        for name, values in (("train_loss", (1, 1 / 2, 1 / 3)), ("validation_loss", (2, 1, 2 / 3))):
            curve = stored.client.get_metric_history(child.info.run_id, f"fold2.{name}")
            assert [point.step for point in curve] == [1, 2, 3]
            assert [point.value for point in curve] == pytest.approx(values)
        assert [item.path for item in stored.client.list_artifacts(child.info.run_id)] == ["curves.png"]


def test_the_logged_model_answers_as_the_classifier_does(
    stored: Stored, classifier_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000)
    tracker = Tracker(Path(), "icbhi 1 (made up)", stored.client.tracking_uri)
    study = tracker.start_study("binary-mfcc", TRAINING, {})
    tracker.finish_study(study, result(np.repeat([0, 1], 5)), classifier_folder, "")
    (logged,) = stored.client.search_logged_models([tracker.experiment])
    assert logged.source_run_id == study
    model = mlflow.pyfunc.load_model(logged.artifact_location)
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


def test_the_same_experiment_is_found_again_and_another_is_not_it(stored: Stored) -> None:
    uri = stored.client.tracking_uri
    folder = Path(uri.removeprefix("sqlite:///")).parent
    assert Tracker(folder, "icbhi 1 (made up)").experiment == stored.experiment
    assert Tracker(folder, "another").experiment != stored.experiment


def test_a_study_that_fails_is_closed_as_failed_and_says_why(stored: Stored) -> None:
    tracker = Tracker(Path(), "icbhi 1 (made up)", stored.client.tracking_uri)
    study = tracker.start_study("broken", TRAINING, {})
    assert stored.client.get_run(study).info.status == "RUNNING"
    tracker.fail_study(study, "KeyboardInterrupt: ")
    run = stored.client.get_run(study)
    assert run.info.status == "FAILED"
    assert run.data.tags["jaxresp.failed"].startswith("KeyboardInterrupt")


def test_what_is_undefined_is_left_out_and_nothing_else(
    stored: Stored, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's database refuses NaN."""
    tracker = Tracker(Path(), "icbhi 1 (made up)", stored.client.tracking_uri)
    monkeypatch.setattr(mlflow.pyfunc, "log_model", lambda **_: None)
    study = tracker.start_study("one class", TRAINING, {})
    tracker.finish_study(study, result(np.zeros(10, int)), classifier_folder, "")
    run = stored.client.get_run(study)
    assert not [name for name in run.data.metrics if name.startswith("macro_roc_auc")]
    assert {"accuracy", "balanced_accuracy", "macro_f1.low"} <= set(run.data.metrics)
    assert run.info.status == "FINISHED"


def test_a_run_that_was_killed_does_not_stand_as_still_going(stored: Stored) -> None:
    folder = Path(stored.client.tracking_uri.removeprefix("sqlite:///")).parent
    killed = Tracker(folder, "icbhi 1 (made up)").start_study("killed", TRAINING, {})
    Tracker(folder, "icbhi 1 (made up)")
    run = stored.client.get_run(killed)
    assert run.info.status == "FAILED"
    assert run.data.tags["jaxresp.failed"] == "killed"
    assert stored.run().info.status == "FINISHED"


def test_a_store_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow cannot use tables that are half there."""

    def dies(uri: str, _: str) -> None:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxresp.tracking.SqlAlchemyStore", dies)
    with pytest.raises(KeyboardInterrupt):
        Tracker(tmp_path, "one")
    assert list(tmp_path.iterdir()) == []
