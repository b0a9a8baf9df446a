"""What the tests of the whole run share: a made-up corpus, an undisturbed run of it, and what a run must leave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

import jaxresp.material
import jaxresp.run
import jaxresp.sweep
import jaxresp.tracking
from jaxresp.classifier import Classifier
from jaxresp.corpus import Corpus, load, prepare
from jaxresp.features import FeatureBank, build_bank
from jaxresp.run import run
from jaxresp.run_config import RunConfig
from jaxresp.sweep import SearchSpace
from jaxresp.sweep.space import ORIGINAL, SPACES, Choice, Whole
from jaxresp.synthetic import SyntheticConfig, write_corpus
from jaxresp.train import TrainConfig

CONFIG = RunConfig(
    features=("mfcc",),
    common_band=False,
    n_trials=2,
    filters=2,
    dense=4,
    training=TrainConfig(max_epochs=2, batch_size=16),
)
ONE_MODEL = replace(CONFIG, tasks=("binary",), n_trials=1)
TWO_TRIALS = replace(CONFIG, tasks=("binary",))
NAMES = ["binary-mfcc", "multiclass-mfcc"]


#: Every trial has the first one's network, so that it is compiled once for all tests.
ONE_SHAPE = SearchSpace("original", {**ORIGINAL.dimensions, "filters": Choice((2,)), "dense": Whole(4, 4)})


@pytest.fixture(scope="package", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPACES, "original", lambda frontend: ONE_SHAPE)
        yield


@pytest.fixture(scope="package")
def corpus(tmp_path_factory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    config = SyntheticConfig(patients_per_group=3, recordings_per_patient=(1, 1), duration_s=(5.0, 6.0))
    return load(prepare(write_corpus(folder / "icbhi", config), folder / "data", partial=True))


@pytest.fixture(scope="package")
def empty_store(tmp_path_factory) -> Path:
    """MLflow's database before the first run: it takes seconds to make, and is copied for each test."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def new_work(tmp_path, empty_store) -> Callable[[str], Path]:
    def make(name: str = "work") -> Path:
        (tmp_path / name).mkdir()
        shutil.copy(empty_store, tmp_path / name / "mlflow.db")
        return tmp_path / name

    return make


@pytest.fixture(scope="package")
def unbroken(corpus, tmp_path_factory, empty_store) -> Path:
    """A run that nobody disturbed."""
    work = tmp_path_factory.mktemp("unbroken")
    shutil.copy(empty_store, work / "mlflow.db")
    run(corpus, work, CONFIG)
    return work


@pytest.fixture(scope="package")
def banks() -> dict[str, FeatureBank]:
    return {}


@pytest.fixture
def untracked(monkeypatch, banks, no_tracker) -> None:
    """Without MLflow and the page of figures, with features computed once: for tests that are about none of them."""

    def bank_of(corpus, frontend, window, **options):
        key = f"{corpus.fingerprint} {frontend} {window} {options}"
        if key not in banks:
            banks[key] = build_bank(corpus, frontend, window, **options)
        return banks[key]

    monkeypatch.setattr(jaxresp.tracking, "Tracker", no_tracker)
    monkeypatch.setattr(jaxresp.material, "build_bank", bank_of)
    monkeypatch.setattr(jaxresp.run, "write_html", lambda work, file: None)


@pytest.fixture
def fits(monkeypatch) -> list[int]:
    """Grows by one for every network that is fitted."""
    counted: list[int] = []
    real_fit = jaxresp.sweep.trial.fit

    def fit(*arguments, **options):
        counted.append(1)
        return real_fit(*arguments, **options)

    monkeypatch.setattr(jaxresp.sweep.trial, "fit", fit)
    monkeypatch.setattr(jaxresp.sweep.answers, "fit", fit)
    return counted


def runs_in_mlflow(work: Path) -> list:
    client = MlflowClient(f"sqlite:///{work / 'mlflow.db'}")
    return client.search_runs([e.experiment_id for e in client.search_experiments()])


def assert_nothing_half_written(work: Path, *theirs: Path) -> None:
    assert {path for path in work.rglob(".*") if path.name != ".lock"} == set(theirs)
    for trial in work.glob("models/*/trial-*"):
        folds = json.loads((trial / "trial.json").read_text())["folds"]
        assert len(list(trial.glob("fold-*.npz"))) == len(folds) == CONFIG.n_folds
    for directory in work.glob("classifiers/*"):
        assert Classifier.load(directory).name == directory.name
    assert {run.info.status for run in runs_in_mlflow(work)} <= {"FINISHED", "FAILED"}
