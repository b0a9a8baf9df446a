"""A real MLflow server, killed in mid-sweep: the sweep ends as if nothing had happened, and MLflow is told once."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

import jaxresp.sweep
import jaxresp.tracking.tracker
from jaxresp.corpus import Corpus, load, prepare
from jaxresp.progress import Standing
from jaxresp.run import run
from jaxresp.run_config import RunConfig
from jaxresp.run_report import load_results
from jaxresp.sweep import SearchSpace
from jaxresp.sweep.space import ORIGINAL, SPACES, Choice, Whole
from jaxresp.synthetic import SyntheticConfig, write_corpus
from jaxresp.train import TrainConfig

pytestmark = pytest.mark.slow

N_TRIALS = 6
TOO_LONG_S = 240.0
CONFIG = RunConfig(
    tasks=("binary",),
    features=("mfcc",),
    n_trials=N_TRIALS,
    n_folds=3,
    filters=2,
    dense=4,
    training=TrainConfig(max_epochs=2, batch_size=16),
)


#: Every trial has the first one's network, so that it is compiled once.
ONE_SHAPE = SearchSpace("original", {**ORIGINAL.dimensions, "filters": Choice((2,)), "dense": Whole(4, 4)})


class Server:
    """`mlflow server` on a database in a folder, at an address of its own that it keeps."""

    def __init__(self, folder: Path):
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server",
            "--workers", "1", "--host", "127.0.0.1", "--port", str(self._port),
            "--backend-store-uri", f"sqlite:///{self._folder / 'server.db'}",
            "--artifacts-destination", str(self._folder / "artifacts"),
        ]  # fmt: skip
        environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=self._folder, start_new_session=True
            )
        deadline = time.monotonic() + TOO_LONG_S
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def log(self) -> str:
        return (self._folder / "server.log").read_text()[-4000:]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(SPACES, "original", lambda frontend: ONE_SHAPE)
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    config = SyntheticConfig(patients_per_group=3, recordings_per_patient=(1, 1), duration_s=(5.0, 6.0))
    return load(prepare(write_corpus(folder / "icbhi", config), folder / "data", partial=True))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()


def when_trials_are_done(**what: Callable[[], None]) -> Callable[[Standing], None]:
    """A listener that does something once so many trials are done: `after_2=…`."""

    def listen(now: Standing) -> None:
        if now.ended and now.what.startswith("trial") and f"after_{now.trials_done}" in what:
            what[f"after_{now.trials_done}"]()

    return listen


def assert_told_once(server: Server, seed: int) -> None:
    """One finished parent of this seed with every trial, every value once, and its model registered."""
    client = MlflowClient(server.uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    (study,) = client.search_runs(experiments, f"params.seed = '{seed}' and tags.`jaxresp.study` != ''")
    assert study.info.status == "FINISHED"
    trials = client.search_runs(experiments, f"tags.mlflow.parentRunId = '{study.info.run_id}'")
    assert sorted(int(each.data.tags["jaxresp.trial"]) for each in trials) == list(range(N_TRIALS))
    assert {each.info.status for each in trials} == {"FINISHED"}
    for each in [study, *trials]:
        assert_every_value_once(client, each)
    for each in trials:
        assert [item.path for item in client.list_artifacts(each.info.run_id)] == ["curves.png"]
    names = {item.path for item in client.list_artifacts(study.info.run_id)}
    assert {"confusion.png", "history.png", "card.md", "result.json", "out_of_fold.csv"} <= names
    (version,) = client.search_model_versions(f"name = 'jaxresp-binary-mfcc' and run_id = '{study.info.run_id}'")
    assert version.status == "READY"


def assert_every_value_once(client: MlflowClient, told: Run) -> None:
    assert told.data.metrics
    for name in told.data.metrics:
        steps = [point.step for point in client.get_metric_history(told.info.run_id, name)]
        assert len(steps) == len(set(steps)), name


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name.startswith("jaxresp") and each.levelno >= 30]


def test_a_server_killed_in_mid_sweep_and_started_again_is_told_everything_once(corpus, server, tmp_path, caplog):
    config = replace(CONFIG, seed=1)
    with caplog.at_level(logging.WARNING):
        listener = when_trials_are_done(after_2=server.kill, after_5=server.start)
        results = run(corpus, tmp_path, config, tracking_uri=server.uri, progress=listener)
    assert results == load_results(tmp_path)
    assert_told_once(server, seed=1)
    said = warnings_of(caplog)
    assert sum("cannot be told" in line for line in said) <= 1, (
        said
    )  # one that is down between two trials is not missed
    assert not [line for line in said if "has not been told" in line]


def test_a_server_that_never_comes_back_is_named_with_what_is_missing_and_the_same_command_logs_it(
    corpus, server, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(jaxresp.tracking.tracker, "_PATIENCE_S", 3.0)
    config = replace(CONFIG, seed=2)
    with caplog.at_level(logging.WARNING):
        listener = when_trials_are_done(after_2=server.kill)
        results = run(corpus, tmp_path, config, tracking_uri=server.uri, progress=listener)
    assert results == load_results(tmp_path)
    *_, last = warnings_of(caplog)
    assert server.uri in last and "binary-mfcc (" in last and "the result and the model" in last
    assert "give the same command again" in last
    assert sum("cannot be told" in line for line in warnings_of(caplog)) == 1

    def fit(*_: object, **__: object) -> None:
        raise AssertionError("what is finished is not done again")

    server.start()
    monkeypatch.setattr(jaxresp.sweep.trial, "fit", fit)
    assert run(corpus, tmp_path, config, tracking_uri=server.uri) == results
    assert_told_once(server, seed=2)
    caplog.clear()
    server.kill()
    assert run(corpus, tmp_path, config, tracking_uri=server.uri) == results  # there is nothing left to tell it
    assert warnings_of(caplog) == []
    server.start()
