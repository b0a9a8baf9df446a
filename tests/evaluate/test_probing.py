"""The probe finds a stethoscope where the inputs tell it, none where they do not, and meets no patient twice."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jaxresp.evaluate.probing import Probe, probe_stethoscope, probed_stethoscopes
from jaxresp.splits import Fold

N_PATIENTS, EACH = 36, 3
PATIENTS = np.repeat([f"P{i:02}" for i in range(N_PATIENTS)], EACH)
PATIENT = np.repeat(np.arange(N_PATIENTS), EACH)
STETHOSCOPE = np.where(PATIENT % 3 == 0, "Litt3200", "Meditron")


def folds(n: int = 3) -> tuple[Fold, ...]:
    part = PATIENT // 2 % n
    made = []
    for k in range(n):
        others = np.flatnonzero(part != k)
        validates = PATIENT[others] >= N_PATIENTS - 6
        made.append(Fold(others[~validates], others[validates], np.flatnonzero(part == k)))
    return tuple(made)


def telling(strength: float, seed: int = 0) -> np.ndarray:
    """Inputs of which one leans towards the stethoscope, the others say nothing; a constant one does not disturb."""
    x = np.random.default_rng(seed).normal(size=(PATIENT.size, 8))
    x[:, 3] += strength * (STETHOSCOPE == "Meditron")
    return np.concatenate([x, np.full((PATIENT.size, 1), 7.0)], 1).astype(np.float32)


def probe(**inputs: np.ndarray) -> Probe:
    return probe_stethoscope({name: [x] * 3 for name, x in inputs.items()}, STETHOSCOPE, PATIENTS, folds())


def test_what_tells_the_stethoscope_is_found_and_what_does_not_is_not():
    found = probe(telling=telling(6.0), silent=telling(0.0))
    assert found.stethoscopes == ("Litt3200", "Meditron") and found.chance == 0.5
    assert (found.n, found.n_patients) == (PATIENT.size, N_PATIENTS)
    assert found.reached["telling"] > 0.95 and found.intervals["telling"].low > 0.85
    assert found.intervals["silent"].low < 0.5 < found.intervals["silent"].high


def test_a_patient_known_by_heart_tells_nothing_of_others():
    """A signature of each patient names his stethoscope only for who has met him: nobody is on two sides."""
    by_heart = np.eye(N_PATIENTS)[PATIENT] * 5
    assert probe(by_heart=by_heart).reached["by_heart"] < 0.65


def test_a_rare_stethoscope_weighs_as_much_as_a_frequent_one():
    """One in six: a probe that went by frequency would hardly ever name it."""
    rare = np.where(PATIENT < 6, "Litt3200", "Meditron")
    x = np.random.default_rng(3).normal(size=(PATIENT.size, 1)) + 2.0 * (PATIENT < 6)[:, None]
    found = probe_stethoscope({"it": [x] * 3}, rare, PATIENTS, folds())
    assert found.reached["it"] > 0.78


def test_each_fold_is_asked_by_its_own_inputs():
    """The activations of different networks must not be mixed: a fold's inputs may have any sign, or say nothing."""
    x = telling(6.0)
    own = probe_stethoscope({"it": [x, -x, 2 * x]}, STETHOSCOPE, PATIENTS, folds())
    assert own.reached == pytest.approx(probe(it=x).reached)
    one = probe_stethoscope({"it": [x, telling(0, 1), telling(0, 2)]}, STETHOSCOPE, PATIENTS, folds())
    assert one.reached["it"] < 0.8


def test_rare_and_unknown_stethoscopes_are_left_out():
    stethoscope = STETHOSCOPE.copy().astype("<U12")
    stethoscope[PATIENT < 3], stethoscope[PATIENT == 3] = "AKGC417L", ""
    left = probe_stethoscope({"it": [telling(6.0)] * 3}, stethoscope, PATIENTS, folds())
    assert left.stethoscopes == ("Litt3200", "Meditron")
    assert (left.n, left.n_patients) == (PATIENT.size - 4 * EACH, N_PATIENTS - 4)


@pytest.mark.parametrize(("stethoscope", "why"), [
    (np.full(PATIENT.size, "Meditron"), "all tested recordings are of one stethoscope (Meditron)"),
    (np.full(PATIENT.size, ""), "no stethoscope is named"),
    (np.where(PATIENT < 4, "Litt3200", "Meditron"), "fewer than two stethoscopes have 5 tested patients"),
])  # fmt: skip
def test_what_cannot_be_asked_is_undefined_and_said_so(stethoscope, why):
    none = probe_stethoscope({}, stethoscope, PATIENTS, folds())
    assert none.why_not == why and none.reached == {} and np.isnan(none.chance)


def test_a_fold_without_a_stethoscope_to_learn_from_is_named():
    test = np.flatnonzero(STETHOSCOPE == "Litt3200")
    others = np.flatnonzero(STETHOSCOPE == "Meditron")
    sides = (Fold(others[:30], others[30:], test), Fold(test, others[:9], others[9:]))
    names, why = probed_stethoscopes(STETHOSCOPE, PATIENTS, sides)
    assert names == () and why == "fold 1 has no recording of Litt3200 to learn from"


def test_it_comes_back_from_a_file():
    for each in (probe(it=telling(1.0)), Probe(why_not="no stethoscope is named")):
        assert Probe.from_json(json.loads(json.dumps(each.to_json()))) == each
