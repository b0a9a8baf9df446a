"""What it takes to open a prepared corpus of ICBHI's size and to cut it: time, and memory beyond the imports.

    python experiments/benchmarks/corpus.py [--prepared DIR] [--repeats 3]

Expected: about two minutes on two cores and 4 GB of disk, of which most makes the corpus (920 recordings, 5.5 h, 6,898
cycles); give a prepared directory to leave that out. Every measurement runs in a process of its own; times are medians.
The bound that the project sets itself: loaded in 4 s.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jaxresp.corpus import IntervalConfig, load, load_recordings, prepare
from jaxresp.corpus.streaming import InMemory, StreamedWindows, WindowSource, batches
from jaxresp.synthetic.full_size import write_full_size
from jaxresp.window import WindowConfig

WINDOW = WindowConfig(length_s=5.0, step_s=2.5)
Measured = tuple[Callable[[], object], str]
"""What is timed, and a sentence about what it made."""


def read_records(prepared: Path) -> Measured:
    """Bare reading: TFDS gives every example, and nothing is kept."""
    import tensorflow_datasets as tfds

    source = tfds.builder_from_directory(prepared).as_data_source("recordings")
    return lambda: sum(len(example["audio"]) for example in source), "the examples read by TFDS, nothing kept"


def hash_samples(prepared: Path) -> Measured:
    samples = load(prepared).samples
    return lambda: hashlib.sha256(samples.data).digest(), f"SHA-256 of {samples.nbytes / 1e6:.0f} MB, a part of loading"


def load_all(prepared: Path) -> Measured:
    return lambda: load(prepared), "whole recordings in memory"


def load_columns(prepared: Path) -> Measured:
    return lambda: load_recordings(prepared), "the same checks, without keeping sound"


def windows(prepared: Path) -> Measured:
    corpus = load(prepared)
    return lambda: corpus.windows(WINDOW), f"{len(corpus.windows(WINDOW)):,} windows of 5 s, every 2.5 s"


def intervals(prepared: Path) -> Measured:
    corpus = load(prepared)
    buckets = corpus.intervals(IntervalConfig())
    told = ", ".join(f"{len(each):,} of {each.samples.shape[1] / corpus.rate_hz:g} s" for each in buckets)
    cut = sum(int((~each.whole).sum()) for each in buckets)
    return lambda: corpus.intervals(IntervalConfig()), f"{told}; {cut} cut short"


def _batches(source: WindowSource, seed: int | None) -> Measured:
    return lambda: [len(batch["samples"]) for batch in batches(source, 32, seed=seed)], f"{len(source):,} windows by 32"


def from_memory(prepared: Path) -> Measured:
    return _batches(InMemory(load(prepared).windows(WINDOW)), 0)


def from_disk_in_order(prepared: Path) -> Measured:
    return _batches(StreamedWindows(prepared, WINDOW), None)


def from_disk_shuffled(prepared: Path) -> Measured:
    return _batches(StreamedWindows(prepared, WINDOW), 0)


MEASUREMENTS = {
    "read by TFDS alone": read_records,
    "hash the samples": hash_samples,
    "load": load_all,
    "load_recordings": load_columns,
    "Corpus.windows": windows,
    "Corpus.intervals": intervals,
    "batches from memory, shuffled": from_memory,
    "batches from disk, in order": from_disk_in_order,
    "batches from disk, shuffled": from_disk_shuffled,
}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measure(name: str, prepared: Path) -> dict[str, object]:
    """One measurement in this process."""
    import grain  # noqa: F401 (imports are no part of what is measured)
    import tensorflow_datasets as tfds

    tfds.builder_from_directory(prepared).as_data_source("recordings")[0]
    imported_mb = peak_mb()
    call, told = MEASUREMENTS[name](prepared)
    started = time.perf_counter()
    made = call()
    seconds = time.perf_counter() - started
    del made
    return {"seconds": seconds, "peak_mb": peak_mb() - imported_mb, "told": told}


def report(prepared: Path, repeats: int) -> None:
    print("| | median s | of s | peak memory beyond imports, MB | |\n| --- | --- | --- | --- | --- |")
    results: dict[str, list[dict[str, object]]] = {name: [] for name in MEASUREMENTS}
    for _ in range(repeats):  # interleaved
        for name, found in results.items():
            command = [sys.executable, __file__, "--measure", name, "--prepared", str(prepared)]
            found.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    for name, found in results.items():
        seconds = [float(str(each["seconds"])) for each in found]
        peak = max(float(str(each["peak_mb"])) for each in found)
        spread = ", ".join(f"{s:.2f}" for s in sorted(seconds))
        print(f"| {name} | {statistics.median(seconds):.2f} | {spread} | {peak:.0f} | {found[0]['told']} |", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--prepared", type=Path)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.prepared)))
    elif options.prepared:
        report(options.prepared, options.repeats)
    else:
        with tempfile.TemporaryDirectory(prefix="jaxresp-benchmark-") as folder:
            source = write_full_size(Path(folder) / "icbhi")
            report(prepare(source, Path(folder) / "data"), options.repeats)


if __name__ == "__main__":
    main()
