"""2,000 samples of the patient bootstrap: all at once, against resampling the rows one sample after another.

    python experiments/benchmarks/bootstrap.py [--repeats 3] [--loop-samples 100] [--write FILE]

Both sides compute the headline metrics of the same samples in one process, in turn, and must agree to 1e-12. The loop
runs `--loop-samples` of them, and its time is scaled to 2,000. Expected: ten seconds on two cores, most of it the loop.
The bound that the project sets itself: 2,000 samples of 7,000 rows in 1 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxresp.evaluate.bootstrap import HEADLINES, SAMPLES, Resamples, headline_samples, interval_of, resample
from jaxresp.evaluate.metrics import classification_metrics

#: rows, patients, classes: ICBHI's recordings, its cycles in their four classes, SPRSound's recordings.
SIZES = {
    "ICBHI, recordings, 3 classes": (920, 126, 3),
    "ICBHI, cycles, 4 classes": (6898, 126, 4),
    "SPRSound, recordings, 5 classes": (2683, 292, 5),
}


def cohort(n_rows: int, n_patients: int, n_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and patients, made up."""
    rng = np.random.default_rng(0)
    patients = np.concatenate([np.arange(n_patients), rng.integers(n_patients, size=n_rows - n_patients)])
    labels = rng.choice(n_classes, p=np.arange(1, n_classes + 1)[::-1] / sum(range(1, n_classes + 1)), size=n_rows)
    return labels, rng.dirichlet(np.ones(n_classes), n_rows) / 2 + np.eye(n_classes)[labels] / 2, patients


def one_by_one(labels: np.ndarray, probabilities: np.ndarray, drawn: Resamples) -> dict[str, np.ndarray]:
    """The usual way: the rows of every sample are copied out, and judged."""
    rows_of = [np.flatnonzero(drawn.patient == p) for p in range(drawn.n_patients)]
    values = []
    for copies in drawn.copies:
        rows = np.concatenate([rows_of[p] for p in np.repeat(np.arange(drawn.n_patients), copies.astype(int))])
        metrics = classification_metrics(labels[rows], probabilities[rows])
        values.append([getattr(metrics, name) for name in HEADLINES])
    return dict(zip(HEADLINES, np.array(values).T, strict=True))


def timed(call: Callable[[], dict[str, np.ndarray]]) -> tuple[float, dict[str, np.ndarray]]:
    started = time.perf_counter()
    made = call()
    return time.perf_counter() - started, made


def measure(size: tuple[int, int, int], repeats: int, loop_samples: int) -> tuple[float, float, float]:
    """Median seconds of ours (drawing and percentiles included) and of the loop, and their largest disagreement."""
    labels, probabilities, patients = cohort(*size)

    def ours() -> dict[str, np.ndarray]:
        drawn = resample(labels, patients, samples=SAMPLES)
        values = headline_samples(labels, probabilities, drawn)
        for each in values.values():
            interval_of(each, drawn)
        return values

    drawn = resample(labels, patients, samples=SAMPLES)
    some = Resamples(drawn.patient, drawn.copies[:loop_samples])
    seconds: tuple[list[float], list[float]] = ([], [])
    apart = 0.0
    for _ in range(repeats):
        spent, values = timed(ours)
        seconds[0].append(spent)
        spent, expected = timed(lambda: one_by_one(labels, probabilities, some))
        seconds[1].append(spent * SAMPLES / loop_samples)
        apart = max(apart, *(float(np.abs(values[n][:loop_samples] - expected[n]).max()) for n in HEADLINES))
    return statistics.median(seconds[0]), statistics.median(seconds[1]), apart


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--loop-samples", type=int, default=100)
    arguments.add_argument("--write", type=Path, help="Also write the table here.")
    options = arguments.parse_args()
    lines = [
        f"# {SAMPLES:,} samples of the patient bootstrap, {os.cpu_count()} CPU cores, load {os.getloadavg()[0]:.1f}",
        "",
        f"`python experiments/benchmarks/bootstrap.py --repeats {options.repeats} "
        f"--loop-samples {options.loop_samples}`",
        "",
        "| | rows | patients | at once, s | one by one, s (scaled) | ratio | largest difference |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, size in SIZES.items():
        ours, loop, apart = measure(size, options.repeats, options.loop_samples)
        if not apart < 1e-12:
            raise SystemExit(f"{name}: the two disagree by {apart}")
        lines.append(
            f"| {name} | {size[0]:,} | {size[1]} | {ours:.3f} | {loop:.1f} | {loop / ours:.0f} | {apart:.0e} |"
        )
    print("\n".join(lines))
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
