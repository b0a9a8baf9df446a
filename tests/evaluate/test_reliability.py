"""Laws of calibration error, risk and coverage; scikit-learn's numbers where it has them."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.calibration import Calibration, Conformal
from jaxresp.evaluate.errors import NonFiniteScores
from jaxresp.evaluate.reliability import Reliability, curve, patient_weights, reliability
from jaxresp.evaluate.selective import Selective, promised, risk_coverage, selective


def answers(seed: int, n: int = 60, classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(classes, size=n), rng.dirichlet(np.ones(classes), n), rng.integers(20, size=n).astype(str)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_log_loss_and_brier_score_are_scikit_learns_with_a_weight_per_patient(seed: int) -> None:
    labels, probabilities, patients = answers(seed)
    told, weight = reliability(labels, probabilities, patients), patient_weights(patients)
    expected = sklearn.metrics.log_loss(labels, probabilities, sample_weight=weight, labels=[0, 1, 2])
    assert told.log_loss == pytest.approx(expected)
    each = [sklearn.metrics.brier_score_loss(labels == c, probabilities[:, c], sample_weight=weight) for c in range(3)]
    assert told.brier == pytest.approx(sum(each))
    assert (told.n, told.n_patients) == (60, np.unique(patients).size)
    assert Reliability.from_json(told.to_json()) == told


def test_every_patient_weighs_the_same() -> None:
    weight = patient_weights(np.array(["a", "b", "b", "b", "c", "c"]))
    np.testing.assert_allclose(weight, [1 / 3, 1 / 9, 1 / 9, 1 / 9, 1 / 6, 1 / 6])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 120))
def test_bins_hold_everybody_and_average_to_the_whole(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    said, truth, weight = rng.integers(0, 12, n) / 11, rng.integers(0, 2, n).astype(float), rng.uniform(0.1, 1, n)
    points = np.array(curve(truth, said, weight))
    assert points[:, 2].sum() == pytest.approx(1) and 1 <= len(points) <= 10
    assert points[:, 2] @ points[:, 0] == pytest.approx(np.average(said, weights=weight))
    assert points[:, 2] @ points[:, 1] == pytest.approx(np.average(truth, weights=weight))
    assert (np.diff(points[:, 0]) > 0).all()


def test_bins_are_of_about_equal_weight_wherever_the_probabilities_are() -> None:
    said = np.random.default_rng(0).uniform(size=1000) ** 6  # most below .1
    points = np.array(curve(np.zeros(1000), said, np.full(1000, 1e-3)))
    assert len(points) == 10
    np.testing.assert_allclose(points[:, 2], 0.1, atol=0.002)


def test_the_error_is_nothing_for_the_truth_and_its_distance_for_a_constant() -> None:
    labels, patients = np.repeat([0, 1], [30, 70]), np.arange(100).astype(str)
    perfect = reliability(labels, np.eye(2)[labels], patients)
    assert perfect.ece == perfect.brier == 0 and perfect.log_loss == pytest.approx(0, abs=1e-9)
    assert reliability(labels, np.tile([0.3, 0.7], (100, 1)), patients).ece == pytest.approx(0)
    assert reliability(labels, np.tile([0.5, 0.5], (100, 1)), patients).ece_by_class == pytest.approx((0.2, 0.2))
    with pytest.raises(NonFiniteScores):
        reliability(labels, np.full((100, 2), np.nan), patients)


def test_risk_at_a_coverage_is_the_error_of_the_surest() -> None:
    wrong = np.array([True, False, False, True, False])
    sureness = np.array([0.5, 0.9, 0.7, 0.6, 0.6])
    points = dict(risk_coverage(wrong, sureness, np.full(5, 0.2)))
    assert list(points) == pytest.approx([0.2, 0.4, 0.8, 1.0])  # .6 twice: together
    assert list(points.values()) == pytest.approx([0, 0, 0.25, 0.4])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_abstention_and_sets_are_counted_by_patient(seed: int) -> None:
    labels, probabilities, patients = answers(seed)
    rng = np.random.default_rng(seed)
    answered, possible = rng.uniform(size=60) < 0.7, rng.uniform(size=(60, 3)) < 0.6
    told = selective(labels, probabilities, patients, answered, possible, (0.9, None, 0.9))
    weight = patient_weights(patients)
    wrong = probabilities.argmax(1) != labels
    assert told.answered == pytest.approx(weight[answered].sum())
    assert told.error_answered == pytest.approx(np.average(wrong[answered], weights=weight[answered]))
    assert told.curve[-1] == pytest.approx((1, told.error))
    for c in range(3):
        own = labels == c
        names = np.unique(patients[own])
        each = [possible[own & (patients == name), c].mean() for name in names]
        assert told.set_seen[c] == pytest.approx(np.mean(each))
    assert Selective.from_json(told.to_json()) == told


def test_what_nobody_could_show_is_none() -> None:
    labels, probabilities, patients = answers(0)
    nobody = np.zeros(60, bool)
    told = selective(labels * 0, probabilities, patients, nobody, np.ones((60, 3), bool), (None, None, None))
    assert told.error_answered is None and told.set_seen == (1.0, None, None)
    sets = Conformal(0.2, (0.5, None), (9, 3))
    assert promised(Calibration(conformal=sets)) == (0.8, None) and promised(Calibration()) == ()
