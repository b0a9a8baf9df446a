"""Laws of pooling window logits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxresp.models import probabilities
from jaxresp.pooling import pool


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Logits, the unit of each row, and the number of units: each unit has at least one row."""
    n_units = draw(st.integers(1, 4))
    unit = np.array([*range(n_units), *draw(st.lists(st.integers(0, n_units - 1), max_size=12))])
    values = st.floats(-30, 30, width=32)
    logits = draw(hnp.arrays(np.float32, (len(unit), draw(st.integers(1, 3))), elements=values))
    return logits, unit, n_units


@given(case=cases(), seed=st.integers(0, 1000))
def test_the_order_of_windows_does_not_matter(case: tuple[np.ndarray, np.ndarray, int], seed: int) -> None:
    logits, unit, n_units = case
    order = np.random.default_rng(seed).permutation(len(unit))
    np.testing.assert_allclose(pool(logits[order], unit[order], n_units), pool(logits, unit, n_units), atol=4e-6)


@given(case=cases())
def test_each_unit_answers_from_its_own_windows_alone(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    logits, unit, n_units = case
    together = pool(logits, unit, n_units)
    assert together.dtype == np.float32
    for i in range(n_units):
        own = logits[unit == i]
        np.testing.assert_array_equal(pool(own, np.zeros(len(own), int), 1)[0], together[i])
        np.testing.assert_allclose(together[i], own.astype(np.float64).mean(0), rtol=1e-6, atol=4e-6)


@given(case=cases(), times=st.integers(2, 5))
def test_windows_heard_again_change_nothing(case: tuple[np.ndarray, np.ndarray, int], times: int) -> None:
    logits, unit, n_units = case
    again = pool(np.tile(logits, (times, 1)), np.tile(unit, times), n_units)
    np.testing.assert_allclose(again, pool(logits, unit, n_units), atol=4e-6)


@given(logits=hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(1)), elements=st.floats(-8, 8, width=32)))
def test_the_mean_logit_is_the_geometric_mean_of_the_odds(logits: np.ndarray) -> None:
    each = probabilities(logits.astype(np.float64))
    odds = np.exp(np.log(each[:, 1] / each[:, 0]).mean())
    pooled = probabilities(pool(logits, np.zeros(len(logits), int), 1))[0]
    assert pooled[1] == pytest.approx(odds / (1 + odds), abs=1e-5)


def test_a_unit_without_a_window_is_an_error_that_counts() -> None:
    with pytest.raises(ValueError, match="2 of 4 units have no window"):
        pool(np.zeros((2, 1), np.float32), np.array([0, 2]), 4)


def test_a_window_of_no_unit_is_an_error() -> None:
    with pytest.raises(ValueError, match="unit 1, and there are 1"):
        pool(np.zeros((2, 1), np.float32), np.array([0, 1]), 1)
