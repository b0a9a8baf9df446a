"""What a run shows: one moving line on a terminal, plain lines in a file, a table that fits both."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from jaxresp import display
from jaxresp.display import print_results, progress_display
from jaxresp.evaluate.bootstrap import HEADLINES, Interval
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.shortcuts import Shortcut
from jaxresp.prediction import NOTICE

LABELS = np.repeat([0, 1], [3, 17])
SIX = [f"{task}-{features}" for task in ("binary", "multiclass") for features in ("mfcc", "logmel", "augmented")]


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(display.time, "monotonic", made)
    return made


def result(name: str) -> Result:
    task, _, features = name.partition("-")
    probabilities = np.where(LABELS == 1, 0.8, 0.3)
    return Result(
        name=name,
        task=task,
        features=features,
        classes=("Normal", "Abnormal"),
        metrics=classification_metrics(LABELS, np.stack([1 - probabilities, probabilities], 1)),
        intervals={name: Interval(0.5, math.nan) for name in HEADLINES},
        majority=classification_metrics(LABELS, np.tile([0.15, 0.85], (20, 1))),
        shortcuts={"age": Shortcut(0.875, 0.9)},
        patients={"Normal": 3, "Abnormal": 12},
        n_patients=15,
        recordings={"Normal": 3, "Abnormal": 17},
        settings={"network": "cnn2d", "filters": 16, "dense": 128, "epochs": 9},
        validation_loss=0.5,
        corpus={"name": "icbhi", "version": "1.0.0", "partial": True, "made_up": False, "fingerprint": "f"},
        split={"name": "folds", "kind": "patient_disjoint", "evidence": "Numbers are out-of-fold.", "sentences": []},
    )


def shown(results: list[Result], width: int = 80) -> str:
    out = io.StringIO()
    print_results(Console(file=out, width=width), results)
    return out.getvalue()


def epochs(show, n: int) -> None:
    for epoch in range(1, n + 1):
        show("binary-mfcc", f"trial 1/3, fold 1/3, epoch {epoch}, loss 0.5", 0.1 * epoch / n)


def test_a_log_file_gets_whole_plain_lines(clock):
    out = io.StringIO()
    with progress_display(Console(file=out, width=40)) as show:
        for i in range(20):
            clock.now += 7.5
            show("multiclass-augmented", f"trial 1/3, fold 1/3, epoch {i}, loss 0.512", i / 40)
    lines = out.getvalue().splitlines()
    assert not re.search(r"[\r\x1b\x08]", out.getvalue())
    # Whole though they are longer than the console is wide: a log is searched line by line.
    assert all(re.fullmatch(r" *\d+ s +\d+% multiclass-augmented: trial .* loss 0\.512(, about \d+ s left)?", line) for line in lines)  # fmt: skip # noqa: E501
    assert len(lines) == 10  # every 15 s and not oftener


def test_a_log_file_gets_every_finished_trial_however_quick(clock):
    out = io.StringIO()
    with progress_display(Console(file=out)) as show:
        epochs(show, 5)
        show("binary-mfcc", "trial 1/3: loss 0.500, best 0.500", 0.1)
        epochs(show, 5)
        show("binary-mfcc", "trial 2/3: loss 0.400, best 0.400", 0.2)
        show("all models", "finished", 1.0)
    told = [line.partition(": ")[2] for line in out.getvalue().splitlines()]
    assert [line.partition(",")[0] for line in told] == ["trial 1/3", "trial 1/3: loss 0.500", "trial 2/3: loss 0.400", "finished"]  # fmt: skip # noqa: E501


def test_what_is_left_is_what_the_rest_will_take_at_this_pace(clock):
    out = io.StringIO()
    with progress_display(Console(file=out)) as show:
        clock.now += 30
        show("binary-mfcc", "trial 1/1: loss 0.5, best 0.5", 0.25)
    assert "about 90 s left" in out.getvalue()


def test_a_terminal_gets_one_moving_line():
    out = io.StringIO()
    with progress_display(Console(file=out, force_terminal=True, width=120)) as show:
        epochs(show, 3)
        show("all models", "finished", 1.0)
    text = out.getvalue()
    assert "all models" in text and "100 %" in text
    assert re.search(r"[\r\x1b]", text)
    assert text.count("\n") <= 2  # one line, redrawn


def test_the_display_ends_with_what_interrupted_it():
    for terminal in (False, True):
        out = io.StringIO()
        with pytest.raises(KeyboardInterrupt), progress_display(Console(file=out, force_terminal=terminal)) as show:
            epochs(show, 1)
            raise KeyboardInterrupt
        assert not terminal or out.getvalue().rstrip("\n").endswith("\x1b[?25h")  # the cursor is shown again


def test_the_table_fits_a_terminal_of_80_columns_and_loses_nothing():
    text = shown([result(name) for name in SIX])
    assert max(map(len, text.splitlines())) <= 80
    for name in SIX:
        assert len(re.findall(rf"(?m)^ ?{name} ", text)) == 1
    assert text.count("0.500–undefined") == 0  # an interval with an undefined end is undefined
    words = " ".join(text.split())
    for told in (
        "Unseen patients, icbhi 1.0.0 (partial)",
        "majority",
        "Normal 3 patients / 3 recordings",
        "This is a subset of icbhi (20 recordings)",
        NOTICE,
    ):
        assert told in words


def test_intervals_are_shown_and_are_no_markup():
    """`[0.50–0.88]` means a style to Rich, which would swallow it."""
    one = replace(result("binary-mfcc"), intervals={name: Interval(0.5, 0.875) for name in HEADLINES})
    assert shown([one]).count("[0.50–0.88]") == len(HEADLINES) - 1  # the PR-AUC stands in the reports


@pytest.mark.parametrize(("made_up", "partial", "kind"), [(True, True, "(made up)"), (False, False, "1.0.0\n")])
def test_the_title_says_what_kind_of_corpus_it_was(made_up, partial, kind):
    corpus = {**result("binary-mfcc").corpus, "made_up": made_up, "partial": partial}
    title = shown([replace(result("binary-mfcc"), corpus=corpus)]).splitlines()[0].rstrip() + "\n"
    assert kind in title
