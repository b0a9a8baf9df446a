"""What is shown of a fetch on a terminal and in a log file."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from jaxresp.fetch import progress
from jaxresp.fetch.progress import progress_shown


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress.time, "monotonic", made)
    return made


def test_a_log_file_gets_whole_plain_lines_now_and_then(clock):
    out = io.StringIO()
    with progress_shown(Console(file=out, width=40)) as show:
        for i in range(101):
            show.progress("ICBHI_final_database.zip", 500_000_000 + i * 10_000_000, 1_500_000_000)
            clock.now += 1
        show.say("[host]: the connection broke (Connection reset by peer); trying again in 1 s from where it was")
    lines = out.getvalue().splitlines()
    assert lines[0] == "ICBHI_final_database.zip: 1,500 MB"
    assert len(lines) == 1 + 100 // 15 + 1 + 1
    # What was there before this call is no part of the speed.
    assert lines[1] == "    15 s ICBHI_final_database.zip: 650 MB of 1,500 MB, 43%, 10.0 MB/s, about 85 s left"
    assert lines[-2] == "   100 s ICBHI_final_database.zip: 1,500 MB of 1,500 MB, 100%, 10.0 MB/s"
    assert lines[-1].startswith("[host]: the connection")
    assert "\x1b" not in out.getvalue() and "\r" not in out.getvalue()


def test_a_log_file_of_a_file_of_unknown_length(clock):
    out = io.StringIO()
    with progress_shown(Console(file=out, width=40)) as show:
        for i in range(20):
            show.progress("SPRSound.zip", i * 1_000_000, None)
            clock.now += 1
    assert out.getvalue().splitlines() == ["SPRSound.zip", "    15 s SPRSound.zip: 15.0 MB, 1.0 MB/s"]


@pytest.mark.parametrize("total", [2_000_000_000, None])
def test_a_terminal_gets_one_bar_for_each_thing(total):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    with progress_shown(console) as show:
        for i in range(11):
            show.progress("a[1].zip", i * 200_000_000, total)
        show.say("localhost [x]: it answers 503")
        for i in range(3):
            show.progress("unpacking a[1].zip", i * 1_000_000, 2_000_000)
    final = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).replace("\r", "\n").splitlines()
    assert "localhost [x]: it answers 503" in final
    assert any(line.startswith("a[1].zip ") and "2.0" in line and "GB" in line for line in final[-3:])
    assert any(line.startswith("unpacking a[1].zip ") and "2.0/2.0 MB" in line for line in final[-3:])
