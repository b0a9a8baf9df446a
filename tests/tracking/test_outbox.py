"""A store that is down, slow or unwilling stops nobody, is told everything once it can be, and is spoken of once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from jaxresp.tracking import outbox
from jaxresp.tracking.outbox import Outbox, Study
from jaxresp.tracking.spool import Spool


class FakeStore:
    """MLflow in memory, with what can happen to it."""

    uri = "http://mlflow"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.asked = 0
        self.trouble: Callable[[str], None] = lambda what: None

    def open_study(self, spool: Spool) -> str:
        self._take(f"study {spool.name}")
        return spool.name

    def trials(self, run: str) -> set[int]:
        return {int(what.split()[-1]) for what in self.told if what.startswith(f"trial of {run}")}

    def log_trial(self, run: str, trial: dict[str, Any]) -> None:
        self._take(f"trial of {run} {trial['number']}")

    def fail(self, run: str, why: str) -> None:
        self._take(f"failed {run}: {why}")

    def _take(self, what: str) -> None:
        self.asked += 1
        self.trouble(what)
        self.told.append(what)


def down(_: str) -> None:
    raise MlflowException("API request failed: connection refused")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    monkeypatch.setattr(outbox, "_FIRST_S", 0.01)
    monkeypatch.setattr(outbox, "_LONGEST_S", 0.04)
    monkeypatch.setattr(outbox, "_LONGEST_AT_END_S", 0.02)
    monkeypatch.setattr(outbox, "finish_study", lambda store, run, spool: store._take(f"finished {run}"))
    return FakeStore()


def study(work: Path, name: str = "one") -> Study:
    spool = Spool(work, name)
    spool.begin({}, {})
    return Study(spool, "http://mlflow")


def trial(number: int) -> Any:
    return SimpleNamespace(number=number, settings={"dropout": 0.1}, fits=(), pruned="")


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def trials_told(store: FakeStore) -> list[str]:
    return [what for what in store.told if what.startswith("trial")]


def test_what_comes_while_nobody_answers_is_told_once_and_in_order_when_somebody_does(store, tmp_path, caplog):
    box, one = Outbox(store), study(tmp_path)
    box.add(one)
    wait_for(lambda: store.told == ["study one"])
    store.trouble = down
    for number in range(5):
        one.spool.add(trial(number))
        box.wake()
    asked = store.asked
    wait_for(lambda: store.asked > asked + 4)  # it is asked again and again
    store.trouble = lambda what: None
    one.finished = True
    box.wake()
    assert box.close(20.0) == []
    assert trials_told(store) == [f"trial of one {n}" for n in range(5)]
    assert store.told[-1] == "finished one"
    assert not one.spool.owes("http://mlflow")
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 2
    assert "cannot be told" in said[0] and "goes on" in said[0] and "can be told again" in said[1]


def test_an_answer_that_is_lost_on_the_way_doubles_nothing(store, tmp_path):
    """The store has taken it, and the connection breaks before it can say so."""

    def lost(what: str) -> None:
        if what == "trial of one 1" and what not in store.told:
            store.told.append(what)
            raise MlflowException("connection reset")

    store.trouble = lost
    box, one = Outbox(store), study(tmp_path)
    for number in range(3):
        one.spool.add(trial(number))
    one.finished = True
    box.add(one)
    assert box.close(20.0) == []
    assert sorted(trials_told(store)) == [f"trial of one {n}" for n in range(3)]


def test_nobody_waits_for_a_slow_store_until_the_end(store, tmp_path):
    let = threading.Event()
    store.trouble = lambda what: let.wait(20) and None
    box, one = Outbox(store), study(tmp_path)
    box.add(one)
    for number in range(100):
        one.spool.add(trial(number))
        box.wake()
    assert store.told == []
    let.set()
    one.finished = True
    box.wake()
    assert box.close(20.0) == []
    assert len(trials_told(store)) == 100


def test_a_store_that_never_comes_back_is_waited_for_so_long_and_what_is_missing_is_named(store, tmp_path):
    box, one, other = Outbox(store), study(tmp_path), study(tmp_path, "other")
    one.spool.add(trial(0))
    box.add(one)
    wait_for(lambda: one.trials == {0})
    store.trouble = down
    one.spool.add(trial(1))
    one.finished = True
    other.failed = "KeyboardInterrupt: "
    box.add(other)
    assert box.close(0.1) == [one, other]
    assert one.missing() == "one (1 trial, the result and the model)" and other.missing() == "other (how it ended)"
    assert one.spool.owes("http://mlflow")


def test_a_store_that_answers_and_yet_cannot_take_one_thing_is_no_endless_loop(store, tmp_path, caplog):
    """Its disk is full, say: each new attempt begins well, and ends like the one before."""

    def full(what: str) -> None:
        if what.startswith("finished"):
            raise OSError("No space left on device")

    store.trouble = full
    box, one = Outbox(store), study(tmp_path)
    one.spool.add(trial(0))
    one.finished = True
    box.add(one)
    wait_for(lambda: store.told.count("study one") > 3)
    assert box.close(0.1, at_most_s=20.0) == [one]
    assert one.missing() == "one (the result and the model)"
    assert trials_told(store) == ["trial of one 0"]
    (said,) = [record.getMessage() for record in caplog.records]
    assert "No space left" in said


def test_what_a_store_refuses_is_said_once_and_the_rest_is_told(store, tmp_path, caplog):
    def refuses(what: str) -> None:
        if what == "trial of one 0":
            raise MlflowException.invalid_parameter_value("no such thing")

    store.trouble = refuses
    box, one, other = Outbox(store), study(tmp_path), study(tmp_path, "other")
    one.spool.add(trial(0))
    other.spool.add(trial(0))
    one.finished = other.finished = True
    box.add(one)
    box.add(other)
    assert box.close(20.0) == [one]
    assert "finished other" in store.told
    assert "refused: " in one.missing()
    (said,) = [record.getMessage() for record in caplog.records]
    assert "takes no more of one" in said and "no such thing" in said


def test_a_run_that_somebody_removed_meanwhile_is_made_anew(store, tmp_path):
    removed = []

    def gone(what: str) -> None:
        if what.startswith("trial of one 1") and not removed:
            removed.append(what)
            store.told.clear()
            raise MlflowException("run not found", error_code=1001)  # RESOURCE_DOES_NOT_EXIST

    store.trouble = gone
    box, one = Outbox(store), study(tmp_path)
    for number in (0, 1):
        one.spool.add(trial(number))
    one.finished = True
    box.add(one)
    assert box.close(20.0) == []
    assert store.told == ["study one", "trial of one 0", "trial of one 1", "finished one"]


def test_a_fault_of_ours_stops_no_training_and_is_raised_at_the_end(store, tmp_path):
    def broken(what: str) -> None:
        raise ZeroDivisionError

    store.trouble = broken
    box, one = Outbox(store), study(tmp_path)
    box.add(one)
    one.spool.add(trial(0))
    box.wake()
    with pytest.raises(ZeroDivisionError):
        box.close(20.0)


def test_a_spool_keeps_the_study_and_a_trial_as_they_were_first(tmp_path):
    spool = Spool(tmp_path, "one")
    identity = spool.begin({"code": "a"}, {"dropout": 0.5})
    spool.add(trial(3))
    again = Spool(tmp_path, "one")
    assert again.begin({"code": "b"}, {}) == identity
    first = again.trial(3)
    again.add(trial(3))
    assert again.trial(3) == first and again.trials() == [3]
    assert Spool(tmp_path, "two").begin({}, {}) != identity
    assert not Spool(tmp_path, "three").owes("own")


def test_a_spool_owes_everything_to_every_store_but_the_one_that_was_told(tmp_path):
    spool = Spool(tmp_path, "one")
    spool.begin({}, {})
    assert spool.owes("own")
    spool.mark_told("own")
    assert not spool.owes("own") and spool.owes("http://another")
    spool.begin({}, {})  # it is continued: there is more to tell
    assert spool.owes("own")
