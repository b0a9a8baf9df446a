"""Laws of fitting one network. All fits share the shape of one network, so that a step is compiled once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from jaxresp import models
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
from jaxresp.train.objective import losses_by_class
from jaxresp.train.sampling import Sampler, take

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


@pytest.mark.parametrize("balance", ["class_weights", "smote", "none"])
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
    features[rows[0]] += 1.0
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


def test_the_best_epochs_weights_come_back() -> None:
    """They are those of a training that stops there, and they have the score that was told."""
    found = fitted(replace(CONFIG, max_epochs=12, patience=12, learning_rate=0.05))
    losses = [each["validation_loss"] for each in found.history]
    assert found.score == min(losses)
    assert found.best_epoch == 1 + int(np.argmin(losses)) < len(losses)
    short = fitted(replace(CONFIG, learning_rate=0.05), validation=None, epochs=found.best_epoch)
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
    with pytest.raises(NonFiniteLoss, match=r"epoch 1 \(learning rate 1e\+30.*lower learning rate"):
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
    ):
        fit(bank(), LABELS, BINARY, network, replace(CONFIG, max_epochs=1, **changed), train=TRAIN, epochs=1)
    assert len(traces) == 1


@pytest.mark.parametrize("balance", ["class_weights", "smote"])
def test_balancing_is_heard(balance: str) -> None:
    assert not same(
        fitted(replace(CONFIG, balance=balance), validation=None, epochs=1),
        fitted(replace(CONFIG, balance="none"), validation=None, epochs=1),
    )


@pytest.mark.parametrize("changed", [{"learning_rate": 0.001}, {"dropout": 0.9}, {"weight_decay": 0.9}])
def test_every_traced_setting_is_heard(changed: dict[str, float]) -> None:
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


# Batches


def batch_of(sampler: Sampler, rows: np.ndarray, variant: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.asarray(take(sampler.x, rows, variant)), sampler.y[rows], sampler.weights[sampler.y[rows]]


@pytest.mark.parametrize("balance", ["class_weights", "smote", "none"])
def test_an_epoch_shows_every_window_and_the_next_in_another_order(balance: str) -> None:
    config = replace(CONFIG, balance=balance)
    rows = bank(variants=2).windows_of(TRAIN)
    by = fit_standardisation(bank(variants=2).clean[rows])
    sampler = Sampler(bank(variants=2), LABELS, BINARY, config, rows, by)
    counts = np.bincount(LABELS[bank().recording[rows]])
    n = 2 * counts.max() if balance == "smote" else counts.sum()
    assert sampler.steps == -(-n // 8)
    shown = []
    for epoch in (1, 2, 1):
        batches = [batch_of(sampler, *each) for each in zip(*sampler.plan(epoch), strict=True)]
        assert {x.shape for x, _, _ in batches} == {(8, 16, 8)}
        x, y, weight = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        first = x.reshape(len(x), -1)[:n]
        variants = 1 if balance == "smote" else 3
        whole = np.asarray(sampler.x).reshape(n, variants, -1)
        picked = [np.flatnonzero((whole == row).all(-1).any(-1)) for row in first]
        assert sorted(int(i[0]) for i in picked) == list(range(n))
        np.testing.assert_array_equal(y[:n], sampler.y[[i[0] for i in picked]])
        mean_by_class = [weight[:n][y[:n] == c].sum() for c in (0, 1)]
        if balance == "class_weights":
            assert mean_by_class[0] == pytest.approx(mean_by_class[1], rel=1e-5)
        else:
            assert (weight == 1).all()
        shown.append(x)
    assert not np.array_equal(shown[0], shown[1])
    np.testing.assert_array_equal(shown[0], shown[2])
    if balance == "smote":
        assert np.bincount(sampler.y).tolist() == [n // 2, n // 2]


def test_all_variants_are_shown_in_time() -> None:
    rows = bank(variants=2).windows_of(TRAIN)
    by = fit_standardisation(bank(variants=2).clean[rows])
    sampler = Sampler(bank(variants=2), LABELS, BINARY, CONFIG, rows, by)
    first = np.asarray(sampler.x)[0].reshape(3, -1)
    seen = set()
    for epoch in range(1, 20):
        for each in zip(*sampler.plan(epoch), strict=True):
            x = batch_of(sampler, *each)[0].reshape(8, -1)
            seen |= {v for v in range(3) if (x == first[v]).all(1).any()}
    assert seen == {0, 1, 2}


# Losses and answers


def test_the_binary_loss_is_the_cross_entropy_of_both_classes_spelt_out() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (10, 1)).astype(np.float32)
    labels = (np.arange(10) % 2).astype(np.int32)
    both = np.concatenate([np.zeros_like(logits), logits], 1)
    expected = optax.softmax_cross_entropy_with_integer_labels(both, labels)
    ours = losses_by_class(jax.numpy.asarray(logits))[np.arange(10), labels]
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    for some, classes in ((logits, 2), (both, 2)):
        p = models.probabilities(some)
        assert p.shape[1] == classes
        np.testing.assert_allclose(-np.log(p[np.arange(10), labels]), expected, rtol=1e-4)


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"batch_size": 0},
        {"max_epochs": 0},
        {"patience": 0},
        {"balance": "SMOTE"},
    ],
)
def test_settings_that_make_no_sense_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeCheckError), match=next(iter(wrong))):
        TrainConfig(**wrong)  # type: ignore[arg-type]
