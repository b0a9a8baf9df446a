"""Laws of what is fitted to held-out answers: it recovers what was planted, and promises what it keeps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.calibration import Calibration
from jaxresp.evaluate.calibrating import (
    abstention_threshold,
    cross_fitted,
    fit_calibration,
    fit_conformal,
)
from jaxresp.evaluate.reliability import reliability
from jaxresp.models import probabilities as softmax


def world(seed: int, n: int, prevalence: tuple[float, ...], temperature: float = 1.0, units: int = 1):
    """Logits of a network that was trained on balanced classes and is too sure by `temperature`; labels, patients.

    Normal densities around each class's own axis: their log ratios are the balanced log odds exactly.
    """
    rng = np.random.default_rng(seed)
    k = len(prevalence)
    labels = rng.choice(k, size=n, p=prevalence)
    x = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[labels]
    logits = np.repeat((1.5 * x * temperature).astype(np.float32), units, axis=0)
    return logits, np.repeat(labels, units), np.repeat(np.char.add("p", np.arange(n).astype(str)), units)


def test_what_was_planted_is_found() -> None:
    """A prevalence of 70, 20 and 10 %, and a network three times too sure."""
    prevalence = (0.7, 0.2, 0.1)
    logits, labels, patients = world(0, 4000, prevalence, temperature=3.0)
    found = fit_calibration(logits, labels, patients, 3)
    assert found.temperature == pytest.approx(3.0, rel=0.08)
    assert found.fitted_prevalence == pytest.approx(prevalence, abs=0.02)
    planted = np.log(prevalence) - np.log(prevalence).mean()
    np.testing.assert_allclose(found.class_bias, planted, atol=0.15)


def test_one_logit_is_the_log_odds_of_the_second_class() -> None:
    logits, labels, patients = world(0, 3000, (0.8, 0.2), temperature=2.0)
    one = fit_calibration(logits[:, 1:] - logits[:, :1], labels, patients, 2)
    two = fit_calibration(logits, labels, patients, 2)
    assert one.temperature == pytest.approx(two.temperature, rel=1e-3)
    np.testing.assert_allclose(one.class_bias, two.class_bias, atol=1e-3)


def test_new_patients_are_answered_better_and_at_another_prevalence_too() -> None:
    fitted = fit_calibration(*world(1, 800, (0.7, 0.2, 0.1), temperature=3.0), 3)
    logits, labels, patients = world(2, 3000, (0.7, 0.2, 0.1), temperature=3.0)
    before = reliability(labels, np.asarray(softmax(logits)), patients)
    seen = replace(fitted, prevalence=())
    after = reliability(labels, seen.probabilities(logits), patients)
    assert after.log_loss < before.log_loss - 0.2 and after.brier < before.brier - 0.05
    assert after.ece < 0.03 < before.ece
    logits, labels, patients = world(3, 3000, (0.1, 0.1, 0.8), temperature=3.0)
    elsewhere = fitted.at_prevalence(("a", "b", "c"), {"a": 0.1, "b": 0.1, "c": 0.8})
    assert reliability(labels, elsewhere.probabilities(logits), patients).ece < 0.03
    assert reliability(labels, seen.probabilities(logits), patients).ece > 0.1
    logits, labels, patients = world(4, 3000, (1 / 3,) * 3, temperature=3.0)
    assert reliability(labels, fitted.probabilities(logits), patients).ece < 0.03  # what it is left at


def test_every_patient_weighs_the_same_however_many_recordings_he_has() -> None:
    logits, labels, patients = world(4, 60, (0.5, 0.3, 0.2))
    once = fit_calibration(logits, labels, patients, 3)
    times = 1 + np.arange(60) % 7
    often = fit_calibration(*(np.repeat(each, times, axis=0) for each in (logits, labels, patients)), 3)
    assert often.temperature == pytest.approx(once.temperature, rel=1e-3)
    np.testing.assert_allclose(often.class_bias, once.class_bias, atol=2e-3)
    assert often.conformal == once.conformal or np.allclose(
        [x for x in often.conformal.thresholds if x], [x for x in once.conformal.thresholds if x], atol=2e-3
    )


def test_few_patients_move_little_and_an_absent_class_stays_possible() -> None:
    """Six patients whom the network tells apart perfectly would ask for a temperature of 0."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    logits = np.where(np.eye(3)[labels] > 0, 8.0, 0.0).astype(np.float32)
    found = fit_calibration(logits, labels, np.arange(6).astype(str), 3)
    assert 0.4 < found.temperature < 2
    assert np.isfinite(found.class_bias).all() and found.fitted_prevalence[2] == pytest.approx(0.5 / 7.5)
    assert found.probabilities(np.zeros((1, 3), np.float32))[0, 2] > 0.01


def test_the_prior_correction_is_for_balanced_training_only() -> None:
    labels, patients = np.repeat([0, 1], [90, 10]), np.arange(100).astype(str)
    logits = np.zeros((100, 1), np.float32)
    corrected = fit_calibration(logits, labels, patients, 2)
    assert corrected.probabilities(logits[:1])[0, 1] == pytest.approx(0.5, abs=0.02)  # as if equally frequent
    assert replace(corrected, prevalence=()).probabilities(logits[:1])[0, 1] == pytest.approx(0.1, abs=0.01)
    log_odds = np.full((100, 1), math.log(1 / 9), np.float32)  # already what the world is
    as_it_is = fit_calibration(log_odds, labels, patients, 2, balanced=False)
    assert replace(as_it_is, prevalence=()).probabilities(log_odds[:1])[0, 1] == pytest.approx(0.1, abs=0.02)
    assert abs(np.diff(as_it_is.class_bias)[0]) < 0.2


def test_a_part_has_no_say_in_its_own_answers() -> None:
    logits, labels, patients = world(5, 90, (0.4, 0.4, 0.2), units=2)
    parts = np.repeat(np.arange(90) % 3, 2)
    before = cross_fitted(logits, labels, patients, parts, 3)
    assert all(np.isfinite(each).all() for each in before)
    other = np.where(parts == 1, (labels + 1) % 3, labels)
    after = cross_fitted(logits, other, patients, parts, 3)
    for one, again in zip(before, after, strict=True):
        np.testing.assert_array_equal(one[parts == 1], again[parts == 1])
    assert not np.allclose(before[0][parts == 0], after[0][parts == 0])
    alone = fit_calibration(*(each[parts != 2] for each in (logits, labels, patients)), 3)
    np.testing.assert_allclose(before[0][parts == 2], alone.probabilities(logits[parts == 2]), atol=1e-6)


def test_sets_hold_the_class_of_new_patients_as_often_as_promised() -> None:
    """Over 150 calibrations on 30 patients with three units each; every class, every unit of a new patient."""
    held: list[list[bool]] = [[], []]
    for seed in range(150):
        logits, labels, patients = world(seed, 30, (0.5, 0.5), units=3)
        logits += np.random.default_rng(seed).normal(size=logits.shape).astype(np.float32)
        fitted = replace(Calibration(), conformal=fit_conformal(labels, np.asarray(softmax(logits)), patients))
        new, truth, _ = world(10_000 + seed, 40, (0.5, 0.5))
        new += np.random.default_rng(20_000 + seed).normal(size=new.shape).astype(np.float32)
        kept = fitted.possible(new)
        for c in (0, 1):
            held[c] += kept[truth == c, c].tolist()
    for each in held:
        assert 0.9 <= np.mean(each) < 0.97


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000))
def test_a_fitted_calibration_keeps_its_promise_to_those_it_was_fitted_on(seed: int) -> None:
    logits, labels, patients = world(seed, 120, (0.6, 0.3, 0.1))
    fitted = fit_calibration(logits, labels, patients, 3)
    for by in (fitted, fitted.at_prevalence(("a", "b", "c"), {"a": 0.8, "b": 0.1, "c": 0.1})):
        kept = by.possible(logits)
        for c, threshold in enumerate(fitted.conformal.thresholds):
            held = kept[labels == c, c]
            assert held.all() if threshold is None else 0.9 <= held.mean() < 1 or held.size < 20


@pytest.mark.parametrize(("n_patients", "promised"), [(8, False), (9, True), (30, True)])
def test_a_promise_takes_one_over_alpha_minus_one_patients(n_patients: int, promised: bool) -> None:
    labels = np.zeros(2 * n_patients, int)
    patients = np.repeat(np.arange(n_patients).astype(str), 2)
    p = np.random.default_rng(0).uniform(size=labels.size)
    sets = fit_conformal(labels, np.stack([p, 1 - p], 1), patients)
    assert (sets.thresholds[0] is not None) == promised and sets.patients == (n_patients, 0)
    assert sets.thresholds[1] is None
    assert sets.keeps(np.array([[0.0, 1.0], [1.0, 0.0]]))[:, 1].all()
    if n_patients == 9:  # then only the worst unit of all can bound it
        assert sets.thresholds[0] == pytest.approx(1 - p.min())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_abstention_withholds_the_least_sure_tenth_and_only_where_that_helps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, patients = rng.integers(2, size=80), rng.integers(40, size=80).astype(str)
    p = rng.uniform(size=80)
    probabilities = np.stack([1 - p, p], 1)
    threshold = abstention_threshold(labels, probabilities, patients)
    kept = probabilities.max(1) >= threshold
    weight = 1 / np.unique(patients, return_counts=True)[1][np.unique(patients, return_inverse=True)[1]]
    assert weight[kept].sum() / weight.sum() >= 0.9 - 1e-9
    right = probabilities.argmax(1) == labels
    if threshold:
        assert np.average(right[kept], weights=weight[kept]) > np.average(right, weights=weight)
        assert weight[kept].sum() / weight.sum() < 1


def test_nobody_is_left_without_an_answer_where_all_are_equally_sure() -> None:
    assert abstention_threshold(np.array([0, 1] * 20), np.full((40, 2), 0.5), np.arange(40).astype(str)) == 0
