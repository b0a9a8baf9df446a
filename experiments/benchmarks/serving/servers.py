"""Starting and stopping the sides of a comparison, and what their processes use."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from experiments.benchmarks.serving import material

_ROOT = Path(__file__).resolve().parents[3]
_PATIENCE_S = 600.0
_OURS = "/v1/classify"


@dataclass(frozen=True)
class Server:
    """A running side.

    Attributes:
        name: what the table calls it.
        port: where it listens.
        path: where it takes a form with a sound.
        process: its first process; its children belong to it.
        ready_s: seconds from its start until it answered.
    """

    name: str
    port: int
    path: str
    process: subprocess.Popen[bytes]
    ready_s: float

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def pids(self) -> set[int]:
        """Its processes."""
        return {process.pid for process in self._processes()}

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        times = (process.cpu_times() for process in self._processes())
        return sum(t.user + t.system for t in times)

    def pss_mib(self) -> float:
        """Memory of all its processes, what they share counted once."""
        return sum(process.memory_full_info().pss for process in self._processes()) / 2**20

    def metrics(self) -> dict[str, float]:
        """Every sample of its /metrics, by name with labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        rows = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(
    name: str, command: list[str], port: int, path: str, folder: Path, changes: Mapping[str, str]
) -> Iterator[Server]:
    """A server from its start until it is ready, and its end by Ctrl-C. What it prints goes to folder/<name>.log."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join([str(_ROOT)])} | changes
    log = folder / f"{name}.log"
    begun = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environment, cwd=_ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while not _is_ready(port):
                if process.poll() is not None or time.perf_counter() - begun > _PATIENCE_S:
                    raise RuntimeError(f"{name} did not start:\n{log.read_text()[-4000:]}")
                time.sleep(0.1)
            yield Server(name, port, path, process, time.perf_counter() - begun)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def ours(run: Path, folder: Path, **changes: str) -> Iterator[Server]:
    """The service, through the function behind `jaxresp serve`, with a model store of its own."""
    home = folder / "bentoml"
    environment = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "JAXRESP_QUICK_MODEL": material.QUICK}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(folder / "xla")
    if not home.exists():
        store = (
            "import sys; from pathlib import Path; from bento.store import store_classifiers as s; s(Path(sys.argv[1]))"
        )
        paths = {"PYTHONPATH": str(_ROOT), "JAX_PLATFORMS": "cpu"}
        subprocess.run([sys.executable, "-c", store, str(run)], env=os.environ | environment | paths, check=True)
    port = free_port()
    command = [sys.executable, "-c", f"from bento.serve import serve; raise SystemExit(serve({port}))"]
    with started("jaxresp", command, port, _OURS, folder, environment | changes) as server:
        yield server


def _rival(run: Path, folder: Path) -> Path:
    from experiments.benchmarks.serving.onnx_network import write_onnx

    model = folder / "rival"
    if not model.exists():
        classifier = run / "classifiers" / material.QUICK
        shutil.copytree(classifier, model)
        write_onnx(classifier, model / "network.onnx")
    return model


@contextlib.contextmanager
def original(run: Path, folder: Path, *, workers: int = 1, blas: int = 1) -> Iterator[Server]:
    """The original project's way. `blas` are the threads of NumPy's matrix products."""
    changes = {"RIVAL_FOLDER": str(_rival(run, folder)), "OPENBLAS_NUM_THREADS": str(blas)}
    with _uvicorn("original", "original", folder, changes, workers) as server:
        yield server


@contextlib.contextmanager
def competent(
    run: Path, folder: Path, *, workers: int = 1, intra_op: int = 1, threads: int = 2, blas: int = 1
) -> Iterator[Server]:
    """FastAPI + ONNX Runtime. `intra_op` are its threads, `threads` how many recordings are worked on at a time."""
    changes = {"RIVAL_FOLDER": str(_rival(run, folder)), "OPENBLAS_NUM_THREADS": str(blas)}
    changes |= {"RIVAL_INTRA_OP": str(intra_op), "RIVAL_THREADS": str(threads)}
    with _uvicorn("competent", "competent", folder, changes, workers) as server:
        yield server


def _uvicorn(
    name: str, module: str, folder: Path, changes: Mapping[str, str], workers: int
) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    app = f"experiments.benchmarks.serving.{module}:create_app"
    command = [sys.executable, "-m", "uvicorn", "--factory", app, "--port", str(port), "--no-access-log"]
    return started(name, [*command, "--workers", str(workers)], port, "/classify", folder, changes)
