"""Ten minutes of twice what can be served, a tenth of it bad files: does the service stay up, right and of one size?

    python -m experiments.benchmarks.serving.soak [--minutes 10] [--write FILE]

Expected: the minutes and three more, on two cores. The sustainable rate is what eight clients get in a closed loop of
20 s. Then requests come at twice that rate whatever the service does. It fails (exit status 1) when

* the worker died, or a connection broke;
* an answer (200) is not the offline one to 1e-5, or a bad file got anything but its refusal or "busy";
* the refusals that /metrics counts are not those that were sent;
* something was compiled;
* memory (PSS of all processes) rose by more than 2 MiB a minute over the second half.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from experiments.benchmarks.serving import load, material, servers
from experiments.benchmarks.serving.material import Clip
from experiments.benchmarks.serving.servers import Server
from jaxresp.compilation import use_persistent_cache

_FLAT_MIB_PER_MINUTE = 2.0
_CONNECTIONS = 128  # twice what the service lets wait


def mixed(clips: list[Clip], seed: int = 0) -> list[Clip]:
    """Nine clips to one bad file, in an order that does not repeat soon."""
    rng = np.random.default_rng(seed)
    bad = material.bad_clips()
    some = [clips[i] for i in rng.integers(len(clips), size=9 * len(bad))] + bad
    return [some[i] for i in rng.permutation(len(some))]


class MemoryWatch(threading.Thread):
    """PSS of a server every five seconds, until told to stop."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.ended = server, threading.Event()
        self.minutes: list[float] = []
        self.mib: list[float] = []

    def run(self) -> None:
        begun = time.monotonic()
        while not self.ended.wait(5):
            self.mib.append(self.server.pss_mib())
            self.minutes.append((time.monotonic() - begun) / 60)

    def slope(self) -> float:
        """MiB per minute over the second half."""
        half = len(self.mib) // 2
        return float(np.polyfit(self.minutes[half:], self.mib[half:], 1)[0])


def rejections(metrics: dict[str, float]) -> dict[str, float]:
    """Refused requests by reason."""
    head = "jaxresp_rejections_total{"
    return {name.partition('reason="')[2].rstrip('"}'): n for name, n in metrics.items() if name.startswith(head)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--write", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    use_persistent_cache()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = material.write_run(folder / "run")
        classifier = material.load(run)
        good = [clip for rate_hz in material.RATES_HZ for clip in material.clips(classifier, rate_hz)]
        with servers.ours(run, folder) as server:
            settled = load.closed_loop(server.port, server.path, good, clients=8, seconds=20, tolerance=1e-5)
            rate = 2 * settled.per_second
            print(f"sustainable: {settled.per_second:.1f} requests/s; now {rate:.1f}", flush=True)
            before, workers = server.metrics(), server.pids()
            watch = MemoryWatch(server)
            watch.start()
            outcome = load.open_loop(
                server.port,
                server.path,
                mixed(good),
                per_second=rate,
                seconds=60 * arguments.minutes,
                connections=_CONNECTIONS,
                tolerance=1e-5,
            )
            watch.ended.set()
            watch.join()
            time.sleep(1)
            after = server.metrics()
            refused = {
                reason: n - rejections(before).get(reason, 0)
                for reason, n in rejections(after).items()
                if n > rejections(before).get(reason, 0)
            }
            sent = sum(n for status, n in outcome.statuses.items() if status not in (0, 200))
            compiled = after["jaxresp_compilations_total"] - before["jaxresp_compilations_total"]
            faults = {
                "the worker is another process than before": server.pids() != workers,
                "broken connections": outcome.statuses.get(0, 0) > 0,
                "wrong answers": outcome.wrong > 0,
                f"{sum(refused.values()):.0f} refusals counted, {sent} received": sum(refused.values()) != sent,
                "programs were compiled": compiled > 0,
                "memory rises": watch.slope() > _FLAT_MIB_PER_MINUTE,
            }
    found = [what for what, is_so in faults.items() if is_so]
    lines = [
        f"- offered: {rate:.1f} requests/s for {arguments.minutes:g} minutes, twice the sustainable "
        f"{settled.per_second:.1f}; a tenth bad files",
        f"- answers by status: {dict(sorted(outcome.statuses.items()))}; wrong: {outcome.wrong}",
        f"- answered (200): {outcome.per_second:.1f} a second, p50 {outcome.quantile_ms(0.5):.0f} ms, "
        f"p99 {outcome.quantile_ms(0.99):.0f} ms",
        f"- refusals counted by /metrics: { {reason: int(n) for reason, n in sorted(refused.items())} }",
        f"- memory of all processes (PSS): {watch.mib[0]:.0f} MiB at first, {watch.mib[-1]:.0f} at last, at most "
        f"{max(watch.mib):.0f}; {watch.slope():+.2f} MiB per minute over the second half",
        f"- compiled after ready: {compiled:.0f}",
        f"- {'FAILED: ' + '; '.join(found) if found else 'passed'}",
    ]
    print("\n".join(lines))
    if arguments.write:
        arguments.write.write_text("# Twice the sustainable load\n\n" + "\n".join(lines) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
