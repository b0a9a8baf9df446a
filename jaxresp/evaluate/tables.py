"""The tables of a result, for a page or, by `markdown_table`, for a file of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxresp.evaluate.bands import InBand
from jaxresp.evaluate.bootstrap import HEADLINES
from jaxresp.evaluate.comparing import Comparison
from jaxresp.evaluate.levels import Level
from jaxresp.evaluate.metrics import Metrics
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.selective import Selective
from jaxresp.evaluate.words import in_words, number, with_interval, with_sign
from jaxresp.pages.page import Table

HEADLINES_IN_WORDS = tuple(map(in_words, HEADLINES))
COLUMNS = ("model", *HEADLINES_IN_WORDS, "accuracy", "majority (accuracy)", "network")
IN_COMMON_BAND = "… in the common band"


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + " --- |" * len(header),
        *("| " + " | ".join(row) + " |" for row in body),
    ]


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """One row per model under COLUMNS; what chance and the majority would reach stands beside it.

    A diagnosis has a second row: the same in the common band.
    """
    found = []
    for result in results:
        majority = f"{number(result.majority.balanced_accuracy)} ({number(result.majority.accuracy)})"
        network = f"{result.settings['network']} {result.settings['filters']}×{result.settings['dense']}"
        told: list[tuple[str, Result | InBand]] = [(result.name, result)]
        if result.common_band is not None:
            told.append((IN_COMMON_BAND, result.common_band))
        for name, each in told:
            headlines = (with_interval(getattr(each.metrics, of), each.intervals[of]) for of in HEADLINES)
            found.append((name, *headlines, number(each.metrics.accuracy), majority, network))
    return found


def by_class(classes: Sequence[str], metrics: Metrics) -> Table:
    """Precision, recall, F1, areas, and the row of the confusion matrix, per class."""
    head = ("class", "precision", "recall", "F1", "ROC-AUC", "PR-AUC", "n", *(f"answered {name}" for name in classes))
    body = (
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
    )
    return Table(head, tuple(body))


def by_level(result: Result) -> Table:
    """The headline metrics of single windows, of the unit asked about, and of whole patients."""
    levels = {result.unit: Level(result.metrics, dict(result.intervals)), **result.levels}
    body = (
        (
            name,
            str(levels[name].metrics.n),
            str(result.n_patients),
            *(with_interval(getattr(levels[name].metrics, each), levels[name].intervals[each]) for each in HEADLINES),
            number(levels[name].metrics.accuracy),
        )
        for name in ("window", result.unit, "patient")
        if name in levels
    )
    return Table(("level", "n", "patients", *HEADLINES_IN_WORDS, "accuracy"), tuple(body))


def by_band(result: Result, told: InBand) -> Table:
    """The headline metrics in the model's own band and in the common one, and what the common one adds."""
    body = (
        (
            in_words(each),
            with_interval(getattr(result.metrics, each), result.intervals[each]),
            with_interval(getattr(told.metrics, each), told.intervals[each]),
            with_sign(told.less[each]),
        )
        for each in HEADLINES
    )
    return Table(("metric", "its own band", "common band", "difference, paired"), tuple(body))


def by_side(result: Result) -> Table:
    """The headline metrics and the challenge's scores on each test side of a published split."""
    head = ("test side", f"{result.unit}s", "patients (trained on)", *HEADLINES_IN_WORDS, *result.scores)
    body = (
        (
            name,
            str(side.metrics.n),
            f"{side.n_patients} ({side.n_trained_on})",
            *(with_interval(getattr(side.metrics, each), side.intervals[each]) for each in HEADLINES),
            *(with_interval(side.scores[each], side.score_intervals[each]) for each in side.scores),
        )
        for name, side in result.sides.items()
    )
    return Table(head, tuple(body))


def by_calibration(result: Result) -> Table:
    """How far probabilities are from frequencies, before and after calibration."""
    head = ("probabilities", "log loss", "Brier", "calibration error", *(f"of {name}" for name in result.classes))
    body = (
        (name, *(number(x) for x in (each.log_loss, each.brier, each.ece, *each.ece_by_class)))
        for name, each in result.reliability.items()
    )
    return Table(head, tuple(body))


def by_subgroup(result: Result) -> Table:
    """The headline metrics of each group of patients or recordings."""
    body = (
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
    )
    return Table(("group", "n", "patients", " / ".join(result.classes), *HEADLINES_IN_WORDS), tuple(body))


def by_model(comparison: Comparison) -> Table:
    """Each model's headline metrics less the reference's, with paired intervals."""
    body = ((name, *(with_sign(told[each]) for each in HEADLINES)) for name, told in comparison.differences.items())
    return Table(("model", *HEADLINES_IN_WORDS), tuple(body))


def by_set(classes: Sequence[str], told: Selective) -> Table:
    """For each class, how often its patients' sets hold it: promised, and seen."""
    body = (
        (
            name,
            "nothing (too few patients)" if promise is None else f"at least {promise:.0%}",
            "none tested" if seen is None else f"{seen:.0%}",
        )
        for name, promise, seen in zip(classes, told.set_promised, told.set_seen, strict=True)
    )
    return Table(("class", "coverage promised", "coverage seen"), tuple(body))
