"""Each test side of a published split by itself, and the intervals of challenge scores."""

from __future__ import annotations

import numpy as np
import pytest

from jaxresp.evaluate.bootstrap import interval_of, resample
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.scores import challenge_scores, score_intervals
from jaxresp.evaluate.sides import judge_sides
from jaxresp.taxonomy import BINARY, CYCLES, SPRSOUND_2_1

N = 120
RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=N)
PROBABILITIES = RNG.dirichlet(np.ones(3), N) * 0.5 + np.eye(3)[LABELS] * 0.5 * RNG.integers(2, size=(N, 1)) + 1e-3
PROBABILITIES /= PROBABILITIES.sum(1, keepdims=True)
OFFICIAL = np.repeat(["train", "inter_test", "intra_test"], [60, 30, 30])
#: Forty train, ten others are of the inter-patient test, and twenty who train are tested too.
PATIENTS = np.concatenate([np.arange(60) % 40, 100 + np.arange(30) % 10, np.arange(30) % 20]).astype(str)
TESTED, FITTED = np.arange(60, N), np.arange(60)


def test_each_side_has_the_numbers_of_its_own_rows() -> None:
    sides = judge_sides(SPRSOUND_2_1, OFFICIAL, LABELS, PROBABILITIES, PATIENTS, TESTED, FITTED)
    assert list(sides) == ["inter_test", "intra_test"]
    for name, side in sides.items():
        own = np.isin(OFFICIAL, name)
        assert side.metrics == classification_metrics(LABELS[own], PROBABILITIES[own])
        assert side.scores == challenge_scores(SPRSOUND_2_1, np.array(side.metrics.confusion))
        low, high = side.score_intervals["SPRSound Score"]
        assert low < side.scores["SPRSound Score"] < high
    assert (sides["inter_test"].n_patients, sides["inter_test"].n_trained_on) == (10, 0)
    assert (sides["intra_test"].n_patients, sides["intra_test"].n_trained_on) == (20, 20)


def test_one_side_or_a_side_that_is_trained_on_is_none_by_itself() -> None:
    asked = (SPRSOUND_2_1, OFFICIAL, LABELS, PROBABILITIES, PATIENTS)
    assert judge_sides(*asked, np.arange(60, 90), FITTED) == {}
    assert judge_sides(*asked, np.arange(N), FITTED) == {}  # as in cross-validation


@pytest.mark.parametrize("task", [SPRSOUND_2_1, CYCLES])
def test_an_interval_is_that_of_scores_of_resampled_rows(task) -> None:
    patients = PATIENTS.copy()
    told = score_intervals(task, LABELS, PROBABILITIES, patients, samples=40, seed=3)
    drawn = resample(LABELS, patients, samples=40, seed=3)
    by_hand = []
    for copies in drawn.copies:
        rows = np.repeat(np.arange(N), copies[drawn.patient].astype(int))
        confusion = np.array(classification_metrics(LABELS[rows], PROBABILITIES[rows]).confusion)
        by_hand.append(challenge_scores(task, confusion))
    assert set(told) == set(by_hand[0])
    for name, interval in told.items():
        assert interval == pytest.approx(interval_of(np.array([each[name] for each in by_hand]), drawn))


def test_a_task_of_no_challenge_has_no_interval() -> None:
    two = PROBABILITIES[:, :2] / PROBABILITIES[:, :2].sum(1, keepdims=True)
    assert score_intervals(BINARY, LABELS % 2, two, PATIENTS, samples=5) == {}
