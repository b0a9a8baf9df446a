"""Laws of the study's places: none lost, none taken twice, whoever dies; and of storages that cannot be had."""

from __future__ import annotations

import importlib.util
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from jaxresp.sweep import StorageError, StudyMismatch, Trial, UnknownSetting, out_of_fold_logits, study
from jaxresp.sweep.storages import Store, open_store
from jaxresp.sweep.study import Search, place_of, take
from jaxresp.workdir import WorkdirInUse

from .conftest import LABELS, SPACE, MadeUpFit, interrupting, problem, same, search

KINDS = ("sqlite", "journal")


def states(store: Store) -> list[tuple[int, str]]:
    return [(place_of(t), t.state.name) for t in store.study.trials]


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_study_goes_on_in_every_storage_and_is_the_same_in_all(
    made_up: MadeUpFit, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "STARTUP_TRIALS", 3)
    reference = search(tmp_path / "reference", 6)
    for at in ("trial 1/6, fold 2/2", "trial 6/6, fold 1/2, epoch 2"):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path, 6, storage_url=kind, report=interrupting(lambda what, at=at: what.startswith(at)))
    same(search(tmp_path, 6, storage_url=kind), reference)


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_is_taken_once_and_free_again_when_its_process_dies(tmp_path: Path, kind: str) -> None:
    at = Search(problem(), tmp_path, 3, SPACE)
    with closing(open_store(kind, tmp_path, "s")) as mine, closing(open_store(kind, tmp_path, "s")) as theirs:
        first, second, third = take(at, mine), take(at, theirs), take(at, mine)
        assert first and second and third
        assert [number for _, number, _ in (first, second, third)] == [0, 1, 2]
        assert take(at, theirs) is None
        theirs.let_go(second[0])  # what the system does when a process dies
        again = take(at, mine)
        assert again is not None
        assert again[1:] == second[1:]  # the same place, and the same settings: its checkpoint may be there
        assert states(mine) == [(0, "RUNNING"), (1, "FAIL"), (2, "RUNNING"), (1, "RUNNING")]
        assert not theirs.is_running(second[0].number)
        for asked, *_ in (first, third, again):
            mine.let_go(asked)


def test_who_was_given_up_too_early_does_not_count_beside_who_took_its_place(
    made_up: MadeUpFit, tmp_path: Path
) -> None:
    """A machine that was not heard of, comes back and finishes: its trial is another's now."""
    lost: list[str] = []

    def report(what: str, done: float) -> None:
        if what.startswith("trial 2/4, fold 1/2, epoch 3") and not lost:
            with closing(open_store(None, tmp_path, "binary-toy")) as other:
                (number,) = [t.number for t in other.study.trials if t.state is TrialState.RUNNING]
                other.fail(number)
            lost.append(what)

    trials = search(tmp_path, 4, report=report)
    assert lost
    assert [t.number for t in trials] == [0, 1, 2, 3]
    with closing(open_store(None, tmp_path, "binary-toy")) as store:
        done = [place for place, state in states(store) if state == "COMPLETE"]
        assert sorted(done) == [0, 1, 2, 3]
        assert (1, "FAIL") in states(store)


def test_two_sweeps_in_one_folder_are_one_too_many(made_up: MadeUpFit, tmp_path: Path) -> None:
    refused = []

    def report(what: str, done: float) -> None:
        if not refused:
            with pytest.raises(WorkdirInUse, match="another jaxresp is at work in"):
                search(tmp_path, 2)
            refused.append(what)

    search(tmp_path, 2, report=report)
    assert refused


def test_two_folders_share_the_trials_of_one_study(
    made_up: MadeUpFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two machines with one database do: each trains what the other does not, and what it answers with."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    seen: list[Trial] = []
    theirs = search(tmp_path / "theirs", 6, storage_url=url)
    trained = len(made_up.asked)
    ours = search(tmp_path / "ours", 6, storage_url=url, on_trial=seen.append)
    assert [t.score for t in ours] == [t.score for t in theirs] == [t.score for t in seen]
    assert 2 <= len(made_up.asked) - trained <= 2 * 3  # only what is answered with
    np.testing.assert_array_equal(out_of_fold_logits(problem(), ours), out_of_fold_logits(problem(), theirs))
    trained = len(made_up.asked)
    search(tmp_path / "ours", 6, storage_url=url)
    assert len(made_up.asked) == trained


def test_weights_that_are_gone_are_made_again_to_the_same_bits(unbroken: tuple[Trial, ...], tmp_path: Path) -> None:
    trials = search(tmp_path, 2)
    shutil.rmtree(tmp_path / "trial-0")
    shutil.rmtree(tmp_path / "trial-1")
    again = search(tmp_path, 2)
    needed = [t for t in again if t.is_here]
    assert needed
    same(tuple(needed), tuple(trials[t.number] for t in needed))


def test_a_study_is_of_one_problem(made_up: MadeUpFit, tmp_path: Path) -> None:
    search(tmp_path, 1)
    other = problem(labels=1 - LABELS)
    for how in ({"of": other}, {"of": problem(training=replace(problem().training, seed=6))}, {"pruning": "median"}):
        with pytest.raises(StudyMismatch, match=r"begun with another corpus.*--study"):
            search(tmp_path, 1, **how)
    search(tmp_path, 1, other, study_name="another")


def test_a_trial_is_trained_again_from_where_the_study_says_and_not_what_lies_there(
    made_up: MadeUpFit, tmp_path: Path
) -> None:
    """A folder of another trial's is not taken for this one's."""
    search(tmp_path, 2)
    shutil.rmtree(tmp_path / "trial-1")
    shutil.copytree(tmp_path / "trial-0", tmp_path / "trial-1")
    trials = search(tmp_path, 2)
    assert trials[1].settings != trials[0].settings


def test_storages_that_there_are_not_are_named_with_a_remedy_and_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot be kept in 'mysql'; give sqlite, journal, or postgresql"):
        open_store("mysql://me:secret@here/db", tmp_path, "s")
    with pytest.raises(StorageError) as refused:
        open_store("postgresql://me:secret@127.0.0.1:9/db", tmp_path, "s")
    assert "secret" not in str(refused.value)
    there = importlib.util.find_spec("psycopg") is not None
    assert ("correct the address" if there else "jaxresp[postgres]") in str(refused.value)


def test_a_setting_that_nothing_has_is_refused() -> None:
    with pytest.raises(UnknownSetting, match="nothing here has the settings colour"):
        problem().configured({"filters": 2, "colour": 3})
