"""Laws of how an epoch runs. Nearly all fits share the shape of one network, so that a step is compiled once."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxresp import models
from jaxresp.evaluate.metrics import macro_log_loss
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.taxonomy import BINARY
from jaxresp.train import EmptySide, Fit, NonFiniteLoss, TrainConfig, fit, fit_standardisation, predict, to_arrays
from jaxresp.train import epoch as running
from jaxresp.train.sampling import Sampler
from jaxresp.train.step import begin, hyper_of, static_of

NETWORK = NetworkConfig("cnn1d", filters=2, dense=8)
CONFIG = TrainConfig(batch_size=8, max_epochs=3, learning_rate=0.01)
TRAIN, VALIDATION = np.arange(12), np.arange(12, 18)
LABELS = (np.arange(24) % 4 == 0).astype(np.int32)


def made_bank(variants: int = 1, repeat: int = 2) -> FeatureBank:
    """24 recordings of `repeat` windows each."""
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(24, dtype=np.int32), repeat)
    features = rng.normal(3.0, 2.0, (len(recording), 1 + variants, 16, 8)).astype(np.float32)
    return FeatureBank(features, recording, 24, names=[f"recording {i}" for i in range(24)])


def fitted(bank: FeatureBank, config: TrainConfig = CONFIG, network: NetworkConfig = NETWORK, **how) -> Fit:  # type: ignore[no-untyped-def]
    how = {"train": TRAIN, "validation": VALIDATION} | how
    return fit(bank, LABELS, BINARY, network, config, **how)


def test_one_call_and_a_loop_of_steps_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout, and a learning rate that changes from step to step. tests/slow has the rest."""
    config = replace(CONFIG, schedule="cosine", warmup_epochs=1.0, label_smoothing=0.1)
    bank = made_bank()
    loop = fitted(bank, config)
    monkeypatch.setattr(running, "one_call", lambda: True)
    monkeypatch.setattr(running, "_step_by_step", None)
    call = fitted(bank, config)
    assert len(loop.history) == len(call.history) > 1
    for one, other in zip(loop.history, call.history, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    for name, value in to_arrays(call.weights, call.standardisation).items():
        np.testing.assert_allclose(value, to_arrays(loop.weights, loop.standardisation)[name], atol=1e-4)


@pytest.mark.parametrize("compiled", [True, False])
def test_nothing_comes_from_the_host_while_an_epoch_runs(compiled: bool) -> None:
    """A number that was left on the host is refused, rather than brought over at every step."""
    bank = made_bank()
    rows = bank.windows_of(TRAIN)
    by = fit_standardisation(bank.clean[rows])
    sampler = Sampler(bank, LABELS, BINARY, CONFIG, rows, by)
    graph, weights = models.create(NETWORK, 8, 1, seed=0)
    key, hyper = jax.random.key(0), hyper_of(CONFIG, np.float32(0.0))
    rates = np.full(sampler.steps, 0.01, np.float32)

    def run(hyper) -> None:  # type: ignore[no-untyped-def]
        _, losses = running.run_epoch(
            begin(weights),
            sampler,
            1,
            key,
            hyper,
            rates,
            graph=graph,
            static=static_of(CONFIG),
            compiled=compiled,
        )
        assert losses.shape == (sampler.steps,) and (losses > 0).all()

    run(jax.device_put(hyper))
    weights = models.create(NETWORK, 8, 1, seed=0)[1]  # the others were used up
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        run(hyper)


def test_features_are_brought_to_the_device_once_and_not_changed_after() -> None:
    bank = made_bank()
    fitted(bank)
    placed = bank.placed()
    fitted(bank, replace(CONFIG, seed=1), train=np.arange(6, 20), validation=np.arange(3))
    assert bank.placed() is placed
    with pytest.raises(ValueError, match="read-only"):
        bank.features[0] = 0.0


@pytest.mark.parametrize("compiled", [True, False])
def test_folds_of_different_sizes_share_one_program(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    traces, apply_training = [], models.apply_training
    monkeypatch.setattr(models, "apply_training", lambda *a, **k: traces.append(1) or apply_training(*a, **k))
    monkeypatch.setattr(running, "one_call", lambda: compiled)
    bank, network = made_bank(), replace(NETWORK, dense=6 + compiled)  # traced here and nowhere else
    for n in (4, 12, 20):
        fitted(bank, replace(CONFIG, max_epochs=1), network, train=np.arange(n), validation=None, epochs=1)
    if not compiled:  # and banks of different sizes too
        fitted(made_bank(repeat=3), replace(CONFIG, max_epochs=1), network, validation=None, epochs=1)
    assert len(traces) == 1


# Losses that are no numbers


@pytest.mark.parametrize("compiled", [True, False])
def test_divergence_names_the_step_and_its_recordings(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "one_call", lambda: compiled)
    bank, config = made_bank(), replace(CONFIG, learning_rate=1e30)
    with pytest.raises(NonFiniteLoss, match=r"epoch 1, step 2 of 3, .*\(learning rate 1e\+30\); use a lower") as told:
        fitted(bank, config)
    rows = bank.windows_of(TRAIN)
    sampler = Sampler(bank, LABELS, BINARY, config, rows, fit_standardisation(bank.clean[rows]))
    seen = sorted(set(sampler.recording[sampler.plan(1).rows[1]].tolist()))
    assert told.value.recordings == tuple(seen)
    assert (told.value.epoch, told.value.step) == (1, 2)
    assert all(f"recording {i}" in str(told.value) for i in seen)


def test_a_recording_whose_features_are_no_numbers_is_named() -> None:
    features = made_bank().features.copy()
    features[bank_rows(20)] = np.nan  # neither trained nor validated on
    fine = replace(made_bank(), features=features)
    assert np.isfinite(fitted(fine, replace(CONFIG, max_epochs=1)).score)
    features = features.copy()
    features[bank_rows(7)[0], 0, 3, 2] = np.inf
    with pytest.raises(NonFiniteLoss, match=r"features of recording 7 are not finite.*leave") as told:
        fitted(replace(fine, features=features))
    assert told.value.recordings == (7,)


def bank_rows(recording: int) -> np.ndarray:
    return made_bank().windows_of(np.array([recording]))


def test_weights_that_the_very_last_step_spoilt_do_not_come_back() -> None:
    """Its loss was taken before."""
    config = replace(CONFIG, learning_rate=1e30, weight_decay=1e30, batch_size=32)
    with pytest.raises(NonFiniteLoss, match=r"weights after epoch 1 are not finite.*lower learning rate"):
        fitted(made_bank(), config, validation=None, epochs=1)
    with pytest.raises(NonFiniteLoss, match="validation loss became nan in epoch 1"):
        fitted(made_bank(), config)


# Sides that lack something


def test_a_class_that_cannot_be_learnt_is_named() -> None:
    only_normal = np.flatnonzero(LABELS == 0)
    with pytest.raises(EmptySide, match=f"no recording of {BINARY.classes[1]} to train binary on.*fewer folds"):
        fitted(made_bank(), train=only_normal[:8])
    with pytest.raises(EmptySide, match="no recording to validate binary on"):
        fitted(made_bank(), validation=np.arange(0))


def test_a_class_that_nobody_validates_is_left_out_of_the_mean() -> None:
    bank, validation = made_bank(), np.flatnonzero(LABELS[:18] == 0)[-4:]
    train = np.setdiff1d(TRAIN, validation)
    found = fitted(bank, train=train, validation=validation)
    graph, _ = models.create(NETWORK, 8, 1, seed=0)
    answers = models.probabilities(predict(graph, found.weights, found.standardisation, bank, validation))
    assert found.score == pytest.approx(float(-np.log(answers[:, 0]).mean()), rel=1e-5)
    assert found.score == macro_log_loss(LABELS[validation], answers)
