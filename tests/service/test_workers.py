"""Two worker processes: whichever is asked, /metrics counts what both did, and what a killed one did."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from bento.store import NAMES, store_classifiers

from .conftest import Served, breath, encode, series, serving

pytestmark = pytest.mark.slow
N_REQUESTS = 60


@pytest.fixture(scope="module")
def two_workers(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service with two processes. Its page would not work (Gradio's queue lives in one), its API must."""
    store_classifiers(run_folder)
    options = "services.jaxresp.workers=2"
    settings = {"BENTOML_CONFIG_OPTIONS": options, "JAXRESP_PROCESSES": "1"}
    with serving(run_folder, tmp_path_factory.mktemp("two"), **settings) as running:
        until(lambda: len(workers_of(running)) == 2, "two workers are ready")
        yield running


def workers_of(served: Served) -> list[int]:
    """The process ids of the service's workers, as its metrics know them."""
    own = Path(os.environ["BENTOML_HOME"]) / "jaxresp_metrics"
    pids = {int(path.stem.rpartition("_")[2]) for path in own.glob("*/gauge_livesum_*.db")}
    listening = int(served.url.rpartition(":")[2])
    return [pid for pid in pids if psutil.pid_exists(pid) and listens(pid, listening)]


def resident_bytes(workers: list[int]) -> int:
    """Of the workers, each with the process that answers behind it."""
    families = [[psutil.Process(pid), *psutil.Process(pid).children()] for pid in workers]
    assert [len(family) for family in families] == [2] * len(workers)
    return sum(process.memory_info().rss for family in families for process in family)


def listens(pid: int, port: int) -> bool:
    """Is this a process that takes requests at the port?"""
    return any(c.laddr and c.laddr.port == port for c in psutil.Process(pid).net_connections("tcp"))


def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 300
    while not is_so():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.3)


def ask(served: Served, k: int) -> None:
    """One request over a connection of its own, so that either worker may take it; every third one is refused."""
    task, features = NAMES[k % 6].split("-")
    sound = b"no sound" if k % 3 == 0 else encode(breath(4, 4_000), 4_000)
    fields = {"task": task, "features": features}
    response = httpx.post(f"{served.url}/v1/classify_with", files={"audio": sound}, data=fields, timeout=120)
    assert response.status_code == (422 if k % 3 == 0 else 200)


def counted(served: Served) -> tuple[float, float, float]:
    """Answers, refusals and requests."""
    metrics = served.metrics()
    requests = [v for k, v in series(metrics, "bentoml_service_request_total").items() if "classify_with" in k]
    predictions, rejections = (series(metrics, f"jaxresp_{name}_total") for name in ("predictions", "rejections"))
    return sum(predictions.values()), sum(rejections.values()), sum(requests)


def test_both_are_counted_and_a_killed_one_is_not_forgotten(two_workers: Served) -> None:
    workers = workers_of(two_workers)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda k: ask(two_workers, k), range(N_REQUESTS)))
    expected = (N_REQUESTS * 2 / 3, N_REQUESTS / 3, N_REQUESTS)
    answers = {counted(two_workers) for _ in range(8)}  # asked of one worker or the other
    assert answers == {expected}
    metrics = two_workers.metrics()
    assert metrics["jaxresp_ready"] == 1
    assert set(series(metrics, "jaxresp_model_info").values()) == {1}
    both = resident_bytes(workers)
    assert metrics["jaxresp_process_resident_bytes"] == pytest.approx(both, rel=0.2)

    (behind_it,) = psutil.Process(workers[0]).children()
    psutil.Process(workers[0]).kill()
    until(lambda: not behind_it.is_running(), "what answered for it has ended")
    until(lambda: workers[0] not in workers_of(two_workers) and len(workers_of(two_workers)) == 2, "a new worker")
    until(lambda: two_workers.metrics()["jaxresp_ready"] == 1, "the new worker is ready")
    assert counted(two_workers) == expected, "what the killed worker had counted is lost"
    both = resident_bytes(workers_of(two_workers))
    assert two_workers.metrics()["jaxresp_process_resident_bytes"] == pytest.approx(both, rel=0.2)
