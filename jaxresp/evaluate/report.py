"""Results as tables and words: for the terminal, for a Markdown file, for a model card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxresp.evaluate.bootstrap import Interval
from jaxresp.evaluate.metrics import Metrics
from jaxresp.evaluate.result import Result
from jaxresp.prediction import NOTICE

COLUMNS = ("model", "balanced accuracy", "macro F1", "ROC-AUC", "accuracy", "majority (accuracy)", "network")


def number(value: float) -> str:
    """Three decimals, or what cannot be said."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def with_interval(value: float, interval: Interval) -> str:
    """The number with its interval, whose ends are themselves uncertain: two decimals."""
    ends = "undefined" if any(map(math.isnan, interval)) else f"{interval.low:.2f}–{interval.high:.2f}"
    return f"{number(value)} [{ends}]"


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """One row per model under COLUMNS; what chance and the majority would reach stands beside it."""
    return [
        (
            result.name,
            *(
                with_interval(getattr(result.metrics, name), result.intervals[name])
                for name in ("balanced_accuracy", "macro_f1", "macro_roc_auc")
            ),
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
            f"{name} {result.patients[name]} patients / {result.recordings[name]} recordings" for name in result.classes
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
    return lines


def band_line(results: Sequence[Result]) -> str:
    """What of the sound the models heard."""
    bands = dict.fromkeys(str(result.settings.get("band", "not recorded")) for result in results)
    return f"Band heard: {', '.join(bands)}"


def caveats(results: Sequence[Result]) -> list[str]:
    """What must be read with the numbers."""
    corpus = results[0].corpus
    lines = []
    n = results[0].metrics.n
    if corpus["made_up"]:
        lines.append(
            f"These {n} recordings are made up: they show that the program works and say nothing about patients."
        )
    elif corpus["partial"]:
        lines.append(
            f"This is a subset of {corpus['name']} ({n} recordings): "
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
    few = sorted({f"{c} ({n})" for r in results for c, n in r.patients.items() if n < 10})
    if few:
        lines.append(f"Fewer than ten patients in: {', '.join(few)}. Intervals over so few patients are too narrow.")
    split = results[0].split
    lines.append(f"{split['evidence']} Intervals: 95 %, bootstrap over patients.")
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


def markdown(results: Sequence[Result]) -> str:
    """The whole report."""
    corpus = results[0].corpus
    out = [
        f"# Six models on {setting(results)}: {corpus_title(corpus)}",
        "",
        *_table(COLUMNS, rows(results)),
        "",
        *(f"* {line}" for line in (*cohort_lines(results), *shortcut_lines(results), band_line(results))),
        "",
        *(f"{line}\n" for line in caveats(results)),
    ]
    for result in results:
        out += [f"## {result.name}", "", *by_class(result.classes, result.metrics), ""]
    return "\n".join([*out, NOTICE, ""])


def card(result: Result) -> str:
    """The model card of one Classifier (Mitchell et al., "Model Cards for Model Reporting", FAT* 2019)."""
    corpus = result.corpus
    settings = ", ".join(f"{key} {value}" for key, value in result.settings.items())
    return "\n".join(
        [
            f"# {result.name}",
            "",
            f"Answers {' / '.join(result.classes)} for one recording, from {result.features} features.",
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
            *_table(COLUMNS, rows([result])),
            "",
            *by_class(result.classes, result.metrics),
            "",
            *(f"* {line}" for line in caveats([result])),
            "",
            "## Made with",
            "",
            settings,
            "",
            "Probabilities are not calibrated, and the Classifier never abstains.",
            "",
        ]
    )


def by_class(classes: Sequence[str], metrics: Metrics) -> list[str]:
    """A Markdown table: precision, recall, F1, ROC-AUC, and the row of the confusion matrix, per class."""
    header = ("class", "precision", "recall", "F1", "ROC-AUC", "n", *(f"answered {name}" for name in classes))
    body = [
        (
            name,
            number(metrics.precision[i]),
            number(metrics.recall[i]),
            number(metrics.f1[i]),
            number(metrics.roc_auc[i]),
            str(metrics.support[i]),
            *(str(count) for count in metrics.confusion[i]),
        )
        for i, name in enumerate(classes)
    ]
    return _table(header, body)


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(header) + " |",
        "|" + " --- |" * len(header),
        *("| " + " | ".join(row) + " |" for row in body),
    ]
