"""What the original project's table hid: none of it can happen here.

The project that this one follows published a table that eleven faults had made. One test, or two, for each.
"""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxresp import models, sweep, train
from jaxresp.balance import smote
from jaxresp.classifier import Classifier, Spec, untrained
from jaxresp.evaluate import report, tables, words
from jaxresp.evaluate.held_out import evaluate_held_out
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.result import Result
from jaxresp.features import FeatureBank, build_bank
from jaxresp.frontend import FRONTENDS
from jaxresp.models import NetworkConfig
from jaxresp.run import run
from jaxresp.run_config import RunConfig
from jaxresp.splits import PatientLeak, cross_validation, grouped_stratified_folds
from jaxresp.sweep import Problem, Trial, best_trial, fit_final
from jaxresp.taxonomy import BINARY, MULTICLASS, TASKS
from jaxresp.train import Fit, TrainConfig, fit, predict
from jaxresp.window import WindowConfig
from jaxresp.workdir import WorkdirMismatch

NETWORK = NetworkConfig("cnn2d", filters=2, dense=4)


@pytest.fixture(scope="module")
def banks(easy_corpus) -> dict[str, FeatureBank]:
    return {
        name: build_bank(easy_corpus, frontend(), WindowConfig(), variants=int(frontend.augments))
        for name, frontend in FRONTENDS.items()
    }


@pytest.fixture
def problem(easy_corpus, banks) -> Problem:
    labels = easy_corpus.labels(BINARY)
    split = cross_validation(easy_corpus.patient, labels, BINARY.classes)
    training = TrainConfig(max_epochs=1, learning_rate=1e-3)
    return Problem("faults", banks["mfcc"], labels, BINARY, NETWORK, training, split)


@pytest.fixture(scope="module")
def small_run(easy_corpus, tmp_path_factory, no_tracker):
    """Two models of a run, with networks too small to be good."""
    work = tmp_path_factory.mktemp("run")
    config = RunConfig(
        features=("logmel",),
        common_band=False,
        n_trials=1,
        filters=2,
        dense=4,
        training=TrainConfig(max_epochs=2, batch_size=16),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxresp.tracking.Tracker", no_tracker)
        return work, config, run(easy_corpus, work, config)


def _result(labels: np.ndarray, probabilities: np.ndarray, template: Result) -> Result:
    return replace(template, metrics=classification_metrics(labels, probabilities))


# 1. Relabelling in place made every binary label one class: precision 1, AUC undefined.


def test_labels_of_one_task_leave_those_of_every_other_alone(easy_corpus):
    before = easy_corpus.diagnosis.copy()
    of_diagnoses = {name: task for name, task in TASKS.items() if task.reads == "diagnosis"}
    alone = {name: task.encode(before.tolist()) for name, task in of_diagnoses.items()}
    for _ in range(2):
        for name, task in of_diagnoses.items():
            np.testing.assert_array_equal(easy_corpus.labels(task), alone[name])
    np.testing.assert_array_equal(easy_corpus.diagnosis, before)
    assert set(easy_corpus.labels(BINARY).tolist()) == {0, 1}
    assert set(easy_corpus.labels(MULTICLASS).tolist()) == {0, 1, 2}


def test_an_undefined_area_is_printed_as_undefined():
    metrics = classification_metrics(np.zeros(4, np.int32), np.tile([0.9, 0.1], (4, 1)))
    assert np.isnan(metrics.macro_roc_auc)
    assert words.number(metrics.macro_roc_auc) == "undefined"


# 2. Its log-mel row is exactly the majority predictor. 3. Its MFCC row never finds an infection.


def test_a_majority_predictor_looks_like_one(small_run):
    template = next(r for r in small_run[2] if r.task == "multiclass")
    labels = np.repeat([0, 1, 2], [4, 90, 6]).astype(np.int32)
    always = _result(labels, np.tile([0.0, 1.0, 0.0], (100, 1)), template)
    assert always.metrics.accuracy == 0.9
    assert always.metrics.balanced_accuracy == pytest.approx(1 / 3)
    assert "never answers Normal or Infection" in "\n".join(report.caveats([always]))


def test_a_class_that_is_never_found_is_named(small_run):
    template = next(r for r in small_run[2] if r.task == "multiclass")
    labels = np.repeat([0, 1, 2], [4, 90, 6]).astype(np.int32)
    answered = labels.copy()
    answered[labels == 2] = 1
    answered[0] = 2  # infection is answered, but never rightly
    blind = _result(labels, np.eye(3)[answered], template)
    assert blind.metrics.accuracy > 0.9
    assert "recognises no Infection" in "\n".join(report.caveats([blind]))


def test_the_majority_stands_beside_every_row(small_run):
    for result, row in zip(small_run[2], tables.rows(small_run[2]), strict=True):
        assert result.majority.balanced_accuracy == pytest.approx(1 / len(result.classes))
        assert f"{result.majority.balanced_accuracy:.3f}" in row[tables.COLUMNS.index("majority (accuracy)")]


# 4. AUC .9777 came from 23 rows of a debug subset.


def test_every_recording_is_answered_once_and_counted(easy_corpus, small_run):
    work, _, results = small_run
    for result in results:
        lines = (work / "models" / result.name / "out_of_fold.csv").read_text().splitlines()[1:]
        assert sorted(line.split(",")[0] for line in lines) == sorted(easy_corpus.recording.tolist())
        assert result.metrics.n == len(easy_corpus) == sum(result.metrics.support)
        assert sum(result.recordings.values()) == len(easy_corpus)


def test_a_subset_says_that_it_is_one(small_run):
    subset = [replace(r, corpus={**r.corpus, "made_up": False, "partial": True}) for r in small_run[2]]
    assert "This is a subset" in report.markdown(subset)
    assert "made up" in report.markdown(small_run[2])


# 5. The tuned learning rate was never used.


def test_the_chosen_settings_are_the_ones_fitted(problem, monkeypatch):
    used = []
    genuine = train.fit

    def spy(bank, labels, task, network, config, **rest):
        used.append((network, config))
        return genuine(bank, labels, task, network, config, **rest)

    monkeypatch.setattr(sweep.answers, "fit", spy)
    blank = genuine(
        problem.bank, problem.labels, BINARY, NETWORK, problem.training, train=np.arange(len(problem.labels)), epochs=1
    )
    trials = tuple(
        Trial(
            n,
            replace(NETWORK, dense=dense),
            replace(problem.training, learning_rate=rate, dropout=rate * 10),
            tuple(replace(blank, score=score) for _ in problem.folds),
        )
        for n, (rate, dense, score) in enumerate([(1e-3, 4, 0.7), (7e-3, 6, 0.4), (2e-3, 8, 0.5)])
    )
    assert best_trial(trials).number == 1
    fit_final(problem, trials)
    ((network, config),) = used
    assert (config.learning_rate, config.dropout, network.dense) == (7e-3, 7e-2, 6)


def test_the_learning_rate_changes_the_weights(problem):
    def weights(rate: float) -> np.ndarray:
        config = replace(problem.training, learning_rate=rate)
        fitted = fit(
            problem.bank, problem.labels, BINARY, NETWORK, config, train=np.arange(len(problem.labels)), epochs=1
        )
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(fitted.weights.params)])

    assert np.abs(weights(1e-3) - weights(1e-2)).max() > 1e-3


# 6. SMOTE failed on binary labels and the failure was swallowed.


@pytest.mark.parametrize("task", [BINARY, MULTICLASS], ids=lambda task: task.name)
def test_smote_balances_every_task(easy_corpus, banks, task):
    labels = easy_corpus.labels(task)
    rows = np.arange(0, len(labels), 2)
    bank = banks["mfcc"]
    windows = bank.windows_of(rows)
    y = labels[bank.recording[windows]][: len(windows) - 3]
    x = bank.clean[windows].reshape(len(windows), -1)[: len(y)]
    made, made_labels = smote(x, y, bank.recording[windows][: len(y)], seed=0)
    assert len(set(np.bincount(np.concatenate([y, made_labels])).tolist())) == 1
    assert len(made) == len(made_labels) > 0


def test_smote_that_fails_stops_the_training(problem, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no neighbours")

    monkeypatch.setattr(train.sampling, "smote", broken)
    with pytest.raises(RuntimeError, match="no neighbours"):
        fit(
            problem.bank,
            problem.labels,
            BINARY,
            NETWORK,
            replace(problem.training, balance="smote"),
            train=np.arange(len(problem.labels)),
            epochs=1,
        )


# 7. The feature cache ignored the feature type.


def test_every_front_end_has_features_of_its_own(banks):
    shapes = {name: bank.features.shape for name, bank in banks.items()}
    assert {name: shape[-1] for name, shape in shapes.items()} == {
        name: frontend().n_coefficients for name, frontend in FRONTENDS.items()
    }
    a, b = banks["mfcc"].clean, banks["augmented"].clean
    n = min(a.shape[-1], b.shape[-1])
    assert np.abs(a[..., :n] - b[..., :n]).max() > 1


def test_a_work_folder_is_not_taken_for_another_configuration(easy_corpus, small_run):
    work, config, _ = small_run
    with pytest.raises(WorkdirMismatch, match=r"run\.json"):
        run(easy_corpus, work, replace(config, features=("mfcc",)))
    with pytest.raises(WorkdirMismatch, match="corpus"):
        run(easy_corpus.select(np.arange(len(easy_corpus) - 1)), work, config)


# 8. Training and serving normalised differently, and serving added random noise.


@pytest.mark.parametrize("features", list(FRONTENDS))
@pytest.mark.parametrize("task", [BINARY, MULTICLASS], ids=lambda task: task.name)
def test_a_served_probability_is_the_evaluated_one(easy_corpus, banks, task, features):
    frontend, bank = FRONTENDS[features](), banks[features]
    labels = easy_corpus.labels(task)
    network = NetworkConfig(frontend.network, filters=2, dense=4)
    everyone = np.arange(len(labels))
    fitted = fit(bank, labels, task, network, TrainConfig(), train=everyone, epochs=2)
    graph, _ = models.create(network, frontend.n_coefficients, task.n_outputs, seed=0)
    evaluated = np.asarray(models.probabilities(predict(graph, fitted.weights, fitted.standardisation, bank, everyone)))
    classifier = Classifier.from_fit(Spec("served", task, frontend, network), fitted)
    windows = easy_corpus.windows(classifier.window)
    for i in (0, 7, 20):
        own = windows.recording == i
        served = classifier.calibration.probabilities(
            classifier.logits(windows.samples[own], windows.scale[own]).mean(0, keepdims=True)
        )
        np.testing.assert_allclose(served[0], evaluated[i], atol=1e-5)
        again = classifier.logits(windows.samples[own], windows.scale[own])
        np.testing.assert_array_equal(again, classifier.logits(windows.samples[own], windows.scale[own]))


# 9. argmax over one sigmoid always answered "Abnormal".


@pytest.mark.parametrize(("logit", "answer"), [(-3.0, "Normal"), (3.0, "Abnormal")])
def test_one_sigmoid_answers_both_classes(logit, answer):
    classifier = untrained("binary-mfcc")
    logits = np.full((1, 1), logit, np.float32)
    probability = classifier.calibration.probabilities(logits)[0]
    assert probability.shape == (2,)
    assert probability.sum() == pytest.approx(1, abs=1e-6)
    assert BINARY.classes[int(probability.argmax())] == answer


# 10. Copies of one recording lay in train and test.


def test_variants_of_a_recording_go_where_the_recording_goes(easy_corpus, banks):
    """What is held out, augmented copies included, has no influence on what is fitted."""
    labels = easy_corpus.labels(BINARY)
    fold = grouped_stratified_folds(easy_corpus.patient, labels)[0]
    bank = banks["augmented"]
    network = NetworkConfig("cnn1d", filters=2, dense=4)

    def weights(bank: FeatureBank, labels: np.ndarray, balance: str) -> list[np.ndarray]:
        config = TrainConfig(balance=balance, batch_size=16)
        fitted: Fit = fit(bank, labels, BINARY, network, config, train=fold.train, epochs=1)
        return [np.asarray(leaf) for leaf in (*jax.tree.leaves(fitted.weights), *fitted.standardisation)]

    held_out = np.setdiff1d(np.arange(len(labels)), fold.train)
    features = bank.features.copy()
    features[bank.windows_of(held_out)] = 1e3
    other_labels = labels.copy()
    other_labels[held_out] = 1 - labels[held_out]
    for balance in ("class_weights", "smote"):
        before = weights(bank, labels, balance)
        after = weights(replace(bank, features=features), other_labels, balance)
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


# 11. 94 % of test recordings had their own patient in train.


def test_no_patient_is_on_two_sides(easy_corpus, small_run):
    work = small_run[0]
    for name in ("binary-logmel", "multiclass-logmel"):
        proof = json.loads((work / "models" / name / "folds.json").read_text())
        assert len(proof) == 9
        assert {row["shared patients"] for row in proof} == {0}


def test_a_classifier_is_not_evaluated_on_patients_it_was_trained_on(easy_corpus, small_run):
    classifier = Classifier.load(small_run[0] / "classifiers" / "binary-logmel")
    with pytest.raises(PatientLeak, match="24 patients"):
        evaluate_held_out(classifier, easy_corpus)
