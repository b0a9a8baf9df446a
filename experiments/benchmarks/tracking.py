"""What MLflow adds to a sweep: the same sweep with it and without it, alternating in one run.

    python experiments/benchmarks/tracking.py [--trials 5] [--epochs 8] [--rounds 3] [--write FILE]

Expected: about five minutes on two quiet cores. Three sides: no MLflow, the default SQLite store, and an `mlflow
server` on the same machine. Each is a whole run of one model (trials, final fit, judging, report) on the made-up
corpus, in this process; the first round compiles and is not counted. Wall seconds include the wait for MLflow at the
end; CPU seconds are of this process, and with a server also of the server. Importing MLflow and making an empty store
come once per command and are measured apart.

The bound that the project sets itself: at most 5 % of a sweep's time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import psutil

from jaxresp import tracking
from jaxresp.compilation import use_persistent_cache
from jaxresp.corpus import Corpus, load, prepare
from jaxresp.run import run
from jaxresp.run_config import RunConfig
from jaxresp.synthetic import SyntheticConfig, write_corpus
from jaxresp.tracking.finishing import finish_study
from jaxresp.tracking.store import Store
from jaxresp.tracking.tracker import SETTINGS
from jaxresp.train import TrainConfig

SIDES = ("no MLflow", "SQLite", "server")
TOLD = 20


class NoTracker:
    """Where MLflow would be told, nobody is."""

    def __init__(self, *_: Any) -> None:
        pass

    def start_study(self, *_: Any) -> str:
        return ""

    def log_trial(self, *_: Any, **__: Any) -> None:
        pass

    finish_study = fail_study = close = log_trial


@dataclass(frozen=True)
class Cost:
    """Of one run: seconds."""

    wall_s: float
    cpu_s: float
    server_cpu_s: float

    @property
    def all_cpu_s(self) -> float:
        return self.cpu_s + self.server_cpu_s


def telling(folder: Path, uri: str | None, server: psutil.Process) -> tuple[float, float]:
    """Median CPU milliseconds of telling a trial of three folds of 50 epochs, and of what the server does with it."""
    store, spool = Store(folder, "telling", uri), tracking.Spool(folder, "binary-mfcc")
    spool.begin({"corpus": "f" * 64}, TrainConfig().to_dict())
    study = store.open_study(spool)
    history = [{"train_loss": 1 / epoch, "validation_loss": 2 / epoch} for epoch in range(1, 51)]
    fold = {"score": 0.04, "best_epoch": 50, "history": history}
    settings = {"filters": "16", "dense": "128", "dropout": "0.3", "learning_rate": "0.001"}
    ours, theirs = [], []
    for number in range(TOLD):
        trial = {"number": number, "pruned": "", "settings": settings, "score": 0.04, "folds": [fold] * 3,
                 "finished_ms": int(time.time() * 1000)}  # fmt: skip
        cpu, server_cpu = time.thread_time(), cpu_of(server)
        store.log_trial(study, trial)
        ours.append(time.thread_time() - cpu)
        theirs.append(cpu_of(server) - server_cpu)
    return 1e3 * statistics.median(ours), 1e3 * statistics.fmean(theirs) if uri else 0.0  # its clock ticks coarsely


@contextmanager
def mlflow_server(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Its address, and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", f"sqlite:///{folder / 'server.db'}",
               "--artifacts-destination", str(folder / "artifacts")]  # fmt: skip
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        while not healthy(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None:
                sys.exit("the MLflow server did not start")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        for child in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            child.terminate()
        process.wait(60)


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def cpu_of(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return float(sum(sum(member.cpu_times()[:2]) for member in family))


def measure(side: str, corpus: Corpus, config: RunConfig, work: Path, uri: str, server: psutil.Process) -> Cost:
    """One run."""
    real = tracking.Tracker
    if side == "no MLflow":
        tracking.Tracker = NoTracker  # type: ignore[assignment,misc]
    server_cpu, cpu, wall = cpu_of(server), time.process_time(), time.perf_counter()
    try:
        run(corpus, work, config, tracking_uri=uri if side == "server" else None)
    finally:
        tracking.Tracker = real  # type: ignore[misc]
    used = cpu_of(server) - server_cpu if side == "server" else 0.0
    return Cost(time.perf_counter() - wall, time.process_time() - cpu, used)


def finishing(folder: Path, finished: Path) -> list[float]:
    """CPU seconds of telling the result and the model of two studies that a run without MLflow has left."""
    store, seconds = Store(folder, "finishing"), []
    for name in ("first", "second"):
        work = folder / name
        shutil.copytree(finished, work)
        spool = tracking.Spool(work, "binary-mfcc")
        spool.begin({}, {})
        study = store.open_study(spool)
        began = time.thread_time()
        finish_study(store, study, spool)
        seconds.append(time.thread_time() - began)
    return seconds


def once_per_command(folder: Path) -> tuple[float, float, float]:
    """Seconds: importing what a tracker needs (in a new process, CPU), opening a made store, making an empty one."""
    code = (
        "import jaxresp.run, time; began = time.process_time(); "
        "import jaxresp.tracking.outbox, jaxresp.tracking.store; print(time.process_time() - began)"
    )
    imported = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    folder.mkdir()
    began = time.process_time()
    Store(folder, "one")
    made = time.process_time() - began
    began = time.process_time()
    Store(folder, "one")
    return imported, time.process_time() - began, made


def table(
    costs: dict[str, list[Cost]],
    told: dict[str, tuple[float, float]],
    once: tuple[float, float, float],
    finished: list[float],
) -> str:
    """Medians; ratios are medians of the rounds' own ratios."""
    without = costs["no MLflow"]
    lines = [
        "| side | wall, s | CPU, s | of it the server | wall ÷ without | CPU ÷ without |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for side, each in costs.items():
        ratios = [
            statistics.median(get(a) / get(b) for a, b in zip(each, without, strict=True))
            for get in (lambda c: c.wall_s, lambda c: c.all_cpu_s)
        ]
        medians = [
            statistics.median(values)
            for values in zip(*((c.wall_s, c.all_cpu_s, c.server_cpu_s) for c in each), strict=True)
        ]
        numbers = " | ".join([*(f"{value:.2f}" for value in medians), *(f"{ratio:.3f}" for ratio in ratios)])
        lines.append(f"| {side} | {numbers} |")
    lines += [
        "",
        "| telling one trial of three folds of 50 epochs, CPU ms | here | in the server |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {side} | {ours:.0f} | {theirs:.0f} |" for side, (ours, theirs) in told.items()]
    imported, opened, made = once
    lines += [
        "",
        f"Once per command, CPU seconds: importing MLflow {imported:.1f}, opening the SQLite store {opened:.2f}; "
        f"making it where there is none {made:.1f}. Telling the result and the model of the first study "
        f"{finished[0]:.1f} (it imports what draws), of another {finished[1]:.1f}.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="the table, into this file")
    options = parser.parse_args()
    use_persistent_cache()
    os.environ.update(SETTINGS)
    config = RunConfig(
        tasks=("binary",), features=("mfcc",), n_trials=options.trials, training=TrainConfig(max_epochs=options.epochs)
    )
    costs: dict[str, list[Cost]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory(prefix="jaxresp-tracking-") as name, mlflow_server(Path(name)) as (uri, server):
        scratch = Path(name)
        corpus = load(prepare(write_corpus(scratch / "icbhi", SyntheticConfig()), scratch / "data", partial=True))
        once = once_per_command(scratch / "once")
        told = {"SQLite": telling(scratch / "once", None, server), "server": telling(scratch / "told", uri, server)}
        print(f"once per command {once}, telling a trial {told}", flush=True)
        for i in range(options.rounds + 1):
            for side in SIDES:
                work = scratch / f"{side.replace(' ', '-')}-{i}"
                work.mkdir()
                if side == "SQLite":
                    Store(work, "made before")
                cost = measure(side, corpus, config, work, uri, server)
                print(f"round {i}, {side}: {cost}", flush=True)
                if i > 0:
                    costs[side].append(cost)
        finished = finishing(scratch / "once", scratch / f"no-MLflow-{options.rounds}")
    text = (
        f"# What MLflow adds to a sweep\n\n"
        f"`python experiments/benchmarks/tracking.py --trials {options.trials} --epochs {options.epochs} "
        f"--rounds {options.rounds}`, mlflow {mlflow.__version__}, {os.cpu_count()} CPU cores, "
        f"load {os.getloadavg()[1]:.0f}\n\n{table(costs, told, once, finished)}\n"
    )
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
