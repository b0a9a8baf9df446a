"""What the tests of the search share. Filters and dense units are fixed, so that all trials share one compiled step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig, create
from jaxresp.splits import cross_validation
from jaxresp.sweep import STARTUP_TRIALS, Problem, SearchSpace, Trial, sweep
from jaxresp.sweep import trial as trial_module
from jaxresp.sweep.space import Choice, Real, Whole
from jaxresp.taxonomy import BINARY
from jaxresp.train import Fit, Standardisation, TrainConfig, to_arrays

SPACE = SearchSpace(
    "toy",
    {
        "filters": Choice((2,)),
        "dense": Whole(8, 8),
        "dropout": Real(0.1, 0.5),
        "learning_rate": Real(1e-4, 0.1, log=True),
    },
)

LABELS = np.resize(np.array([0, 1, 1], np.int32), 36)
PATIENTS = np.array([f"p{i:02d}" for i in range(36)])


@cache
def bank() -> FeatureBank:
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(36, dtype=np.int32), 2)
    features = rng.normal(size=(72, 1, 16, 8)).astype(np.float32)
    features[LABELS[recording] == 1, :, ::3, :2] += 1.0
    return FeatureBank(features, recording, 36)


def problem(**changes: object) -> Problem:
    made = Problem(
        name="binary-toy",
        bank=bank(),
        labels=LABELS,
        task=BINARY,
        network=NetworkConfig("cnn1d", filters=2, dense=8),
        training=TrainConfig(batch_size=8, max_epochs=3, learning_rate=0.02, seed=5),
        split=cross_validation(PATIENTS, LABELS, BINARY.classes, n_folds=2),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def search(folder: Path, n_trials: int, of: Problem | None = None, **how: object) -> tuple[Trial, ...]:
    return sweep(of or problem(), folder, n_trials=n_trials, space=SPACE, **how)  # type: ignore[arg-type]


@pytest.fixture(scope="package")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, ...]:
    """A study that reaches beyond Optuna's first ten proposals, to those that look at scores."""
    return search(tmp_path_factory.mktemp("unbroken"), STARTUP_TRIALS + 2)


def same(a: tuple[Trial, ...], b: tuple[Trial, ...]) -> None:
    assert [t.settings for t in a] == [t.settings for t in b]
    assert [t.score for t in a] == [t.score for t in b]
    for one, other in zip(a, b, strict=True):
        assert (one.number, one.network, one.training) == (other.number, other.network, other.training)
        for fit, its in zip(one.fits, other.fits, strict=True):
            assert (fit.best_epoch, fit.score, fit.history) == (its.best_epoch, its.score, its.history)
            theirs = to_arrays(its.weights, its.standardisation)
            for name, value in to_arrays(fit.weights, fit.standardisation).items():
                np.testing.assert_array_equal(value, theirs[name])


def whole(folder: Path, n_trials: int) -> None:
    """Finished trials and the study, and nothing else."""
    names = {path.name for path in folder.iterdir() if not path.name.startswith("running-")}
    names -= {".lock", "study.db.locks", "importance.json"}
    assert names == {"study.db"} | {f"trial-{n}" for n in range(n_trials)}
    for n in range(n_trials):
        assert {p.name for p in (folder / f"trial-{n}").iterdir()} == {"trial.json", "fold-0.npz", "fold-1.npz"}


def interrupting(at: Callable[[str], bool]) -> Callable[[str, float], None]:
    def report(what: str, done: float) -> None:
        if at(what):
            raise KeyboardInterrupt

    return report


class MadeUpFit:
    """Instead of training: losses that follow from the settings alone, and what it was asked for.

    Attributes:
        asked: (recordings to train, to validate, settings) of every call.
        epochs: of all calls together.
    """

    def __init__(self, problem: Problem, losses: Callable[[TrainConfig, int], float] | None = None):
        network = problem.network
        _, self.weights = create(network, problem.bank.features.shape[-1], problem.task.n_outputs, seed=0)
        self.by = Standardisation(np.zeros(8, np.float32), np.ones(8, np.float32))
        self.losses = losses or (lambda config, epoch: abs(np.log10(config.learning_rate) + 2.0) + 1.0 / epoch)
        self.asked: list[tuple[np.ndarray, np.ndarray | None, TrainConfig]] = []
        self.epochs = 0

    def __call__(self, bank, labels, task, network, config, *, train, validation=None, on_epoch, **how):
        self.asked.append((train, validation, config))
        history = []
        for epoch in range(1, config.max_epochs + 1):
            loss = float(self.losses(config, epoch))
            history.append({"train_loss": 0.5, "validation_loss": loss})
            self.epochs += 1
            on_epoch(epoch, history[-1])
        losses = [each["validation_loss"] for each in history]
        return Fit(self.weights, self.by, int(np.argmin(losses)) + 1, min(losses), tuple(history))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUpFit:
    """No network is trained in this test."""
    fit = MadeUpFit(problem())
    monkeypatch.setattr(trial_module, "fit", fit)
    return fit
