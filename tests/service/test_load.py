"""A thousand requests at eight clients: every one answered, every answer the offline one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from bento.store import NAMES

from .conftest import PATIENT, Served, assert_same_answer, breath, encode

pytestmark = pytest.mark.slow


def test_a_thousand_requests(served: Served) -> None:
    sounds = [encode(breath(4 + 9 * (i % 3), rate, i), rate) for i, rate in enumerate((4_000, 10_000, 44_100, 8_000))]
    expected = {(name, i): served.offline[name].predict(s).to_json() for name in NAMES for i, s in enumerate(sounds)}
    compiled = served.metrics()["jaxresp_compilations_total"]
    client = httpx.Client(timeout=120)

    def ask(k: int) -> None:
        name, i = NAMES[k % len(NAMES)], k % len(sounds)
        task, features = name.split("-")
        response = client.post(
            f"{served.url}/v1/classify_with",
            files={"audio": (f"{PATIENT}.wav", sounds[i])},
            data={"task": task, "features": features},
        )
        assert response.status_code == 200, response.text
        assert_same_answer(response.json(), expected[name, i])

    order = np.random.default_rng(0).permutation(1000)
    with client, ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, map(int, order)))
    metrics = served.metrics()
    assert metrics["jaxresp_compilations_total"] == compiled
    assert not [key for key, value in metrics.items() if 'http_response_code="5' in key and value > 0]
