"""Laws of fitting one network. All fits share the shape of one network, so that a step is compiled once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import get_args

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp import models
from jaxresp.balance import Balance
from jaxresp.evaluate.metrics import macro_log_loss
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.models.storage import WeightsMismatch
from jaxresp.taxonomy import BINARY
from jaxresp.train import (
    Fit,
    NonFiniteLoss,
    TrainConfig,
    fit,
    fit_standardisation,
    from_arrays,
    predict,
    standardise,
    to_arrays,
    window_logits,
)
from jaxresp.train.epoch import one_step

NETWORK = NetworkConfig("cnn1d", filters=2, dense=8)
CONFIG = TrainConfig(batch_size=8, max_epochs=4, learning_rate=0.01)
TRAIN, VALIDATION, TEST = np.arange(12), np.arange(12, 18), np.arange(18, 24)
LABELS = (np.arange(24) % 4 == 0).astype(np.int32)


@cache
def bank(variants: int = 0, seed: int = 0) -> FeatureBank:
    """24 recordings of 1 to 3 windows; the classes differ a little."""
    rng = np.random.default_rng(seed)
    recording = np.repeat(np.arange(24, dtype=np.int32), np.resize([1, 2, 3], 24))
    features = rng.normal(3.0, 2.0, (len(recording), 1 + variants, 16, 8)).astype(np.float32)
    features[LABELS[recording] == 1, :, ::3, :2] += 2.0
    return FeatureBank(features, recording, 24)


def fitted(config: TrainConfig = CONFIG, *, of: FeatureBank | None = None, labels: np.ndarray = LABELS, **how) -> Fit:  # type: ignore[no-untyped-def]
    how = {"train": TRAIN, "validation": VALIDATION} | how
    return fit(of or bank(), labels, BINARY, NETWORK, config, **how)


def flat(each: Fit) -> dict[str, np.ndarray]:
    return to_arrays(each.weights, each.standardisation)


def same(a: Fit, b: Fit) -> bool:
    return all(np.array_equal(value, flat(b)[name]) for name, value in flat(a).items())


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = fitted(), fitted(), fitted(replace(CONFIG, seed=1))
    assert same(first, again)
    assert first.history == again.history
    assert not same(first, other)


@pytest.mark.parametrize("balance", get_args(Balance))
def test_what_is_held_out_cannot_be_told_from_the_weights(balance: str) -> None:
    """Other features and labels everywhere but in training: the same weights, bit for bit."""
    config = replace(CONFIG, balance=balance)
    rows = bank().windows_of(TRAIN)
    features = np.random.default_rng(1).normal(50, 9, bank().features.shape).astype(np.float32)
    features[rows] = bank().features[rows]
    labels = np.where(np.isin(np.arange(24), TRAIN), LABELS, 1 - LABELS).astype(np.int32)
    changed = FeatureBank(features, bank().recording, 24)
    ours = fitted(config, validation=None, epochs=2)
    assert same(fitted(config, of=changed, labels=labels, validation=None, epochs=2), ours)
    features = features.copy()
    features[rows[0]] += 1.0
    changed = FeatureBank(features, bank().recording, 24)
    assert not same(fitted(config, of=changed, labels=labels, validation=None, epochs=2), ours)


def test_test_recordings_choose_nothing() -> None:
    """With validation too: the epoch, the scores and the weights stay when test recordings change."""
    features = bank().features.copy()
    features[bank().windows_of(TEST)] = 99.0
    labels = LABELS.copy()
    labels[TEST] = 1 - labels[TEST]
    ours, changed = fitted(), fitted(of=FeatureBank(features, bank().recording, 24), labels=labels)
    assert same(ours, changed)
    assert (ours.history, ours.best_epoch, ours.score) == (changed.history, changed.best_epoch, changed.score)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_best_epochs_weights_come_back(schedule: str) -> None:
    """They are those of a training that stops there, and they have the score that was told."""
    config = replace(CONFIG, max_epochs=12, patience=12, learning_rate=0.2, schedule=schedule, warmup_epochs=1.0)
    found = fitted(config)
    losses = [each["validation_loss"] for each in found.history]
    assert found.score == min(losses)
    assert found.best_epoch == 1 + int(np.argmin(losses)) < len(losses)
    short = fitted(config, validation=None, epochs=found.best_epoch)
    assert same(found, short)
    graph, _ = models.create(NETWORK, 8, 1, seed=0)
    answers = models.probabilities(predict(graph, found.weights, found.standardisation, bank(), VALIDATION))
    assert macro_log_loss(LABELS[VALIDATION], answers) == found.score


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_when_patience_ends(patience: int) -> None:
    found = fitted(replace(CONFIG, max_epochs=60, patience=patience, learning_rate=0.05))
    assert len(found.history) < 60
    assert len(found.history) == found.best_epoch + patience


def test_a_number_of_epochs_is_kept_and_the_last_weights_come_back() -> None:
    two, three = (fitted(validation=None, epochs=n) for n in (2, 3))
    assert (two.best_epoch, three.best_epoch) == (2, 3)
    assert np.isnan(three.score)
    assert three.history[:2] == two.history
    assert not same(two, three)


def test_every_epoch_is_told_as_it_ends() -> None:
    told: list[tuple[int, dict[str, float]]] = []
    found = fitted(on_epoch=lambda epoch, losses: told.append((epoch, dict(losses))))
    assert [epoch for epoch, _ in told] == list(range(1, len(found.history) + 1))
    assert tuple(losses for _, losses in told) == found.history
    assert set(told[0][1]) == {"train_loss", "validation_loss"}


def test_a_caller_that_stops_an_epoch_stops_the_training() -> None:
    def stop(epoch: int, losses: dict[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(on_epoch=stop)


def test_an_absurd_learning_rate_is_an_error_that_names_it() -> None:
    with pytest.raises(NonFiniteLoss, match=r"epoch 1, step .*\(learning rate 1e\+30\); use a lower"):
        fitted(replace(CONFIG, learning_rate=1e30))


def test_fitting_leaves_its_input_alone() -> None:
    features, labels = bank().features.copy(), LABELS.copy()
    fitted()
    np.testing.assert_array_equal(bank().features, features)
    np.testing.assert_array_equal(LABELS, labels)


def test_settings_that_are_swept_compile_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning rate, dropout, weight decay, seed and balancing share one step; another width does not."""
    traces, apply_training = [], models.apply_training
    monkeypatch.setattr(models, "apply_training", lambda *a, **k: traces.append(1) or apply_training(*a, **k))
    # A width of its own, so that the step is traced here and nowhere else.
    network = replace(NETWORK, dense=5)
    for changed in (
        {"learning_rate": 0.003},
        {"learning_rate": 0.001, "dropout": 0.5},
        {"weight_decay": 0.1, "seed": 4},
        {"balance": "none", "dropout": 0.0},
        {"balance": "oversampling", "schedule": "cosine", "label_smoothing": 0.1},
    ):
        fit(bank(), LABELS, BINARY, network, replace(CONFIG, max_epochs=1, **changed), train=TRAIN, epochs=1)
    assert len(traces) == 1


@pytest.mark.parametrize("balance", ["class_weights", "balanced_sampling", "oversampling", "smote"])
def test_balancing_is_heard(balance: str) -> None:
    assert not same(
        fitted(replace(CONFIG, balance=balance), validation=None, epochs=1),
        fitted(replace(CONFIG, balance="none"), validation=None, epochs=1),
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"learning_rate": 0.001},
        {"schedule": "cosine"},
        {"warmup_epochs": 1.0},
        {"dropout": 0.9},
        {"weight_decay": 0.9},
        {"label_smoothing": 0.1},
    ],
)
def test_every_traced_setting_is_heard(changed: dict[str, object]) -> None:
    assert not same(fitted(replace(CONFIG, **changed), validation=None, epochs=1), fitted(validation=None, epochs=1))


# Standardisation


def test_standardisation_is_that_of_clean_training_windows() -> None:
    rows = bank(variants=2).windows_of(TRAIN)
    found = fitted(of=bank(variants=2), validation=None, epochs=1).standardisation
    clean = bank(variants=2).features[rows, 0].astype(np.float64)
    np.testing.assert_allclose(found.mean, clean.mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(found.std, clean.std((0, 1)), rtol=1e-6)


@given(shift=st.floats(-1e3, 1e3), scale=st.floats(1e-2, 1e3))
@settings(deadline=None)
def test_standardised_features_forget_shift_and_scale(shift: float, scale: float) -> None:
    x = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)
    moved = (x * np.float32(scale) + np.float32(shift)).astype(np.float32)
    z = standardise(moved, fit_standardisation(moved))
    np.testing.assert_allclose(z.mean((0, 1)), 0, atol=0.02)
    np.testing.assert_allclose(z.std((0, 1)), 1, atol=0.02)


def test_a_constant_coefficient_stays_finite() -> None:
    x = np.full((4, 5, 2), 7.0, np.float32)
    np.testing.assert_array_equal(standardise(x, fit_standardisation(x)), 0)


# Answers


def test_answers_are_in_the_order_asked_and_no_recording_sees_another() -> None:
    found = fitted(validation=None, epochs=1)
    graph, _ = models.create(NETWORK, 8, 1, seed=0)

    def ask(recordings: list[int]) -> np.ndarray:
        return predict(graph, found.weights, found.standardisation, bank(), np.array(recordings))

    everyone = ask(list(range(24)))
    assert everyone.shape == (24, 1)
    assert len(np.unique(everyone)) == 24
    np.testing.assert_allclose(ask([7, 3, 20]), everyone[[7, 3, 20]], atol=1e-6)
    np.testing.assert_allclose(ask([5]), everyone[[5]], atol=1e-6)
    rows = bank().windows_of(np.array([5]))
    filled = np.resize(rows, 64)
    own = window_logits(graph, found.weights, found.standardisation, bank().clean[filled])[: len(rows)]
    np.testing.assert_allclose(everyone[5], own.mean(0), atol=1e-5)


# What a fit is made of


def test_a_fit_comes_back_from_its_arrays() -> None:
    found = fitted(validation=None, epochs=1)
    graph, weights, by = from_arrays(flat(found), NETWORK, 8, 1)
    assert same(replace(found, weights=weights, standardisation=by), found)
    assert graph == models.create(NETWORK, 8, 1, seed=0)[0]


@pytest.mark.parametrize("lost", ["standardisation/mean", "standardisation/std", "params/head/logits/bias"])
def test_arrays_that_lack_one_name_it(lost: str) -> None:
    arrays = flat(fitted(validation=None, epochs=1))
    del arrays[lost]
    with pytest.raises(WeightsMismatch, match=lost):
        from_arrays(arrays, NETWORK, 8, 1)


@pytest.mark.parametrize("both", [{"validation": VALIDATION, "epochs": 2}, {"validation": None, "epochs": None}])
def test_something_must_end_the_training_and_one_thing_only(both: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="either validation recordings or a number of epochs"):
        fitted(**both)


def test_networks_of_several_dense_widths_share_what_is_compiled() -> None:
    def steps_compiled(dense: int) -> int:
        network = replace(NETWORK, dense=dense)
        fitted_in = replace(NETWORK, dense=24)
        how = {"train": TRAIN, "validation": VALIDATION, "within": fitted_in}
        fit(bank(), LABELS, BINARY, network, replace(CONFIG, max_epochs=1), **how)
        return int(one_step._cache_size())

    assert steps_compiled(8) == steps_compiled(16) == steps_compiled(24)


@pytest.mark.parametrize("name", ["cnn1d", "cnn2d"])
def test_a_network_trained_in_a_wider_one_is_what_it_is_alone(name: str) -> None:
    network = NetworkConfig(name, filters=2, dense=8)
    alone, inside = (
        fit(
            bank(),
            LABELS,
            BINARY,
            network,
            replace(CONFIG, dropout=0.5),
            train=TRAIN,
            validation=VALIDATION,
            within=within,
        )
        for within in (None, replace(network, dense=16))
    )
    assert jax.tree.map(np.shape, inside.weights) == jax.tree.map(np.shape, alone.weights)
    for mine, theirs in zip(inside.history, alone.history, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    for mine, theirs in zip(jax.tree.leaves(inside.weights), jax.tree.leaves(alone.weights), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
