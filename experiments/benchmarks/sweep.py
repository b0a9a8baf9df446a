"""Six models × 20 trials at ICBHI's size, on the original project's input: how long, and where the time goes.

    python experiments/benchmarks/sweep.py --folder DIR [--models 6] [--trials 20] [--minutes N] [--workers 1]
        [--pruning median] [--epochs 50] [--write FILE]

A made-up corpus (920 recordings; its sounds mean nothing), the first 5 s of each recording, 20 mel bands or 20 MFCC
(52 for the augmented ones, with three changed copies), one patient-disjoint validation split, at most 50 epochs,
patience 5.
Give the same folder again to go on; times add up there. The compilation cache is the folder's own, empty at first.

Goal: within an hour on two cores. What compiling took is told by JAX itself, and known only of trainings in this
process (one worker). Time is of the sweeps alone: making up, preparing and loading the corpus are told apart.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from jaxresp.allocator import keep_freed
from jaxresp.classifier import classifier_name
from jaxresp.compilation import use_persistent_cache
from jaxresp.corpus import Corpus, load, prepare
from jaxresp.features import FeatureBank, build_bank
from jaxresp.frontend import AugmentedMfcc, FrontEnd, LogMel, Mfcc
from jaxresp.models import NetworkConfig
from jaxresp.splits import Split, cross_validation
from jaxresp.sweep import PRUNINGS, Problem, Trial, sweep
from jaxresp.synthetic.full_size import write_full_size
from jaxresp.taxonomy import BINARY, MULTICLASS, Task
from jaxresp.train import TrainConfig
from jaxresp.window import WindowConfig

FRONTENDS = (Mfcc(n_mfcc=20), LogMel(n_mels=20), AugmentedMfcc())
TASKS = (BINARY, MULTICLASS)
COPIES = 3


class OutOfTime(Exception):
    """The minutes are over; what was finished is kept."""


def corpus_in(folder: Path) -> Corpus:
    started = time.perf_counter()
    source = folder / "made-up"
    if not source.is_dir():
        write_full_size(source)
    loaded = load(prepare(source, folder / "data"))
    print(f"corpus: {len(loaded)} recordings, {time.perf_counter() - started:.0f} s to have it", flush=True)
    return loaded


def first_windows(corpus: Corpus, frontend: FrontEnd) -> FeatureBank:
    """Features of the first 5 s of every recording."""
    step_s = float(np.diff(corpus.offsets).max()) / corpus.rate_hz  # then there is one more window at most, the last
    bank = build_bank(corpus, frontend, WindowConfig(5.0, step_s), variants=COPIES if frontend.augments else 0)
    first = np.flatnonzero(np.diff(bank.recording, prepend=-1) > 0)
    return FeatureBank(np.ascontiguousarray(bank.features[first]), bank.recording[first], bank.n_recordings)


def one_split(corpus: Corpus, task: Task) -> Split:
    """The first of three folds: a third is tested by nobody here, a quarter of the rest validates."""
    whole = cross_validation(corpus.patient, corpus.labels(task), task.classes, n_folds=3)
    return replace(whole, folds=whole.folds[:1])


class Compiling:
    """Seconds that JAX spent tracing, lowering and compiling, or fetching what was compiled, by its own account."""

    def __init__(self) -> None:
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, duration: float, **_: object) -> None:
        if event.startswith("/jax/core/compile/"):
            self.seconds += duration


def run_model(problem: Problem, folder: Path, options: argparse.Namespace, compiling: Compiling, until: float) -> dict:
    """Go on with one model's study; what it took so far."""
    file = folder / "time.json"
    spent = json.loads(file.read_text()) if file.is_file() else {"s": 0.0, "cpu_s": 0.0, "compile_s": 0.0}
    finished: list[Trial] = []
    started, cpu, compiled = time.perf_counter(), time.process_time(), compiling.seconds

    def report(what: str, done: float) -> None:
        if time.perf_counter() > until:
            raise OutOfTime

    with contextlib.suppress(OutOfTime):
        sweep(
            problem, folder, n_trials=options.trials, pruning=options.pruning, workers=options.workers,
            report=report, on_trial=finished.append,
        )  # fmt: skip
    spent["s"] += time.perf_counter() - started
    spent["cpu_s"] += time.process_time() - cpu
    spent["compile_s"] += compiling.seconds - compiled
    file.write_text(json.dumps(spent))
    epochs = sum(len(each.history) for trial in finished for each in trial.fits)
    pruned = sum(bool(trial.pruned) for trial in finished)
    return spent | {"trials": len(finished), "pruned": pruned, "epochs": epochs, "model": problem.name}


def table(rows: list[dict], options: argparse.Namespace) -> str:
    one = options.workers == 1
    lines = [
        f"920 made-up recordings, first 5 s, one validation split, at most {options.epochs} epochs, patience 5, "
        f"pruning {options.pruning}, {options.workers} worker{'' if one else 's'}; {os.cpu_count()} cores "
        f"({platform.machine()}), {jax.devices()[0].device_kind}, jax {jax.__version__}.",
        "",
        "| model | trials (pruned) | epochs | minutes | compiling | trials per hour |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    total = {key: sum(row[key] for row in rows) for key in ("s", "compile_s", "trials", "pruned", "epochs")}
    for row in (*rows, total | {"model": "all"}):
        share = f"{row['compile_s'] / row['s']:.1%}" if one and row["s"] else "not seen"
        rate = f"{row['trials'] / row['s'] * 3600:.0f}" if row["s"] else ""
        lines.append(
            f"| {row['model']} | {row['trials']} ({row['pruned']}) | {row['epochs']} | {row['s'] / 60:.1f} | {share} "
            f"| {rate} |"
        )
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--models", type=int, default=6)
    arguments.add_argument("--trials", type=int, default=20)
    arguments.add_argument("--minutes", type=float, default=float("inf"))
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--pruning", choices=PRUNINGS, default="median")
    arguments.add_argument("--epochs", type=int, default=50)
    arguments.add_argument("--write", type=Path)
    options = arguments.parse_args()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(options.folder / "xla")  # for workers too
    keep_freed()
    use_persistent_cache()
    corpus = corpus_in(options.folder)
    compiling, until = Compiling(), time.perf_counter() + 60 * options.minutes
    rows = []
    todo = [(frontend, task) for frontend in FRONTENDS for task in TASKS][: options.models]
    bank = previous = None
    for frontend, task in todo:
        if frontend != previous:
            bank, previous = first_windows(corpus, frontend), frontend
        assert bank is not None
        name = classifier_name(task, frontend)
        problem = Problem(
            name=name,
            bank=bank,
            labels=corpus.labels(task),
            task=task,
            network=NetworkConfig(frontend.network),
            training=TrainConfig(max_epochs=options.epochs),
            split=one_split(corpus, task),
        )
        folder = options.folder / f"studies-{options.pruning}-{options.workers}" / name
        folder.mkdir(parents=True, exist_ok=True)
        rows.append(run_model(problem, folder, options, compiling, until))
        print(table(rows[-1:], options).splitlines()[-2], flush=True)
        if time.perf_counter() > until:
            break
    text = table(rows, options)
    print(f"\n{text}")
    if options.write:
        options.write.write_text(f"# Six models tuned at ICBHI's size\n\n{text}\n")


if __name__ == "__main__":
    main()
