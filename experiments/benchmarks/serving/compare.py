"""The service against two others, with the same network, clips and machine: requests per second, latency, CPU time.

    python -m experiments.benchmarks.serving.compare [--seconds 10] [--rounds 3] [--write FILE]

Needs the `bench` extra (onnx, onnxruntime). Expected: about twelve minutes on two cores, most of it the load.
Goals: ≥ 5 × "original" (librosa features in a FastAPI handler) at a lower p99, and ≥ 1.0 × "competent" (FastAPI +
ONNX Runtime, vectorised features) at an equal p99, for clips of 20 s at 44.1 and at 4 kHz.

All sides run at once and one is asked at a time, in turn, so that noise of the machine meets all of them. Every answer
is compared with the offline one: ours to 1e-5, competent to 1e-4, original by its label. First the rivals' workers and
threads are tuned; then comes the closed loop with so many clients (what is the most?), then the open loop at one rate
for all who can follow (who is quicker at the same load?).
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from experiments.benchmarks.serving import load, material, servers
from experiments.benchmarks.serving.material import Clip
from experiments.benchmarks.serving.servers import Server
from jaxresp.compilation import use_persistent_cache

_TOLERANCE = {"jaxresp": 1e-5, "competent": 1e-4, "original": 1.0}
_OPEN_SHARE = 0.7  # of the competent rival's closed-loop rate


@dataclass(frozen=True)
class Row:
    """One server under one load, over all rounds: medians."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def measure(server: Server, clips: Sequence[Clip], seconds: float, *, clients: int = 0, rate: float = 0.0) -> Row:
    """Closed loop with `clients`, or open loop at `rate`.

    Raises:
        RuntimeError: an answer that is not the offline one, or a request that was not answered.
    """
    before, tolerance = server.cpu_s(), _TOLERANCE[server.name]
    if clients:
        outcome = load.closed_loop(
            server.port, server.path, clips, clients=clients, seconds=seconds, tolerance=tolerance
        )
    else:
        outcome = load.open_loop(server.port, server.path, clips, per_second=rate, seconds=seconds, tolerance=tolerance)
    if outcome.wrong or set(outcome.statuses) != {200}:
        raise RuntimeError(f"{server.name}: {outcome.wrong} wrong answers; by status {outcome.statuses}")
    cpu_ms = (server.cpu_s() - before) / outcome.answered * 1e3
    return Row(outcome.per_second, outcome.quantile_ms(0.5), outcome.quantile_ms(0.99), cpu_ms)


def in_turn(
    sides: Sequence[Server], clips: Sequence[Clip], seconds: float, rounds: int, *, clients: int = 0, rate: float = 0.0
) -> dict[str, Row]:
    """Every side once per round; medians over rounds."""
    rows: dict[str, list[Row]] = {side.name: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            rows[side.name].append(measure(side, clips, seconds, clients=clients, rate=rate))
    columns = Row.__dataclass_fields__
    return {
        name: Row(**{column: float(np.median([getattr(row, column) for row in some])) for column in columns})
        for name, some in rows.items()
    }


def table(title: str, rows: dict[str, Row]) -> list[str]:
    ours = rows["jaxresp"]
    lines = [
        f"### {title}",
        "",
        "| side | requests/s | p50 ms | p99 ms | CPU ms per request | ours: requests/s | p99 |",
    ]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for name, row in rows.items():
        cells = [name, f"{row.per_second:.1f}", f"{row.p50_ms:.0f}", f"{row.p99_ms:.0f}", f"{row.cpu_ms:.1f}"]
        if row is ours:
            cells += ["", ""]
        else:
            cells += [f"{ours.per_second / row.per_second:.2f} ×", f"{ours.p99_ms / row.p99_ms:.2f} ×"]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


Start = Callable[[Path, Path], AbstractContextManager[Server]]


def tuned(name: str, run: Path, folder: Path, clips: Sequence[Clip], seconds: float, clients: int) -> Tuned:
    """A rival with the workers and threads that answer most requests per second, and the table of those tried."""
    choices: dict[str, list[dict[str, int]]] = {
        "competent": [
            {"workers": workers, "intra_op": intra_op, "threads": threads, "blas": blas}
            for workers, intra_op, threads, blas in (
                (1, 1, 2, 2),  # BLAS as it is installed: its small products wait for each other
                (1, 1, 1, 1),
                (1, 1, 2, 1),
                (1, 2, 2, 1),
                (1, 1, 4, 1),
                (2, 1, 1, 1),
                (2, 1, 2, 1),
            )
        ],
        "original": [{"workers": workers, "blas": blas} for workers, blas in ((1, 2), (1, 1), (2, 1))],
    }
    server_of: dict[str, Callable[..., AbstractContextManager[Server]]]
    server_of = {"competent": servers.competent, "original": servers.original}
    tried: dict[str, Start] = {
        ", ".join(f"{key} {value}" for key, value in settings.items()): partial(server_of[name], **settings)
        for settings in choices[name]
    }
    rows: dict[str, Row] = {}
    for settings, start in tried.items():
        with start(run, folder) as server:
            measure(server, clips, 2, clients=clients)
            rows[settings] = measure(server, clips, seconds, clients=clients)
    best = max(rows, key=lambda settings: rows[settings].per_second)
    lines = [f"| {name} with | requests/s | p99 ms | |", "|---|--:|--:|---|"]
    for settings, row in rows.items():
        chosen = "chosen" if settings == best else ""
        lines.append(f"| {settings} | {row.per_second:.1f} | {row.p99_ms:.0f} | {chosen} |")
    return Tuned(tried[best], [*lines, ""])


@dataclass(frozen=True)
class Tuned:
    """How to start a rival, and why so."""

    start: Start
    lines: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load on one side in one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=4, help="of the closed loop")
    parser.add_argument("--write", type=Path, help="where the tables go")
    arguments = parser.parse_args()
    use_persistent_cache()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        run = material.write_run(folder / "run")
        classifier = material.load(run)
        clips = {rate_hz: material.clips(classifier, rate_hz) for rate_hz in material.RATES_HZ}
        first = clips[material.RATES_HZ[0]]
        rivals = [
            tuned(name, run, folder, first, arguments.seconds, arguments.clients) for name in ("competent", "original")
        ]
        sides = [stack.enter_context(servers.ours(run, folder))]
        sides += [stack.enter_context(rival.start(run, folder)) for rival in rivals]
        lines = [f"{platform.processor() or platform.machine()}, {platform.python_version()}; medians of "]
        lines[0] += f"{arguments.rounds} rounds of {arguments.seconds:g} s on each side; 20-s clips, 16-bit wav."
        lines += ["", *(line for rival in rivals for line in rival.lines)]
        for rate_hz, some in clips.items():
            for side in sides:
                measure(side, some, 2, clients=arguments.clients)
            closed = in_turn(sides, some, arguments.seconds, arguments.rounds, clients=arguments.clients)
            lines += table(f"{rate_hz / 1e3:g} kHz, closed loop of {arguments.clients} clients", closed)
            rate = _OPEN_SHARE * closed["competent"].per_second
            fast = [side for side in sides if closed[side.name].per_second > rate]
            opened = in_turn(fast, some, arguments.seconds, arguments.rounds, rate=rate)
            if "jaxresp" in opened:
                lines += table(f"{rate_hz / 1e3:g} kHz, open loop at {rate:.0f} requests/s", opened)
            print("\n".join(lines), flush=True)
    if arguments.write:
        arguments.write.write_text("# The service against two others\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
