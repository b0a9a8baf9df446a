"""One running service for all tests of it, with six tiny untrained Classifiers and a model store of its own."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import soundfile

from bento.store import NAMES, store_classifiers
from jaxresp import shipped
from jaxresp.classifier import Classifier, untrained
from jaxresp.cohort import Cohort

#: What every test calls the file it sends. It must not turn up anywhere.
PATIENT = "Jane-Doe-1970-01-01"
#: What the Classifiers of these tests say they were trained on.
COHORT = Cohort(age_years=(18.0, 90.0), native_rate_hz=(1_000.0, 192_000.0), bandwidth_hz=(0.0, 96_000.0))
START_S = 600.0  # two busy cores compile six networks; nothing asserts how long it takes


def breath(duration_s: float, rate_hz: int, seed: int = 0) -> np.ndarray:
    """Noise that swells and fades like breathing."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    noise = np.convolve(rng.normal(size=t.size), np.ones(4) / 4, "same")
    return 0.2 * noise * (0.1 + np.maximum(0, np.sin(2 * np.pi * t / (2.5 + seed)))) / max(np.abs(noise).max(), 1e-9)


def encode(samples: np.ndarray, rate_hz: int, subtype: str | None = "PCM_16", container: str = "WAV") -> bytes:
    """Samples → the bytes of a sound file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, subtype=subtype, format=container)
    return buffer.getvalue()


@dataclass(frozen=True)
class Served:
    """The running service, and what it must agree with.

    Attributes:
        url: where it is.
        offline: the same Classifiers, loaded here.
        log: everything it has printed.
        pages: the folder where its page keeps temporary files.
        pid: of its first process.
    """

    url: str
    offline: dict[str, Classifier]
    log: Path
    pages: Path
    pid: int

    def post(self, path: str, sound: bytes | None, **fields: str) -> httpx.Response:
        """Send a form."""
        files = None if sound is None else {"audio": (f"{PATIENT}.wav", sound)}
        return httpx.post(self.url + path, files=files, data=fields, timeout=120)

    def with_model(self, name: str, sound: bytes) -> httpx.Response:
        """Classify with the named model."""
        task, features = name.split("-")
        return self.post("/v1/classify_with", sound, task=task, features=features)

    def memory_bytes(self) -> int:
        """Resident memory of all its processes."""
        first = psutil.Process(self.pid)
        return sum(process.memory_info().rss for process in (first, *first.children(recursive=True)))

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, by its name with its labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=60).text
        rows = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**changes: str) -> dict[str, str]:
    """The environment of a server process."""
    path = os.pathsep.join([str(shipped.root()), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"} | changes


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `jaxresp run` leaves, as far as the service needs it."""
    folder = tmp_path_factory.mktemp("run")
    for seed, name in enumerate(NAMES):
        classifier = untrained(name, seed)
        classifier.spec = replace(classifier.spec, cohort=COHORT)
        classifier.save(folder / "classifiers" / name)
    return folder


@contextlib.contextmanager
def serving(run_folder: Path, folder: Path, **settings: str) -> Iterator[Served]:
    """A service, started through the function behind `jaxresp serve`, stopped by Ctrl-C.

    Args:
        run_folder: whose six Classifiers are in the model store.
        folder: for its log, its temporary files and its cache.
        settings: environment variables.
    """
    port = free_port()
    log, pages = folder / "log.txt", folder / "tmp"
    pages.mkdir()
    command = f"from bento.serve import serve; raise SystemExit(serve({port}))"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", command],
            env=environment(TMPDIR=str(pages), XDG_CACHE_HOME=str(folder), **settings),
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_S
        while "Ready." not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the service did not start:\n{log.read_text()[-4000:]}")
            time.sleep(0.2)
        offline = {name: Classifier.load(run_folder / "classifiers" / name) for name in NAMES}
        yield Served(f"http://127.0.0.1:{port}", offline, log, pages, process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, "Ctrl-C did not end the service in good order"
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="session")
def served(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service, started once for all tests."""
    store_classifiers(run_folder)
    with serving(run_folder, tmp_path_factory.mktemp("served")) as running:
        yield running
    assert not list(running.pages.glob("jaxresp-ui-*")), "the page left its uploads behind"


def assert_same_answer(served_json: dict[str, Any], offline: dict[str, Any]) -> None:
    """The same answer, window by window, to 1e-5."""
    assert served_json["label"] == offline["label"]
    for one, other in zip([served_json, *served_json["windows"]], [offline, *offline["windows"]], strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    for key in ("audio", "warnings", "model", "abstained", "reason", "notice"):
        assert served_json[key] == offline[key]


def series(metrics: dict[str, float], name: str) -> dict[str, float]:
    """The samples of one metric, whatever their labels."""
    return {key: value for key, value in metrics.items() if re.split(r"[{ ]", key)[0] == name}
