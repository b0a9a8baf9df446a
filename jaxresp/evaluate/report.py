"""Results as tables and words: for the terminal, for a Markdown file, for a model card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxresp.evaluate.bootstrap import HEADLINES, SAMPLES, Difference, Interval
from jaxresp.evaluate.comparing import Comparison
from jaxresp.evaluate.levels import Level
from jaxresp.evaluate.metrics import Metrics
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.subgroups import MIN_PATIENTS
from jaxresp.evaluate.tables import markdown_table
from jaxresp.prediction import NOTICE

COLUMNS = ("model", "balanced accuracy", "macro F1", "ROC-AUC", "accuracy", "majority (accuracy)", "network")


def number(value: float) -> str:
    """Three decimals, or what cannot be said."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def with_interval(value: float, interval: Interval) -> str:
    """The number with its interval, whose ends are themselves uncertain: two decimals."""
    ends = "undefined" if any(map(math.isnan, interval)) else f"{interval.low:.2f}–{interval.high:.2f}"
    return f"{number(value)} [{ends}]"


def with_sign(difference: Difference) -> str:
    """By how much one number exceeds another, with its interval."""
    if math.isnan(difference.value):
        return "undefined"
    ends = (
        "undefined"
        if math.isnan(difference.low) or math.isnan(difference.high)
        else f"{difference.low:+.2f} to {difference.high:+.2f}"
    )
    return f"{difference.value:+.3f} [{ends}]"


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """One row per model under COLUMNS; what chance and the majority would reach stands beside it."""
    return [
        (
            result.name,
            *(with_interval(getattr(result.metrics, name), result.intervals[name]) for name in HEADLINES),
            number(result.metrics.accuracy),
            f"{number(result.majority.balanced_accuracy)} (accuracy {number(result.majority.accuracy)})",
            f"{result.settings['network']} {result.settings['filters']}×{result.settings['dense']}",
        )
        for result in results
    ]


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
            lines.append(f"Not better than {best} alone: {', '.join(beaten)}.")
        for result in of_task:
            if best in result.beyond:
                beyond = with_sign(result.beyond[best]["balanced_accuracy"])
                lines.append(f"{result.name} less {best} alone, balanced accuracy, paired: {beyond}")
    return lines


def band_line(results: Sequence[Result]) -> str:
    """What of the sound the models heard."""
    bands = dict.fromkeys(str(result.settings.get("band", "not recorded")) for result in results)
    return f"Band heard: {', '.join(bands)}"


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
        f"# Six models on {setting(results)}: {corpus_title(corpus)}",
        "",
        *markdown_table(COLUMNS, rows(results)),
        "",
        *(f"* {line}" for line in (*cohort_lines(results), *shortcut_lines(results), band_line(results))),
        "",
        *(f"{line}\n" for line in caveats(results)),
    ]
    for comparison in comparisons:
        out += [f"## {comparison.what}: models compared", "", *compared(comparison), ""]
    for result in results:
        out += [f"## {result.name}", "", *details(result), ""]
    return "\n".join([*out, NOTICE, ""])


def card(result: Result) -> str:
    """The model card of one Classifier (Mitchell et al., "Model Cards for Model Reporting", FAT* 2019)."""
    corpus = result.corpus
    settings = ", ".join(f"{key} {value}" for key, value in result.settings.items())
    return "\n".join(
        [
            f"# {result.name}",
            "",
            f"Answers {' / '.join(result.classes)} for one {result.unit}, from {result.features} features.",
            "",
            "## Intended use",
            "",
            f"Research on respiratory sound. {NOTICE}",
            "",
            "## Cohort",
            "",
            corpus_title(corpus),
            "",
            *(f"* {line}" for line in (*cohort_lines([result]), *shortcut_lines([result]), band_line([result]))),
            "",
            f"## Performance on {setting([result])}",
            "",
            *markdown_table(COLUMNS, rows([result])),
            "",
            *details(result),
            "",
            *(f"* {line}" for line in caveats([result])),
            "",
            *(["## By group", "", *by_subgroup(result), ""] if result.subgroups else []),
            "## Made with",
            "",
            settings,
            "",
        ]
    )


def details(result: Result) -> list[str]:
    """What the one row of the table leaves out: by class, by level, as an alarm, and in the challenge's own score."""
    metrics = result.metrics
    averages = {
        "macro precision": metrics.macro_precision,
        "macro PR-AUC": metrics.macro_pr_auc,
        "weighted precision": metrics.weighted_precision,
        "weighted F1": metrics.weighted_f1,
    }
    lines = [*by_class(result.classes, metrics), "", _named("Averages", averages)]
    if result.levels:
        lines += ["", *by_level(result)]
    if result.reliability:
        lines += ["", *calibration_table(result), "", *(f"* {line}" for line in calibration_lines(result))]
    if result.gate:
        lines.append(f"* {gate_line(result.gate, result.unit)}")
    if result.scores:
        each = (f"{name} {_score(result, name)}" for name in result.scores)
        lines.append(f"\nChallenge: {', '.join(each)}.")
    if result.alarm:
        lines.append(f"\n{_named('As an alarm', result.alarm)}")
    if result.sides:
        lines += ["", *by_side(result)]
    return lines


def by_class(classes: Sequence[str], metrics: Metrics) -> list[str]:
    """A Markdown table: precision, recall, F1, areas, and the row of the confusion matrix, per class."""
    header = ("class", "precision", "recall", "F1", "ROC-AUC", "PR-AUC", "n", *(f"answered {name}" for name in classes))
    body = [
        (
            name,
            number(metrics.precision[i]),
            number(metrics.recall[i] if metrics.support[i] else math.nan),
            number(metrics.f1[i]),
            number(metrics.roc_auc[i]),
            number(metrics.pr_auc[i]),
            str(metrics.support[i]),
            *(str(count) for count in metrics.confusion[i]),
        )
        for i, name in enumerate(classes)
    ]
    return markdown_table(header, body)


def by_level(result: Result) -> list[str]:
    """A Markdown table: the headline metrics of single windows, of the unit asked about, and of whole patients."""
    levels = {result.unit: Level(result.metrics, dict(result.intervals)), **result.levels}
    body = [
        (
            name,
            str(levels[name].metrics.n),
            str(result.n_patients),
            *(with_interval(getattr(levels[name].metrics, each), levels[name].intervals[each]) for each in HEADLINES),
            number(levels[name].metrics.accuracy),
        )
        for name in ("window", result.unit, "patient")
        if name in levels
    ]
    return markdown_table(("level", "n", "patients", "balanced accuracy", "macro F1", "ROC-AUC", "accuracy"), body)


def by_side(result: Result) -> list[str]:
    """A Markdown table: the headline metrics and the challenge's scores on each test side of a published split."""
    header = ("test side", f"{result.unit}s", "patients (trained on)", *map(in_words, HEADLINES), *result.scores)
    body = [
        (
            name,
            str(side.metrics.n),
            f"{side.n_patients} ({side.n_trained_on})",
            *(with_interval(getattr(side.metrics, each), side.intervals[each]) for each in HEADLINES),
            *(with_interval(side.scores[each], side.score_intervals[each]) for each in side.scores),
        )
        for name, side in result.sides.items()
    ]
    new = [name for name, side in result.sides.items() if not side.n_trained_on]
    told = f"Only {' and '.join(new)} is of patients nobody trained on: the headline." if len(new) == 1 else ""
    return [*markdown_table(header, body), *(["", told] if told else [])]


def in_words(name: str) -> str:
    """A headline metric's name as it is written."""
    return {"macro_f1": "macro F1", "macro_roc_auc": "ROC-AUC"}.get(name, name.replace("_", " "))


def _score(result: Result, name: str) -> str:
    """A challenge's score, with its interval where one was drawn."""
    interval = result.score_intervals.get(name)
    return number(result.scores[name]) if interval is None else with_interval(result.scores[name], interval)


def calibration_table(result: Result) -> list[str]:
    """A Markdown table: how far probabilities are from frequencies, before and after calibration."""
    header = ("probabilities", "log loss", "Brier", "calibration error", *(f"of {name}" for name in result.classes))
    body = [
        (name, *(number(x) for x in (each.log_loss, each.brier, each.ece, *each.ece_by_class)))
        for name, each in result.reliability.items()
    ]
    return markdown_table(header, body)


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
    rule = f"below a probability of {below:.2f}" if below else "never"
    error = "undefined" if told.error_answered is None else f"{told.error_answered:.3f}"
    lines.append(
        f"The released Classifier abstains {rule}. Seen: {told.answered:.0%} answered with an error of {error}, "
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


def by_subgroup(result: Result) -> list[str]:
    """A Markdown table: the headline metrics of each group of patients or recordings."""
    body = [
        (
            f"{column}: {name}",
            str(group.n),
            str(group.n_patients),
            " / ".join(map(str, group.recordings)) or "suppressed",
            *(
                "suppressed" if group.suppressed else with_interval(group.metrics[each], group.intervals[each])
                for each in HEADLINES
            ),
        )
        for column, groups in result.subgroups.items()
        for name, group in groups.items()
    ]
    header = ("group", "n", "patients", " / ".join(result.classes), "balanced accuracy", "macro F1", "ROC-AUC")
    return [
        *markdown_table(header, body),
        "",
        f"Groups of fewer than {MIN_PATIENTS} patients are suppressed; metrics are of the classes that a group has.",
    ]


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


def compared(comparison: Comparison) -> list[str]:
    """A Markdown table: each model's headline metrics less the reference's, with paired intervals."""
    body = [(name, *(with_sign(told[each]) for each in HEADLINES)) for name, told in comparison.differences.items()]
    return [
        f"Less {comparison.reference}, which has the lowest validation loss; {comparison.n_patients} patients. "
        "An interval that holds 0 tells the two apart from nothing.",
        "",
        *markdown_table(("model", "balanced accuracy", "macro F1", "ROC-AUC"), body),
    ]


def _named(title: str, values: Mapping[str, float]) -> str:
    return f"{title}: {', '.join(f'{name} {number(value)}' for name, value in values.items())}."
