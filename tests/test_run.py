"""The whole run: repeatable, interruptible, and nothing of it done twice."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow.store.db.utils
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

import jaxresp.run
import jaxresp.sweep
import jaxresp.tracking
from jaxresp.classifier import Classifier
from jaxresp.corpus import Corpus, load, prepare
from jaxresp.errors import JaxrespError
from jaxresp.features import FeatureBank, build_bank
from jaxresp.run import RunConfig, WorkdirInUse, WorkdirMismatch, load_results, run
from jaxresp.splits import SplitError
from jaxresp.sweep import SearchSpace
from jaxresp.synthetic import SyntheticConfig, write_corpus
from jaxresp.taxonomy import BINARY, TASKS
from jaxresp.tracking import Tracker
from jaxresp.train import TrainConfig

CONFIG = RunConfig(
    features=("mfcc",),
    n_trials=2,
    filters=2,
    dense=4,
    training=TrainConfig(max_epochs=2, batch_size=16),
)
ONE_MODEL = replace(CONFIG, tasks=("binary",), n_trials=1)
TWO_TRIALS = replace(CONFIG, tasks=("binary",))
NAMES = ["binary-mfcc", "multiclass-mfcc"]


@dataclass(frozen=True)
class _OneShape(SearchSpace):
    """Every trial has the first one's network, so that it is compiled once for all tests."""

    filters: tuple[int, ...] = (2,)
    dense: tuple[int, int, int] = (4, 4, 1)


class Stop:
    """A progress callback that is Ctrl-C when the line it waits for comes."""

    def __init__(self, model: str, what: str):
        self.model, self.what, self.happened = model, what, False

    def __call__(self, model: str, what: str, done: float) -> None:
        if model == self.model and what.startswith(self.what):
            self.happened = True
            raise KeyboardInterrupt


@pytest.fixture(scope="module", autouse=True)
def _one_shape():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxresp.sweep, "SearchSpace", _OneShape)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    config = SyntheticConfig(patients_per_group=3, recordings_per_patient=(1, 1), duration_s=(5.0, 6.0))
    return load(prepare(write_corpus(folder / "icbhi", config), folder / "data", partial=True))


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory) -> Path:
    """A run that nobody disturbed, and that made its own store."""
    work = tmp_path_factory.mktemp("unbroken")
    run(corpus, work, CONFIG)
    return work


class _NoTracker:
    """Stands where MLflow would, in tests that are not about it: its part is half of what a run this small takes."""

    def __init__(self, *_):
        pass

    def start_study(self, *_) -> str:
        return "untracked"

    def log_trial(self, *_) -> None:
        pass

    finish_study = fail_study = log_trial


@pytest.fixture(scope="module")
def banks() -> dict[str, FeatureBank]:
    return {}


@pytest.fixture
def untracked(monkeypatch, banks) -> None:
    """Without MLflow, and with features computed once: for tests that are about neither."""

    def bank_of(corpus, frontend, window, **options):
        key = f"{corpus.fingerprint} {frontend} {window} {options}"
        if key not in banks:
            banks[key] = build_bank(corpus, frontend, window, **options)
        return banks[key]

    monkeypatch.setattr(jaxresp.tracking, "Tracker", _NoTracker)
    monkeypatch.setattr(jaxresp.run, "build_bank", bank_of)


@pytest.fixture
def fits(monkeypatch) -> list[int]:
    """Grows by one for every network that is fitted."""
    counted: list[int] = []
    real_fit = jaxresp.sweep.fit

    def fit(*arguments, **options):
        counted.append(1)
        return real_fit(*arguments, **options)

    monkeypatch.setattr(jaxresp.sweep, "fit", fit)
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


def assert_same_outcome(one: Path, other: Path) -> None:
    for name in ("results.json", "report.md"):
        assert (one / name).read_text() == (other / name).read_text()
    for name in NAMES:
        first, second = one / "classifiers" / name, other / "classifiers" / name
        assert (first / "weights.npz").read_bytes() == (second / "weights.npz").read_bytes()
        assert Classifier.load(first).version == Classifier.load(second).version
        for file in ("out_of_fold.csv", "folds.json"):
            assert (one / "models" / name / file).read_text() == (other / "models" / name / file).read_text()


def test_the_same_seed_gives_the_same_table_and_the_same_classifiers(corpus, unbroken, new_work):
    again = new_work()
    results = run(corpus, again, CONFIG)
    assert_same_outcome(unbroken, again)
    assert results == load_results(again)


@pytest.mark.usefixtures("untracked")
def test_another_seed_gives_other_weights(corpus, unbroken, new_work):
    work = new_work()
    run(corpus, work, replace(ONE_MODEL, seed=1))
    weights = Path("classifiers", "binary-mfcc", "weights.npz")
    assert (work / weights).read_bytes() != (unbroken / weights).read_bytes()


def test_a_run_stopped_anywhere_goes_on_to_the_same_table(corpus, unbroken, new_work):
    """Ctrl-C in trainings, in the final fit, while a Classifier is saved, and between models: one after the other."""
    work = new_work()
    for stop in (
        Stop("binary-mfcc", "features"),
        Stop("binary-mfcc", "trial 1/2, fold 2/3, epoch 1"),
        Stop("binary-mfcc", "trial 2/2, fold 3/3, epoch 2"),
        Stop("binary-mfcc", "final fit, epoch 1"),
        Stop("binary-mfcc", "saving and logging"),
        Stop("multiclass-mfcc", "features"),
        Stop("multiclass-mfcc", "trial 2/2: loss"),
    ):
        with pytest.raises(KeyboardInterrupt):
            run(corpus, work, CONFIG, progress=stop)
        assert stop.happened
        assert_nothing_half_written(work)
        assert not (work / "results.json").exists()
        with pytest.raises(JaxrespError, match=r"no finished run .*`jaxresp run`"):
            load_results(work)
    run(corpus, work, CONFIG)
    assert_nothing_half_written(work)
    assert_same_outcome(unbroken, work)
    failed = [run for run in runs_in_mlflow(work) if run.info.status == "FAILED"]
    assert len(failed) == 5  # the first and the sixth stopped before a study had begun
    assert all("KeyboardInterrupt" in run.data.tags["jaxresp.failed"] for run in failed)


@pytest.mark.usefixtures("untracked")
def test_ctrl_c_while_mlflow_takes_the_model_leaves_no_finished_model(corpus, new_work, monkeypatch):
    work = new_work()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_NoTracker, "finish_study", interrupted)
        run(corpus, work, ONE_MODEL)
    assert_nothing_half_written(work)
    assert not (work / "models" / "binary-mfcc" / "result.json").exists()
    version = Classifier.load(work / "classifiers" / "binary-mfcc").version
    run(corpus, work, ONE_MODEL)
    assert_nothing_half_written(work)
    assert Classifier.load(work / "classifiers" / "binary-mfcc").version == version


def test_what_is_finished_is_not_trained_again(corpus, unbroken, fits):
    before = {path: path.stat().st_mtime_ns for path in (unbroken / "models").rglob("*")}
    assert run(corpus, unbroken, CONFIG) == load_results(unbroken)
    assert fits == []
    assert {path: path.stat().st_mtime_ns for path in (unbroken / "models").rglob("*")} == before


@pytest.mark.usefixtures("untracked")
def test_a_continued_study_trains_only_what_is_missing(corpus, new_work, fits):
    work = new_work()
    with pytest.raises(KeyboardInterrupt):
        run(corpus, work, TWO_TRIALS, progress=Stop("binary-mfcc", "trial 2/2, fold 2/3"))
    assert len(fits) == 3 + 2
    fits.clear()
    run(corpus, work, TWO_TRIALS)
    assert len(fits) == 3 + 1  # the second trial's folds, and the final fit


@pytest.mark.usefixtures("untracked")
def test_a_classifier_that_is_gone_is_made_again(corpus, new_work, fits):
    work = new_work()
    run(corpus, work, ONE_MODEL)
    version = Classifier.load(work / "classifiers" / "binary-mfcc").version
    shutil.rmtree(work / "classifiers")
    fits.clear()
    run(corpus, work, ONE_MODEL)
    assert Classifier.load(work / "classifiers" / "binary-mfcc").version == version
    assert len(fits) == 1


def test_too_few_patients_are_said_before_anything_is_trained(corpus, new_work, fits):
    rows = np.flatnonzero(corpus.diagnosis != "Healthy")
    healthy = np.flatnonzero(corpus.diagnosis == "Healthy")[:2]
    heard = []
    with pytest.raises(SplitError, match="Normal has 2, and every class needs 3 patients"):
        run(
            corpus.select(np.sort(np.concatenate([rows, healthy]))),
            new_work(),
            replace(CONFIG, tasks=("multiclass", "binary")),
            progress=lambda *line: heard.append(line),
        )
    assert fits == [] and heard == []


def test_a_work_folder_is_for_one_configuration_on_one_corpus(corpus, unbroken, fits):
    table = (unbroken / "results.json").read_text()
    for other, config, what in (
        (corpus, replace(CONFIG, seed=1), "config"),
        (corpus, replace(CONFIG, training=replace(CONFIG.training, dropout=0.1)), "config"),
        (corpus.select(np.arange(len(corpus) - 1)), CONFIG, "corpus"),
        (corpus.select(np.arange(len(corpus) - 1)), replace(CONFIG, n_trials=3), "config and corpus"),
    ):
        with pytest.raises(WorkdirMismatch, match=rf"belongs to another run \(its {what} differ.*another work folder"):
            run(other, unbroken, config)
    assert fits == []
    assert (unbroken / "results.json").read_text() == table


def test_a_damaged_run_json_is_named_with_its_remedy(corpus, new_work):
    work = new_work()
    (work / "run.json").write_text('{"config": ')
    with pytest.raises(JaxrespError, match=r"run\.json.*(remove|another work folder)"):
        run(corpus, work, ONE_MODEL)


@pytest.mark.parametrize("part", ["tasks", "features"])
def test_a_run_of_nothing_or_of_something_twice_is_refused(part):
    name = getattr(CONFIG, part)[0]
    for names in ((), (name, name)):
        with pytest.raises(JaxrespError, match=part):
            replace(CONFIG, **{part: names})


def test_a_run_about_cycles_or_events_is_refused():
    for task in TASKS.values():
        if task.labels_intervals:
            with pytest.raises(JaxrespError, match=f"task '{task.name}' asks about every {task.unit}"):
                replace(CONFIG, tasks=(task.name,))
        else:
            assert replace(CONFIG, tasks=(task.name,)).tasks == (task.name,)


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("balance", ["smote", "none"])
def test_every_way_of_balancing_runs_and_matters(corpus, unbroken, new_work, balance):
    work = new_work()
    config = replace(ONE_MODEL, training=replace(ONE_MODEL.training, balance=balance))
    (result,) = run(corpus, work, config)
    assert result.metrics.n == len(corpus)
    weights = Path("classifiers", "binary-mfcc", "weights.npz")
    assert (work / weights).read_bytes() != (unbroken / weights).read_bytes()


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("lowest", ["multiclass-mfcc", "multiclass-logmel", "multiclass-augmented"])
def test_table_order_and_the_quick_model(corpus, unbroken, new_work, monkeypatch, lowest):
    """By task and then by features, though they are trained by features; quick is the best multi-class one."""
    template = {result.task: result for result in load_results(unbroken)}
    trained = []

    def one_model(problem, frontend, *_):
        trained.append(problem.name)
        loss = 0.5 if problem.name == lowest else 0.1 if problem.task.is_binary else 0.9
        return replace(template[problem.task.name], name=problem.name, features=frontend.name, validation_loss=loss)

    monkeypatch.setattr(jaxresp.run, "_one_model", one_model)
    monkeypatch.setattr(jaxresp.run, "build_bank", lambda *_, **__: unused_bank())
    work = new_work()
    config = replace(CONFIG, features=("mfcc", "logmel", "augmented"))
    names = [f"{task}-{features}" for task in config.tasks for features in config.features]
    results = run(corpus, work, config)
    assert [result.name for result in results] == [result.name for result in load_results(work)] == names
    assert trained != names and sorted(trained) == sorted(names)
    assert json.loads((work / "results.json").read_text())["quick"] == lowest
    report = (work / "report.md").read_text()
    places = [report.index(f"\n## {name}\n") for name in names]
    assert places == sorted(places)


def unused_bank() -> FeatureBank:
    return FeatureBank(np.zeros((1, 1, 1, 1), np.float32), np.zeros(1, np.int32), 1)


def test_results_rest_on_every_recording_once(corpus, unbroken):
    for result in load_results(unbroken):
        assert result.metrics.n == len(corpus) == sum(result.recordings.values())
        assert sum(result.patients.values()) == len(set(corpus.patient.tolist()))
        lines = (unbroken / "models" / result.name / "out_of_fold.csv").read_text().splitlines()[1:]
        assert [line.split(",")[0] for line in lines] == corpus.recording.tolist()


def test_provenance_says_what_a_classifier_came_from(corpus, unbroken):
    studies = {run.info.run_id: run for run in runs_in_mlflow(unbroken)}
    told = [Classifier.load(unbroken / "classifiers" / name).provenance for name in NAMES]
    for name, provenance in zip(NAMES, told, strict=True):
        assert provenance["corpus"]["fingerprint"] == corpus.fingerprint
        assert provenance["training_patients"] == sorted(set(corpus.patient.tolist()))
        study = studies[provenance["mlflow_run"]]
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|sha256:[0-9a-f]{64}", provenance["code"])
        assert provenance["code"] == study.data.tags["code"]
        assert (study.info.run_name, study.info.status) == (name, "FINISHED")
        assert all(len(provenance[key]) == 64 for key in ("split_sha256", "configuration_sha256"))
    assert len({provenance["configuration_sha256"] for provenance in told}) == 1


@pytest.mark.usefixtures("untracked")
def test_provenance_tells_splits_and_configurations_apart(corpus, unbroken, new_work):
    work = new_work()
    run(corpus, work, replace(ONE_MODEL, seed=2))
    one = Classifier.load(unbroken / "classifiers" / "binary-mfcc").provenance
    other = Classifier.load(work / "classifiers" / "binary-mfcc").provenance
    for key in ("split_sha256", "configuration_sha256", "mlflow_run"):
        assert one[key] != other[key]


@pytest.mark.usefixtures("untracked")
def test_progress_never_goes_back_and_ends_at_one(corpus, new_work):
    heard: list[tuple[str, str, float]] = []
    run(corpus, new_work(), ONE_MODEL, progress=lambda *line: heard.append(line))
    done = [fraction for _, _, fraction in heard]
    assert done == sorted(done) and done[0] == 0 and done[-1] == 1
    assert {model for model, _, _ in heard} == {"binary-mfcc", "all models"}
    patients = corpus.patients_per_class(BINARY)
    assert min(patients.values()) >= CONFIG.n_folds  # else the corpus of this file would be no test of folds


@pytest.mark.usefixtures("untracked")
def test_two_runs_in_one_folder_are_one_too_many(corpus, new_work):
    work = new_work()
    refused = []

    def second_one(model: str, what: str, done: float) -> None:
        if not refused:
            with pytest.raises(WorkdirInUse, match="another jaxresp is at work in"):
                run(corpus, work, ONE_MODEL)
            refused.append(what)

    run(corpus, work, ONE_MODEL, progress=second_one)
    assert refused == ["features"]
    run(corpus, work, ONE_MODEL)  # free again


@pytest.mark.usefixtures("untracked")
def test_what_a_killed_run_left_half_written_is_cleared_away(corpus, new_work):
    work = new_work()
    run(corpus, work, ONE_MODEL)
    model = work / "models" / "binary-mfcc"
    for left in (work / ".results.json.a1b2c3d_", model / ".trial-1.abcdefgh", work / "classifiers" / ".x.01234567"):
        left.mkdir()
        (left / "part").touch()
    theirs = work / ".gitignore"
    theirs.touch()
    run(corpus, work, ONE_MODEL)
    assert_nothing_half_written(work, theirs)


def test_a_study_that_was_killed_does_not_go_on_in_mlflow(corpus, new_work):
    work = new_work()
    run_id = Tracker(work, "made up").start_study("binary-mfcc", CONFIG.training, {})
    assert [run.info.status for run in runs_in_mlflow(work)] == ["RUNNING"]
    Tracker(work, "made up")
    (killed,) = runs_in_mlflow(work)
    assert (killed.info.run_id, killed.info.status) == (run_id, "FAILED")
    assert killed.data.tags["jaxresp.failed"] == "killed"


def test_mlflows_store_is_whole_or_absent(tmp_path, monkeypatch):
    """Its tables take seconds to make, and it cannot use a half-made set of them."""

    def killed(engine):
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow.store.db.utils, "_upgrade_db", killed)  # the last of its steps
    with pytest.raises(KeyboardInterrupt):
        Tracker(tmp_path, "made up")
    assert list(tmp_path.iterdir()) == []
