"""What a fetch shows: a bar that moves on a terminal, whole plain lines every now and then in a log file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from jaxresp.fetch import Show
from jaxresp.fetch.disk import megabytes

_LOG_EVERY_S = 15.0


@contextmanager
def progress_shown(console: Console) -> Iterator[Show]:
    """Something to give to `fetch` that shows on this console how far it is."""
    if not console.is_terminal:
        yield _Log(console)
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        yield _Bar(bar)


class _Bar:
    """A bar for each thing that is done, one under the other."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def say(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def progress(self, what: str, done: int, total: int | None) -> None:
        if what not in self._tasks:
            # What was there already is no part of the speed.
            self._tasks[what] = self._bar.add_task(what.replace("[", "\\["), total=total, completed=done)
        self._bar.update(self._tasks[what], completed=done, total=total)


class _Log:
    """A line when a thing begins and ends, and one every now and then between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._what = ""
        self._started_s = self._last_s = 0.0
        self._started_bytes = 0

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def progress(self, what: str, done: int, total: int | None) -> None:
        now_s = time.monotonic()
        if what != self._what:
            self._what, self._started_s, self._last_s, self._started_bytes = what, now_s, now_s, done
            self.say(f"{what}: {megabytes(total)}" if total is not None else what)
        if now_s - self._last_s < _LOG_EVERY_S and done != total:
            return
        self._last_s, spent_s = now_s, now_s - self._started_s
        rate = (done - self._started_bytes) / spent_s if spent_s > 0 else 0.0
        line = f"{spent_s:6.0f} s {what}: {megabytes(done)}"
        if total is not None:
            line += f" of {megabytes(total)}, {done / max(total, 1):.0%}"
        if rate > 0:
            line += f", {megabytes(rate)}/s"
            if total is not None and done < total:
                line += f", about {(total - done) / rate:.0f} s left"
        self.say(line)
