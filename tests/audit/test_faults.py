"""Every planted fault is found, and none where none is. What must show where stands in jaxresp.audit.faults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jaxresp.audit import leaking_training
from jaxresp.audit.faults import FAULTS, HONEST, AuditError, faults_named
from jaxresp.audit.finding import lenient_finding, why_not_lenient
from jaxresp.audit.leaking_training import _PLANS, Audited, overlapping_patients
from jaxresp.evaluate.answers import Answers
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.splits import Split, SplitError
from jaxresp.taxonomy import BINARY, CYCLES, DIAGNOSIS, MULTICLASS
from jaxresp.train import fit_standardisation

from .conftest import Auditor, planted

TRAINED = [name for name, fault in FAULTS.items() if fault.leaks != "scoring"]


# What every fault adds, where it must show and where it must not


@pytest.mark.parametrize(
    "name", ["split-by-recording", "augmented-before-split", "smote-before-split", "epoch-on-test"]
)
def test_where_a_patient_is_known_by_his_voice_the_fault_is_found(voices: Auditor, name: str) -> None:
    found = voices.found(name)
    assert found.verdict == "adds", found
    assert found.adds["balanced_accuracy"].value > 0.08


def test_patients_on_both_sides_are_found_in_the_patients_they_are(voices: Auditor) -> None:
    found = voices.found("overlapping-patients")
    assert found.n_touched == 24
    assert found.adds_touched["balanced_accuracy"].low > 0, found


@pytest.mark.slow
def test_what_is_learnt_by_heart_shows_on_labels_without_meaning(nothing: Auditor) -> None:
    assert nothing.found("augmented-before-split").verdict == "adds"


def test_no_epoch_is_better_than_the_one_the_test_side_chose(nothing: Auditor) -> None:
    """Both run through the same epochs with the same weights, so in every fold the kinder choice wins: of chance."""
    right, wrong = nothing.answered("honest"), nothing.answered("epoch-on-test")
    gained = []
    for fold in nothing.audited.split.folds:
        scores = [
            classification_metrics(each.labels[fold.test], each.probabilities[fold.test]).balanced_accuracy
            for each in (right, wrong)
        ]
        assert scores[1] >= scores[0]
        gained.append(scores[1] - scores[0])
    assert np.mean(gained) > 0.05


@pytest.mark.parametrize("name", ["split-by-recording", "overlapping-patients", "normalised-on-all"])
def test_where_nothing_can_be_given_away_nothing_is_found(nothing: Auditor, name: str) -> None:
    found = nothing.found(name)
    assert found.verdict == "nothing seen", found
    difference = found.adds["balanced_accuracy"]
    assert difference.low < 0 < difference.high
    assert difference.high - difference.low > 0.05


def test_units_that_the_tested_had_a_part_in_show_where_a_recorder_hums(humming: Auditor, voices: Auditor) -> None:
    assert humming.found("normalised-on-all").verdict == "adds"
    assert voices.found("normalised-on-all").verdict == "nothing seen"


def test_the_honest_number_is_chance_where_there_is_nothing_to_hear(nothing: Auditor) -> None:
    reached = nothing.found("split-by-recording").right["balanced_accuracy"]
    assert reached.low < 0.5 < reached.high


# What each protocol trains on


@pytest.fixture(scope="module")
def audited() -> Audited:
    return planted(voice=1.0, own=1.0)


@pytest.mark.parametrize("protocol", _PLANS)
def test_every_unit_is_answered_once(audited: Audited, protocol: str) -> None:
    plans = list(_PLANS[protocol](audited))
    np.testing.assert_array_equal(np.sort(np.concatenate([p.tested for p in plans])), np.arange(len(audited.labels)))


@pytest.mark.parametrize("protocol", HONEST)
def test_an_honest_protocol_never_sees_a_tested_patient(audited: Audited, protocol: str) -> None:
    """Nor anything made from his windows: with them changed it trains on the same rows."""
    for k, plan in enumerate(_PLANS[protocol](audited)):
        of_tested = np.isin(audited.bank.recording, plan.tested)
        features, copies = audited.bank.features.copy(), audited.copies.copy()
        features[of_tested], copies[of_tested] = 77.0, 77.0
        spoilt = replace(audited, bank=replace(audited.bank, features=features), copies=copies)
        again = list(_PLANS[protocol](spoilt))[k]
        for rows in ("train", "chooses"):
            of = plan.bank.windows_of(getattr(plan, rows))
            np.testing.assert_array_equal(again.bank.features[of], plan.bank.features[of])
            assert 77.0 not in again.bank.features[of]
        assert plan.standardisation is None


@pytest.mark.parametrize("name", TRAINED)
def test_a_fault_sees_tested_patients(audited: Audited, name: str) -> None:
    """The same spoiling reaches what is trained on, what chooses the epoch, or what standardises."""
    seen = 0
    for k, plan in enumerate(_PLANS[name](audited)):
        features, copies = audited.bank.features.copy(), audited.copies.copy()
        of_tested = np.isin(audited.patients[audited.bank.recording], audited.patients[plan.tested])
        features[of_tested], copies[of_tested] = features[of_tested] + 5.0, copies[of_tested] + 5.0
        spoilt = replace(audited, bank=replace(audited.bank, features=features), copies=copies)
        again = list(_PLANS[name](spoilt))[k]
        of = np.concatenate([plan.bank.windows_of(rows) for rows in (plan.train, plan.chooses)])
        seen += not np.array_equal(again.bank.features[of], plan.bank.features[of])
        if plan.standardisation is not None:
            seen += not np.array_equal(again.standardisation.mean, plan.standardisation.mean)
    assert seen >= 3


def test_faults_differ_from_what_they_are_held_against_in_one_thing(audited: Audited) -> None:
    honest, on_test, on_all = (list(_PLANS[name](audited)) for name in ("honest", "epoch-on-test", "normalised-on-all"))
    for plan, wrong in zip(honest, on_test, strict=True):
        np.testing.assert_array_equal(wrong.train, plan.train)
        np.testing.assert_array_equal(wrong.chooses, wrong.tested)
    for plan, wrong in zip(honest, on_all, strict=True):
        np.testing.assert_array_equal(wrong.train, plan.train)
        np.testing.assert_array_equal(wrong.chooses, plan.chooses)
        np.testing.assert_array_equal(wrong.standardisation.mean, fit_standardisation(audited.bank.clean).mean)
    for right, wrong in zip(
        _PLANS["honest-augmented"](audited), _PLANS["augmented-before-split"](audited), strict=True
    ):
        assert right.train.size == wrong.train.size
        np.testing.assert_array_equal(right.chooses, wrong.chooses)


def test_smote_first_brings_every_class_up_in_training_as_smote_does(audited: Audited) -> None:
    for plan in _PLANS["smote-before-split"](audited):
        windows = plan.bank.windows_of(plan.train)
        count = np.bincount(plan.labels[plan.bank.recording[windows]])
        assert len(set(count.tolist())) == 1


def test_a_recording_never_stands_on_two_sides_of_the_faults_by_patient(audited: Audited) -> None:
    both = set(audited.patients[audited.overlapping].tolist())
    for name in ("split-by-recording", "overlapping-patients"):
        for plan in _PLANS[name](audited):
            fitted = np.concatenate([plan.train, plan.chooses])
            assert set(audited.recordings[fitted].tolist()).isdisjoint(audited.recordings[plan.tested].tolist())
            shared = set(audited.patients[fitted].tolist()) & set(audited.patients[plan.tested].tolist())
            assert shared
            if name == "overlapping-patients":
                assert shared <= both
                tested = set(audited.patients[plan.tested].tolist())
                assert both & tested <= set(audited.patients[plan.train].tolist())  # each with his other recordings
                assert shared.isdisjoint(audited.patients[plan.chooses].tolist())


def test_who_is_left_in_on_both_sides_does_not_depend_on_the_order_of_rows(audited: Audited) -> None:
    order = np.random.default_rng(0).permutation(len(audited.labels))
    chosen = overlapping_patients(audited.patients[order], audited.recordings[order], 0.8, audited.training.seed)
    np.testing.assert_array_equal(chosen, audited.overlapping[order])


def test_a_split_that_leaves_units_untested_is_refused(audited: Audited) -> None:
    split = replace(audited.split, folds=audited.split.folds[:2])
    with pytest.raises(AuditError, match="folds by patient that test every unit once"):
        replace(audited, split=split)
    with pytest.raises(SplitError, match="other recordings"):
        replace(audited, patients=audited.patients[::-1].copy())
    assert isinstance(audited.split, Split)


def test_where_nobody_is_left_to_choose_the_epoch_it_is_said(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = [replace(plan, chooses=plan.chooses[:0]) for plan in _PLANS["honest"](audited)]
    monkeypatch.setattr(leaking_training, "_PLANS", {"honest": lambda _: iter(nobody)})
    with pytest.raises(AuditError, match="no patient is left to choose the epoch"):
        leaking_training.train_and_answer(audited, "honest")


# Scoring


def lenient(labels: list[int], predicted: list[int], n_classes: int = 4) -> Answers:
    probabilities = 0.9 * np.eye(n_classes)[predicted] + 0.1 / n_classes
    names = np.array([f"r{i:03d}" for i in range(len(labels))])
    patients = np.array([f"p{i // 4:02d}" for i in range(len(labels))])
    return Answers(names, patients, np.array(labels), probabilities, CYCLES.classes)


def test_a_lenient_score_adds_where_one_abnormal_class_is_taken_for_another() -> None:
    labels = np.resize([0, 1, 2, 3], 48).tolist()
    wrong_kind = [label if label == 0 or i % 8 < 4 else label % 3 + 1 for i, label in enumerate(labels)]
    found = lenient_finding(FAULTS["lenient-sensitivity"], lenient(labels, wrong_kind), CYCLES)
    assert found.right["score"].value == pytest.approx(0.75)
    assert found.wrong["score"].value == pytest.approx(1.0)
    assert found.adds["score"].value == pytest.approx(0.25)
    assert found.verdict == "adds"
    assert found.n_patients == 12


def test_a_lenient_score_adds_nothing_where_the_abnormal_is_only_missed() -> None:
    labels = np.resize([0, 1, 2, 3], 48).tolist()
    missed = [0 if i % 5 == 0 else label for i, label in enumerate(labels)]
    found = lenient_finding(FAULTS["lenient-sensitivity"], lenient(labels, missed), CYCLES)
    assert found.adds["score"] == (0.0, 0.0, 0.0)
    assert found.verdict == "nothing seen"


def test_a_task_without_a_lenient_score_says_why() -> None:
    assert why_not_lenient(CYCLES) is None
    assert why_not_lenient(MULTICLASS) is None
    assert "one abnormal class" in str(why_not_lenient(BINARY))
    assert why_not_lenient(DIAGNOSIS) is None
    with pytest.raises(AuditError, match="one abnormal class"):
        lenient_finding(FAULTS["lenient-sensitivity"], lenient([0, 1], [1, 0], 2), BINARY)


def test_faults_by_name() -> None:
    assert faults_named(()) == tuple(FAULTS.values())
    assert [fault.name for fault in faults_named(("epoch-on-test", "split-by-recording"))] == [
        "split-by-recording",
        "epoch-on-test",
    ]
    with pytest.raises(AuditError, match="Did you mean 'epoch-on-test'"):
        faults_named(("epoch-on-tset",))
