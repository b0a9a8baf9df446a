"""A process that answers is killed while many ask: what it had in hand is refused, all else answered."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from bento.store import store_classifiers

from .conftest import PATIENT, Served, assert_same_answer, breath, encode, series, serving

pytestmark = pytest.mark.slow

SOUND = encode(breath(20, 8_000), 8_000)
N_CLIENTS, N_REQUESTS = 4, 150


def answering(served: Served) -> list[psutil.Process]:
    """The processes that answer."""
    family = psutil.Process(served.pid).children(recursive=True)
    return [each for each in family if "bento.process" in each.cmdline()]


def test_a_killed_process_costs_only_what_it_had_in_hand(run_folder: Path, tmp_path: Path) -> None:
    store_classifiers(run_folder)
    with serving(run_folder, tmp_path, JAXRESP_PROCESSES="2") as running:
        before, compiled = answering(running), running.metrics()["jaxresp_compilations_total"]
        assert len(before) == 2
        expected = running.offline["multiclass-augmented"].predict(SOUND).to_json()

        def ask(k: int) -> int:
            if k == N_REQUESTS // 3:
                os.kill(before[0].pid, signal.SIGKILL)
            response = httpx.post(f"{running.url}/v1/classify", files={"audio": (f"{PATIENT}.wav", SOUND)}, timeout=60)
            if response.status_code == 200:
                assert_same_answer(response.json(), expected)
            else:
                assert response.json()["error"]["type"] == "ProcessLost"
                assert int(response.headers["retry-after"]) >= 1
            return response.status_code

        with ThreadPoolExecutor(N_CLIENTS) as threads:
            statuses = list(threads.map(ask, range(N_REQUESTS)))
        assert statuses.count(503) <= N_CLIENTS
        assert statuses.count(200) + statuses.count(503) == N_REQUESTS
        assert httpx.get(f"{running.url}/readyz", timeout=60).status_code == 200

        deadline = time.monotonic() + 120
        while len(answering(running)) < 2 or running.metrics()["jaxresp_ready"] != 1:
            assert time.monotonic() < deadline, "it was not replaced"
            time.sleep(0.3)
        assert before[0].pid not in [each.pid for each in answering(running)]
        assert {ask(N_REQUESTS + k) for k in range(8)} == {200}
        metrics = running.metrics()
        answered = sum(series(metrics, "jaxresp_predictions_total").values()) - statuses.count(200) - 8
        assert 0 <= answered <= statuses.count(503), "none is forgotten; it may have died with an answer in its hand"
        assert metrics['jaxresp_rejections_total{reason="process_lost"}'] == statuses.count(503)
        assert metrics["jaxresp_compilations_total"] > compiled, "the new one has read its programs from the cache"
        log = running.log.read_text()
        assert "a process that answers was lost" in log
        assert PATIENT not in log
