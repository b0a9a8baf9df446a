"""Laws of the patient-disjoint folds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.splits import (
    Fold,
    PatientLeak,
    SplitError,
    assert_disjoint,
    describe,
    grouped_stratified_folds,
)


@st.composite
def cohorts(draw, least_per_class: int = 3):
    """Patients, labels and a number of folds that can be served: every class has enough patients."""
    n_folds = draw(st.integers(2, 4))
    least = max(least_per_class, n_folds, 4 if n_folds == 2 else 0)
    n_classes = draw(st.integers(2, 4))
    patients, labels, k = [], [], 0
    for c in range(n_classes):
        for n_recordings in draw(st.lists(st.integers(1, 9), min_size=least, max_size=15)):
            patients += [f"p{k:03d}"] * n_recordings
            labels += [c] * n_recordings
            k += 1
    order = np.random.default_rng(draw(st.integers(0, 2**16))).permutation(len(patients))
    return np.array(patients)[order], np.array(labels, np.int32)[order], n_folds


def _per_class(patients, labels, rows):
    return {c: len(set(patients[rows][labels[rows] == c])) for c in np.unique(labels)}


@settings(deadline=None, max_examples=60)
@given(cohorts(), st.floats(0.05, 0.9), st.integers(0, 1000))
def test_laws_of_folds(cohort, fraction, seed):
    patients, labels, n_folds = cohort
    folds = grouped_stratified_folds(patients, labels, n_folds=n_folds, validation_fraction=fraction, seed=seed)
    assert len(folds) == n_folds
    # every recording is tested exactly once, and every fold uses every recording exactly once
    np.testing.assert_array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(len(patients)))
    tested_per_class = []
    for fold in folds:
        rows = np.concatenate([fold.train, fold.validation, fold.test])
        np.testing.assert_array_equal(np.sort(rows), np.arange(len(patients)))
        sides = [set(patients[r]) for _, r in fold.sides()]
        assert sides[0].isdisjoint(sides[1]) and sides[0].isdisjoint(sides[2]) and sides[1].isdisjoint(sides[2])
        for _, r in fold.sides():
            assert min(_per_class(patients, labels, r).values()) >= 1
        tested_per_class.append(_per_class(patients, labels, fold.test))
    for c in np.unique(labels):  # patients per class differ by at most one between test sides
        counts = [t[c] for t in tested_per_class]
        assert max(counts) - min(counts) <= 1


@settings(deadline=None, max_examples=25)
@given(cohorts(), st.integers(0, 100))
def test_order_of_rows_does_not_matter_and_seed_repeats(cohort, seed):
    patients, labels, n_folds = cohort
    order = np.random.default_rng(seed).permutation(len(patients))
    a = grouped_stratified_folds(patients, labels, n_folds=n_folds, seed=seed)
    b = grouped_stratified_folds(patients[order], labels[order], n_folds=n_folds, seed=seed)
    for fold_a, fold_b in zip(a, b, strict=True):
        for (_, rows_a), (_, rows_b) in zip(fold_a.sides(), fold_b.sides(), strict=True):
            assert set(patients[rows_a]) == set(patients[order][rows_b])
            assert len(rows_a) == len(rows_b)


def test_seeds_differ():
    patients = np.repeat([f"p{i}" for i in range(30)], 2)
    labels = np.repeat(np.arange(30) % 3, 2)
    tests = {tuple(grouped_stratified_folds(patients, labels, seed=s)[0].test.tolist()) for s in range(10)}
    assert len(tests) > 5


def test_recordings_are_balanced_when_patients_are_uneven():
    # six patients of 10 recordings and six of 1, one class: two of each in every test side
    patients = np.array([f"p{i}" for i in range(12) for _ in range(10 if i < 6 else 1)] + [f"q{i}" for i in range(6)])
    labels = np.array([0] * 66 + [1] * 6)
    for fold in grouped_stratified_folds(patients, labels, n_folds=3):
        assert np.sum(labels[fold.test] == 0) == 22


def test_three_patients_of_a_class_stand_one_on_each_side():
    patients = np.array([f"a{i}" for i in range(20)] + ["h1", "h2", "h3"])
    labels = np.array([1] * 20 + [0] * 3)
    for fold in grouped_stratified_folds(patients, labels):
        assert [int(np.sum(labels[r] == 0)) for _, r in fold.sides()] == [1, 1, 1]


@pytest.mark.parametrize(("n_rare", "n_folds"), [(1, 3), (2, 3), (3, 2), (4, 5), (0, 3)])
def test_too_few_patients_name_class_and_counts(n_rare, n_folds):
    patients = np.array([f"c{i}" for i in range(20)] + [f"h{i}" for i in range(n_rare)])
    labels = np.array([1] * 20 + [0] * n_rare)
    with pytest.raises(SplitError, match=rf"Healthy has {n_rare}.*COPD 20"):
        grouped_stratified_folds(patients, labels, n_folds=n_folds, classes=("Healthy", "COPD"))


@pytest.mark.parametrize("change", [{"n_folds": 1}, {"validation_fraction": 0.0}, {"validation_fraction": 1.0}])
def test_bad_arguments(change):
    patients, labels = np.array([f"p{i}" for i in range(12)]), np.arange(12) % 2
    with pytest.raises(SplitError, match=next(iter(change))):
        grouped_stratified_folds(patients, labels, **change)
    with pytest.raises(SplitError, match="no recordings"):
        grouped_stratified_folds(patients[:0], labels[:0])


@settings(deadline=None, max_examples=25)
@given(cohorts(), st.data())
def test_any_patient_moved_half_way_is_a_leak(cohort, data):
    """Copying one row of one side to another side is always found: the checker is not a formality."""
    patients, labels, n_folds = cohort
    fold = data.draw(st.sampled_from(grouped_stratified_folds(patients, labels, n_folds=n_folds)))
    assert_disjoint(fold, patients)
    source, target = data.draw(st.permutations(["train", "validation", "test"]))[:2]
    row = data.draw(st.sampled_from(getattr(fold, source).tolist()))
    leaky = dataclasses.replace(fold, **{target: np.append(getattr(fold, target), row)})
    with pytest.raises(PatientLeak, match=str(patients[row])):
        assert_disjoint(leaky, patients)
    shared = [r["shared patients"] for r in describe([leaky], patients, labels, [str(c) for c in range(4)])]
    assert sorted(shared) == [0, 1, 1]


def test_a_patient_with_several_classes_stays_whole():
    patients = np.repeat([f"p{i:02d}" for i in range(24)], 3)
    labels = np.tile([0, 0, 1], 24)
    for fold in grouped_stratified_folds(patients, labels):
        assert_disjoint(fold, patients)
        for _, rows in fold.sides():
            assert set(labels[rows]) == {0, 1}


def test_describe_counts_from_the_rows():
    patients = np.array(["a", "a", "b", "c", "d"])
    labels = np.array([0, 0, 1, 1, 0])
    fold = Fold(train=np.array([0, 1, 2]), validation=np.array([3]), test=np.array([4]))
    rows = describe([fold], patients, labels, ("Normal", "Abnormal"))
    assert rows[0] == {
        "fold": 0, "side": "train", "patients": 2, "recordings": 3,
        "Normal patients": 1, "Normal recordings": 2, "Abnormal patients": 1, "Abnormal recordings": 1,
        "shared patients": 0,
    }  # fmt: skip
    assert [r["side"] for r in rows] == ["train", "validation", "test"]


def test_a_class_whose_only_other_patient_is_tested_still_splits():
    """Patient 7 alone counts for class 0: where he is tested, nobody is left to choose from for it."""
    patients = np.array(["1", "1", "2", "2", "3", "3", "4", "5", "6", "7"])
    labels = np.array([0, 1, 0, 1, 0, 1, 2, 2, 2, 0])
    folds = grouped_stratified_folds(patients, labels, n_folds=3)
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(10))
