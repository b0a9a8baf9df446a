"""Laws of the study and of what is answered from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from jaxresp.features import FeatureBank
from jaxresp.models import create
from jaxresp.sweep import Trial, answers, best_trial, fit_final, fold_embeddings, out_of_fold_logits, sweep
from jaxresp.sweep import trial as trial_module
from jaxresp.sweep.space import Real
from jaxresp.taxonomy import BINARY
from jaxresp.train import Fit, fitting, predict

from .conftest import LABELS, SPACE, bank, interrupting, problem, same, search, whole


def test_the_first_trial_has_the_default_settings_and_the_others_do_not(unbroken: tuple[Trial, ...]) -> None:
    assert unbroken[0].settings == {"filters": 2, "dense": 8, "dropout": 0.3, "learning_rate": 0.02}
    assert len({json.dumps(trial.settings) for trial in unbroken}) == len(unbroken)
    for trial in unbroken:
        assert SPACE.holds(trial.settings)


def test_the_settings_of_a_trial_are_what_it_was_trained_with(unbroken: tuple[Trial, ...]) -> None:
    """The original project tuned a learning rate and trained with another."""
    for trial in unbroken[:3]:
        assert trial.training == replace(
            problem().training, dropout=trial.settings["dropout"], learning_rate=trial.settings["learning_rate"]
        )
        fold = problem().folds[0]
        again = trial_module.fit(
            bank(),
            LABELS,
            BINARY,
            trial.network,
            trial.training,
            train=fold.train,
            validation=fold.validation,
            within=trial_module.shared_shape(trial.network),
        )
        assert again.history == trial.fits[0].history


def test_a_broken_and_continued_study_is_the_unbroken_one(unbroken: tuple[Trial, ...], tmp_path: Path) -> None:
    n = len(unbroken)
    for at in ("trial 1/12, fold 1/2, epoch 1", "trial 5/12, fold 2/2, epoch 3", "trial 12/12, fold 1/2"):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path, n, report=interrupting(lambda what, at=at: what.startswith(at)))
        whole(tmp_path, int(at.split("/")[0].split()[1]) - 1)
    same(search(tmp_path, n), unbroken)
    whole(tmp_path, n)


def test_a_study_killed_after_its_trial_was_saved_and_before_it_was_told(
    unbroken: tuple[Trial, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = trial_module.save

    def killed(trial: Trial, folder: Path) -> None:
        save(trial, folder)
        if trial.number == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trial_module, "save", killed)
        search(tmp_path, 3)
    same(search(tmp_path, 3), unbroken[:3])
    whole(tmp_path, 3)


def test_a_study_killed_while_its_trial_is_saved_leaves_no_half_of_it(
    unbroken: tuple[Trial, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, arrays_of = [], trial_module.to_arrays

    def killed(*fitted: object) -> dict[str, np.ndarray]:
        packed.append(1)
        if len(packed) == 4:
            raise KeyboardInterrupt
        return arrays_of(*fitted)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trial_module, "to_arrays", killed)
        search(tmp_path, 3)
    whole(tmp_path, 1)
    same(search(tmp_path, 3), unbroken[:3])


def test_a_longer_study_begins_with_the_shorter_and_trains_nothing_twice(
    unbroken: tuple[Trial, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same(search(tmp_path, 2), unbroken[:2])
    fits, fit = [], trial_module.fit
    monkeypatch.setattr(trial_module, "fit", lambda *a, **k: fits.append(1) or fit(*a, **k))
    same(search(tmp_path, 3), unbroken[:3])
    assert len(fits) == 2
    same(search(tmp_path, 3), unbroken[:3])
    assert len(fits) == 2


def test_another_seed_proposes_and_trains_otherwise(unbroken: tuple[Trial, ...], tmp_path: Path) -> None:
    other = search(tmp_path, 2, problem(training=replace(problem().training, seed=6)))
    assert other[0].settings == unbroken[0].settings
    assert other[0].score != unbroken[0].score
    assert other[1].settings != unbroken[1].settings


def test_optuna_knows_every_trial_and_its_score(tmp_path: Path) -> None:
    trials = search(tmp_path, 3)
    study = optuna.load_study(study_name="binary-toy", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [t.params for t in study.trials] == [t.settings for t in trials]
    assert [t.value for t in study.trials] == [t.score for t in trials]
    assert study.best_trial.number == best_trial(trials).number
    study._storage.remove_session()


def test_defaults_outside_the_space_are_tried_all_the_same(tmp_path: Path) -> None:
    """Optuna would refuse them; a warning would fail this test."""
    narrow = replace(SPACE, dimensions={**SPACE.dimensions, "dropout": Real(0.4, 0.5)})
    trials = sweep(problem(), tmp_path, n_trials=2, space=narrow)
    assert trials[0].settings["dropout"] == 0.3
    assert trials[1].settings["dropout"] >= 0.4


def test_progress_never_goes_back_and_ends_with_one(tmp_path: Path) -> None:
    told: list[float] = []
    search(tmp_path, 2, report=lambda what, done: told.append(done))
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] == 1.0


# What is answered


def test_a_folds_test_labels_have_no_part_in_its_answers(tmp_path: Path, unbroken: tuple[Trial, ...]) -> None:
    """With its test patients' labels turned round, a fold chooses the same trial and answers the same."""
    fold = problem().folds[0]
    labels = LABELS.copy()
    labels[fold.test] = 1 - labels[fold.test]
    turned = problem(labels=labels)
    n = 4
    changed = search(tmp_path, n, turned)
    ours = unbroken[:n]
    scores = [[trial.fits[0].score for trial in trials] for trials in (ours, changed)]
    assert scores[0] == scores[1]
    before, after = out_of_fold_logits(problem(), ours), out_of_fold_logits(turned, changed)
    np.testing.assert_array_equal(after[fold.test], before[fold.test])
    other = problem().folds[1].test  # which trains on those patients
    assert not np.array_equal(after[other], before[other])


def test_a_folds_test_sound_has_no_part_in_choosing_its_network(unbroken: tuple[Trial, ...], tmp_path: Path) -> None:
    fold = problem().folds[0]
    features = bank().features.copy()
    features[bank().windows_of(fold.test)] += 7.0
    changed = search(tmp_path, 2, problem(bank=FeatureBank(features, bank().recording, 36)))
    for ours, theirs in zip(unbroken, changed, strict=False):
        assert ours.fits[0].history == theirs.fits[0].history
        assert ours.fits[1].history != theirs.fits[1].history


def test_each_fold_answers_with_the_trial_that_its_own_validation_preferred(unbroken: tuple[Trial, ...]) -> None:
    logits = out_of_fold_logits(problem(), unbroken)
    assert logits.shape == (36, 1)
    assert np.isfinite(logits).all()
    graph, _ = create(problem().network, 8, 1, seed=0)
    for k, fold in enumerate(problem().folds):
        preferred = unbroken[int(np.argmin([trial.fits[k].score for trial in unbroken]))].fits[k]
        answers = predict(graph, preferred.weights, preferred.standardisation, bank(), fold.test)
        np.testing.assert_array_equal(logits[fold.test], answers)


def test_answers_are_a_linear_map_of_each_folds_own_embedding(unbroken: tuple[Trial, ...]) -> None:
    """What is probed is what the fold's network answers from: its last layer gives the out-of-fold logits."""
    logits, folds = out_of_fold_logits(problem(), unbroken), problem().folds
    embeddings = list(fold_embeddings(problem(), unbroken))
    assert len(embeddings) == len(folds)
    for k, (fold, embedding) in enumerate(zip(folds, embeddings, strict=True)):
        assert embedding.shape == (36, 8)
        last = min(unbroken, key=lambda trial: trial.fits[k].score).fits[k].weights.params["head"]["logits"]
        answered = embedding @ np.asarray(last["kernel"][...]) + np.asarray(last["bias"][...])
        np.testing.assert_allclose(answered[fold.test], logits[fold.test], atol=1e-5)


def test_answers_of_trials_that_were_loaded_are_those_of_trials_just_run(tmp_path: Path) -> None:
    run = search(tmp_path, 2)
    loaded = search(tmp_path, 2)
    np.testing.assert_array_equal(out_of_fold_logits(problem(), run), out_of_fold_logits(problem(), loaded))


def test_the_best_trial_has_the_lowest_mean_and_of_equals_the_first(unbroken: tuple[Trial, ...]) -> None:
    def scored(number: int, *scores: float) -> Trial:
        fits = tuple(replace(unbroken[0].fits[0], score=score) for score in scores)
        return replace(unbroken[0], number=number, fits=fits)

    trials = (scored(0, 0.5, 0.7), scored(1, 0.25, 0.75), scored(2, 0.75, 0.25))
    assert [trial.score for trial in trials] == pytest.approx([0.6, 0.5, 0.5])
    assert best_trial(trials).number == best_trial(trials[::-1]).number == 1


def test_the_final_fit_runs_the_folds_median_epochs_on_every_recording(
    unbroken: tuple[Trial, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, object]] = []
    fit = trial_module.fit

    def watched(*arguments: object, **how: object) -> Fit:
        given.append({"network": arguments[3], "training": arguments[4], **how})
        return fit(*arguments, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(answers, "fit", watched)
    final, best = fit_final(problem(), unbroken), best_trial(unbroken)
    (how,) = given
    assert final.best_epoch == int(np.median([each.best_epoch for each in best.fits]))
    assert np.array_equal(how["train"], np.arange(36))  # type: ignore[arg-type]
    assert how.get("validation") is None
    assert (how["network"], how["training"]) == (best.network, best.training)


def test_a_trial_that_was_broken_off_goes_on_from_its_checkpoints(
    unbroken: tuple[Trial, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its finished fold is not trained again, and in the end no checkpoint is left."""
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, 2, report=interrupting(lambda what: what.startswith("trial 2/2, fold 2/2, epoch 2")))
    (left,) = tmp_path.glob("running-1-*")
    assert (left / "fold-0").is_file()
    epochs, run_epoch = [], fitting.run_epoch
    monkeypatch.setattr(fitting, "run_epoch", lambda *a, **k: epochs.append(1) or run_epoch(*a, **k))
    same(search(tmp_path, 2), unbroken[:2])
    assert len(epochs) < 2 * 3
    assert not list(tmp_path.glob("running-*"))
