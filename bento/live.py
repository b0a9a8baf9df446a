"""What the page shows of the running service: counts since the start, and rates and times over the last minute.

Read from the same metrics that Prometheus scrapes, so it holds for all workers. A thread measures every few seconds,
because a rate needs an earlier count to compare with; without it the first look has no rate yet, and says so.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bento import metering
from bento.metering import PERIOD_S
from bento.samples import Samples, read_samples, total

WINDOW_S = 60.0  # what "now" means: long enough for a quantile, short enough to see a change
HISTORY_S = 600.0  # how far back the page can draw
API = "/v1/"  # routes that count as requests; the page's own polling does not


@dataclass(frozen=True)
class Route:
    """The traffic of one route.

    Attributes:
        route: its template, such as "/v1/models/{name}".
        by_status: requests since the start, by HTTP status.
        per_second: requests per second over the window.
        p50_s, p95_s, p99_s: response times over the window, interpolated within the histogram's buckets; None without
            requests. Never more than the largest finite bucket.
    """

    route: str
    by_status: dict[str, int]
    per_second: float
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True)
class Moment:
    """One measurement of the past, for a curve.

    Attributes:
        age_s: how long ago.
        per_second: requests per second since the measurement before.
        errors_per_second: those answered with 5xx.
    """

    age_s: float
    per_second: float
    errors_per_second: float


@dataclass(frozen=True)
class Live:
    """The service now.

    Attributes:
        ready: whether every model is loaded and compiled.
        uptime_s: seconds since the oldest worker started.
        window_s: the seconds that rates, times and shares refer to; 0 while there is nothing to compare with.
        requests: requests to the API since the start.
        per_second: of them, over the window.
        error_rate: share answered with 5xx over the window; None without requests.
        p50_s, p95_s, p99_s: response times of the API over the window; None without requests.
        routes: every route that was asked for, the page's own included, busiest first.
        predictions: answers since the start, by model, then label ("abstained" where the model gave none).
        abstentions: answers without a label since the start, by reason.
        rejections: refused requests since the start, by reason; only reasons that occurred.
        in_progress: sounds being worked on.
        queued_sounds: sounds waiting to be worked on.
        audio_s: seconds of sound decoded since the start.
        compilations: programs compiled since the start.
        resident_bytes: memory of the workers.
        cpu_share: processors in use over the window: 1.0 is one of them, fully.
        history: the last minutes, oldest first.
    """

    ready: bool
    uptime_s: float
    window_s: float
    requests: int
    per_second: float
    error_rate: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    routes: tuple[Route, ...]
    predictions: dict[str, dict[str, int]]
    abstentions: dict[str, int]
    rejections: dict[str, int]
    in_progress: int
    queued_sounds: int
    audio_s: float
    compilations: int
    resident_bytes: int
    cpu_share: float
    history: tuple[Moment, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain types for json.dumps."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class _Measured:
    """What is compared between two moments: requests by route and status, their buckets by route, processor time."""

    at_s: float
    counts: Mapping[tuple[str, ...], float]
    seconds: Mapping[tuple[str, ...], float]
    cpu_s: float

    @classmethod
    def of(cls, samples: Samples, at_s: float) -> _Measured:
        counts = total(samples, "bentoml_service_request_total", "endpoint", "http_response_code")
        seconds = total(samples, "bentoml_service_request_duration_seconds_bucket", "endpoint", "le")
        return cls(at_s, counts, seconds, _sum(samples, "jaxresp_process_cpu_seconds_total"))

    def requests(self, status: str = "") -> float:
        """To the API, with a status that begins so."""
        return sum(n for (route, code), n in self.counts.items() if route.startswith(API) and code.startswith(status))


class History:
    """Measurements of the last minutes, and what they say. Safe to use from several threads.

    Args:
        read: gives the value of every series.
        clock: seconds on any steady scale.
    """

    def __init__(self, read: Callable[[], Samples] = read_samples, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._recent: deque[_Measured] = deque()  # as far back as the window
        self._curve: deque[tuple[float, float, float]] = deque(maxlen=round(HISTORY_S / PERIOD_S))
        self._lock = threading.Lock()

    def measure(self) -> None:
        """Keep a measurement."""
        now = _Measured.of(self._read(), self._clock())
        with self._lock:
            self._recent.append(now)
            while len(self._recent) > 2 and now.at_s - self._recent[1].at_s >= WINDOW_S:
                self._recent.popleft()
            self._curve.append((now.at_s, now.requests(), now.requests("5")))

    def snapshot(self) -> Live:
        """The service now, compared with a minute ago, or with the first measurement when that is later."""
        samples = self._read()
        now = _Measured.of(samples, self._clock())
        with self._lock:
            if not self._recent:
                self._recent.append(now)
            before = next((m for m in reversed(self._recent) if now.at_s - m.at_s >= WINDOW_S), self._recent[0])
            curve = tuple(self._curve)
        return _live(samples, before, now, curve)


def _live(samples: Samples, before: _Measured, now: _Measured, curve: Iterable[tuple[float, float, float]]) -> Live:
    window_s = now.at_s - before.at_s

    def per_second(rise: float) -> float:
        return max(0.0, rise) / window_s if window_s > 0 else 0.0

    predictions: dict[str, dict[str, int]] = {}
    for (model, label), n in total(samples, "jaxresp_predictions_total", "model", "label").items():
        predictions.setdefault(model, {})[label] = round(n)
    seconds = _buckets(before, now)
    of_api: dict[float, float] = {}
    for route, counts in seconds.items():
        for bound, n in counts.items() if route.startswith(API) else ():
            of_api[bound] = of_api.get(bound, 0.0) + n
    started_s = min(samples.get("jaxresp_process_start_time_seconds", {}).values(), default=time.time())
    requests = now.requests() - before.requests()
    return Live(
        ready=_sum(samples, "jaxresp_ready") == 1,
        uptime_s=max(0.0, time.time() - started_s),
        window_s=window_s,
        requests=round(now.requests()),
        per_second=per_second(requests),
        error_rate=(now.requests("5") - before.requests("5")) / requests if requests > 0 else None,
        **_quantiles(of_api),
        routes=_routes(before, now, seconds, per_second),
        predictions=predictions,
        abstentions=_by_reason(samples, "jaxresp_abstentions_total"),
        rejections=_by_reason(samples, "jaxresp_rejections_total"),
        in_progress=round(_sum(samples, "jaxresp_classifications_in_progress")),
        queued_sounds=round(_sum(samples, "jaxresp_queued_sounds")),
        audio_s=_sum(samples, "jaxresp_audio_seconds_total"),
        compilations=round(_sum(samples, "jaxresp_compilations_total")),
        resident_bytes=round(_sum(samples, "jaxresp_process_resident_bytes")),
        cpu_share=per_second(now.cpu_s - before.cpu_s),
        history=tuple(
            Moment(now.at_s - t1, max(0.0, n1 - n0) / (t1 - t0), max(0.0, e1 - e0) / (t1 - t0))
            for (t0, n0, e0), (t1, n1, e1) in pairwise(curve)
        ),
    )


def _routes(
    before: _Measured,
    now: _Measured,
    seconds: Mapping[str, Mapping[float, float]],
    per_second: Callable[[float], float],
) -> tuple[Route, ...]:
    by_status: dict[str, dict[str, int]] = {}
    risen: dict[str, float] = {}
    for (route, status), n in sorted(now.counts.items()):
        if n:
            by_status.setdefault(route, {})[status] = round(n)
            risen[route] = risen.get(route, 0.0) + n - before.counts.get((route, status), 0.0)
    routes = [
        Route(route, counts, per_second(risen[route]), **_quantiles(seconds.get(route, {})))
        for route, counts in by_status.items()
    ]
    return tuple(sorted(routes, key=lambda r: (-sum(r.by_status.values()), r.route)))


def _buckets(before: _Measured, now: _Measured) -> dict[str, dict[float, float]]:
    """How many responses took how long between two moments: by route, then by the bucket's upper bound."""
    buckets: dict[str, dict[float, float]] = {}
    for key, n in now.seconds.items():
        route, bound = key
        buckets.setdefault(route, {})[float(bound)] = max(0.0, n - before.seconds.get(key, 0.0))
    return buckets


def _sum(samples: Samples, name: str) -> float:
    return sum(samples.get(name, {}).values())


def _by_reason(samples: Samples, name: str) -> dict[str, int]:
    return {reason: round(n) for (reason,), n in sorted(total(samples, name, "reason").items()) if n}


def _quantiles(counts: Mapping[float, float]) -> dict[str, float | None]:
    return {f"p{percent}_s": quantile(counts, percent / 100) for percent in (50, 95, 99)}


def quantile(counts: Mapping[float, float], q: float) -> float | None:
    """A quantile from a histogram, as Prometheus' histogram_quantile estimates it.

    Args:
        counts: how many fell into each bucket, by its upper bound; the last bound is infinity.
        q: 0 to 1.

    Returns:
        A value interpolated within its bucket, the largest finite bound when it lies beyond, None for no counts.
    """
    n_all = sum(counts.values())
    if n_all <= 0:
        return None
    rank, seen, lower = q * n_all, 0.0, 0.0
    for upper, n in sorted(counts.items()):
        if seen + n >= rank and n > 0:
            return lower if upper == float("inf") else lower + (upper - lower) * (rank - seen) / n
        seen, lower = seen + n, upper
    return lower


_HISTORY = History()


def snapshot() -> Live:
    """The service now; a few milliseconds."""
    return _HISTORY.snapshot()


def watch() -> Callable[[], None]:
    """Measure this process and the service every few seconds, from now on. Returns what ends it."""
    return metering.watch(_HISTORY.measure)
