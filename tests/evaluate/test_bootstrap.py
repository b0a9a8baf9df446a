"""Laws of the patient bootstrap. What it computes at once is held against resampling the rows one sample at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.evaluate import bootstrap
from jaxresp.evaluate.bootstrap import (
    HEADLINES,
    Interval,
    Resamples,
    confusion_samples,
    headline_intervals,
    headline_samples,
    interval_of,
    paired_differences,
    resample,
)
from jaxresp.evaluate.errors import NonFiniteScores, NothingToEvaluate, UnknownPatients
from jaxresp.evaluate.metrics import classification_metrics, confusion_matrix

Cohort = tuple[np.ndarray, np.ndarray, np.ndarray]


def cohort(seed: int, n_patients: int = 12, n_classes: int = 3, *, mixed: bool = False) -> Cohort:
    """Labels, probabilities with many ties, patients; rows in no order. `mixed`: a patient's units vary in class."""
    rng = np.random.default_rng(seed)
    patient = np.concatenate([np.arange(n_patients), rng.integers(n_patients, size=2 * n_patients)])
    labels = rng.integers(n_classes, size=patient.size) if mixed else (patient % n_classes)
    odds = 2.0 ** (rng.integers(0, 4, (patient.size, n_classes)) + 2 * (np.eye(n_classes)[labels] > rng.uniform()))
    order = rng.permutation(patient.size)
    return labels[order], (odds / odds.sum(1, keepdims=True))[order], np.char.add("p", patient[order].astype(str))


def rows_of(sample: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """The rows that a sample holds, as often as it holds them."""
    return np.repeat(np.arange(patient.size), sample[patient].astype(int))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 4), mixed=st.booleans())
def test_every_sample_is_what_its_rows_say(seed: int, n_classes: int, mixed: bool) -> None:
    labels, probabilities, patients = cohort(seed, n_classes=n_classes, mixed=mixed)
    drawn = resample(labels, patients, samples=6, seed=seed)
    values = headline_samples(labels, probabilities, drawn)
    confusions = confusion_samples(labels, probabilities, drawn)
    for i, copies in enumerate(drawn.copies):
        rows = rows_of(copies, drawn.patient)
        metrics = classification_metrics(labels[rows], probabilities[rows])
        for name in HEADLINES:
            assert values[name][i] == pytest.approx(getattr(metrics, name), abs=1e-12, nan_ok=True)
        expected = confusion_matrix(labels[rows], probabilities[rows].argmax(1), n_classes)
        np.testing.assert_array_equal(confusions[i], expected)


def test_areas_do_not_depend_on_how_their_tables_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities, patients = cohort(3)
    drawn = resample(labels, patients, samples=5)
    whole = headline_samples(labels, probabilities, drawn)
    monkeypatch.setattr(bootstrap, "_RANKS_AT_ONCE", 3)
    monkeypatch.setattr(bootstrap, "_THRESHOLDS_AT_ONCE", 2)
    cut = headline_samples(labels, probabilities, drawn)
    for name in ("macro_roc_auc", "macro_pr_auc"):
        np.testing.assert_allclose(cut[name], whole[name], rtol=1e-12)


def test_the_seed_alone_decides_and_the_order_of_rows_does_not() -> None:
    labels, probabilities, patients = cohort(0)
    one, again, other = (headline_intervals(labels, probabilities, patients, samples=50, seed=s) for s in (1, 1, 2))
    assert one == again != other
    order = np.random.default_rng(0).permutation(len(labels))
    turned = headline_intervals(labels[order], probabilities[order], patients[order], samples=50, seed=1)
    for name in HEADLINES:
        assert turned[name] == pytest.approx(one[name], rel=1e-12)


def test_as_many_patients_of_each_class_as_there_are_and_each_equally_often() -> None:
    labels, _, patients = cohort(1, n_patients=30)
    drawn = resample(labels, patients, samples=4000)
    _, first = np.unique(patients, return_index=True)
    for c in range(3):
        of_class = drawn.copies[:, labels[first] == c]
        assert (of_class.sum(1) == 10).all()
        # Binomial(10, 1/10): mean 1, variance 0.9; 4,000 samples put the mean within 5 × .015.
        np.testing.assert_allclose(of_class.mean(0), 1, atol=0.08)
        np.testing.assert_allclose(of_class.var(0), 0.9, atol=0.12)


def test_a_patient_of_several_classes_is_drawn_among_those_of_the_rarest() -> None:
    """So that no sample loses the rare class, whatever order the rows come in."""
    patients = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])
    labels = np.array([0, 1, 1, 0, 0, 0, 0, 0])
    for order in (np.arange(8), np.arange(8)[::-1]):
        copies = resample(labels[order], patients[order], samples=200).copies
        assert (copies[:, :2].sum(1) == 2).all() and (copies[:, 2:].sum(1) == 2).all()


def test_intervals_cover_as_often_as_they_say() -> None:
    """A hundred studies of 60 patients whose answers are right with chance .7: it lies inside about 95 times."""
    rng, covered = np.random.default_rng(0), 0
    for study in range(100):
        labels = np.tile([0, 1], 30)
        said = np.where(rng.uniform(size=60) < 0.7, labels, 1 - labels)
        patients = np.arange(60).astype(str)
        told = headline_intervals(labels, np.eye(2)[said], patients, samples=300, seed=study)["balanced_accuracy"]
        covered += told.low <= 0.7 <= told.high
    assert 88 <= covered <= 99


def test_more_recordings_of_the_same_patients_are_no_more_evidence() -> None:
    """Recordings that merely repeat their patient leave the interval where it was."""
    rng = np.random.default_rng(0)
    labels, patients = np.tile([0, 1, 2], 10), np.char.add("p", np.arange(30).astype(str))
    probabilities = rng.dirichlet(np.ones(3), 30)
    once = headline_intervals(labels, probabilities, patients)
    often = headline_intervals(*(np.repeat(each, 20, axis=0) for each in (labels, probabilities, patients)))
    for name in HEADLINES:
        assert often[name] == pytest.approx(once[name], rel=1e-9)


def test_an_interval_is_the_middle_95_percent() -> None:
    drawn = Resamples(np.arange(2), np.array([[1.0, 1.0], [2.0, 0.0]] * 500 + [[1.0, 1.0]]))
    assert interval_of(np.linspace(0, 1000, 1001), drawn) == Interval(25.0, 975.0)


def test_nothing_to_resample_and_one_undefined_sample_are_undefined() -> None:
    alone = headline_intervals(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array(["a", "b"]), samples=20)
    assert np.isnan([*alone.values()]).all()
    one = headline_intervals(np.zeros(4, int), np.full((4, 2), 0.5), np.array(["a"] * 4), samples=20)
    assert np.isnan([*one.values()]).all()
    labels, _, patients = cohort(0)
    values = np.linspace(0, 1, 100)
    values[7] = np.nan
    assert np.isnan(interval_of(values, resample(labels, patients, samples=100))).all()


def test_an_absent_class_leaves_the_area_undefined_and_the_rest_not() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20)
    told = headline_intervals(np.zeros(20, int), np.stack([p, 1 - p], 1), np.arange(20).astype(str), samples=50)
    assert np.isnan(told["macro_roc_auc"]).all()
    assert told["balanced_accuracy"].low < told["balanced_accuracy"].high


def test_two_models_are_judged_on_the_same_samples() -> None:
    labels, probabilities, patients = cohort(5, n_patients=40)
    for value, low, high in paired_differences(labels, probabilities, probabilities, patients, samples=50).values():
        assert value == low == high == 0
    worse = probabilities.copy()
    spoilt = np.flatnonzero(probabilities.argmax(1) == labels)[:4]
    worse[spoilt] = np.eye(3)[(labels[spoilt] + 1) % 3]
    found = paired_differences(labels, probabilities, worse, patients)
    drawn = resample(labels, patients)
    ours, theirs = (headline_samples(labels, each, drawn) for each in (probabilities, worse))
    for name in HEADLINES:
        before, after = (getattr(classification_metrics(labels, each), name) for each in (probabilities, worse))
        assert found[name].value == pytest.approx(before - after) and found[name].low <= found[name].value
        assert found[name][1:] == interval_of(ours[name] - theirs[name], drawn)
        swapped = paired_differences(labels, worse, probabilities, patients)[name]
        assert swapped == pytest.approx((-found[name].value, -found[name].high, -found[name].low))


def test_what_cannot_be_resampled_is_an_error() -> None:
    labels, probabilities, patients = cohort(0)
    with pytest.raises(NothingToEvaluate):
        headline_intervals(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0, "<U1"))
    broken = probabilities.copy()
    broken[1] = math.nan
    for call in (headline_intervals, lambda *a: paired_differences(a[0], probabilities, *a[1:])):
        with pytest.raises(NonFiniteScores, match=f"1 of {len(labels)} rows"):
            call(labels, broken, patients)
    with pytest.raises(UnknownPatients, match="compare the same"):
        paired_differences(labels, probabilities, probabilities[1:], patients)
