"""One worker with every core against as many workers as cores with one each: epochs per second, side by side.

    python experiments/benchmarks/workers.py [--repeats 3] [--trials 4] [--epochs 4] [--write FILE]

Networks of 16 filters on 552 made-up windows of 157×20, batch 32. A worker takes seconds to start, and that is left
out: time counts from a side's first epoch to its last. Sides alternate; medians. Expected: five minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from jaxresp.allocator import keep_freed
from jaxresp.compilation import use_persistent_cache
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.splits import cross_validation
from jaxresp.sweep import Problem, SearchSpace, sweep
from jaxresp.sweep.space import Real
from jaxresp.taxonomy import BINARY
from jaxresp.train import TrainConfig

RECORDINGS = 1104  # of which half train
SPACE = SearchSpace("rates", {"learning_rate": Real(1e-4, 1e-2, log=True)})  # one network: every trial costs the same


def made_up(network: str, epochs: int) -> Problem:
    rng = np.random.default_rng(0)
    labels = np.resize(np.array([0, 1], np.int32), RECORDINGS)
    patients = np.array([f"p{i // 4:03d}" for i in range(RECORDINGS)])
    labels = labels[np.arange(RECORDINGS) // 4]  # of the patient
    bank = FeatureBank(
        rng.normal(size=(RECORDINGS, 1, 157, 20)).astype(np.float32), np.arange(RECORDINGS, dtype=np.int32), RECORDINGS
    )
    split = cross_validation(patients, labels, BINARY.classes, n_folds=3)
    return Problem(
        name=network,
        bank=bank,
        labels=labels,
        task=BINARY,
        network=NetworkConfig(network),
        training=TrainConfig(max_epochs=epochs, patience=epochs),
        split=replace(split, folds=split.folds[:1]),
    )


def epochs_per_second(problem: Problem, n_trials: int, workers: int) -> float:
    times: list[float] = []

    def report(what: str, done: float) -> None:
        if "epoch" in what:
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        sweep(problem, Path(folder), n_trials=n_trials, space=SPACE, workers=workers, report=report)
    begun = workers  # the first epoch of each is where the clock starts
    return (len(times) - begun) / (times[-1] - times[begun - 1])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--trials", type=int, default=4)
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("--write", type=Path)
    options = arguments.parse_args()
    keep_freed()
    use_persistent_cache()
    cores = len(os.sched_getaffinity(0))
    lines = [
        f"{cores} cores ({platform.machine()}), jax {jax.__version__}; medians of {options.repeats}, alternating.",
        "",
        f"| network | 1 worker, epochs/s | {cores} workers, epochs/s | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for network in ("cnn1d", "cnn2d"):
        problem = made_up(network, options.epochs)
        measured: dict[int, list[float]] = {1: [], cores: []}
        for _ in range(options.repeats):
            for workers, found in measured.items():
                found.append(epochs_per_second(problem, options.trials, workers))
        one, many = (statistics.median(found) for found in measured.values())
        lines.append(f"| {network}, 16 filters | {one:.2f} | {many:.2f} | {many / one:.2f} |")
        print(lines[-1], flush=True)
    text = "\n".join(lines)
    print(f"\n{text}")
    if options.write:
        options.write.write_text(f"# Workers of a sweep\n\n{text}\n")


if __name__ == "__main__":
    main()
