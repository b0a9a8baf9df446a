"""A small problem for processes that are killed: python tests/slow/sweep_problem.py FOLDER STORAGE TRIALS WORKERS."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.splits import cross_validation
from jaxresp.sweep import Problem, SearchSpace, Trial, sweep
from jaxresp.sweep.space import Choice, Real, Whole
from jaxresp.taxonomy import BINARY
from jaxresp.train import TrainConfig

SPACE = SearchSpace("toy", {"filters": Choice((2,)), "dense": Whole(8, 8), "learning_rate": Real(1e-4, 0.1, log=True)})
LABELS = np.resize(np.array([0, 1, 1], np.int32), 36)
PATIENTS = np.array([f"p{i:02d}" for i in range(36)])


def problem(max_epochs: int = 25) -> Problem:
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(36, dtype=np.int32), 2)
    features = rng.normal(size=(72, 1, 16, 8)).astype(np.float32)
    features[LABELS[recording] == 1, :, ::3, :2] += 1.0
    return Problem(
        name="binary-toy",
        bank=FeatureBank(features, recording, 36),
        labels=LABELS,
        task=BINARY,
        network=NetworkConfig("cnn1d", filters=2, dense=8),
        training=TrainConfig(batch_size=8, max_epochs=max_epochs, patience=max_epochs, learning_rate=0.02, seed=5),
        split=cross_validation(PATIENTS, LABELS, BINARY.classes, n_folds=2),
    )


def search(folder: Path, storage_url: str, n_trials: int, workers: int) -> tuple[Trial, ...]:
    def report(what: str, done: float) -> None:
        print(f"{done:.4f} {what}", flush=True)

    return sweep(
        problem(), folder, n_trials=n_trials, space=SPACE, storage_url=storage_url, workers=workers, report=report
    )


if __name__ == "__main__":
    search(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
