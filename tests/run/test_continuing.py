"""The whole run goes on where it stopped, and does nothing twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxresp.classifier import Classifier
from jaxresp.errors import JaxrespError
from jaxresp.frontend import InvalidFrontend
from jaxresp.progress import Standing
from jaxresp.run import run
from jaxresp.run_report import load_results
from jaxresp.workdir import WorkdirInUse, WorkdirMismatch

from .conftest import CONFIG, NAMES, ONE_MODEL, TWO_TRIALS, assert_nothing_half_written, runs_in_mlflow


class Stop:
    """A progress callback that is Ctrl-C when the line it waits for comes."""

    def __init__(self, model: str, what: str):
        self.model, self.what, self.happened = model, what, False

    def __call__(self, now: Standing) -> None:
        if now.model == self.model and now.what.startswith(self.what):
            self.happened = True
            raise KeyboardInterrupt


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


def test_a_run_stopped_anywhere_goes_on_to_the_same_table(corpus, unbroken, new_work):
    """Ctrl-C in trainings, in the final fit, while a Classifier is saved, and between models: one after the other."""
    work = new_work()
    for stop in (
        Stop("binary-mfcc", "features"),
        Stop("binary-mfcc", "trial 1/2, fold 2/3, epoch 1"),
        Stop("binary-mfcc", "trial 2/2, fold 3/3, epoch 2"),
        Stop("binary-mfcc", "final fit, epoch 1"),
        Stop("binary-mfcc", "saving"),
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
    # However often it was stopped: one run per study, and one per trial, as if nothing had happened.
    told = sorted((run.info.run_name, run.info.status) for run in runs_in_mlflow(work))
    assert told == sorted((run.info.run_name, run.info.status) for run in runs_in_mlflow(unbroken))
    assert [name for name, _ in told] == sorted([*NAMES, *["trial 1", "trial 2"] * 2])
    assert {status for _, status in told} == {"FINISHED"}


@pytest.mark.usefixtures("untracked")
def test_ctrl_c_as_mlflow_is_to_be_told_leaves_a_finished_model(corpus, new_work, monkeypatch, no_tracker, fits):
    work = new_work()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(no_tracker, "finish_study", interrupted)
        run(corpus, work, ONE_MODEL)
    assert_nothing_half_written(work)
    fits.clear()
    version = Classifier.load(work / "classifiers" / "binary-mfcc").version
    run(corpus, work, ONE_MODEL)
    assert_nothing_half_written(work)
    assert Classifier.load(work / "classifiers" / "binary-mfcc").version == version
    assert fits == []


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


@pytest.mark.usefixtures("untracked")
def test_two_runs_in_one_folder_are_one_too_many(corpus, new_work):
    work = new_work()
    refused = []

    def second_one(now: Standing) -> None:
        if not refused:
            with pytest.raises(WorkdirInUse, match="another jaxresp is at work in"):
                run(corpus, work, ONE_MODEL)
            refused.append(now.what)

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


def test_a_run_says_at_once_which_band_there_is_none_of():
    with pytest.raises(InvalidFrontend, match=r"no band 'comon'.*Did you mean 'common'"):
        replace(CONFIG, band="comon")
    assert [frontend.band_hz for frontend in replace(CONFIG, band="common").frontends()] == [(50.0, 1800.0)]
