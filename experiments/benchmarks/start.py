"""From `jaxresp serve` to the first answer: seconds and CPU seconds of every phase, and memory of every process.

    python experiments/benchmarks/start.py [--run WORK] [--rounds 3] [--write FILE]

Expected: about two minutes on two quiet cores. Each round starts the service twice, first with an empty compilation
cache (cold), then with the one that was filled (warm), and waits until /readyz answers; then the page and each of the
models must answer. Without --run the six networks are untrained ones of the size that a run begins with (16 filters,
128 dense units): what is compiled depends on shapes alone. Memory is PSS, in which what processes share is counted
once; it is taken once the service is ready, and again after each of the six models has answered.

The bounds that the project sets itself, on two cores: ready in 20 s cold and 8 s warm; 1.2 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import httpx
import psutil

from bento.store import FEATURES, NAMES, TASKS
from bento.ui.examples import write_examples
from jaxresp import shipped
from jaxresp.classifier import untrained

PHASES = {
    "launcher": "jaxresp serve checks the port and the models",
    "watcher": "bentoml's own process: imports, checks, sockets",
    "imports": "the process that takes requests: bentoml",
    "models": "the processes that answer: jax, six models loaded, verified, compiled; meanwhile Gradio imported",
    "page": "the page built, the server listening",
}
ROLES = ("launcher", "watcher", "server", "answering")
PATIENCE_S = 600.0


@dataclass(frozen=True)
class Start:
    """One start.

    Attributes:
        ready_s: until /readyz answered.
        phases_s: wall seconds of each of PHASES.
        cpu_s: of all processes until then.
        programs: compiled, or read from the cache, by all processes.
        pss_mb: of each of ROLES once ready.
        pss_used_mb: of all processes after each of the six models has answered.
    """

    ready_s: float
    phases_s: Mapping[str, float]
    cpu_s: float
    programs: int
    pss_mb: Mapping[str, float]
    pss_used_mb: float


def measure(environment: Mapping[str, str], sound: bytes, log: Path) -> Start:
    """Start the service, ask it, stop it."""
    port = free_port()
    began = time.time()
    with running(["-m", "jaxresp.cli", "serve", "--port", str(port)], environment, log) as process:
        url = f"http://127.0.0.1:{port}"
        while not answers(f"{url}/readyz"):
            if process.poll() is not None or time.time() - began > PATIENCE_S:
                sys.exit(f"the service did not start:\n{log.read_text()[-4000:]}")
            time.sleep(0.02)
        ready = time.time()
        family = by_role(psutil.Process(process.pid))
        cpu_s = sum(sum(member.cpu_times()[:4]) for members in family.values() for member in members)
        pss_mb = {role: sum(map(pss, members)) for role, members in family.items()}
        httpx.get(f"{url}/ui/", timeout=60).raise_for_status()
        for task in TASKS:
            for features in FEATURES:
                form = {"task": task, "features": features}
                answer = httpx.post(f"{url}/v1/classify_with", files={"audio": ("a.wav", sound)}, data=form, timeout=60)
                answer.raise_for_status()
        used = sum(pss(member) for members in family.values() for member in members)
    told = models_line(log)
    compiled = datetime.fromisoformat(told["time"]).timestamp()
    marks = [
        began,
        family["watcher"][0].create_time(),
        family["server"][0].create_time(),
        compiled - told["models_s"],
        compiled,
        ready,
    ]
    seconds = [after - before for before, after in pairwise(marks)]
    phases = dict(zip(PHASES, seconds, strict=True))
    return Start(ready - began, phases, cpu_s, sum(told["programs"]), pss_mb, used)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(arguments: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, *arguments], env=dict(environment), stdout=out, stderr=out)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(60)


def by_role(launcher: psutil.Process) -> dict[str, list[psutil.Process]]:
    """The launcher, its child, the largest of that one's children, and the processes that answer behind it."""
    (watcher,) = launcher.children()
    server = max(watcher.children(), key=lambda child: child.memory_info().rss)
    return {"launcher": [launcher], "watcher": [watcher], "server": [server], "answering": server.children()}


def pss(process: psutil.Process) -> float:
    return process.memory_full_info().pss / 1e6


def models_line(log: Path) -> dict:
    """What the service says of its start, in its log."""
    for line in log.read_text().splitlines():
        if "models loaded and compiled" in line:
            return json.loads(line[line.index("{") :])
    sys.exit(f"the log tells nothing about the models:\n{log.read_text()[-4000:]}")


def table(starts: Mapping[str, list[Start]]) -> str:
    """Medians over the rounds, cold beside warm."""

    def row(name: str, value) -> str:
        values = [[value(start) for start in starts[kind]] for kind in starts]
        shown = [f"{statistics.median(each):.2f} ({min(each):.2f}–{max(each):.2f})" for each in values]
        return f"| {name} | {' | '.join(shown)} |"

    lines = ["| median (range) | cold | warm |", "| --- | --- | --- |"]
    lines.append(row("**ready, s**", lambda s: s.ready_s))
    for phase, told in PHASES.items():
        lines.append(row(f"– {told}, s", lambda s, phase=phase: s.phases_s[phase]))
    lines.append(row("CPU of all processes until ready, s", lambda s: s.cpu_s))
    lines.append(row("programs compiled or read", lambda s: s.programs))
    lines.append(row("**PSS of all processes when ready, MB**", lambda s: sum(s.pss_mb.values())))
    for role in ROLES:
        lines.append(row(f"– {role}, MB", lambda s, role=role: s.pss_mb[role]))
    lines.append(row("PSS after an answer of each model, MB", lambda s: s.pss_used_mb))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="the work folder of a finished run, instead of untrained networks")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="the table, into this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jaxresp-start-") as name:
        scratch = Path(name)
        run = options.run
        if run is None:
            run = scratch / "run"
            for seed, model in enumerate(NAMES):
                untrained(model, seed, filters=16, dense=128).save(run / "classifiers" / model)
        paths = [str(shipped.root()), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "BENTOML_HOME": str(scratch / "bentoml"),
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        subprocess.run([sys.executable, "-m", "jaxresp.cli", "export", str(run)], env=environment, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        sound = next(iter(write_examples(scratch / "examples").values())).read_bytes()
        starts: dict[str, list[Start]] = {"cold": [], "warm": []}
        for i in range(options.rounds):
            cache = environment | {"XDG_CACHE_HOME": str(scratch / f"cache-{i}")}
            for kind in starts:
                starts[kind].append(measure(cache, sound, scratch / "log.txt"))
                print(kind, starts[kind][-1], flush=True)
        load = os.getloadavg()[1]
        title = f"# Start of the service, {os.cpu_count()} cores, load about {load:.0f}\n"
        command = f"`python experiments/benchmarks/start.py --rounds {options.rounds}`\n"
        text = f"{title}\n{command}\n{table(starts)}\n"
        print(f"\n{text}")
        if options.write:
            options.write.write_text(text)


if __name__ == "__main__":
    main()
