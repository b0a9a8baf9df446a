"""What the metadata gives away is found, and only from patients that were seen."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.corpus import interval_corpus
from jaxresp.evaluate.shortcuts import answers_of, roc_auc_in_order, shortcut_columns, shortcuts
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
    seconds = [len(easy_corpus.waveform(i)) / easy_corpus.rate_hz for i in range(len(easy_corpus))]
    np.testing.assert_allclose(columns["duration"], seconds, rtol=1e-6)


def test_how_long_a_cycle_lasts_is_known_before_it_is_heard(easy_corpus):
    """And of the cycle, not of its recording."""
    cycles = interval_corpus(easy_corpus)
    labels = (cycles.durations_s > np.median(cycles.durations_s)).astype(np.int32)
    folds = grouped_stratified_folds(cycles.patient, labels)
    found = shortcuts(shortcut_columns(cycles), labels, folds, BINARY)
    assert found["duration"].macro_roc_auc > 0.85 > found["age"].macro_roc_auc


def test_an_unseen_value_says_nothing():
    """Not even which class is the rare one."""
    labels = np.where(np.arange(N) // 2 % 6 == 0, 0, 1).astype(np.int32)
    folds = grouped_stratified_folds(PATIENTS, labels)
    column = np.where(np.isin(np.arange(N), folds[0].test), "new", "old")
    np.testing.assert_allclose(answers_of(column, labels, folds[:1], 2)[folds[0].test], 0.5)


def test_only_what_is_tested_counts():
    column = np.where(LABELS == 1, "Meditron", "AKG")
    assert shortcuts({"it": column}, LABELS, FOLDS[:1], BINARY)["it"].balanced_accuracy == 1


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_a_number_in_order_is_judged_by_order_alone(seed):
    """Neither its direction nor its scale matters, and rows where it is missing have no say."""
    column = (np.random.default_rng(seed).normal(size=N) + LABELS).astype(np.float32)
    area = roc_auc_in_order(column, LABELS, FOLDS)
    assert area > 0.6
    assert roc_auc_in_order(-column, LABELS, FOLDS) == pytest.approx(area)
    assert roc_auc_in_order(np.exp(column), LABELS, FOLDS) == pytest.approx(area)
    missing = column.copy()
    missing[FOLDS[0].test[0]] = np.nan
    kept = dataclasses.replace(FOLDS[0], test=FOLDS[0].test[1:])
    assert roc_auc_in_order(missing, LABELS, FOLDS[:1]) == pytest.approx(roc_auc_in_order(column, LABELS, (kept,)))


def test_the_direction_of_a_number_is_learnt_from_others():
    """A fold whose own patients go the other way is answered wrongly."""
    column = LABELS.astype(np.float32)
    column[FOLDS[0].test] = 1 - column[FOLDS[0].test]
    assert roc_auc_in_order(column, LABELS, FOLDS[:1]) == 0
