"""Laws of calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxresp.calibration import Calibration
from jaxresp.models import probabilities

logits = hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(-20, 20, width=32))


@given(logits=logits)
def test_the_identity_changes_nothing(logits: np.ndarray) -> None:
    np.testing.assert_array_equal(Calibration().probabilities(logits), probabilities(logits))


@given(logits=logits, temperature=st.floats(0.2, 5.0), below=st.floats(0, 1))
def test_temperature_changes_no_answer_and_abstention_no_probability(
    logits: np.ndarray, temperature: float, below: float
) -> None:
    plain, warm = probabilities(logits), Calibration("t", temperature, abstain_below=below).probabilities(logits)
    np.testing.assert_allclose(warm.sum(1), 1, atol=1e-6)
    assert warm.dtype == np.float32
    kept = np.take_along_axis(warm, plain.argmax(1)[:, None], 1)[:, 0]
    np.testing.assert_allclose(kept, warm.max(1), atol=1e-6)


@pytest.mark.parametrize(("temperature", "surer"), [(0.5, True), (2.0, False)])
def test_a_high_temperature_makes_less_sure(temperature: float, surer: bool) -> None:
    some = np.array([[1.0], [-2.0]], np.float32)
    warm = Calibration("t", temperature).probabilities(some).max(1)
    assert ((warm > probabilities(some).max(1)) == surer).all()


@given(logits=logits, shift=st.floats(-5, 5))
def test_a_bias_shifts_the_log_odds_by_itself_and_a_common_one_by_nothing(logits: np.ndarray, shift: float) -> None:
    n_classes = max(2, logits.shape[1])
    plain = probabilities(logits.clip(-5, 5))
    common = Calibration("b", class_bias=(shift,) * n_classes).probabilities(logits.clip(-5, 5))
    np.testing.assert_allclose(common, plain, atol=1e-5)
    first = Calibration("b", class_bias=(shift, *[0.0] * (n_classes - 1))).probabilities(logits.clip(-5, 5))
    np.testing.assert_allclose(np.log(first[:, 0] / first[:, 1]), np.log(plain[:, 0] / plain[:, 1]) + shift, atol=1e-3)


def test_temperature_is_divided_by_before_the_bias_is_added() -> None:
    said = Calibration("both", 2.0, (0.0, 1.0)).probabilities(np.array([[3.0]], np.float32))
    assert said[0, 1] == pytest.approx(1 / (1 + np.exp(-(3.0 / 2.0 + 1.0))), abs=1e-6)


def test_all_settings_are_in_the_dictionary() -> None:
    some = Calibration("m", 2.0, (0.5, -0.5), 0.7)
    assert Calibration(**some.to_dict()) == some
