"""A real `jaxresp run` that is killed, or stopped by Ctrl-C, at any moment: it goes on, to the same table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from jaxresp import shipped
from jaxresp.classifier import Classifier
from jaxresp.synthetic import SyntheticConfig, write_corpus

pytestmark = pytest.mark.slow

KILLS = 6
TOO_LONG_S = 600.0  # nothing asserts how long a run takes; this only ends a run that hangs


@dataclass(frozen=True)
class Road:
    """What a run needs, and the work folder of an undisturbed one."""

    source: Path
    environment: dict[str, str]
    unbroken: Path

    def command(self, work: Path) -> list[str]:
        words = ["run", str(self.source), "--work", str(work), "--partial", "--trials", "1", "--epochs", "2"]
        return [sys.executable, "-m", "jaxresp.cli", *words]

    def start(self, work: Path, log: Path) -> subprocess.Popen[bytes]:
        """A run in a process group of its own, as a terminal would start it."""
        with log.open("ab") as out:
            return subprocess.Popen(
                self.command(work), env=self.environment, stdout=out, stderr=out, start_new_session=True
            )

    def finish(self, work: Path) -> str:
        """The same command again, to its end. Returns what it printed."""
        done = subprocess.run(
            self.command(work), env=self.environment, capture_output=True, text=True, timeout=TOO_LONG_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def road(tmp_path_factory) -> Road:
    folder = tmp_path_factory.mktemp("kill")
    config = SyntheticConfig(patients_per_group=3, recordings_per_patient=(1, 1), duration_s=(5.0, 6.0))
    source = write_corpus(folder / "icbhi", config)
    environment = os.environ | {
        "PYTHONPATH": str(shipped.root()),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),  # shared, so that a run that starts again is soon at work
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    road = Road(source, environment, folder / "unbroken")
    road.finish(road.unbroken)
    return road


def assert_nothing_half_written(work: Path) -> None:
    assert [path for path in work.rglob(".*") if path.name != ".lock"] == []
    for directory in work.glob("classifiers/*"):
        assert Classifier.load(directory).name == directory.name


#: Where the page names the MLflow study of each model, which is another one in each work folder.
PROVENANCE = '<section id="provenance">'


def assert_same_outcome(one: Path, other: Path) -> None:
    for name in ("results.json", "report.md", "report.html"):
        first, second = ((work / name).read_text().partition(PROVENANCE)[0] for work in (one, other))
        assert first == second
    names = [result["name"] for result in json.loads((one / "results.json").read_text())["results"]]
    assert len(names) == 6
    for name in names:
        first, second = one / "classifiers" / name, other / "classifiers" / name
        assert (first / "weights.npz").read_bytes() == (second / "weights.npz").read_bytes()
        assert Classifier.load(first).version == Classifier.load(second).version


def written(work: Path) -> int:
    """How many files and folders there are of models: a measure of how far a run is."""
    return sum(1 for _ in work.glob("models/**/*")) + sum(1 for _ in work.glob("classifiers/*"))


def statuses(work: Path) -> list[str]:
    client = MlflowClient(f"sqlite:///{work / 'mlflow.db'}")
    return [run.info.status for run in client.search_runs([e.experiment_id for e in client.search_experiments()])]


def test_a_run_killed_again_and_again_ends_in_the_same_table(road, tmp_path):
    work, log = tmp_path / "work", tmp_path / "log.txt"
    seed = int(time.time())
    print(f"moments drawn with seed {seed}")
    rng = np.random.default_rng(seed)
    deadline = time.monotonic() + TOO_LONG_S
    for amount in np.sort(rng.integers(0, round(0.75 * written(road.unbroken)), KILLS)):
        process = road.start(work, log)
        while written(work) < amount:  # at once, where the run before this one got further
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 2.0))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert "Traceback" not in log.read_text(), log.read_text()
    road.finish(work)
    assert_nothing_half_written(work)
    assert_same_outcome(road.unbroken, work)
    assert set(statuses(work)) <= {"FINISHED", "FAILED"}


def test_killed_while_mlflow_makes_its_store(road, tmp_path):
    """That takes seconds, in many steps, and MLflow cannot use what is left of it."""
    work, log = tmp_path / "work", tmp_path / "log.txt"
    process = road.start(work, log)
    deadline = time.monotonic() + TOO_LONG_S
    while not list(work.glob(".mlflow.db.*/mlflow.db")):
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (work / "mlflow.db").exists() or list(work.glob(".mlflow.db.*")) == []
    process = road.start(work, log)
    try:
        while not list(work.glob("models/*/study.db")):  # which is made after the store
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert list(work.glob(".mlflow.db.*")) == []
    assert set(statuses(work)) <= {"RUNNING"}  # the store can be read, and the study is in it or not yet
    assert "Traceback" not in log.read_text()


def test_ctrl_c_in_the_middle_of_training(road, tmp_path):
    work, err = tmp_path / "work", tmp_path / "err.txt"
    with err.open("wb") as stream:
        process = subprocess.Popen(
            road.command(work), env=road.environment, stdout=subprocess.DEVNULL, stderr=stream, start_new_session=True
        )
    deadline = time.monotonic() + TOO_LONG_S
    while not (work / "models" / "multiclass-mfcc" / "study.db").exists():  # the second model has begun
        assert process.poll() is None and time.monotonic() < deadline, err.read_text()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(TOO_LONG_S) == 130
    assert err.read_text().strip() == (
        "jaxresp: stopped; what was finished is kept, and the same command continues from there"
    )
    assert_nothing_half_written(work)
    assert not (work / "results.json").exists()
    assert (work / "models" / "binary-mfcc" / "result.json").is_file()
    assert set(statuses(work)) <= {"FINISHED", "FAILED"}
