"""The whole run: what of its settings matters, and what its table and its Classifiers say of themselves."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import jax.numpy as jnp
import numpy as np
import pytest

import jaxresp.common_band
import jaxresp.material
import jaxresp.run
from jaxresp.balance import Balance
from jaxresp.classifier import Classifier
from jaxresp.errors import JaxrespError
from jaxresp.evaluate.answers import read_answers
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.features import FeatureBank
from jaxresp.gate import Gate
from jaxresp.progress import Standing
from jaxresp.run import run
from jaxresp.run_report import load_results
from jaxresp.splits import SplitError
from jaxresp.taxonomy import BINARY, UnknownLabel
from jaxresp.window import WindowConfig

from .conftest import CONFIG, NAMES, ONE_MODEL, TWO_TRIALS, runs_in_mlflow


@pytest.mark.usefixtures("untracked")
def test_another_seed_gives_other_weights(corpus, unbroken, new_work):
    work = new_work()
    run(corpus, work, replace(ONE_MODEL, seed=1))
    weights = Path("classifiers", "binary-mfcc", "weights.npz")
    assert (work / weights).read_bytes() != (unbroken / weights).read_bytes()


def test_too_few_patients_are_said_before_anything_is_trained(corpus, new_work, fits):
    rows = np.flatnonzero(corpus.diagnosis != "Healthy")
    healthy = np.flatnonzero(corpus.diagnosis == "Healthy")[:2]
    heard = []
    with pytest.raises(SplitError, match="Normal has 2, and every class needs 3 patients"):
        run(
            corpus.select(np.sort(np.concatenate([rows, healthy]))),
            new_work(),
            replace(CONFIG, tasks=("multiclass", "binary")),
            progress=heard.append,
        )
    assert fits == [] and heard == []


@pytest.mark.parametrize("part", ["tasks", "features"])
def test_a_run_of_nothing_or_of_something_twice_is_refused(part):
    name = getattr(CONFIG, part)[0]
    for names in ((), (name, name)):
        with pytest.raises(JaxrespError, match=part):
            replace(CONFIG, **{part: names})


@pytest.mark.usefixtures("untracked")
def test_smote_alone_does_without_changed_copies_of_the_sounds(corpus, new_work, monkeypatch):
    """A row between two distorted windows is neither. (That it also ignores copies it is given: test_sampling.)"""
    asked = {}

    class Enough(Exception):
        pass

    for balance in get_args(Balance):

        def bank(*_, variants, balance=balance, **__):
            asked[balance] = variants
            raise Enough

        monkeypatch.setattr("jaxresp.material.build_bank", bank)
        training = replace(ONE_MODEL.training, balance=balance)
        with pytest.raises(Enough):
            run(corpus, new_work(balance), replace(ONE_MODEL, features=("augmented",), training=training))
    assert asked == dict.fromkeys(get_args(Balance), ONE_MODEL.variants) | {"smote": 0}


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
    monkeypatch.setattr(jaxresp.run, "_compared", lambda *_: ())
    monkeypatch.setattr(jaxresp.material, "build_bank", lambda *_, **__: unused_bank())
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


def test_a_classifier_knows_the_ranges_of_those_it_was_trained_on(corpus, unbroken):
    for name in NAMES:
        cohort = Classifier.load(unbroken / "classifiers" / name).spec.cohort
        for told, column in (
            (cohort.age_years, corpus.age_years),
            (cohort.native_rate_hz, corpus.native_rate_hz),
            (cohort.bandwidth_hz, corpus.bandwidth_hz),
        ):
            assert told == (np.nanmin(column), np.nanmax(column))


def test_windows_recordings_and_patients_are_judged_and_models_compared(corpus, unbroken):
    windows = corpus.windows(WindowConfig())
    for result in load_results(unbroken):
        assert set(result.levels) == {"window", "patient"}
        assert result.levels["window"].metrics.n == len(windows)
        assert result.levels["patient"].metrics.n == sum(result.patients.values())
        assert sum(group.n for group in result.subgroups["chest location"].values()) == len(corpus)
        card = Classifier.load(unbroken / "classifiers" / result.name).card
        assert "## By group" in card and "| suppressed |" in card
        assert set(result.beyond) == set(result.shortcuts)
        age = result.beyond["age"]["balanced_accuracy"]
        assert age.value == pytest.approx(result.metrics.balanced_accuracy - result.shortcuts["age"].balanced_accuracy)
        assert set(result.alarm) >= {"specificity", "PPV at prevalence 0.05"} and result.scores == {}
    assert json.loads((unbroken / "results.json").read_text())["compared"] == []  # one model of each task


def test_the_calibration_that_is_judged_without_its_patients_is_released_on_all(corpus, unbroken):
    for result in load_results(unbroken):
        classifier = Classifier.load(unbroken / "classifiers" / result.name)
        released = classifier.calibration
        assert json.loads(json.dumps(released.to_dict())) == json.loads(json.dumps(result.calibration))
        n_patients = len(set(corpus.patient.tolist()))
        assert f"out-of-fold answers of {n_patients} patients" in released.method
        assert released.conformal.patients == tuple(result.patients.values())
        assert released.conformal.thresholds == (None,) * len(result.classes)  # of three to six patients: no promise
        assert {"uncalibrated", "calibrated"} == set(result.reliability)
        assert all(each.n == len(corpus) and each.n_patients == n_patients for each in result.reliability.values())
        # What the table says is of the answers in the file, which the calibrations of the other folds gave.
        text = (unbroken / "models" / result.name / "out_of_fold.csv").read_text()
        answers = read_answers(text, "out_of_fold.csv")
        again = classification_metrics(answers.labels, answers.probabilities)
        assert again.balanced_accuracy == pytest.approx(result.metrics.balanced_accuracy)
        assert Gate.from_dict({k: v for k, v in result.gate.items() if k != "refused"}) == classifier.gate
        assert classifier.gate.n_patients == n_patients and 0 <= result.gate["refused"] <= 1
        for text in (classifier.card, (unbroken / "report.md").read_text()):
            assert "| uncalibrated |" in text and "| calibrated |" in text
            assert "A recording gets no label that is shorter than" in text
            assert "have each class: Normal " in text and "too few patients to promise any" in text


@pytest.mark.usefixtures("untracked")
def test_two_models_of_a_task_are_compared(corpus, new_work):
    work = new_work()
    results = run(corpus, work, replace(ONE_MODEL, features=("mfcc", "logmel")))
    (comparison,) = json.loads((work / "results.json").read_text())["compared"]
    best = min(results, key=lambda result: result.validation_loss)
    (other,) = (result for result in results if result is not best)
    assert comparison["reference"] == best.name and comparison["n_patients"] == len(set(corpus.patient.tolist()))
    value, low, high = comparison["differences"][other.name]["balanced_accuracy"]
    assert value == pytest.approx(other.metrics.balanced_accuracy - best.metrics.balanced_accuracy)
    assert low <= high
    assert f"Less {best.name}, " in (work / "report.md").read_text()


@pytest.mark.usefixtures("untracked")
def test_a_diagnosis_is_asked_in_the_common_band_too(corpus, unbroken, new_work, monkeypatch):
    """By the same folds and settings, and by features of that band alone; a continued run fits it once."""
    fitted = []

    def fit(bank, labels, task, network, training, *, train, validation, **options):
        fitted.append((bank, training, set(corpus.patient[train]), set(corpus.patient[validation])))
        return real(bank, labels, task, network, training, train=train, validation=validation, **options)

    real = jaxresp.common_band.fit
    monkeypatch.setattr(jaxresp.common_band, "fit", fit)
    work = new_work()
    (result,) = run(corpus, work, replace(TWO_TRIALS, common_band=True))
    told = result.common_band
    folds = json.loads((work / "models" / "binary-mfcc" / "folds.json").read_text())
    (common,) = replace(TWO_TRIALS, band="common").frontends()
    features = np.asarray(common(jnp.asarray(corpus.windows(WindowConfig()).samples[:4], jnp.float32)))
    assert len(fitted) == CONFIG.n_folds == len({fold["fold"] for fold in folds})
    trials = [json.loads(path.read_text()) for path in sorted(work.glob("models/*/trial-*/trial.json"))]
    for k, (bank, training, train, validation) in enumerate(fitted):
        preferred = min(trials, key=lambda trial, k=k: trial["folds"][k]["score"])
        assert training.learning_rate == preferred["settings"]["learning_rate"]
        np.testing.assert_allclose(bank.clean[:4], features, atol=1e-2)
        assert train.isdisjoint(validation)
    assert told.heard == common.heard and told.metrics.n == len(corpus)
    value = told.less["balanced_accuracy"].value
    assert value == pytest.approx(told.metrics.balanced_accuracy - result.metrics.balanced_accuracy)
    assert told.metrics != result.metrics
    for text in ((work / "report.md").read_text(), Classifier.load(work / "classifiers" / "binary-mfcc").card):
        assert "| … in the common band |" in text and f"heard: {common.heard}" in text
    assert load_results(work)[0].common_band == told
    (work / "models" / "binary-mfcc" / "result.json").unlink()  # as if it had been killed just before
    (again,) = run(corpus, work, replace(TWO_TRIALS, common_band=True))
    assert len(fitted) == CONFIG.n_folds and again.common_band == told


@pytest.mark.usefixtures("untracked")
def test_what_a_task_has_no_class_for_is_left_out_and_told(corpus, new_work):
    diagnosis = corpus.diagnosis.copy()
    copd = np.flatnonzero(diagnosis == "COPD")[:2]
    diagnosis[copd] = ["", "Sarcoidosis"]
    work = new_work()
    (result,) = run(replace(corpus, diagnosis=diagnosis), work, ONE_MODEL)
    assert dict(result.left_out) == {"Sarcoidosis": 1, "no label": 1}
    assert result.metrics.n == len(corpus) - 2 and load_results(work)[0].left_out == result.left_out
    names = {line.split(",")[0] for line in (work / "models" / "binary-mfcc" / "out_of_fold.csv").read_text().split()}
    assert names.isdisjoint(corpus.recording[copd].tolist())
    said = "Left out, as the task has no class for their label: 2 recordings (Sarcoidosis 1, no label 1)."
    for text in ((work / "report.md").read_text(), Classifier.load(work / "classifiers" / "binary-mfcc").card):
        assert said in text
    with pytest.raises(UnknownLabel, match="no class for any recording of icbhi"):
        run(replace(corpus, diagnosis=np.full(len(corpus), "")), new_work("other"), ONE_MODEL)


def test_provenance_says_what_a_classifier_came_from(corpus, unbroken):
    studies = {run.data.tags.get("jaxresp.study"): run for run in runs_in_mlflow(unbroken)}
    told = [Classifier.load(unbroken / "classifiers" / name).provenance for name in NAMES]
    for name, provenance in zip(NAMES, told, strict=True):
        assert provenance["corpus"]["fingerprint"] == corpus.fingerprint
        assert provenance["training_patients"] == sorted(set(corpus.patient.tolist()))
        study = studies[provenance["mlflow_study"]]
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
    for key in ("split_sha256", "configuration_sha256", "mlflow_study"):
        assert one[key] != other[key]


@pytest.mark.usefixtures("untracked")
def test_progress_never_goes_back_and_ends_at_one(corpus, new_work):
    heard: list[Standing] = []
    run(corpus, new_work(), ONE_MODEL, progress=heard.append)
    done = [standing.done for standing in heard]
    assert done == sorted(done) and done[0] == 0 and done[-1] == 1
    assert {standing.model for standing in heard} == {"binary-mfcc", "all models"}
    patients = corpus.patients_per_class(BINARY)
    assert min(patients.values()) >= CONFIG.n_folds  # else the corpus of this file would be no test of folds
