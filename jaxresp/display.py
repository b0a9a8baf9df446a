"""What a run shows while it works, and its table: one line that moves on a terminal, a line per step in a log file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from jaxresp.evaluate import report, tables
from jaxresp.evaluate.result import Result
from jaxresp.prediction import NOTICE
from jaxresp.run import Progress as Callback

_LOG_EVERY_S = 15.0
_NOT_SHOWN = ("PR-AUC", "network")  # on a terminal of 80 columns; the reports have them


@contextmanager
def progress_display(console: Console) -> Iterator[Callback]:
    """A callback for `jaxresp.run.run` that shows how far it is, what it does and how long it will take."""
    if not console.is_terminal:
        yield _log_lines(console)
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=1.0, what="")

        def show(model: str, what: str, done: float) -> None:
            bar.update(task, description=model, what=what, completed=done)

        yield show


def _log_lines(console: Console) -> Callback:
    """A line whenever a trial ends, and otherwise every now and then."""
    started = time.monotonic()
    last = started - _LOG_EVERY_S

    def log(model: str, what: str, done: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _LOG_EVERY_S and "best" not in what and done < 1:
            return
        last, spent = now, now - started
        left = f", about {spent / done * (1 - done):.0f} s left" if 0.05 < done < 1 else ""
        console.print(f"{spent:6.0f} s {done:4.0%} {model}: {what}{left}", highlight=False, soft_wrap=True)

    return log


def print_results(console: Console, results: Sequence[Result]) -> None:
    """The table, who was in it, and what must be read with it."""
    corpus, setting = results[0].corpus, report.setting(results)
    title = f"{setting[0].upper()}{setting[1:]}, {report.corpus_title(corpus)}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
    shown = [i for i, column in enumerate(tables.COLUMNS) if column not in _NOT_SHOWN]
    for i in shown:
        table.add_column(tables.COLUMNS[i], no_wrap=tables.COLUMNS[i] == "model", overflow="fold")
    for row in tables.rows(results):
        # Intervals under their numbers: the table then fits a terminal of 80 columns.
        cells = (row[i].replace(" [", "\n\\[").replace("(accuracy ", "\n(") for i in shown)
        table.add_row(*cells)
    console.print(table)
    cohort = (*report.cohort_lines(results), *report.shortcut_lines(results), report.band_line(results))
    lines = (*cohort, *report.caveats(results))
    for line in (*lines, NOTICE):
        console.print(line, highlight=False)
