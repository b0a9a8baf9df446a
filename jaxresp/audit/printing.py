"""What an audit found, for the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jaxresp.audit.faults import FAULTS, HONEST
from jaxresp.audit.finding import SCORE, Audit, Finding, Reached
from jaxresp.evaluate.bootstrap import HEADLINES, SAMPLES, Interval
from jaxresp.evaluate.report import corpus_title
from jaxresp.evaluate.tables import markdown_table
from jaxresp.evaluate.words import in_words, with_interval, with_sign
from jaxresp.prediction import NOTICE
from jaxresp.taxonomy import task_named

_METRICS: Mapping[str, str] = {name: in_words(name) for name in HEADLINES} | {SCORE: "score"}
_COLUMNS = ("fault", "metric", "done right", "with fault", "it adds", "seen")


def print_audit(console: Console, audit: Audit) -> None:
    """The table, and what must be read with it."""
    table = Table(title=_title(audit), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
    for column in _COLUMNS[:-1]:
        table.add_column(column, no_wrap=True)
    for each in audit.findings:
        for i, (fault, metric, *numbers, seen) in enumerate(rows(each)):
            # Intervals under their numbers, and what is seen under the fault: the table then fits 80 columns.
            cells = (f"{fault}\n  {seen}".rstrip(), metric.replace("accuracy", "acc."), *numbers)
            last = i == len(each.adds) - 1
            table.add_row(*(escape(cell.replace(" [", "\n[")) for cell in cells), end_section=last)
    console.print(table)
    for line in sentences(audit):
        console.print(line, highlight=False, markup=False)


def markdown(audit: Audit) -> str:
    """The whole of it."""
    body = [row for each in audit.findings for row in rows(each)]
    settings = ", ".join(f"{name} {value}" for name, value in audit.settings.items())
    return "\n".join(
        [
            f"# {_title(audit)}",
            "",
            *markdown_table(_COLUMNS, body),
            "",
            *(f"* {line}" for line in sentences(audit)),
            "",
            f"Settings: {settings}.",
            "",
        ]
    )


def rows(finding: Finding) -> list[tuple[str, ...]]:
    """One row per metric under the columns; the fault's name and what is seen stand in the first."""
    return [
        (
            finding.fault if i == 0 else "",
            _METRICS[metric],
            _number(finding.right[metric]),
            _number(finding.wrong[metric]),
            with_sign(difference),
            finding.verdict if i == 0 else "",
        )
        for i, (metric, difference) in enumerate(finding.adds.items())
    ]


def sentences(audit: Audit) -> list[str]:
    """What every row means, what could not be done, and how far the numbers reach."""
    lines = []
    if audit.corpus["made_up"]:
        lines.append("These recordings are made up: they show that the audit works and say nothing about patients.")
    elif audit.corpus["partial"]:
        lines.append(f"This is a subset of {audit.corpus['name']}: what a fault adds on all of it is another number.")
    for each in audit.findings:
        held = "" if each.against == "honest" else f" Held against {each.against}."
        lines.append(f"{each.fault}: {FAULTS[each.fault].what}.{held}")
        if each.adds_touched:
            gains = ", ".join(f"{_METRICS[name]} {with_sign(each.adds_touched[name])}" for name in HEADLINES)
            lines.append(f"{each.fault}, on the {each.n_touched} patients whom it touches: {gains}.")
    lines += [f"Not possible here, {fault}: {why}." for fault, why in audit.impossible.items()]
    lines += [f"{name}: {HONEST[name]}." for name in HONEST if any(each.against == name for each in audit.findings)]
    unit = task_named(audit.task).row
    lines.append(
        f"{audit.n_units} {unit}s of {audit.n_patients} patients, the same under every protocol; "
        f"their most probable class, uncalibrated. Intervals: 95 %, paired bootstrap over patients, {SAMPLES:,} "
        "samples; one training per fold, so they hold the chance of who was recorded and not that of the seed."
    )
    lines.append(
        '"adds": the interval of the first metric lies above 0. "nothing seen": it holds 0, which with few patients '
        "does not say that there is nothing."
    )
    return [*lines, NOTICE]


def _title(audit: Audit) -> str:
    return f"What faults of measurement add: {audit.task} from {audit.features}, {corpus_title(audit.corpus)}"


def _number(reached: Reached) -> str:
    return with_interval(reached.value, Interval(reached.low, reached.high))
