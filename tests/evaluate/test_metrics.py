"""Metrics are scikit-learn's, where it has them, on any labels: absent classes, classes never answered, ties."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.evaluate.errors import NonFiniteScores, NothingToEvaluate
from jaxresp.evaluate.metrics import classification_metrics, confusion_matrix, macro_log_loss, rates, roc_auc


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities with many ties in their columns and none within a row."""
    n_classes = draw(st.integers(2, 5))
    present = draw(st.lists(st.integers(0, n_classes - 1), min_size=1, max_size=n_classes, unique=True))
    labels = np.array(draw(st.lists(st.sampled_from(present), min_size=1, max_size=30)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    odds = 2.0 ** rng.permuted(np.tile(np.arange(n_classes), (len(labels), 1)), axis=1)
    return labels, odds / odds.sum(1, keepdims=True)


@settings(deadline=None, max_examples=60)
@given(case=answers())
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_metrics_equal_scikit_learns(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = case
    predicted, classes = probabilities.argmax(1), np.arange(probabilities.shape[1])
    metrics = classification_metrics(labels, probabilities)
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    np.testing.assert_allclose(metrics.precision, precision)
    np.testing.assert_allclose(metrics.recall, recall)
    np.testing.assert_allclose(metrics.f1, f1)
    np.testing.assert_array_equal(metrics.support, support)
    np.testing.assert_array_equal(
        metrics.confusion, sklearn.metrics.confusion_matrix(labels, predicted, labels=classes)
    )
    assert metrics.n == len(labels)
    assert metrics.accuracy == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    assert metrics.balanced_accuracy == pytest.approx(sklearn.metrics.balanced_accuracy_score(labels, predicted))
    for average in ("macro", "weighted"):
        for name, theirs in (("precision", sklearn.metrics.precision_score), ("f1", sklearn.metrics.f1_score)):
            expected = theirs(labels, predicted, average=average, zero_division=0)
            assert getattr(metrics, f"{average}_{name}") == pytest.approx(expected)


@settings(deadline=None, max_examples=60)
@given(case=answers())
@pytest.mark.parametrize(
    ("name", "theirs"),
    [("roc_auc", sklearn.metrics.roc_auc_score), ("pr_auc", sklearn.metrics.average_precision_score)],
)
def test_areas_equal_scikit_learns_and_are_nan_where_undefined(
    case: tuple[np.ndarray, np.ndarray], name: str, theirs: Callable[..., float]
) -> None:
    labels, probabilities = case
    metrics = classification_metrics(labels, probabilities)
    defined = []
    for c, value in enumerate(getattr(metrics, name)):
        if len(set((labels == c).tolist())) == 2:
            expected = theirs(labels == c, probabilities[:, c])
            assert value == pytest.approx(expected)
            defined.append(expected)
        else:
            assert math.isnan(value)
    assert len(getattr(metrics, name)) == probabilities.shape[1]
    macro = getattr(metrics, f"macro_{name}")
    assert macro == pytest.approx(np.mean(defined) if defined else math.nan, nan_ok=True)


@settings(deadline=None)
@given(
    positive=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    negative=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
)
def test_roc_auc_is_the_chance_that_a_positive_outscores_a_negative(positive: list[int], negative: list[int]) -> None:
    wins = np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative])
    labels = np.array([1] * len(positive) + [0] * len(negative))
    assert roc_auc(labels, np.array(positive + negative, float)) == pytest.approx(wins)


def test_a_binary_auc_is_the_same_for_both_classes() -> None:
    rng = np.random.default_rng(0)
    labels, p = rng.integers(2, size=50), rng.uniform(size=50)
    both = classification_metrics(labels, np.stack([1 - p, p], 1)).roc_auc
    assert both[0] == pytest.approx(both[1])


def test_the_majority_predictor_is_seen_through() -> None:
    """High accuracy, and every metric that must not be fooled at its value for knowing nothing."""
    labels = np.array([0] * 5 + [1] * 95)
    metrics = classification_metrics(labels, np.tile([0.05, 0.95], (100, 1)))
    assert metrics.accuracy == 0.95
    assert metrics.balanced_accuracy == 0.5
    assert metrics.macro_roc_auc == 0.5
    assert metrics.recall == (0.0, 1.0)
    assert metrics.precision == (0.0, 0.95)


def test_rows_of_the_confusion_matrix_are_true_and_columns_answered() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2]), np.array([1, 1, 1, 0]), 3)
    assert matrix.tolist() == [[0, 2, 0], [0, 1, 0], [1, 0, 0]]


@given(case=answers(), seed=st.integers(0, 99))
def test_the_order_of_units_does_not_matter(case: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    labels, probabilities = case
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = classification_metrics(labels[order], probabilities[order])
    ours = classification_metrics(labels, probabilities)
    np.testing.assert_equal(
        (shuffled.confusion, shuffled.roc_auc, shuffled.f1), (ours.confusion, ours.roc_auc, ours.f1)
    )
    np.testing.assert_allclose(shuffled.pr_auc, ours.pr_auc)


def test_many_confusion_matrices_at_once_say_what_each_says_alone() -> None:
    many = np.random.default_rng(0).integers(0, 4, (3, 5, 4, 4))
    many[0, 0, 1] = 0  # an absent class
    together = rates(many)
    for i, j in np.ndindex(3, 5):
        for ours, alone in zip(together, rates(many[i, j]), strict=True):
            np.testing.assert_allclose(ours[i, j], alone)


@given(case=answers())
def test_macro_log_loss_is_the_mean_over_classes_present_of_scikit_learns(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, probabilities = case
    classes = np.arange(probabilities.shape[1])
    each = [
        sklearn.metrics.log_loss(labels[labels == c], probabilities[labels == c], labels=classes)
        for c in np.unique(labels)
    ]
    assert macro_log_loss(labels, probabilities) == pytest.approx(np.mean(each))


def test_macro_log_loss_is_finite_for_a_sure_mistake_and_not_for_nan() -> None:
    assert macro_log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-math.log(1e-7))
    assert math.isnan(macro_log_loss(np.array([0, 1]), np.array([[np.nan, np.nan], [0.5, 0.5]])))


def test_what_cannot_be_evaluated_is_an_error() -> None:
    with pytest.raises(NothingToEvaluate, match="no units"):
        classification_metrics(np.zeros(0, int), np.zeros((0, 2)))
    with pytest.raises(NonFiniteScores, match="2 of 3 rows have non-finite"):
        classification_metrics(np.array([0, 1, 1]), np.array([[0.5, 0.5], [np.nan, 1], [np.inf, 0]]))
