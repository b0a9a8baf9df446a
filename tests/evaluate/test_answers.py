"""Answers in a file: whatever the order of the rows, and no fault of a file passes unseen."""

from __future__ import annotations

import numpy as np
import pytest

from jaxresp.evaluate.answers import Answers, answers_csv, answers_of_several, check_comparable, read_answers
from jaxresp.evaluate.comparing import Comparison, compare
from jaxresp.evaluate.errors import (
    DuplicatedRows,
    EvaluationError,
    NonFiniteScores,
    NothingToEvaluate,
    UnknownPatients,
)
from jaxresp.evaluate.levels import level, patient_answers
from jaxresp.models import probabilities as softmax
from jaxresp.splits import grouped_stratified_folds

CLASSES = ("Normal", "Chronic", "Infection")
PATIENTS = np.repeat([f"p{i:02d}" for i in range(18)], 2)
LABELS = np.repeat(np.tile([0, 1, 2], 6), 2).astype(np.int32)
NAMES = np.array([f"{who}_{i % 2}" for i, who in enumerate(PATIENTS)])
PROBABILITIES = np.random.default_rng(0).dirichlet(np.ones(3), 36) / 2 + np.eye(3)[LABELS] / 2
FOLDS = grouped_stratified_folds(PATIENTS, LABELS)


def table(probabilities: np.ndarray = PROBABILITIES) -> str:
    return answers_csv(NAMES, PATIENTS, LABELS, probabilities, FOLDS, CLASSES)


def test_what_was_written_is_read_whatever_the_order_of_the_rows() -> None:
    header, *rows = table().splitlines()
    turned = "\n".join([header, *np.random.default_rng(1).permutation(rows)])
    one, other = read_answers(table(), "a"), read_answers(turned, "b")
    check_comparable(one, other)
    for each in (one, other):
        assert each.classes == CLASSES
        np.testing.assert_array_equal(each.recordings, NAMES)
        np.testing.assert_array_equal(each.patients, PATIENTS)
        np.testing.assert_array_equal(each.labels, LABELS)
        np.testing.assert_allclose(each.probabilities, PROBABILITIES, rtol=1e-8)


def test_faults_of_a_file_are_named() -> None:
    header, *rows = table().splitlines()
    with pytest.raises(DuplicatedRows, match=r"theirs.csv answers 1 recordings more than once \(p00_0\)"):
        read_answers("\n".join([header, *rows, rows[0]]), "theirs.csv")
    for broken in ("nan", "inf", "", "much"):
        line = ",".join([*rows[0].split(",")[:-1], broken])
        with pytest.raises(NonFiniteScores, match="1 of 36 rows"):
            read_answers("\n".join([header, line, *rows[1:]]), "theirs.csv")
    for uneven in (rows[1] + ",0.5", rows[1].rpartition(",")[0]):
        with pytest.raises(EvaluationError, match=r"theirs.csv: 1 lines have more or fewer cells.*\(line 3\)"):
            read_answers("\n".join([header, rows[0], uneven, *rows[2:]]), "theirs.csv")
    with pytest.raises(EvaluationError, match=r"class Healthy.*Normal"):
        read_answers("\n".join([header, rows[0].replace("Normal", "Healthy"), *rows[1:]]), "theirs.csv")
    with pytest.raises(EvaluationError, match="no table of answers"):
        read_answers("a,b\n1,2\n", "theirs.csv")
    with pytest.raises(EvaluationError, match="no table of answers"):
        read_answers("", "theirs.csv")
    with pytest.raises(NothingToEvaluate):
        read_answers(header + "\n", "theirs.csv")


def test_models_are_compared_on_the_same_recordings_only() -> None:
    header, *rows = table().splitlines()
    ours = read_answers(table(), "ours")
    with pytest.raises(UnknownPatients, match=r"1 recordings are answered by one model only \(p00_0\)"):
        check_comparable(ours, read_answers("\n".join([header, *rows[1:]]), "theirs"))
    with pytest.raises(UnknownPatients, match=r"1 patients are answered by one model only \(stranger\)"):
        check_comparable(
            ours, read_answers("\n".join([header, rows[0].replace(",p00,", ",stranger,"), *rows[1:]]), "b")
        )
    with pytest.raises(EvaluationError, match="disagree"):
        check_comparable(ours, read_answers("\n".join([header, rows[0].replace("Normal", "Chronic"), *rows[1:]]), "b"))
    with pytest.raises(EvaluationError, match="compare one task"):
        check_comparable(ours, read_answers(table().replace("Infection", "Other"), "b"))


def test_a_comparison_is_against_the_first_and_comes_back_from_its_json() -> None:
    worse = np.tile(PROBABILITIES.mean(0), (36, 1))
    worse /= worse.sum(1, keepdims=True)
    read: dict[str, Answers] = {"good": read_answers(table(), "a"), "bad": read_answers(table(worse), "b")}
    found = compare("multiclass", read)
    assert (found.reference, found.n_patients, list(found.differences)) == ("good", 18, ["bad"])
    assert found.differences["bad"]["balanced_accuracy"].high < 0
    assert Comparison.from_json(found.to_json()) == found


def test_several_models_as_one_answer_by_the_mean_of_their_logits() -> None:
    logits = np.random.default_rng(2).normal(size=(3, 36, 3))
    each = [read_answers(table(np.asarray(softmax(one))), str(i)) for i, one in enumerate(logits)]
    together = answers_of_several(each)
    np.testing.assert_allclose(together.probabilities, softmax(logits.mean(0)), atol=1e-6)
    np.testing.assert_array_equal(together.labels, LABELS)
    with pytest.raises(UnknownPatients):
        answers_of_several([each[0], read_answers(table().rpartition("p17_1,")[0], "less")])


def test_a_patient_s_answer_is_the_geometric_mean_of_his_units_odds() -> None:
    labels, probabilities, names = patient_answers(LABELS, PROBABILITIES, PATIENTS)
    np.testing.assert_array_equal(names, np.unique(PATIENTS))
    np.testing.assert_array_equal(labels, np.tile([0, 1, 2], 6))
    product = np.sqrt(PROBABILITIES[::2] * PROBABILITIES[1::2])
    np.testing.assert_allclose(probabilities, product / product.sum(1, keepdims=True), atol=1e-6)
    order = np.random.default_rng(0).permutation(36)
    again = patient_answers(LABELS[order], PROBABILITIES[order], PATIENTS[order])
    np.testing.assert_allclose(again[1], probabilities, atol=1e-6)
    told = level(labels, probabilities, names, seed=0)
    assert told.metrics.n == 18
    mixed = LABELS.copy()
    mixed[0] = 2
    assert patient_answers(mixed, PROBABILITIES, PATIENTS) is None
