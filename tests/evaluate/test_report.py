"""Numbers that leave the program carry their n, their interval and the baseline they must beat."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from jaxresp.evaluate import report, tables, words
from jaxresp.evaluate.bands import InBand
from jaxresp.evaluate.bootstrap import HEADLINES, Difference, Interval
from jaxresp.evaluate.card import card
from jaxresp.evaluate.comparing import Comparison
from jaxresp.evaluate.levels import Level
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.probing import Probe
from jaxresp.evaluate.reliability import reliability
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.selective import selective
from jaxresp.evaluate.shortcuts import Shortcut
from jaxresp.evaluate.sides import Side
from jaxresp.evaluate.subgroups import subgroups
from jaxresp.prediction import NOTICE

LABELS = np.repeat([0, 1], [3, 17])
RIGHT = np.where(LABELS == 1, 0.8, 0.3)
RIGHT[[2, 19]] = 0.7, 0.2  # one mistake in each class


def result(task: str = "binary", features: str = "mfcc", **changes: object) -> Result:
    probabilities = np.stack([1 - RIGHT, RIGHT], 1)
    made = Result(
        name=f"{task}-{features}",
        task=task,
        features=features,
        classes=("Normal", "Abnormal"),
        metrics=classification_metrics(LABELS, probabilities),
        intervals={name: Interval(0.5, 0.875) for name in HEADLINES},
        majority=classification_metrics(LABELS, np.tile([0.15, 0.85], (20, 1))),
        shortcuts={"age": Shortcut(0.875, 0.9), "sex": Shortcut(0.5, 0.5)},
        patients={"Normal": 3, "Abnormal": 12},
        n_patients=15,
        recordings={"Normal": 3, "Abnormal": 17},
        settings={"network": "cnn2d", "filters": 16, "dense": 128, "epochs": 9},
        validation_loss=0.5,
        corpus={"name": "icbhi", "version": "1.0.0", "partial": False, "made_up": False, "fingerprint": "f"},
        split={"name": "folds", "kind": "patient_disjoint", "evidence": "Numbers are out-of-fold.", "sentences": []},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def corpus(**changes: bool) -> dict[str, object]:
    return {**result().corpus, **changes}


def test_every_row_stands_beside_its_interval_and_the_majority() -> None:
    (row,) = tables.rows([result()])
    shown = dict(zip(tables.COLUMNS, row, strict=True))
    assert shown["model"] == "binary-mfcc"
    assert shown["balanced accuracy"] == "0.804 [0.50–0.88]"
    assert shown["accuracy"] == "0.900"
    assert shown["majority (accuracy)"] == "0.500 (0.850)"
    assert shown["network"] == "cnn2d 16×128"


@pytest.mark.parametrize("text", ["0.804", "3 patients / 3 recordings", "12 patients / 17 recordings", NOTICE])
@pytest.mark.parametrize("document", ["markdown", "card"])
def test_report_and_card_carry_numbers_patients_and_the_notice(document: str, text: str) -> None:
    ours = report.markdown([result()]) if document == "markdown" else card(result())
    assert text in ours


@pytest.mark.parametrize("document", ["markdown", "card"])
def test_report_and_card_say_what_of_the_sound_was_heard(document: str) -> None:
    told = result(settings={**result().settings, "band": "common (50–1800 Hz)"})
    ours = report.markdown([told]) if document == "markdown" else card(told)
    assert "\n* Band heard: common (50–1800 Hz)\n" in ours
    assert "Band heard: not recorded" in report.markdown([result()])


def test_tables_are_well_formed() -> None:
    for line_block in (report.markdown([result(), result(features="logmel")]), card(result())):
        tables = [block for block in line_block.split("\n\n") if block.startswith("|")]
        assert len(tables) >= 2
        for table in tables:
            assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_cohort_is_told_once_per_task() -> None:
    lines = report.cohort_lines([result(), result(features="logmel"), result(task="other")])
    assert [line.split(":")[0] for line in lines] == ["binary", "other"]


def test_what_kind_of_corpus_it_was_is_always_said() -> None:
    full = " ".join(report.caveats([result()]))
    part = " ".join(report.caveats([result(corpus=corpus(partial=True))]))
    made_up = " ".join(report.caveats([result(corpus=corpus(partial=True, made_up=True))]))
    assert "subset" not in full and "made up" not in full
    assert "subset of icbhi (20 recordings)" in part
    assert "made up" in made_up and "say nothing about patients" in made_up


def test_models_that_metadata_alone_beats_are_named() -> None:
    """0.804 from the sound; age alone reaches 0.875, the best column first."""
    beaten = report.shortcut_lines([result(), result(features="logmel")])
    assert beaten == [
        "binary, balanced accuracy without listening: age 0.875, sex 0.500",
        "Not better than “age” alone: binary-mfcc, binary-logmel.",
    ]
    better = result(shortcuts={"sex": Shortcut(0.8, 0.8)})
    assert report.shortcut_lines([better]) == ["binary, balanced accuracy without listening: sex 0.800"]
    for document in (report.markdown([result()]), card(result())):
        assert "Not better than “age” alone: binary-mfcc." in document


def test_a_model_is_held_against_the_best_column_on_the_same_patients() -> None:
    beyond = {name: {"balanced_accuracy": Difference(value, value - 0.1, value + 0.1)} for name, value in
              (("age", -0.0625), ("sex", 0.3))}  # fmt: skip
    said = report.shortcut_lines([result(beyond=beyond)])
    assert said[-1] == "binary-mfcc less “age” alone, balanced accuracy, paired: -0.062 [-0.16 to +0.04]"


@pytest.mark.parametrize("document", ["markdown", "card"])
def test_levels_challenge_and_alarm_are_shown(document: str) -> None:
    metrics = classification_metrics(LABELS, np.stack([1 - RIGHT, RIGHT], 1))
    told = result(
        levels={"patient": Level(replace(metrics, n=15), dict.fromkeys(HEADLINES, Interval(0.25, 1.0)))},
        scores={"ICBHI Score": 0.625},
        alarm={"PPV at prevalence 0.05": math.nan},
    )
    ours = report.markdown([told]) if document == "markdown" else card(told)
    assert "\n| recording | 20 | 15 | 0.804 [0.50–0.88] |" in ours
    assert "\n| patient | 15 | 15 | 0.804 [0.25–1.00] |" in ours
    assert "\nChallenge: ICBHI Score 0.625.\n" in ours
    assert "\nAs an alarm: PPV at prevalence 0.05 = undefined.\n" in ours
    assert f"weighted F1 = {metrics.weighted_f1:.3f}" in ours
    assert f"{metrics.macro_pr_auc:.3f} [0.50–0.88]" in ours
    assert "bootstrap over 15 patients, 2,000 samples" in ours


@pytest.mark.parametrize("document", ["markdown", "card"])
def test_a_diagnosis_is_told_in_the_common_band_too(document: str) -> None:
    less = {name: Difference(-0.125, -0.25, 0.5) for name in HEADLINES}
    told = result()
    narrow = InBand("common (50–1800 Hz)", told.metrics, {name: Interval(0.25, 0.75) for name in HEADLINES}, less)
    ours = report.markdown([replace(told, common_band=narrow)])
    if document == "card":
        ours = card(replace(told, common_band=narrow))
    area = told.metrics.macro_pr_auc
    assert f"\n| … in the common band | {told.metrics.balanced_accuracy:.3f} [0.25–0.75] |" in ours
    assert f"\n| PR-AUC | {area:.3f} [0.50–0.88] | {area:.3f} [0.25–0.75] | -0.125 [-0.25 to +0.50] |" in ours
    assert "heard: common (50–1800 Hz)" in ours
    assert "common band" not in report.markdown([told]) + card(told)


def test_a_class_that_nobody_had_is_undefined_and_said_so() -> None:
    told = result(metrics=classification_metrics(np.ones(20, int), np.stack([1 - RIGHT, RIGHT], 1)))
    row = next(row for row in tables.by_class(told.classes, told.metrics).rows if row[0] == "Normal")
    assert list(row[1:7]) == [
        "0.000",
        "undefined",
        "0.000",
        "undefined",
        "undefined",
        "0",
    ]
    assert any("no recording of Normal was tested" in line for line in report.caveats([told]))
    assert not any("was tested" in line for line in report.caveats([result()]))


def test_models_are_compared_in_a_table() -> None:
    difference = {name: Difference(0.125, -0.05, 0.3) for name in HEADLINES}
    said = report.markdown([result()], [Comparison("binary", "binary-mfcc", 15, {"binary-logmel": difference})])
    assert "## binary: models compared" in said and "Less binary-mfcc" in said and "15 patients" in said
    assert "| binary-logmel | +0.125 [-0.05 to +0.30] |" in said
    assert words.with_sign(Difference(0.1, math.nan, math.nan)) == "+0.100 [undefined]"
    assert words.with_sign(Difference(math.nan, math.nan, math.nan)) == "undefined"


def test_few_patients_are_named() -> None:
    assert any("Normal (3)" in line and "Abnormal" not in line for line in report.caveats([result()]))
    many = result(patients={"Normal": 10, "Abnormal": 12})
    assert not any("Fewer than ten" in line for line in report.caveats([many]))


def test_what_is_undefined_is_called_so() -> None:
    nothing = Interval(math.nan, math.nan)
    assert words.number(math.nan) == "undefined"
    assert words.with_interval(math.nan, nothing) == "undefined"
    assert "nan" not in words.with_interval(0.5, nothing)


def test_who_has_units_of_several_classes_is_one_patient() -> None:
    ours = result(patients={"Normal": 3, "Abnormal": 14}, n_patients=15)
    assert "bootstrap over 15 patients" in " ".join(report.caveats([ours]))
    assert {"15"} == {row[2] for row in tables.by_level(ours).rows}


def test_the_sides_of_a_published_test_stand_apart_and_the_headline_is_named() -> None:
    def side(n_trained_on: int, value: float) -> Side:
        made = result()
        interval = {"SPRSound Score": Interval(value - 0.1, value + 0.1)}
        return Side(made.metrics, made.intervals, {"SPRSound Score": value}, interval, 7, n_trained_on)

    ours = result(
        unit="event",
        scores={"SPRSound Score": 0.5},
        score_intervals={"SPRSound Score": Interval(0.4, 0.6)},
        sides={"inter_test": side(0, 0.45), "intra_test": side(7, 0.55)},
    )
    text = card(ours)
    assert "Challenge: SPRSound Score 0.500 [0.40–0.60]." in text
    assert "| inter_test | 20 | 7 (0) |" in text and "| 0.450 [0.35–0.55] |" in text
    assert "| intra_test | 20 | 7 (7) |" in text and "| 0.550 [0.45–0.65] |" in text
    assert "Only inter_test is of patients nobody trained on: the headline." in text
    assert "for one event" in text and "17 events" in text
    assert Result.from_json(json.loads(json.dumps(ours.to_json()))).sides == ours.sides


CHAPTERS = ("Intended use", "Cohort", "Split", "Performance on unseen patients", "Without listening",
            "Calibration and answers withheld", "By group", "Limits", "Provenance")  # fmt: skip


def whole_result() -> Result:
    probabilities = np.stack([1 - RIGHT, RIGHT], 1)
    patients = np.array([f"P{i}" for i in range(20)])
    asked = (LABELS, probabilities, patients)
    return result(
        reliability=dict.fromkeys(("uncalibrated", "calibrated"), reliability(*asked)),
        calibration={"method": "temperature", "temperature": 1.5, "prevalence": [0.5, 0.5],
                     "fitted_prevalence": [0.2, 0.8], "abstain_below": 0.0},
        selective=selective(*asked, np.ones(20, bool), np.ones((20, 2), bool), (0.9, None)),
        subgroups=subgroups({"sex": np.repeat(["F", "M"], [3, 17])}, *asked),
    )  # fmt: skip


def test_a_card_has_every_chapter_in_order_and_none_that_is_empty() -> None:
    text = card(whole_result())
    assert tuple(line[3:] for line in text.splitlines() if line.startswith("## ")) == CHAPTERS
    for chapter in text.split("\n## ")[1:]:
        assert chapter.partition("\n")[2].strip()
    assert "fingerprint f\n" in text and "folds: No patient trained the network that answered for them." in text
    bare = card(result())
    assert "## By group" not in bare and "## Calibration" not in bare


def test_a_card_does_not_promise_a_split_that_its_numbers_do_not_have() -> None:
    split = {"name": "official", "kind": "published_overlap", "evidence": "Overlaps.", "sentences": []}
    text = card(result(split=split))
    assert "not disjoint by patient" in text and "No patient trained" not in text and "unseen patients" not in text


def test_what_gets_no_label_is_said_as_it_is() -> None:
    without = whole_result()
    assert "however low its probability" in card(without)
    held = replace(without, calibration={**without.calibration, "abstain_below": 0.55})
    assert "gives no label below a probability of 0.55" in card(held) and "however low" not in card(held)


def test_what_the_network_knows_of_the_stethoscope_is_said_or_why_not() -> None:
    interval = Interval(0.5, 0.75)
    probe = Probe(("Litt3200", "Meditron"), 30, 12, {"activations": 0.625}, {"activations": interval})
    for text in (card(result(probe=probe)), report.markdown([result(probe=probe)])):
        assert "activations 0.625 [0.50–0.75]; chance 0.500. 30 recordings of 12 patients" in text
    assert "is undefined: one stethoscope." in card(result(probe=Probe(why_not="one stethoscope")))
    assert "stethoscope" not in card(result()).partition("## Without listening")[2].partition("## Limits")[0]
    for each in (None, probe):
        ours = result(probe=each)
        assert Result.from_json(json.loads(json.dumps(ours.to_json()))).probe == each
