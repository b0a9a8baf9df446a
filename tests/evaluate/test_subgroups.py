"""Groups are judged like everybody, each by its own patients, and small ones only counted."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from jaxresp.corpus import Corpus
from jaxresp.evaluate.bootstrap import HEADLINES, headline_intervals
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.result import plain
from jaxresp.evaluate.subgroups import Subgroup, age_bands, subgroup_columns, subgroups

PATIENTS = np.repeat([f"p{i:02d}" for i in range(24)], 2)
LABELS = np.repeat(np.tile([0, 1, 2], 8), 2)
PROBABILITIES = np.random.default_rng(0).dirichlet(np.ones(3), 48)
SEX = np.repeat(np.where(np.arange(24) < 4, "F", "M"), 2)
PLACE = np.tile(["Al", "Pr"], 24)


def test_a_group_is_judged_as_if_it_were_all() -> None:
    found = subgroups({"place": PLACE}, LABELS, PROBABILITIES, PATIENTS, seed=3)["place"]
    assert list(found) == ["Al", "Pr"]
    own = PLACE == "Pr"
    metrics = classification_metrics(LABELS[own], PROBABILITIES[own])
    told = found["Pr"]
    assert told.metrics == {name: getattr(metrics, name) for name in HEADLINES}
    assert told.intervals == headline_intervals(LABELS[own], PROBABILITIES[own], PATIENTS[own], seed=3)
    assert (told.n, told.n_patients, told.recordings) == (24, 24, (8, 8, 8))


def test_fewer_than_five_patients_are_counted_and_not_judged() -> None:
    found = subgroups({"sex": SEX}, LABELS, PROBABILITIES, PATIENTS)["sex"]
    assert found["F"].suppressed and found["F"].metrics == {} and found["F"].intervals == {}
    assert found["F"].recordings == ()  # nor what they have
    assert (found["F"].n, found["F"].n_patients) == (8, 4)  # eight recordings: patients are what counts
    assert not found["M"].suppressed
    five = np.repeat(np.where(np.arange(24) < 5, "F", "M"), 2)
    assert not subgroups({"sex": five}, LABELS, PROBABILITIES, PATIENTS)["sex"]["F"].suppressed


def test_a_group_of_one_class_has_no_area_and_comes_back_from_json() -> None:
    column = np.where(LABELS == 0, "first", "others")
    found = subgroups({"it": column, "all": np.full(48, "same")}, LABELS, PROBABILITIES, PATIENTS)
    assert list(found) == ["it"]
    told = found["it"]["first"]
    assert math.isnan(told.metrics["macro_roc_auc"]) and told.recordings == (16, 0, 0)
    again = Subgroup.from_json(json.loads(json.dumps(plain(told), allow_nan=False)))
    assert math.isnan(again.metrics["macro_roc_auc"]) and np.isnan(again.intervals["macro_roc_auc"]).all()
    assert (again.metrics["balanced_accuracy"], again.n) == (told.metrics["balanced_accuracy"], told.n)


@pytest.mark.parametrize(
    ("years", "band"),
    [(0, "0–1 years"), (1.9, "0–1 years"), (2, "2–16 years"), (16.99, "2–16 years"), (17, "17–39 years"),
     (40, "40–64 years"), (65, "65 or more years"), (99, "65 or more years"), (math.nan, "not known")],
)  # fmt: skip
def test_ages_fall_into_bands(years: float, band: str) -> None:
    assert age_bands(np.array([years], np.float32)).tolist() == [band]


def test_ages_stand_in_the_order_of_age() -> None:
    ages = age_bands(np.resize(np.float32([70, 50, 20, 5, 1, math.nan]), 48))
    found = subgroups({"age": ages}, LABELS, PROBABILITIES, PATIENTS)["age"]
    years = ["0–1 years", "2–16 years", "17–39 years", "40–64 years", "65 or more years"]
    assert list(found) == [*years, "not known"]


def test_columns_are_of_every_recording(easy_corpus: Corpus) -> None:
    columns = subgroup_columns(easy_corpus)
    assert set(columns) == {"stethoscope", "chest location", "sex", "age", "acquisition mode", "corpus"}
    assert all(len(column) == len(easy_corpus) and (column != "").all() for column in columns.values())
