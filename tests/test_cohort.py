"""What an answer warns of: whatever lies outside the training's ranges, and nothing within them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxresp.audio import AudioFacts
from jaxresp.classifier import Classifier, untrained
from jaxresp.cohort import Cohort

COHORT = Cohort(age_years=(4.0, 90.0), native_rate_hz=(4_000.0, 44_100.0), bandwidth_hz=(500.0, 20_000.0))
FACTS = AudioFacts(
    duration_s=20.0,
    native_rate_hz=44_100,
    channels=1,
    subtype="PCM_16",
    peak_dbfs=-3.0,
    rms_dbfs=-20.0,
    clipped_fraction=0.0,
    bandwidth_hz=2_000.0,
)


@given(
    age=st.none() | st.floats(4, 90),
    rate=st.integers(4_000, 192_000),
    bandwidth=st.floats(500, 96_000),
)
def test_within_the_ranges_nothing_is_warned_of(age: float | None, rate: int, bandwidth: float) -> None:
    assert COHORT.warnings(replace(FACTS, native_rate_hz=rate, bandwidth_hz=bandwidth), age) == ()


@pytest.mark.parametrize(
    ("facts", "age", "words"),
    [
        (FACTS, 3.9, ("3.9 years", "4 to 90")),
        (FACTS, 91.0, ("91 years", "4 to 90")),
        (replace(FACTS, bandwidth_hz=499.0), None, ("narrow band", "499 Hz", "500 Hz")),
        (replace(FACTS, native_rate_hz=3_999), None, ("narrow band", "3999 Hz", "4000 Hz")),
    ],
)
def test_outside_of_them_it_is_and_in_numbers(facts: AudioFacts, age: float | None, words: tuple[str, ...]) -> None:
    (warning,) = COHORT.warnings(facts, age)
    assert all(word in warning for word in words)


def test_unknown_ages_are_said_to_be_so() -> None:
    unknown = replace(COHORT, age_years=None)
    assert unknown.warnings(FACTS, None) == ()
    (warning,) = unknown.warnings(FACTS, 50.0)
    assert "not known" in warning


def test_ranges_are_those_of_what_is_known() -> None:
    def column(*values: float) -> np.ndarray:
        return np.array(values, np.float32)

    rates = np.array([10_000, 4_000, 44_100], np.int32)
    made = Cohort.of(age_years=column(np.nan, 7, 70), native_rate_hz=rates, bandwidth_hz=column(np.nan, np.nan, np.nan))
    assert made == Cohort((7.0, 70.0), (4_000.0, 44_100.0), None)
    assert Cohort.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_a_classifier_carries_its_cohort_and_warns_by_it(tmp_path: Path) -> None:
    made = untrained("binary-mfcc")
    assert made.spec.cohort is None
    made.spec = replace(made.spec, cohort=COHORT)
    made.save(tmp_path / "c")
    loaded = Classifier.load(tmp_path / "c")
    assert loaded.spec.cohort == COHORT
    assert loaded._warnings(FACTS, 95.0) == COHORT.warnings(FACTS, 95.0) != ()
    assert untrained("binary-mfcc")._warnings(FACTS, 95.0) == ()
