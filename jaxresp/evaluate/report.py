"""Results in words: for the terminal, for a Markdown file and, sentence by sentence, for the card and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxresp.evaluate.bands import InBand
from jaxresp.evaluate.bootstrap import SAMPLES
from jaxresp.evaluate.comparing import Comparison
from jaxresp.evaluate.metrics import Metrics
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.subgroups import MIN_PATIENTS
from jaxresp.evaluate.tables import (
    COLUMNS,
    by_band,
    by_calibration,
    by_class,
    by_level,
    by_model,
    by_side,
    markdown_table,
    rows,
)
from jaxresp.evaluate.words import left_out, number, with_interval, with_sign
from jaxresp.pages.page import Table
from jaxresp.prediction import NOTICE

SUPPRESSION = (
    f"Groups of fewer than {MIN_PATIENTS} patients are suppressed; metrics are of the classes that a group has."
)


def cohort_lines(results: Sequence[Result]) -> list[str]:
    """Who was there: patients and recordings per class, once per task."""
    lines, seen = [], set()
    for result in results:
        if result.task in seen:
            continue
        seen.add(result.task)
        counts = ", ".join(
            f"{name} {result.patients[name]} patients / {result.recordings[name]} {result.unit}s"
            for name in result.classes
        )
        lines.append(f"{result.task}: {counts}")
    return lines


def shortcut_lines(results: Sequence[Result]) -> list[str]:
    """What the metadata alone reaches, once per task, and which models do not beat it."""
    lines = []
    for task in dict.fromkeys(result.task for result in results):
        of_task = [result for result in results if result.task == task]
        known = sorted(of_task[0].shortcuts.items(), key=lambda item: -item[1].balanced_accuracy)
        columns = ", ".join(f"{name} {number(reached.balanced_accuracy)}" for name, reached in known)
        lines.append(f"{task}, balanced accuracy without listening: {columns}")
        best, reached = known[0]
        beaten = [r.name for r in of_task if r.metrics.balanced_accuracy <= reached.balanced_accuracy]
        if beaten:
            lines.append(f"Not better than “{best}” alone: {', '.join(beaten)}.")
        for result in of_task:
            if best in result.beyond:
                beyond = with_sign(result.beyond[best]["balanced_accuracy"])
                lines.append(f"{result.name} less “{best}” alone, balanced accuracy, paired: {beyond}")
    return lines


def band_line(results: Sequence[Result]) -> str:
    """What of the sound the models heard."""
    bands = dict.fromkeys(str(result.settings.get("band", "not recorded")) for result in results)
    return f"Band heard: {'; '.join(bands)}"


def caveats(results: Sequence[Result]) -> list[str]:
    """What must be read with the numbers."""
    corpus = results[0].corpus
    lines = []
    n, unit = results[0].metrics.n, results[0].unit
    if corpus["made_up"]:
        lines.append(f"These {n} {unit}s are made up: they show that the program works and say nothing about patients.")
    elif corpus["partial"]:
        lines.append(
            f"This is a subset of {corpus['name']} ({n} {unit}s): "
            "it shows that the program works, not how well it diagnoses."
        )
    for result in results:
        answered = np.sum(result.metrics.confusion, axis=0)
        never = [name for name, count in zip(result.classes, answered, strict=True) if count == 0]
        missed = [
            name
            for name, recall, count in zip(result.classes, result.metrics.recall, answered, strict=True)
            if recall == 0 and count > 0
        ]
        if never:
            lines.append(f"{result.name} never answers {' or '.join(never)}, whatever its accuracy.")
        if missed:
            lines.append(f"{result.name} recognises no {' and no '.join(missed)}.")
        absent = [name for name, n in zip(result.classes, result.metrics.support, strict=True) if n == 0]
        if absent:
            lines.append(
                f"{result.name}: no {result.unit} of {' or '.join(absent)} was tested; its recall, ROC-AUC and PR-AUC "
                "are undefined, and macro numbers are of the other classes."
            )
    few = sorted({f"{c} ({n})" for r in results for c, n in r.patients.items() if n < 10})
    if few:
        lines.append(f"Fewer than ten patients in: {', '.join(few)}. Intervals over so few patients are too narrow.")
    looked = [r.name for r in results if r.settings.get("proposals looked at scores") and int(r.split["folds"]) > 1]
    if looked:
        lines.append(
            f"{', '.join(looked)}: later trials were proposed, or given up, by validation patients of all folds, "
            "some of whom another fold tests: a trace of them may be in which settings were tried."
        )
    for task in dict.fromkeys(result.task for result in results):
        first = next(result for result in results if result.task == task)
        if first.left_out:
            lines.append(f"{task}: {left_out(first.left_out, first.unit)}")
    split = results[0].split
    n_patients = " and ".join(str(n) for n in dict.fromkeys(r.n_patients for r in results))
    lines.append(f"{split['evidence']} Intervals: 95 %, bootstrap over {n_patients} patients, {SAMPLES:,} samples.")
    lines += split["sentences"]
    return lines


def setting(results: Sequence[Result]) -> str:
    """Whose recordings the numbers are of."""
    split = results[0].split
    return "unseen patients" if split["kind"] == "patient_disjoint" else f"the published test side ({split['name']})"


def corpus_title(corpus: Mapping[str, Any]) -> str:
    """Name and version of what was tested, and what it lacks: "icbhi 2.0.0 (partial)"."""
    kind = " (made up)" if corpus["made_up"] else " (partial)" if corpus["partial"] else ""
    return f"{corpus['name']} {corpus['version'].removesuffix('+partial')}{kind}"


def markdown(results: Sequence[Result], comparisons: Sequence[Comparison] = ()) -> str:
    """The whole report."""
    corpus = results[0].corpus
    out = [
        f"# {_models(results)} on {setting(results)}: {corpus_title(corpus)}",
        "",
        *markdown_table(COLUMNS, rows(results)),
        "",
        *(f"* {line}" for line in (*cohort_lines(results), *shortcut_lines(results), band_line(results))),
        "",
        *(f"{line}\n" for line in caveats(results)),
    ]
    for comparison in comparisons:
        out += [
            f"## {comparison.what}: models compared",
            "",
            comparison_line(comparison),
            "",
            *table_lines(by_model(comparison)),
            "",
        ]
    for result in results:
        out += [f"## {result.name}", "", *details(result), ""]
    return "\n".join([*out, NOTICE, ""])


def details(result: Result) -> list[str]:
    """What the one row of the table leaves out: by class and level, in the challenge's score, and how far to trust."""
    trust = [*reliance(result), *(f"* {line}" for line in probe_lines(result))]
    return [*performance(result), *(["", *trust] if trust else [])]


def performance(result: Result) -> list[str]:
    """By class, by level, in the challenge's own score, as an alarm, by test side."""
    lines = [*table_lines(by_class(result.classes, result.metrics)), "", averages_line(result.metrics)]
    if result.levels:
        lines += ["", *table_lines(by_level(result))]
    if result.scores:
        lines += ["", challenge_line(result)]
    if result.alarm:
        lines += ["", alarm_line(result)]
    if result.common_band is not None:
        lines += ["", *table_lines(by_band(result, result.common_band)), "", common_band_line(result.common_band)]
    if result.sides:
        lines += ["", *table_lines(by_side(result)), *(["", line] if (line := side_line(result)) else [])]
    return lines


def reliance(result: Result) -> list[str]:
    """Whether probabilities mean what they say, what gets no label, and which classes are not ruled out."""
    lines = [*table_lines(by_calibration(result)), ""] if result.reliability else []
    lines += [f"* {line}" for line in calibration_lines(result)]
    return [*lines, *([f"* {gate_line(result.gate, result.unit)}"] if result.gate else [])]


def calibration_lines(result: Result) -> list[str]:
    """What was calibrated on whom, for which prevalence; what abstention and sets promise, and what was seen."""
    lines = []
    if result.calibration:
        given = result.calibration["prevalence"] or result.calibration["fitted_prevalence"]
        shares, here = (
            ", ".join(f"{name} {share:.2f}" for name, share in zip(result.classes, each, strict=True))
            for each in (given, result.calibration["fitted_prevalence"])
        )
        lines.append(
            f"Calibrated: {result.calibration['method']}, temperature {result.calibration['temperature']:.2f}. "
            f"Answers are for patients of whom these shares have each class: {shares}; `Classifier.at_prevalence` "
            f"moves them elsewhere. The errors above are at the shares of these patients: {here}. Numbers are of "
            "calibrations that did not see the patients they answer for; the released one has seen all of them."
        )
    told = result.selective
    if told is None:
        return lines
    below = result.calibration.get("abstain_below", 0.0)
    rule = (
        f"gives no label below a probability of {below:.2f}"
        if below
        else "gives a label however low its probability is, as no threshold made its answers better"
    )
    error = "undefined" if told.error_answered is None else f"{told.error_answered:.3f}"
    lines.append(
        f"The released Classifier {rule}. Seen: {told.answered:.0%} answered with an error of {error}, "
        f"against {told.error:.3f} if all are (every patient weighs the same)."
    )
    for name, promise, seen in zip(result.classes, told.set_promised, told.set_seen, strict=False):
        said = (
            "too few patients to promise any, so it always stays"
            if promise is None
            else f"at least {promise:.0%} promised to patients like these"
        )
        held = "none" if seen is None else f"{seen:.0%}"
        lines.append(f"Set of classes not ruled out, {name}: {said}; seen {held}.")
    lines.append(f"Sets hold {told.set_size:.2f} classes on average; {told.set_single:.0%} hold one.")
    return lines


def gate_line(gate: Mapping[str, Any], unit: str = "recording") -> str:
    """What recordings (or cycles, or events) must be like to get a label, and how many good ones are lost."""
    a_unit = f"{'An' if unit == 'event' else 'A'} {unit}"
    return (
        f"{a_unit} gets no label that is shorter than {gate['min_duration_s']:.1f} s, quieter than "
        f"{gate['min_rms_dbfs']:.0f} dBFS, heard only below {gate['min_bandwidth_hz']:.0f} Hz, clipped in more than "
        f"{gate['max_clipped_fraction']:.0%} of its samples, or less like the {gate['n_patients']} patients trained on "
        f"than any of them held out. Seen: {gate['refused']:.1%} of the {unit}s of patients whom the gate had not "
        f"seen were refused. Numbers here are of all {unit}s, refused or not."
    )


def comparison_line(comparison: Comparison) -> str:
    """What models are held against, and how to read it."""
    return (
        f"Less {comparison.reference}, which has the lowest validation loss; {comparison.n_patients} patients. "
        "An interval that holds 0 tells the two apart from nothing."
    )


def probe_lines(result: Result) -> list[str]:
    """How well the network knows the stethoscope, beside chance and what tells it without a network."""
    probe = result.probe
    if probe is None:
        return []
    if probe.why_not:
        return [f"How well the network knows the stethoscope is undefined: {probe.why_not}."]
    each = ", ".join(f"{of} {with_interval(value, probe.intervals[of])}" for of, value in probe.reached.items())
    return [
        f"The stethoscope ({' / '.join(probe.stethoscopes)}) of tested patients, named by a linear probe, balanced "
        f"accuracy: {each}; chance {number(probe.chance)}. {probe.n} {result.unit}s of {probe.n_patients} patients. "
        "To answer, a network need not know more of it than the true class tells."
    ]


def challenge_line(result: Result) -> str:
    """The scores of the task's own challenge, with their intervals where they were drawn."""
    each = (
        f"{name} {with_interval(value, result.score_intervals[name])}"
        if name in result.score_intervals
        else f"{name} {number(value)}"
        for name, value in result.scores.items()
    )
    return f"Challenge: {', '.join(each)}."


def side_line(result: Result) -> str:
    """Which test side of several is the headline; nothing where that is not one."""
    new = [name for name, side in result.sides.items() if not side.n_trained_on]
    return f"Only {new[0]} is of patients nobody trained on: the headline." if len(new) == 1 else ""


def common_band_line(told: InBand) -> str:
    """What the common band is, and which networks were asked in it."""
    return (
        f"In the common band, which every stethoscope records, was heard: {told.heard}. The networks of every fold "
        "were fitted anew with the settings that its validation preferred in the wider band; the released one hears "
        "the wider band."
    )


def alarm_line(result: Result) -> str:
    """What any abnormal answer is worth."""
    return _named("As an alarm", result.alarm)


def averages_line(metrics: Metrics) -> str:
    """Averages over the classes that are no headline."""
    averages = {
        "macro precision": metrics.macro_precision,
        "weighted precision": metrics.weighted_precision,
        "weighted F1": metrics.weighted_f1,
    }
    shares = [share / metrics.n for share in metrics.support if 0 < share < metrics.n]
    guess = f" A guess reaches a PR-AUC of {number(float(np.mean(shares)))}." if shares else ""
    return _named("Averages", averages) + guess


def _models(results: Sequence[Result]) -> str:
    return "One model" if len(results) == 1 else f"{len(results)} models"


def table_lines(table: Table) -> list[str]:
    """A table in Markdown."""
    return markdown_table(table.head, table.rows)


def _named(title: str, values: Mapping[str, float]) -> str:
    return f"{title}: {', '.join(f'{name} = {number(value)}' for name, value in values.items())}."
