"""Laws of the patient bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from jaxresp.evaluate.bootstrap import patient_bootstrap
from jaxresp.evaluate.metrics import classification_metrics


def mean_of_second(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, ...]:
    return (float(probabilities[:, 1].mean()),)


def cohort(values: np.ndarray, recordings: int = 1):  # type: ignore[no-untyped-def]
    """One class; each patient has so many recordings, all of the patient's value."""
    p = np.repeat(values, recordings)
    patients = np.repeat([f"p{i:03d}" for i in range(len(values))], recordings)
    return np.zeros(p.size, int), np.stack([1 - p, p], 1), patients


def test_the_seed_alone_decides() -> None:
    labels, probabilities, patients = cohort(np.random.default_rng(0).uniform(size=20))
    one, again, other = (
        patient_bootstrap(mean_of_second, labels, probabilities, patients, samples=50, seed=s) for s in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_intervals_cover_as_often_as_they_say() -> None:
    """A hundred studies of 40 patients drawn uniformly: the true mean lies inside about 95 times of 100."""
    rng = np.random.default_rng(0)
    covered = 0
    for study in range(100):
        labels, probabilities, patients = cohort(rng.uniform(size=40))
        (interval,) = patient_bootstrap(mean_of_second, labels, probabilities, patients, samples=200, seed=study)
        covered += interval.low <= 0.5 <= interval.high
    assert 86 <= covered <= 99


def test_more_recordings_of_the_same_patients_are_no_more_evidence() -> None:
    """Recordings that merely repeat their patient leave the interval where it was."""
    values = np.random.default_rng(0).uniform(size=30)
    once = patient_bootstrap(mean_of_second, *cohort(values), seed=0)
    often = patient_bootstrap(mean_of_second, *cohort(values, recordings=20), seed=0)
    np.testing.assert_allclose(once, often, rtol=1e-12)


def test_patients_travel_whole_and_as_many_of_each_class_as_there_are() -> None:
    owned = np.array([1, 2, 3, 4, 5, 6])  # recordings of each patient: their number tells who was drawn
    patients = np.repeat([f"p{i}" for i in owned], owned)
    labels = np.repeat([0, 0, 1, 1, 1, 2], owned)
    who = np.repeat(owned, owned).astype(float)
    order = np.random.default_rng(0).permutation(len(who))  # rows of a patient need not stand together
    seen = []

    def look(y: np.ndarray, p: np.ndarray) -> tuple[float, ...]:
        drawn = p[:, 0].astype(int)
        times = {i: int((drawn == i).sum()) for i in owned}
        assert all(count % i == 0 for i, count in times.items())
        classes = {c: sum(times[i] // i for i in own) for c, own in ((0, (1, 2)), (1, (3, 4, 5)), (2, (6,)))}
        assert classes == {0: 2, 1: 3, 2: 1}
        np.testing.assert_array_equal(y, np.array([0, 0, 0, 1, 1, 1, 2])[drawn])
        seen.append(tuple(times.values()))
        return (0.0,)

    probabilities = np.stack([who, who], 1)[order]
    patient_bootstrap(look, labels[order], probabilities, patients[order], samples=40)
    assert len(set(seen)) > 10


def test_one_patient_per_class_leaves_nothing_to_resample() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    (interval,) = patient_bootstrap(mean_of_second, np.array([0, 1]), probabilities, np.array(["a", "b"]), samples=20)
    assert interval.low == interval.high == pytest.approx(0.45)


def test_what_is_undefined_has_no_interval() -> None:
    """One class only: no ROC-AUC, in the data or in any sample. NaN comes out, without a warning."""
    labels, probabilities, patients = cohort(np.random.default_rng(0).uniform(size=10))

    def statistics(y: np.ndarray, p: np.ndarray) -> tuple[float, ...]:
        metrics = classification_metrics(y, p)
        return metrics.macro_roc_auc, metrics.accuracy

    undefined, accuracy = patient_bootstrap(statistics, labels, probabilities, patients, samples=50)
    assert np.isnan(undefined).all()
    assert np.isfinite(accuracy).all()
    assert accuracy.low < accuracy.high


def test_one_undefined_sample_is_not_left_out() -> None:
    labels, probabilities, patients = cohort(np.random.default_rng(0).uniform(size=10))
    values = iter([np.nan, *np.linspace(0, 1, 99)])
    (interval,) = patient_bootstrap(lambda y, p: (next(values),), labels, probabilities, patients, samples=100)
    assert np.isnan(interval).all()
