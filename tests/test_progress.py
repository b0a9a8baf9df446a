"""Where a run stands is what has happened, and what is left is told from the trials that were seen."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from jaxresp import progress
from jaxresp.cli import cli
from jaxresp.errors import JaxrespError
from jaxresp.progress import Following, NoProgress, Standing, read_progress, status_lines
from jaxresp.workdir import in_use, sole_user


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress.time, "monotonic", made)
    return made


def trial(number: int, score: float, pruned: str = "") -> Any:
    return SimpleNamespace(number=number, score=score, pruned=pruned)


def test_trials_are_counted_and_the_best_is_of_the_complete_ones(tmp_path, clock):
    heard: list[Standing] = []
    following = Following(tmp_path / "progress.json", heard.append, ["one", "two"], 4)
    following.model_begins("one", 0)
    following.trials_begin()
    for number, (score, pruned) in enumerate([(0.7, ""), (0.2, "pruned in epoch 3"), (0.5, ""), (0.6, "")]):
        clock.now += 10
        following.trial_ended(trial(number, score, pruned))
    ended = [now for now in heard if now.ended]
    assert [now.trials_done for now in ended] == [1, 2, 3, 4]
    assert [now.best for now in ended] == [0.7, 0.7, 0.5, 0.5]
    assert ended[-1].pruned == 1
    assert [now.what for now in ended][:2] == ["trial 1/4: loss 0.700", "trial 2/4: pruned in epoch 3"]
    following.model_ended()
    following.model_begins("two", 0)
    assert (heard[-1].models_done, heard[-1].trials_done, heard[-1].best) == (1, 0, None)


def test_what_is_left_is_the_median_trial_times_the_trials_left_and_what_is_beside_them(tmp_path, clock):
    heard: list[Standing] = []
    following = Following(tmp_path / "progress.json", heard.append, ["one", "two"], 3)
    following.model_begins("one", 0)
    clock.now += 40  # features: no part of the first trial
    following.trials_begin()
    following.doing("trial 1/3, fold 1/3, epoch 1", 0.1)
    assert heard[-1].left_s is None  # nobody can know
    for number, seconds in enumerate((10, 100, 20)):
        clock.now += seconds
        following.trial_ended(trial(number, 0.5))
    lefts = [now.left_s for now in heard if now.ended]
    assert lefts == [2 * 10 + 3 * 10, 1 * 55 + 3 * 55, 0 + 3 * 20]
    clock.now += 5  # judging and the like
    following.model_ended()
    following.model_begins("two", 0)
    assert heard[-1].left_s == 3 * 20 + 45
    clock.now += 8
    following.doing("trial 1/3, fold 1/3, epoch 2", 0.2)
    assert heard[-1].left_s == 3 * 20 + 45 - 8  # the trial that is going on has begun


def test_trials_that_were_there_before_are_counted_and_tell_nothing_of_the_pace(tmp_path, clock):
    heard: list[Standing] = []
    following = Following(tmp_path / "progress.json", heard.append, ["one"], 10)
    following.model_begins("one", 8)
    following.trials_begin()
    for number in range(8):
        following.trial_ended(trial(number, 0.5 - number / 100))
    assert not [now for now in heard if now.ended]
    following.doing("trial 9/10, fold 1/3, epoch 1", 0.8)
    assert (heard[-1].trials_done, heard[-1].best, heard[-1].left_s) == (8, pytest.approx(0.43), None)
    clock.now += 30
    following.trial_ended(trial(8, 0.9))
    assert (heard[-1].trials_done, heard[-1].left_s) == (9, 30)


def test_progress_never_goes_back(tmp_path, clock):
    heard: list[Standing] = []
    following = Following(tmp_path / "progress.json", heard.append, ["kept", "one"], 2)
    following.model_kept()
    following.model_begins("one", 0)
    for fraction in (0.0, 0.5, 0.4, 0.6):
        following.doing("something", fraction)
    following.closing("logging to MLflow")
    following.ended()
    assert [now.done for now in heard] == pytest.approx([0.49, 0.49, 0.735, 0.735, 0.784, 0.98, 1.0])


def test_the_file_is_written_at_every_end_and_otherwise_now_and_then(tmp_path, clock):
    file = tmp_path / "progress.json"
    following = Following(file, lambda now: None, ["one"], 2)
    following.model_begins("one", 0)
    assert not file.exists()
    clock.now += 6
    following.doing("trial 1/2, fold 1/3, epoch 1", 0.1)
    assert json.loads(file.read_text())["what"].endswith("epoch 1")
    clock.now += 1
    following.doing("trial 1/2, fold 1/3, epoch 2", 0.2)
    assert json.loads(file.read_text())["what"].endswith("epoch 1")
    following.trial_ended(trial(0, 0.5))
    told = read_progress(tmp_path)
    assert (told["what"], told["trials_done"], told["best"], told["state"]) == (
        "trial 1/2: loss 0.500",
        1,
        0.5,
        "running",
    )
    assert {path.name for path in tmp_path.iterdir()} == {"progress.json"}


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt(), "stopped"), (JaxrespError("the disk is full"), "failed")]
)
def test_a_run_that_ends_early_says_how(tmp_path, error, state):
    following = Following(tmp_path / "progress.json", lambda now: None, ["one"], 2)
    following.model_begins("one", 0)
    following.trial_ended(trial(0, 0.5))
    following.failed(error)
    told = read_progress(tmp_path)
    assert told["state"] == state
    head, *rest = status_lines(told, at_work=False)
    assert head.startswith(f"{state} ({type(error).__name__}: {error})") and "same command" in head
    assert "0/1 models, 1/2 trials, best 0.500" in rest


def test_status_tells_one_at_work_from_one_that_was_killed(tmp_path):
    following = Following(tmp_path / "progress.json", lambda now: None, ["one"], 2)
    following.model_begins("one", 0)
    following.trial_ended(trial(0, 0.5))
    with sole_user(tmp_path):
        assert in_use(tmp_path)
        lines = status_lines(read_progress(tmp_path), at_work=True)
        assert lines[0].startswith("at work since") and lines[2] == "1/2 trials, best 0.500"
    assert not in_use(tmp_path)
    assert status_lines(read_progress(tmp_path), at_work=False)[0].startswith("was killed")
    following.ended()
    assert status_lines(read_progress(tmp_path), at_work=False)[0].startswith("finished after")


def test_the_command_tells_where_a_run_stands(tmp_path):
    following = Following(tmp_path / "progress.json", lambda now: None, ["one"], 2)
    following.model_begins("one", 0)
    following.trial_ended(trial(0, 0.5))
    told = CliRunner().invoke(cli, ["status", str(tmp_path)])
    assert told.exit_code == 0
    assert told.output.startswith("was killed; the same command goes on from there\n  0% one: trial 1/2: loss 0.500\n")


def test_a_folder_without_a_run_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    assert not in_use(tmp_path)
    with pytest.raises(NoProgress, match="no run has been at work in"):
        read_progress(tmp_path)
    (tmp_path / "progress.json").write_text("{")
    with pytest.raises(NoProgress, match="damaged"):
        read_progress(tmp_path)
