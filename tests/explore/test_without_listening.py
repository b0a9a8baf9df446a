"""What the metadata gives away is found where it was planted, and not where it was not."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from jaxresp.explore.statistics import classes_of
from jaxresp.explore.without_listening import clue_columns, questions, verdict
from jaxresp.taxonomy import BINARY, MULTICLASS

from .conftest import little_corpus

N = 24
DIAGNOSES = np.array(["Healthy", "COPD", "Pneumonia"])[np.arange(N) % 3]


def asked(**columns):
    corpus = little_corpus(N, **{"diagnosis": DIAGNOSES, **columns})
    return questions(corpus, classes_of(corpus))


def test_a_column_that_is_the_diagnosis_answers_everything():
    age = np.select([DIAGNOSES == "Healthy", DIAGNOSES == "COPD"], [5.0, 70.0], 30.0).astype(np.float32)
    for question, task in zip(asked(age_years=age), (BINARY, MULTICLASS), strict=True):
        assert question.classes == task.classes
        clue = question.clues[0]
        assert {each.name for each in question.clues} == {"age", "is a child"}
        assert (clue.name, clue.balanced_accuracy, clue.macro_roc_auc) == ("age", 1, 1)
        assert clue.balanced_accuracy_interval == clue.macro_roc_auc_interval == (1, 1)
        assert "Told only “age”, and hearing nothing" in verdict(question)


def test_a_column_that_is_no_answer_is_not_called_a_shortcut():
    verdicts = []
    for seed in range(5):
        sex = np.random.default_rng(seed).choice(["F", "M"], N)
        verdicts.append(verdict(asked(sex=sex)[0]))
    assert sum("no shortcut was found" in said for said in verdicts) >= 4, verdicts


def test_both_stethoscope_tags_stand_side_by_side_where_they_differ():
    tags = np.array(["Meditron", "Litt3200"])[(DIAGNOSES == "Healthy").astype(int)]
    other = np.where(np.arange(N) == 0, "AKGC417L", "")
    assert "stethoscope (disputed tags)" not in clue_columns(little_corpus(N, stethoscope=tags))
    columns = clue_columns(little_corpus(N, stethoscope=tags, stethoscope_disputed=other))
    np.testing.assert_array_equal(columns["stethoscope"], tags)
    np.testing.assert_array_equal(columns["stethoscope (disputed tags)"], np.where(other != "", other, tags))


def test_columns_that_say_the_same_of_all_are_left_out():
    assert set(clue_columns(little_corpus(N))) == set()
    assert set(clue_columns(little_corpus(N, sex=np.array(["F", *["M"] * (N - 1)])))) == {"sex"}


def test_the_columns_of_a_made_up_corpus_are_all_there(uneven_corpus):
    found = {"age", "sex", "stethoscope", "acquisition mode", "chest location", "native rate", "duration"}
    assert found <= set(clue_columns(uneven_corpus))


def test_recordings_of_other_classes_are_left_out_and_counted():
    diagnosis = DIAGNOSES.copy()
    diagnosis[:2] = ["", "Gout"]
    for question in asked(diagnosis=diagnosis, sex=np.array(["F", "M"])[np.arange(N) % 2]):
        assert (question.n_recordings, question.n_patients, question.left_out) == (N - 2, N - 2, 2)
        assert not question.why_not


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"diagnosis": np.full(N, "COPD")}, r"one class only \(COPD\)"),
        ({"diagnosis": np.where(DIAGNOSES == "Healthy", "COPD", DIAGNOSES)}, "Normal has 0"),
        ({"diagnosis": np.full(N, ""), "sound_label": DIAGNOSES, "patient": np.full(N, "one")}, "too few patients"),
        ({"diagnosis": np.full(N, "")}, "no class"),
        ({"diagnosis": np.full(N, ""), "sound_label": np.full(N, "Normal")}, r"one class only \(Normal\)"),
    ],
)
def test_what_cannot_be_asked_says_why(columns, why):
    for question in asked(**columns):
        assert question.clues == ()
        assert re.search(why, question.why_not), question.why_not


def test_a_corpus_without_diagnoses_is_asked_for_its_labels():
    labels = np.array(["CAS", "Normal", "DAS", "Poor Quality"])[np.arange(N) % 4]
    location = np.array(["p1", "p2", "p3", "p4"])[np.arange(N) % 4]
    (question,) = asked(diagnosis=np.full(N, ""), sound_label=labels, location=location)
    assert set(question.classes) == set(labels.tolist())
    assert question.clues[0].name == "chest location" and question.clues[0].balanced_accuracy == 1


def test_the_seed_decides():
    corpus = little_corpus(N, diagnosis=DIAGNOSES, sex=np.random.default_rng(0).choice(["F", "M"], N))

    def numbers(seed):
        return [dataclasses.astuple(question) for question in questions(corpus, classes_of(corpus), seed=seed)]

    assert numbers(1) == numbers(1)
    assert numbers(1) != numbers(2)
