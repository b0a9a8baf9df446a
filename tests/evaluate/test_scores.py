"""Challenge scores and what an alarm is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from jaxresp.evaluate.operating import (
    PREVALENCES,
    alarm_values,
    predictive_values,
    sensitivity_at_specificity,
)
from jaxresp.evaluate.scores import challenge_scores, icbhi_scores, normal_class, sprsound_scores
from jaxresp.taxonomy import BINARY, CYCLES, DIAGNOSIS, SOUND, SPRSOUND_2_1, SPRSOUND_2_2, TASKS

#: normal, crackle, wheeze, both: of 20 abnormal cycles 9 get their own class and 14 any abnormal one.
CONFUSION = np.array([[6, 2, 1, 1], [3, 5, 1, 1], [2, 1, 3, 0], [1, 1, 1, 1]])


def test_the_icbhi_score_is_the_official_one_and_the_lenient_one_says_so() -> None:
    told = icbhi_scores(CONFUSION, 0)
    assert told["sensitivity"] == 9 / 20 and told["specificity"] == 6 / 10
    assert told["ICBHI Score"] == pytest.approx((0.45 + 0.6) / 2)
    lenient = {name: value for name, value in told.items() if value in (14 / 20, (0.7 + 0.6) / 2)}
    assert len(lenient) == 2 and all("lenient" in name for name in lenient)


def test_the_sprsound_score_is_the_mean_of_average_and_harmonic_score() -> None:
    told = sprsound_scores(CONFUSION, 0)
    harmonic = 2 * 0.45 * 0.6 / (0.45 + 0.6)
    assert told["average score"] == pytest.approx(0.525) and told["harmonic score"] == pytest.approx(harmonic)
    assert told["SPRSound Score"] == pytest.approx((0.525 + harmonic) / 2)
    assert sprsound_scores(np.array([[0, 2], [2, 0]]), 0)["SPRSound Score"] == 0


@pytest.mark.parametrize("absent", [0, slice(1, None)])
def test_a_score_without_its_class_is_undefined(absent: int | slice) -> None:
    confusion = CONFUSION.copy()
    confusion[absent] = 0
    assert math.isnan(icbhi_scores(confusion, 0)["ICBHI Score"])
    assert math.isnan(sprsound_scores(confusion, 0)["SPRSound Score"])


def test_where_the_normal_class_stands_does_not_matter() -> None:
    order = [2, 0, 3, 1]
    for score in (icbhi_scores, sprsound_scores):
        assert score(CONFUSION[np.ix_(order, order)], 1) == pytest.approx(score(CONFUSION, 0))


def test_a_task_has_the_score_of_its_own_challenge() -> None:
    assert "ICBHI Score" in challenge_scores(CYCLES, CONFUSION)
    assert "SPRSound Score" in challenge_scores(SPRSOUND_2_1, CONFUSION[:3, :3])
    assert challenge_scores(BINARY, CONFUSION[:2, :2]) == challenge_scores(SOUND, CONFUSION) == {}
    assert {name: normal_class(task) for name, task in TASKS.items() if normal_class(task) != 0} == {
        DIAGNOSIS.name: DIAGNOSIS.classes.index("Healthy")
    } or DIAGNOSIS.classes.index("Healthy") == 0
    assert normal_class(SPRSOUND_2_2) == 0


scored = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30)


@given(rows=scored, specificity=st.sampled_from([0.0, 0.5, 0.8, 0.9, 1.0]))
def test_sensitivity_at_a_specificity_is_the_best_point_of_the_roc_curve(
    rows: list[tuple[bool, int]], specificity: float
) -> None:
    positive, score = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], float)
    value = sensitivity_at_specificity(positive, score, specificity)
    if positive.all() or not positive.any():
        assert math.isnan(value)
        return
    false_alarms, hits, _ = sklearn.metrics.roc_curve(positive, score, drop_intermediate=False)
    assert value == pytest.approx(hits[1 - false_alarms >= specificity - 1e-12].max())


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.integers(1, 50))
def test_predictive_values_at_the_prevalence_of_a_table_are_the_table_s(tp: int, fn: int, tn: int, fp: int) -> None:
    ill, healthy = tp + fn, tn + fp
    positive, negative = predictive_values(tp / ill, tn / healthy, ill / (ill + healthy))
    assert positive == pytest.approx(tp / (tp + fp)) and negative == pytest.approx(tn / (tn + fn))


def test_an_alarm_that_never_sounds_has_no_predictive_value() -> None:
    assert math.isnan(predictive_values(0.0, 1.0, 0.2)[0])
    assert predictive_values(0.0, 1.0, 0.2)[1] == pytest.approx(0.8)


def test_an_alarm_is_any_answer_but_normal() -> None:
    labels = np.array([0, 0, 1, 2, 2])
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2], [0, 0, 1]])
    told = alarm_values(labels, probabilities, 0)
    assert told["sensitivity of any abnormal answer"] == pytest.approx(2 / 3)
    assert told["specificity"] == 0.5
    for prevalence in PREVALENCES:
        expected = (2 / 3) * prevalence / ((2 / 3) * prevalence + 0.5 * (1 - prevalence))
        assert told[f"PPV at prevalence {prevalence:g}"] == pytest.approx(expected)
