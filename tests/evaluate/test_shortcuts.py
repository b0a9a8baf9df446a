"""What the metadata gives away is found, and only from patients that were seen."""

import numpy as np
import pytest

from jaxresp.evaluate.shortcuts import answers_of, shortcut_columns, shortcuts
from jaxresp.splits import grouped_stratified_folds
from jaxresp.taxonomy import BINARY

N = 120
PATIENTS = np.array([f"{i // 2:03}" for i in range(N)])
LABELS = (np.arange(N) // 2 % 2).astype(np.int32)
FOLDS = grouped_stratified_folds(PATIENTS, LABELS)


def reached(column: np.ndarray, labels: np.ndarray = LABELS) -> float:
    return shortcuts({"it": column}, labels, FOLDS, BINARY)["it"].balanced_accuracy


def test_a_column_that_is_the_label_is_found():
    assert reached(np.where(LABELS == 1, "Meditron", "AKG")) == 1
    assert reached(np.where(LABELS == 1, 60.0, 5.0).astype(np.float32)) == 1


def test_missing_values_can_give_the_label_away():
    assert reached(np.where(LABELS == 1, np.nan, 5.0).astype(np.float32)) == 1


def test_a_column_that_says_nothing_stays_near_chance():
    areas = [
        shortcuts({"it": np.random.default_rng(seed).normal(size=N).astype(np.float32)}, LABELS, FOLDS, BINARY)["it"]
        for seed in range(10)
    ]
    assert np.mean([area.macro_roc_auc for area in areas]) == pytest.approx(0.5, abs=0.06)


def test_a_name_per_patient_is_no_shortcut_to_unseen_ones():
    assert reached(PATIENTS) == pytest.approx(0.5, abs=0.01)


def test_a_fold_s_own_patients_have_no_say_in_what_is_answered_for_them():
    column = np.random.default_rng(1).normal(size=N).astype(np.float32)
    answers = answers_of(column, LABELS, FOLDS, 2)
    for fold in FOLDS:
        other = LABELS.copy()
        other[fold.test] = 1 - other[fold.test]
        np.testing.assert_array_equal(answers_of(column, other, FOLDS, 2)[fold.test], answers[fold.test])


def test_columns_are_those_known_before_listening(easy_corpus):
    columns = shortcut_columns(easy_corpus)
    assert {"age", "stethoscope", "native rate", "recordings per patient"} <= set(columns)
    assert all(len(column) == len(easy_corpus) for column in columns.values())
    assert (columns["recordings per patient"] == 2).all()
