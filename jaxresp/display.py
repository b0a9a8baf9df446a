"""What a run shows while it works, and its table: lines that move on a terminal, lines with the time in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jaxresp.evaluate import report, tables
from jaxresp.evaluate.result import Result
from jaxresp.prediction import NOTICE
from jaxresp.progress import Listener, Standing, facts

_LOG_EVERY_S = 30.0
_NOT_SHOWN = ("PR-AUC", "network")  # on a terminal of 80 columns; the reports have them


@contextmanager
def progress_display(console: Console) -> Iterator[Listener]:
    """A listener that shows where a run stands."""
    if not console.is_terminal:
        yield _log_lines(console)
        return
    moving = _Moving()
    with Live(moving, console=console, refresh_per_second=4) as live:
        yield moving.show
        live.refresh()


def _log_lines(console: Console) -> Listener:
    """A line whenever something ends, and otherwise every now and then."""
    last = time.monotonic() - _LOG_EVERY_S

    def log(now: Standing) -> None:
        nonlocal last
        clock = time.monotonic()
        if now.ended or clock - last >= _LOG_EVERY_S or now.done >= 1:
            last = clock
            said = [f"{now.done:4.0%} {now.model}: {now.what}", *facts(now)]
            console.print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {', '.join(said)}", highlight=False, soft_wrap=True)

    return log


class _Moving:
    """On a terminal: how far the run is, and below it what is done. Its clock goes on while nothing is told."""

    def __init__(self) -> None:
        self._now, self._told = Standing("", "starting", 0.0), time.monotonic()

    def show(self, now: Standing) -> None:
        self._now, self._told = now, time.monotonic()

    def __rich__(self) -> Group:
        since, now = time.monotonic() - self._told, self._now
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(width=12)
        line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        clock = str(timedelta(seconds=int(now.elapsed_s + since)))
        line.add_row(
            Text(now.model, "bold"), ProgressBar(1.0, now.done, width=12), ", ".join([clock, *facts(now, since)])
        )
        return Group(line, Text(f"  {now.what}", "dim", no_wrap=True, overflow="ellipsis"))


def plain(listener: Listener) -> Callable[[str, str, float], None]:
    """For work without models and trials: called with the part, what is done, and the fraction of the whole."""
    began = time.monotonic()

    def tell(part: str, what: str, done: float) -> None:
        spent = time.monotonic() - began
        left_s = spent / done * (1 - done) if done > 0.05 else None
        listener(Standing(part, what, done, elapsed_s=spent, left_s=left_s))

    return tell


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
        cells = (row[i].replace(" [", "\n\\[").replace(" (", "\n(") for i in shown)
        table.add_row(*cells)
    console.print(table)
    cohort = (*report.cohort_lines(results), *report.shortcut_lines(results), report.band_line(results))
    lines = (*cohort, *report.caveats(results))
    for line in (*lines, NOTICE):
        console.print(line, highlight=False)
