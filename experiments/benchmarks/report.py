"""How long the report of a finished run takes to write: Markdown and the page with its figures.

    jaxresp run recordings/icbhi --work work                      or any other finished run of six models
    python experiments/benchmarks/report.py work [--repeats 3] [--write FILE]

Each round reads the run back and writes both into a folder of its own; the first round also imports Matplotlib and
stands by itself. Expected: a few seconds on two cores. The bound that the project sets itself: 20 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jaxresp.evaluate import report
from jaxresp.files import write_whole
from jaxresp.run_report import load_finished, load_results, write_html

BOUND_S = 20.0


def write_markdown(work: Path, file: Path) -> None:
    """What `jaxresp run` writes as report.md."""
    run = load_finished(work)
    write_whole(file, report.markdown(run.results, run.comparisons))


def timed(write: Callable[[Path, Path], None], work: Path, file: Path) -> tuple[float, float]:
    """Seconds on the wall, and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    write(work, file)
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("work", type=Path, help="The work folder of a finished run.")
    arguments.add_argument("--repeats", type=int, default=3, help="Rounds after the first.")
    arguments.add_argument("--write", type=Path, help="Also write the table here.")
    options = arguments.parse_args()
    results = load_results(options.work)
    n, unit = results[0].metrics.n, results[0].unit
    lines = [
        f"# The report of {len(results)} models, {os.cpu_count()} CPU cores, load {os.getloadavg()[0]:.1f}",
        "",
        f"`python experiments/benchmarks/report.py WORK --repeats {options.repeats}`, of a run on "
        f"{report.corpus_title(results[0].corpus)}: {n} {unit}s of {results[0].n_patients} patients. Seconds; the "
        "first round, then the median of the others.",
        "",
        "| | wall, first | CPU, first | wall | CPU | KiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    total = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("report.md", write_markdown), ("report.html", write_html)):
            file = Path(folder) / name
            first, *others = (timed(write, options.work, file) for _ in range(1 + options.repeats))
            wall, processor = (statistics.median(each) for each in zip(*(others or [first]), strict=True))
            cells = (*first, wall, processor)
            lines.append(
                f"| {name} | {' | '.join(f'{each:.2f}' for each in cells)} | {file.stat().st_size / 1024:.0f} |"
            )
            total += first[0]
    lines += ["", f"Both, the first round: {total:.1f} s on the wall; the bound is {BOUND_S:.0f} s."]
    print("\n".join(lines))
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")
    if total > BOUND_S:
        raise SystemExit(f"the report took {total:.1f} s, longer than {BOUND_S:.0f} s")


if __name__ == "__main__":
    main()
