"""The numbers of the page: the same as Prometheus is told, over several processes, and over the last minute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from prometheus_client.multiprocess import MultiProcessCollector

from bento.live import HISTORY_S, PERIOD_S, WINDOW_S, History, quantile
from bento.samples import Samples, read_folder, read_samples, total

from .conftest import environment

_WORKER = """
from prometheus_client import Counter, Gauge, Histogram
n = {n}
counter = Counter("jaxresp_things_total", "x", ["kind"])
counter.labels(kind="all").inc(n)
counter.labels(kind=f"of {{n}}").inc()
seconds = Histogram("jaxresp_wait_seconds", "x", ["kind"], buckets=(0.1, 1))
for value in (0.05, 0.5, n):
    seconds.labels(kind="all").observe(value)
Gauge("jaxresp_queue", "x", multiprocess_mode="livesum").set(n)
Gauge("jaxresp_ready_now", "x", multiprocess_mode="livemin").set(n)
Gauge("jaxresp_top", "x", multiprocess_mode="max").set(n)
Counter("python_thing_total", "x").inc()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What three workers have counted."""
    folder = tmp_path_factory.mktemp("metrics")
    for n in (2, 3, 5):
        code = _WORKER.format(n=n)
        subprocess.run([sys.executable, "-c", code], env=environment(PROMETHEUS_MULTIPROC_DIR=str(folder)), check=True)
    return folder


def test_several_processes_add_up(folder: Path) -> None:
    samples = read_folder(folder)
    assert total(samples, "jaxresp_things_total", "kind")[("all",)] == 10
    assert len(samples["jaxresp_things_total"]) == 4
    assert total(samples, "jaxresp_queue") == {(): 10}
    assert total(samples, "jaxresp_ready_now") == {(): 2}
    assert total(samples, "jaxresp_top") == {(): 5}
    assert total(samples, "jaxresp_wait_seconds_bucket", "le") == {("0.1",): 3, ("1.0",): 3, ("+Inf",): 3}


def test_the_reader_agrees_with_prometheus_client(folder: Path) -> None:
    merged = MultiProcessCollector.merge([str(path) for path in folder.glob("*.db")], accumulate=False)
    theirs = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for metric in merged
        if metric.name.startswith("jaxresp")
        for sample in metric.samples
    }
    ours = {(name, labels): value for name, values in read_folder(folder).items() for labels, value in values.items()}
    assert ours == theirs


def test_one_process_reads_like_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside BentoML's server the values come from memory, in the same form: buckets are plain counts."""
    from bento import metrics

    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    before = total(read_samples(), "jaxresp_decode_seconds_bucket", "le")
    metrics.DECODE_SECONDS.observe(0.03)
    metrics.DECODE_SECONDS.observe(0.3)
    after = total(read_samples(), "jaxresp_decode_seconds_bucket", "le")
    risen = {bound for (bound,), n in after.items() if n > before.get((bound,), 0)}
    assert risen == {"0.05", "0.5"}


@given(st.lists(st.floats(0.001, 3), min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], q: float) -> None:
    bounds = [0.01, 0.1, 0.5, 1.0, np.inf]
    at = np.searchsorted(bounds, values)
    estimate = quantile(dict(zip(bounds, np.bincount(at, minlength=5).tolist(), strict=True)), q)
    assert estimate is not None
    true = float(np.quantile(values, q, method="inverted_cdf"))
    k = int(np.searchsorted(bounds, true))
    assert ([0.0, *bounds])[k] <= estimate <= (bounds[k] if k < 4 else 1.0)


def test_a_quantile_of_nothing_is_none() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({0.1: 0, float("inf"): 0}, 0.5) is None


class _Service:
    """A made-up service: counts at a steady rate, on a clock of ours."""

    def __init__(self, per_second: float, errors_per_second: float = 0.0) -> None:
        self.now, self.per_second, self.errors_per_second, self.n, self.failed = (
            0.0,
            per_second,
            errors_per_second,
            0.0,
            0.0,
        )

    def run(self, seconds: float) -> None:
        self.now += seconds
        self.n += self.per_second * seconds
        self.failed += self.errors_per_second * seconds

    def read(self) -> Samples:
        def key(status: str, **more: str) -> tuple[tuple[str, str], ...]:
            return tuple(sorted({"endpoint": "/v1/classify", "http_response_code": status, **more}.items()))

        page = (("endpoint", "/ui"), ("http_response_code", "500"))
        seconds = {key("200", le=le): n for le, n in {"0.1": self.n / 2, "0.2": self.n / 2, "+Inf": 0.0}.items()}
        return {
            "bentoml_service_request_total": {key("200"): self.n, key("500"): self.failed, page: 1000 * self.n},
            "bentoml_service_request_duration_seconds_bucket": seconds,
            "jaxresp_ready": {(): 1.0},
        }


def test_rates_and_times_of_the_last_minute() -> None:
    service = _Service(per_second=10)
    history = History(service.read, lambda: service.now)
    for _ in range(40):  # 200 s at 10/s, then 100 s at 2/s with a fault in five
        history.measure()
        service.run(PERIOD_S)
    service.per_second, service.errors_per_second = 1.6, 0.4
    for _ in range(20):
        history.measure()
        service.run(PERIOD_S)
    live = history.snapshot()
    assert WINDOW_S <= live.window_s <= WINDOW_S + PERIOD_S
    assert live.per_second == pytest.approx(2)
    assert live.error_rate == pytest.approx(0.2)
    assert live.requests == 2200, "the page's own requests count as requests to the API"
    assert live.p50_s == pytest.approx(0.1) and live.p99_s == pytest.approx(0.198)
    assert {route.route: route.by_status for route in live.routes}["/v1/classify"] == {"200": 2160, "500": 40}
    assert live.ready
    rates = [moment.per_second for moment in live.history]
    assert rates[0] == pytest.approx(10) and rates[-1] == pytest.approx(2)
    assert live.history[-1].errors_per_second == pytest.approx(0.4)


def test_the_first_look_has_no_rate_and_says_so() -> None:
    service = _Service(per_second=10)
    service.run(1000)
    history = History(service.read, lambda: service.now)
    live = history.snapshot()
    assert (live.window_s, live.per_second, live.error_rate, live.p50_s) == (0, 0, None, None)
    assert live.requests == 10_000
    service.run(2)
    assert history.snapshot().per_second == pytest.approx(10)


def test_counts_that_begin_anew_are_no_negative_rates() -> None:
    service = _Service(per_second=10)
    history = History(service.read, lambda: service.now)
    service.run(60)
    history.measure()
    service.n = 0
    service.run(5)
    history.measure()
    live = history.snapshot()
    assert live.per_second >= 0 and all(moment.per_second >= 0 for moment in live.history)


def test_a_day_of_measuring_keeps_minutes() -> None:
    service = _Service(per_second=1)
    history = History(service.read, lambda: service.now)
    for _ in range(2000):
        service.run(PERIOD_S)
        history.measure()
    assert len(history._recent) <= WINDOW_S / PERIOD_S + 2
    assert len(history.snapshot().history) < HISTORY_S / PERIOD_S
