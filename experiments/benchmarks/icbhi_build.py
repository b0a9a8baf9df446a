"""Building and loading a corpus of ICBHI's size, against a bare loop that only decodes and resamples the same files.

    python experiments/benchmarks/icbhi_build.py [--repeats 3] [--folder DIR] [--write]

Writes a made-up corpus first (920 recordings, 5.5 h, 2 GB; half a minute) and removes it at the end. Expected: about
three minutes on two cores, a build within 25 s, 1.5 GB and three times the bare loop, loading within 4 s. The sides
alternate, each in a process of its own, timed without its imports; files are in the page cache. Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

RESULT = Path(__file__).parents[1] / "results" / "icbhi_build.md"
RATE_HZ = 16_000


def build(source: Path, data: Path) -> Callable[[], object]:
    import tensorflow_datasets  # noqa: F401

    from jaxresp.corpus import prepare

    shutil.rmtree(data, ignore_errors=True)
    return lambda: prepare(source, data)


def load(source: Path, data: Path) -> Callable[[], object]:
    import tensorflow_datasets  # noqa: F401

    from jaxresp.corpus import load

    prepared = next(data.glob("icbhi/recordings_16k/[0-9]*"))
    return lambda: load(prepared)


def librosa_loop(source: Path, data: Path) -> Callable[[], object]:
    import librosa

    wavs = sorted(source.rglob("*.wav"))
    librosa.load(wavs[0], sr=RATE_HZ)  # it imports much of itself when first called
    return lambda: [len(librosa.load(wav, sr=RATE_HZ)[0]) for wav in wavs]


def soundfile_loop(source: Path, data: Path) -> Callable[[], object]:
    import soundfile
    import soxr

    def loop() -> None:
        for wav in sorted(source.rglob("*.wav")):
            samples, rate_hz = soundfile.read(wav, dtype="float32")
            soxr.resample(samples, rate_hz, RATE_HZ)

    return loop


SIDES = {
    "prepare: check, hash, decode, resample, measure, write": build,
    "load: read, check, arrays": load,
    "bare loop: librosa.load(sr=16000)": librosa_loop,
    "bare loop: soundfile, soxr": soundfile_loop,
}


def measure(side: str, source: Path, data: Path) -> None:
    """In the child: print seconds, CPU seconds and the peak of its memory."""
    call = SIDES[side](source, data)
    started, cpu = time.perf_counter(), time.process_time()
    call()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": seconds, "cpu_s": cpu_s, "peak_mb": peak_mb}))


def in_a_process(side: str, source: Path, data: Path) -> dict[str, float]:
    arguments = [sys.executable, __file__, "--side", side, "--folder", str(source), "--data", str(data)]
    done = subprocess.run(arguments, check=True, text=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def table(measured: dict[str, list[dict[str, float]]]) -> str:
    median = {
        side: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for side, runs in measured.items()
    }
    bare_s = median["bare loop: librosa.load(sr=16000)"]["s"]
    rows = [
        f"| {side} | {each['s']:.1f} | {each['cpu_s']:.1f} | {each['peak_mb']:.0f} | {each['s'] / bare_s:.2f} |"
        for side, each in median.items()
    ]
    n = len(next(iter(measured.values())))
    return "\n".join(
        [
            f"920 recordings, 5.5 h, made up; {os.cpu_count()} cores ({platform.machine()}), Python "
            f"{platform.python_version()}; medians of {n}.",
            "",
            "| | s | CPU s | peak MB | s / librosa loop |",
            "| --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--folder", type=Path, help="a full-size corpus that is there already; it is kept")
    arguments.add_argument("--write", action="store_true", help=f"write the table to {RESULT.name}")
    arguments.add_argument("--side", help=argparse.SUPPRESS)
    arguments.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.side:
        measure(options.side, options.folder, options.data)
        return
    with tempfile.TemporaryDirectory() as scratch:
        source = options.folder
        if source is None:
            from jaxresp.synthetic.full_size import write_full_size

            source = write_full_size(Path(scratch) / "corpus")
        for wav in source.rglob("*.wav"):
            wav.read_bytes()  # into the page cache
        measured: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(options.repeats):
            for side, runs in measured.items():
                runs.append(in_a_process(side, source, Path(scratch) / "data"))
    text = table(measured)
    print(text)
    if options.write:
        RESULT.write_text(f"# Building a corpus of ICBHI's size\n\n{text}\n")


if __name__ == "__main__":
    main()
