"""Laws of giving up a trial: who is never given up, and what is never looked at."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from jaxresp.splits import Split
from jaxresp.splits.fold import Fold
from jaxresp.sweep import Trial, UnknownPruning, answers, best_trial, fit_final, looks_at_scores
from jaxresp.sweep import trial as trial_module
from jaxresp.sweep.answers import chosen_trial
from jaxresp.sweep.pruning import (
    HyperbandPruning,
    MedianPruning,
    Rival,
    pruning_of,
    reached,
)
from jaxresp.taxonomy import BINARY
from jaxresp.train import NonFiniteLoss

from .conftest import LABELS, PATIENTS, MadeUpFit, interrupting, problem, same, search

LONG = replace(problem().training, max_epochs=30)


def long() -> object:
    return problem(training=LONG)


def rivals(*values: float, epochs: int = 30, folds: int = 2) -> list[Rival]:
    return [Rival(n + 1, [[value] * epochs] * folds, True) for n, value in enumerate(values)]


def test_what_is_compared_is_the_mean_of_the_folds_best_at_equal_training() -> None:
    curves = [[0.9, 0.5, 0.8], [0.7, 0.6]]
    assert reached(curves, [3]) == 0.5
    assert reached(curves, [1]) == 0.9
    assert reached(curves, [3, 1]) == pytest.approx(0.6)
    assert reached(curves, [9, 9]) == pytest.approx(0.55)  # a fold that has ended counts whole
    assert np.isnan(reached(curves, [3, 2, 1]))


def test_the_median_gives_up_what_is_worse_than_half_of_the_finished() -> None:
    others, median = rivals(0.1, 0.2, 0.3, 0.4, 0.5), MedianPruning()
    assert median.behind([[0.31] * 5], others)
    assert not median.behind([[0.3] * 5], others)
    assert not median.behind([[0.31] * 4], others)  # too early
    assert not median.behind([[0.31] * 5], others[:4])  # too few
    assert not median.behind([[0.31] * 5], [replace(rival, finished=False) for rival in others])
    assert median.behind([[0.2] * 9, [0.5] * 5], others)  # 0.35 over both folds
    assert not median.behind([[0.2] * 9, [0.5] * 4], others)


def test_hyperband_keeps_the_best_third_at_each_rung_of_a_bracket() -> None:
    number = next(n for n in range(1, 20) if HyperbandPruning(n, 30).bracket_of(n) == 0)
    mates = [n for n in range(1, 200) if HyperbandPruning(n, 30).bracket_of(n) == 0 and n != number]
    others = [Rival(mates[i], [[0.1 * (i + 1)] * 30], False) for i in range(5)]

    def asked(mine: float, epochs: int) -> bool:
        return HyperbandPruning(number, 30).behind([[mine] * epochs], others)

    assert not asked(0.9, 2)  # below the first rung
    assert asked(0.25, 3)
    assert not asked(0.15, 3)
    assert not HyperbandPruning(number, 30).behind([[0.9] * 3], [])  # alone
    through = HyperbandPruning(number, 30)
    assert not through.behind([[0.15] * 3], others)
    assert not through.behind([[0.95] * 8], others)  # between rungs nobody is asked
    assert through.behind([[0.95] * 8 + [0.9]], [replace(r, curves=[[0.01] * 30]) for r in others])


def test_every_bracket_gets_its_share_of_the_places() -> None:
    brackets = [HyperbandPruning(n, 50).bracket_of(n) for n in range(16)]
    assert sorted(brackets) == [0] * 9 + [1] * 5 + [2] * 3 or set(brackets) == {0, 1, 2}
    assert brackets.count(0) > brackets.count(1) >= brackets.count(2) >= 2


def test_the_first_trial_has_nobody_who_could_give_it_up() -> None:
    assert pruning_of("median", 0, 30) is None
    assert pruning_of("hyperband", 0, 30) is None
    assert pruning_of("none", 7, 30) is None
    with pytest.raises(UnknownPruning, match="choose from median, hyperband, none"):
        pruning_of("medium", 1, 30)


@pytest.mark.parametrize("pruning", ["median", "hyperband"])
def test_a_pruned_trial_is_kept_as_a_record_and_never_chosen(made_up: MadeUpFit, tmp_path: Path, pruning: str) -> None:
    told = []
    trials = search(tmp_path, 12, long(), pruning=pruning, on_trial=told.append)
    pruned = [trial for trial in trials if trial.pruned]
    assert 1 <= len(pruned) < 11
    assert not trials[0].pruned
    assert [t.number for t in trials] == list(range(12)) == sorted(t.number for t in told)
    assert made_up.epochs < 12 * 2 * 30 - 20
    assert looks_at_scores(trials) and not looks_at_scores(trials[:1])
    best = min((t for t in trials if not t.pruned), key=lambda t: t.score)
    assert best_trial(trials) is best
    assert not any(chosen_trial(trials, k).pruned for k in range(2))
    for trial in pruned:
        assert np.isnan(trial.score)
        assert {p.name for p in (tmp_path / f"trial-{trial.number}").iterdir()} == {"trial.json"}
        record = json.loads((tmp_path / f"trial-{trial.number}" / "trial.json").read_text())
        assert record["pruned"] == trial.pruned != ""
        assert record["settings"] == trial.settings
        assert 0 < len(record["folds"][-1]["history"]) < 30
        # Even one that had been far ahead when it was given up would not be chosen.
        ahead = replace(trial, fits=tuple(replace(each, score=-1.0) for each in (*trial.fits, *trial.fits)[:2]))
        assert best_trial((*trials, ahead)) is best


@pytest.mark.parametrize("pruning", ["median", "hyperband"])
def test_a_broken_and_continued_study_prunes_as_the_unbroken_one(
    made_up: MadeUpFit, tmp_path: Path, pruning: str
) -> None:
    unbroken = search(tmp_path / "whole", 9, long(), pruning=pruning)
    for at in ("trial 4/9, fold 1/2, epoch 2", "trial 8/9, fold 1/2, epoch 2"):
        with pytest.raises(KeyboardInterrupt):
            search(
                tmp_path / "broken", 9, long(), pruning=pruning,
                report=interrupting(lambda what, at=at: what.startswith(at)),
            )  # fmt: skip
    told = []
    continued = search(tmp_path / "broken", 9, long(), pruning=pruning, on_trial=told.append)
    assert [t.pruned for t in continued] == [t.pruned for t in unbroken]
    same(tuple(t for t in continued if not t.pruned), tuple(t for t in unbroken if not t.pruned))
    assert [trial.number for trial in told] == list(range(9))


def test_optuna_knows_what_was_pruned(made_up: MadeUpFit, tmp_path: Path) -> None:
    trials = search(tmp_path, 8, long(), pruning="median")
    study = optuna.load_study(study_name="binary-toy", storage=f"sqlite:///{tmp_path / 'study.db'}")
    states = [t.state is optuna.trial.TrialState.PRUNED for t in study.trials]
    study._storage.remove_session()
    assert states == [bool(trial.pruned) for trial in trials]


def test_a_study_with_pruning_never_reads_a_test_side(
    made_up: MadeUpFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a test side that no fold validates on, no recording of it is asked for, and none is fitted in the end."""
    rows = np.arange(36)
    split = Split(
        "held-out", "patient_disjoint", PATIENTS, LABELS, BINARY.classes, (Fold(rows[:18], rows[18:27], rows[27:]),)
    )
    of = problem(training=LONG, split=split)
    trials = search(tmp_path, 8, of, pruning="median")
    for train, validation, _ in made_up.asked:
        assert set(train) == set(rows[:18])
        assert set(validation) == set(rows[18:27])
    monkeypatch.setattr(answers, "fit", made_up)
    fit_final(of, trials)
    assert set(made_up.asked[-1][0]) == set(rows[:27])


def test_a_trial_that_diverges_is_given_up_and_the_study_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = MadeUpFit(problem())

    def diverging(*arguments: object, **how: object) -> object:
        if arguments[4].dropout > 0.35:  # type: ignore[attr-defined]
            raise NonFiniteLoss("the training loss became nan in epoch 1", epoch=1)
        return made(*arguments, **how)

    monkeypatch.setattr(trial_module, "fit", diverging)
    trials = search(tmp_path, 5)
    for trial in trials:
        assert trial.pruned.startswith("diverged: the training loss became nan") == (trial.settings["dropout"] > 0.35)
    assert any(trial.pruned for trial in trials)
    with pytest.raises(NonFiniteLoss):  # the defaults are the user's own
        search(tmp_path / "defaults", 2, problem(training=replace(LONG, dropout=0.4)))


def test_folds_trained_at_once_are_pruned_too_and_leave_the_same_kind_of_trial(
    made_up: MadeUpFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an accelerator: every fold comes to an epoch before any comes to the next."""

    def at_once(bank: object, labels: object, task: object, members: list[object], *, on_epoch: object) -> tuple:
        fits = [
            made_up(bank, labels, task, m.network, m.config, train=m.train, on_epoch=lambda *_: None) for m in members
        ]
        for epoch in range(30):
            for k, fit in enumerate(fits):
                on_epoch(k, epoch + 1, fit.history[epoch])
        return tuple(fits)

    one_after_another = search(tmp_path / "one", 8, long(), pruning="median")
    monkeypatch.setattr(trial_module, "population_pays", lambda network, n_members: n_members == 2)
    monkeypatch.setattr(trial_module, "fit_many", at_once)
    trials = search(tmp_path / "all", 8, long(), pruning="median")
    whole = [trial.number for trial in trials if not trial.pruned]
    assert [bool(trial.pruned) for trial in trials] == [bool(trial.pruned) for trial in one_after_another]
    assert 0 < len(whole) < 8
    for trial in trials:
        if trial.pruned:
            assert len({len(each.history) for each in trial.fits}) <= 2  # nearly as far in each fold
        else:
            assert trial.score == one_after_another[trial.number].score


@pytest.mark.slow
def test_folds_trained_at_once_score_as_one_after_another(
    unbroken: tuple[Trial, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "population_pays", lambda network, n_members: True)
    for trial, alone in zip(search(tmp_path, 2), unbroken, strict=False):
        assert trial.settings == alone.settings
        assert trial.score == pytest.approx(alone.score, rel=1e-3)
