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
from jaxresp.display import _Moving, plain, print_results, progress_display
from jaxresp.evaluate.bootstrap import HEADLINES, Interval
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.shortcuts import Shortcut
from jaxresp.prediction import NOTICE
from jaxresp.progress import Standing, duration, facts

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


NOW = Standing(
    "multiclass-augmented", "trial 4/20, fold 1/3, epoch 7, loss 0.512", 0.25, 1, 6, 3, 20, 1, 0.4876, 754.0, 2999.6
)


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


def test_a_log_file_gets_whole_plain_lines_with_the_time(clock):
    out = io.StringIO()
    with progress_display(Console(file=out, width=40)) as show:
        for _ in range(20):
            clock.now += 7.5
            show(NOW)
    lines = out.getvalue().splitlines()
    assert not re.search(r"[\r\x1b\x08]", out.getvalue())
    # Whole though they are longer than the console is wide: a log is searched line by line.
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    told = r" 25% multiclass-augmented: trial 4/20, fold 1/3, epoch 7, loss 0\.512, model 2/6, 3/20 trials \(1 pruned\), best 0\.488, about 50 min left"  # noqa: E501
    assert all(re.fullmatch(f"{stamp} {told}", line) for line in lines)
    assert len(lines) == 5  # every 30 s and not oftener


def test_a_log_file_gets_every_finished_trial_however_quick(clock):
    out = io.StringIO()
    with progress_display(Console(file=out)) as show:
        for number in (1, 2):
            for epoch in range(5):
                show(replace(NOW, what=f"trial {number}/2, epoch {epoch}"))
            show(replace(NOW, what=f"trial {number}/2: loss 0.500", ended=True))
        show(Standing("all models", "finished", 1.0, 6, 6, ended=True, elapsed_s=75.0))
    told = [line.partition(": ")[2].split(",")[0] for line in out.getvalue().splitlines()]
    assert [line.partition(":")[0] for line in told] == ["trial 1/2", "trial 1/2", "trial 2/2", "finished"]


def test_nothing_is_said_of_what_is_not_known():
    """Before the first trial nobody knows how long it will take; and one model, or one trial, are not counted."""
    assert facts(Standing("binary-mfcc", "features", 0.0, 0, 1, 0, 20)) == ["0/20 trials", "time left not known yet"]
    assert facts(Standing("cycles", "fold 1/3", 0.5, elapsed_s=10.0, left_s=10.0)) == ["about 10 s left"]
    assert facts(Standing("one", "trial 3/3", 0.9, 0, 1, 2, 3, best=0.5, left_s=0.0)) == ["2/3 trials", "best 0.500"]
    assert facts(Standing("all models", "finished", 1.0, 6, 6, 20, 20, best=0.5, left_s=0.0)) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "0 s"),
        (59.6, "1 min 00 s"),
        (200.0, "3 min 20 s"),
        (754.0, "13 min"),
        (3600.0, "1 h 00 min"),
        (1e5, "27 h 47 min"),
    ],
)
def test_a_duration_is_read_at_a_glance(seconds, told):
    assert duration(seconds) == told


def test_a_terminal_gets_two_moving_lines_that_fit():
    out = io.StringIO()
    with progress_display(Console(file=out, force_terminal=True, width=80)) as show:
        for epoch in range(1, 4):
            show(replace(NOW, what=f"trial 4/20, fold 1/3, epoch {epoch}, loss 0.512"))
    text = out.getvalue()
    assert re.search(r"[\r\x1b]", text)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").split("\n")
    lines = [line for line in last if line.strip()]
    assert max(map(len, lines)) <= 80
    assert "multiclass-augmented" in lines[-2] and "0:12:34, model 2/6, 3/20 trials" in lines[-2]
    assert lines[-1].rstrip() == "  trial 4/20, fold 1/3, epoch 3, loss 0.512"
    assert re.search(r"\x1b\[1A", text)  # drawn over itself


def test_the_terminals_clock_goes_on_while_nothing_is_told(clock):
    out = io.StringIO()
    console = Console(file=out, width=160)
    moving = _Moving()
    moving.show(NOW)
    clock.now += 60
    console.print(moving)
    assert "0:13:34" in out.getvalue() and "about 49 min left" in out.getvalue()


def test_work_without_models_or_trials_is_shown_too(clock):
    heard = []
    tell = plain(heard.append)
    clock.now += 30
    tell("split by recording", "fold 1/3", 0.25)
    assert (heard[0].elapsed_s, heard[0].left_s) == (30.0, 90.0)
    tell("split by recording", "fold 1/3", 0.0)
    assert heard[1].left_s is None


def test_the_display_ends_with_what_interrupted_it():
    for terminal in (False, True):
        out = io.StringIO()
        with pytest.raises(KeyboardInterrupt), progress_display(Console(file=out, force_terminal=terminal)) as show:
            show(NOW)
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
