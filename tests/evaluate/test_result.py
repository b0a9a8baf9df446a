"""A result, its JSON, and the numbers that stand beside it."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np

from jaxresp.evaluate.answers import answers_csv
from jaxresp.evaluate.bootstrap import HEADLINES, Difference, Interval, headline_intervals
from jaxresp.evaluate.levels import level
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.result import Result, majority_probabilities
from jaxresp.evaluate.shortcuts import Shortcut
from jaxresp.splits import grouped_stratified_folds
from jaxresp.taxonomy import MULTICLASS

LABELS = np.tile(np.array([0, 1, 1, 2], np.int32), 9)
PATIENTS = np.array([f"p{i:02d}" for i in range(36)])
FOLDS = grouped_stratified_folds(PATIENTS, LABELS)
_logits = np.random.default_rng(0).normal(size=(36, 3)) + 2 * np.eye(3)[LABELS]
PROBABILITIES = (np.exp(_logits) / np.exp(_logits).sum(1, keepdims=True)).astype(np.float32)


def result(labels: np.ndarray = LABELS) -> Result:
    metrics = classification_metrics(labels, PROBABILITIES[: len(labels)])
    return Result(
        name="multiclass-mfcc",
        task="multiclass",
        features="mfcc",
        classes=MULTICLASS.classes,
        metrics=metrics,
        intervals={name: Interval(0.25, 0.75) for name in HEADLINES},
        majority=classification_metrics(LABELS, majority_probabilities(LABELS, FOLDS, MULTICLASS)),
        shortcuts={"age": Shortcut(0.875, 0.75)},
        patients={"Normal": 9, "Chronic": 18, "Infection": 9},
        n_patients=36,
        recordings={"Normal": 9, "Chronic": 18, "Infection": 9},
        settings={"network": "cnn2d", "filters": 16, "dense": 128, "dropout": 0.3, "learning_rate": 1e-3, "epochs": 9},
        validation_loss=0.5,
        corpus={"name": "icbhi", "version": "1.0.0", "partial": True, "made_up": False, "fingerprint": "f"},
        split={"name": "folds", "kind": "patient_disjoint", "evidence": "Numbers are out-of-fold.", "sentences": []},
        levels={"patient": level(LABELS, PROBABILITIES, PATIENTS, seed=0)},
        scores={"ICBHI Score": 0.5},
        alarm={"specificity": 0.75},
        calibration={"temperature": 1.5, "class_bias": (0.5, -0.5), "conformal": {"thresholds": (None, 0.25)}},
        gate={"mean": (0.5, 0.25), "precision": ((1.0, 0.0), (0.0, 1.0)), "max_distance": None},
        beyond={"age": {"balanced_accuracy": Difference(0.25, -0.5, 0.5)}},
    )


def test_a_result_comes_back_from_its_json() -> None:
    ours = result()
    assert Result.from_json(json.loads(json.dumps(ours.to_json(), allow_nan=False))) == ours


def test_what_is_undefined_is_null_in_json_and_nan_again_when_read() -> None:
    one_class = classification_metrics(np.zeros(5, np.int32), PROBABILITIES[:5])
    ours = replace(
        result(),
        metrics=one_class,
        intervals={"macro_roc_auc": Interval(math.nan, math.nan)},
        shortcuts={"age": Shortcut(0.5, math.nan)},
        scores={"ICBHI Score": math.nan},
        calibration={"temperature": 1.5, "class_bias": (0.5, -0.5), "conformal": {"thresholds": (None, 0.25)}},
        gate={"mean": (0.5, 0.25), "precision": ((1.0, 0.0), (0.0, 1.0)), "max_distance": None},
        beyond={"age": {"macro_roc_auc": Difference(math.nan, math.nan, math.nan)}},
    )
    written = json.loads(json.dumps(ours.to_json(), allow_nan=False))
    assert written["metrics"]["macro_roc_auc"] is None
    assert written["metrics"]["roc_auc"] == [None, None, None]
    assert written["scores"] == {"ICBHI Score": None}
    assert written["metrics"]["pr_auc"] == [None, None, None]
    again = Result.from_json(written)
    assert math.isnan(again.scores["ICBHI Score"]) and math.isnan(again.beyond["age"]["macro_roc_auc"].low)
    assert math.isnan(again.metrics.macro_roc_auc)
    np.testing.assert_array_equal(again.metrics.roc_auc, one_class.roc_auc)
    assert again.metrics.confusion == one_class.confusion
    assert np.isnan(again.intervals["macro_roc_auc"]).all()
    assert again.shortcuts["age"].balanced_accuracy == 0.5
    assert math.isnan(again.shortcuts["age"].macro_roc_auc)


def test_headline_intervals_hold_their_estimates_and_repeat() -> None:
    metrics = classification_metrics(LABELS, PROBABILITIES)
    intervals = headline_intervals(LABELS, PROBABILITIES, PATIENTS, seed=0)
    assert tuple(intervals) == HEADLINES
    for name, interval in intervals.items():
        assert interval.low < getattr(metrics, name) < interval.high
    assert intervals == headline_intervals(LABELS, PROBABILITIES, PATIENTS, seed=0)


def test_the_majority_predictor_knows_training_only() -> None:
    answers = majority_probabilities(LABELS, FOLDS, MULTICLASS)
    np.testing.assert_allclose(answers.sum(1), 1)
    for fold in FOLDS:
        share = np.bincount(LABELS[fold.train], minlength=3) / len(fold.train)
        np.testing.assert_allclose(answers[fold.test], np.tile(share, (len(fold.test), 1)))
        changed = LABELS.copy()
        changed[fold.test] = changed[fold.validation[0]] = 0
        np.testing.assert_array_equal(
            majority_probabilities(changed, (fold,), MULTICLASS)[fold.test], answers[fold.test]
        )
    metrics = classification_metrics(LABELS, answers)
    assert metrics.balanced_accuracy == 1 / 3
    assert metrics.accuracy == 0.5


def test_out_of_fold_answers_say_who_was_asked_by_which_fold_and_read_back() -> None:
    names = np.array([f"101_1b1_{i}, odd" for i in range(36)])
    text = answers_csv(names, PATIENTS, LABELS, PROBABILITIES, FOLDS, MULTICLASS.classes)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["recording"] for row in rows] == names.tolist()
    assert [row["patient"] for row in rows] == PATIENTS.tolist()
    assert [row["class"] for row in rows] == [MULTICLASS.classes[y] for y in LABELS]
    for k, fold in enumerate(FOLDS):
        assert [i for i, row in enumerate(rows) if row["fold"] == str(k)] == sorted(fold.test.tolist())
    read = np.array([[row[f"p({c})"] for c in MULTICLASS.classes] for row in rows], np.float32)
    np.testing.assert_array_equal(read, PROBABILITIES)  # nine digits hold a float32
