"""Quick mode, one question after another: the latency at ten requests a second, and what compiles meanwhile.

    python -m experiments.benchmarks.serving.latency [--per-second 10] [--seconds 30] [--rounds 3] [--write FILE]

Expected: five minutes on two cores. Goals: p50 ≤ 50 ms, p99 ≤ 150 ms for a clip of 20 s, no program compiled after
ready. Open loop: a latency counts from when its request was due. The generator runs on the same cores. Every answer is
compared with the offline one (1e-5).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from experiments.benchmarks.serving import load, material, servers
from jaxresp.compilation import use_persistent_cache

_COMPILED = "jaxresp_compilations_total"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=30.0, help="of load in one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="where the table goes")
    arguments = parser.parse_args()
    use_persistent_cache()
    lines = ["| clip | requests | p50 ms | p99 ms | CPU ms per request |", "|---|--:|--:|--:|--:|"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = material.write_run(folder / "run")
        classifier = material.load(run)
        clips = {rate_hz: material.clips(classifier, rate_hz) for rate_hz in material.RATES_HZ}
        with servers.ours(run, folder) as server:
            compiled = server.metrics()[_COMPILED]
            for rate_hz, some in clips.items():
                outcomes, cpu_s = [], server.cpu_s()
                for _ in range(arguments.rounds):
                    outcome = load.open_loop(
                        server.port,
                        server.path,
                        some,
                        per_second=arguments.per_second,
                        seconds=arguments.seconds,
                        tolerance=1e-5,
                    )
                    if outcome.wrong or set(outcome.statuses) != {200}:
                        raise RuntimeError(f"{outcome.wrong} wrong answers; by status {outcome.statuses}")
                    outcomes.append(outcome)
                count = sum(outcome.answered for outcome in outcomes)
                cpu_ms = (server.cpu_s() - cpu_s) / count * 1e3
                p50, p99 = (float(np.median([outcome.quantile_ms(q) for outcome in outcomes])) for q in (0.5, 0.99))
                lines.append(f"| {rate_hz / 1e3:g} kHz | {count} | {p50:.0f} | {p99:.0f} | {cpu_ms:.1f} |")
            compiled_since = server.metrics()[_COMPILED] - compiled
            lines += ["", f"Programs compiled after ready: {compiled_since:.0f}."]
            lines.append(f"All processes: {server.pss_mib():.0f} MiB (PSS).")
    heading = f"{arguments.per_second:g} requests/s, open loop; medians of {arguments.rounds} rounds of "
    lines = [f"{heading}{arguments.seconds:g} s.", "", *lines]
    print("\n".join(lines))
    if arguments.write:
        arguments.write.write_text("# Latency of the quick model\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
