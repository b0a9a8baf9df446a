"""/metrics: ours and BentoML's, with label sets that have an end, and nothing of a recording in them."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.asgi import BodyLimit
from bento.errors import ANSWERS, response_to
from bento.limits import Limits
from bento.live import History
from bento.load import Load
from bento.metrics import ABSTAINED, abstention_reason, count_rejection
from bento.samples import read_folder, read_samples, total
from bento.store import NAMES
from jaxresp.calibration import Calibration
from jaxresp.classifier import untrained
from jaxresp.errors import JaxrespError

from .conftest import PATIENT, Served, breath, encode, series

ROUTES = {"/v1/classify", "/v1/classify_with", "/v1/classify_many", "/v1/compare", "/v1/explain"} | {
    *("/v1/models", "/v1/models/{name}", "/livez", "/readyz", "/healthz", "/docs", "/docs.json", "/schema.json"),
    *("/", "/favicon.ico", "/manifest.json", "/ui", "/static_content", "/other"),
}
STATUSES = {str(status.value) for status in HTTPStatus} | {"499"}


def labels(key: str) -> dict[str, str]:
    """The labels of a sample."""
    return dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', key))


def test_ours_and_bentomls_are_there(served: Served) -> None:
    sound = encode(breath(6, 4_000), 4_000)
    before = served.metrics()
    assert served.with_model("binary-mfcc", sound).status_code == 200
    assert served.post("/v1/classify", b"no sound").status_code == 422
    after = served.metrics()

    def rise(key: str) -> float:
        return after.get(key, 0.0) - before.get(key, 0.0)

    assert sum(map(rise, series(after, "jaxresp_predictions_total"))) == 1
    assert rise('jaxresp_rejections_total{reason="unreadable"}') == 1
    assert sum(map(rise, series(after, "jaxresp_rejections_total"))) == 1
    assert rise('jaxresp_inference_seconds_count{model="binary-mfcc"}') == 1
    assert rise('jaxresp_queue_seconds_count{model="binary-mfcc"}') == 1
    assert rise('jaxresp_batch_windows_sum{model="binary-mfcc"}') == 2
    assert rise('jaxresp_confidence_count{model="binary-mfcc"}') == 1
    confidence = max(served.offline["binary-mfcc"].predict(sound).probabilities.values())
    assert rise('jaxresp_confidence_sum{model="binary-mfcc"}') == pytest.approx(confidence, abs=1e-5)
    assert rise("jaxresp_decode_seconds_count") == 2
    assert rise("jaxresp_audio_seconds_total") == 6
    assert len(series(after, "jaxresp_model_info")) == 6
    assert after["jaxresp_ready"] == 1
    assert after["jaxresp_process_resident_bytes"] > 1e8
    assert after["jaxresp_process_threads"] > 1 and after["jaxresp_process_open_files"] > 1
    requests = series(after, "bentoml_service_request_total")
    assert sum(rise(key) for key in requests if 'endpoint="/v1/classify"' in key and '="422"' in key) == 1
    buckets = {labels(key)["le"] for key in series(after, "bentoml_service_request_duration_seconds_bucket")}
    assert "0.075" in buckets, "BentoML's own buckets have nothing between 50 and 100 ms"


def test_what_is_in_hand_returns_to_nothing(served: Served) -> None:
    """Answered, refused or abandoned: nothing stays in a queue."""
    sound = encode(breath(60, 4_000), 4_000)
    served.post("/v1/classify", sound)
    served.post("/v1/compare", sound)
    served.post("/v1/classify", b"no sound")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{served.url}/v1/compare", files={"audio": sound}, timeout=httpx.Timeout(60, read=0.005))
    in_hand = {"jaxresp_classifications_in_progress", "jaxresp_queued_sounds"}
    deadline = time.monotonic() + 60
    while any(served.metrics()[key] for name in in_hand for key in series(served.metrics(), name)):
        assert time.monotonic() < deadline, "an abandoned request is still counted as being worked on"
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_body_bytes=10), "body_too_large"),
        (Limits(max_held_bytes=10), "overloaded"),
        (Limits(max_upload_s=0.05), "slow_upload"),
    ],
)
def test_a_refusal_is_counted_once(limits: Limits, reason: str) -> None:
    """By the layer that finds it and by the endpoint that hears of it, or by the first of them alone."""

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            while (await receive()).get("more_body"):
                pass
        except JaxrespError as error:
            count_rejection(error)
            await response_to(error)(scope, receive, send)

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"12345678"
            await asyncio.sleep(0.02)

    async def ask(app: ASGIApp) -> int:
        transport = httpx.ASGITransport(BodyLimit(app, Load(limits), limits))
        async with httpx.AsyncClient(transport=transport, base_url="http://jaxresp") as client:
            return (await client.post("/", content=upload())).status_code

    def count() -> float:
        return total(read_samples(), "jaxresp_rejections_total", "reason").get((reason,), 0.0)

    for app in (endpoint, deaf):
        before = count()
        assert asyncio.run(ask(app)) in (408, 413, 503)
        assert count() - before == 1


def test_every_series_is_there_before_its_first_event(served: Served) -> None:
    """A first event is then a rise, which rate() sees, and not a new series, which it does not."""
    metrics = served.metrics()
    expected = {(name, label) for name in NAMES for label in (*served.offline[name].classes, ABSTAINED)}
    given = [labels(key) for key in series(metrics, "jaxresp_predictions_total")]
    assert {(one["model"], one["label"]) for one in given} == expected
    reasons = {labels(key)["reason"] for key in series(metrics, "jaxresp_rejections_total")}
    assert reasons == {reason for _, reason in ANSWERS.values()} | {"other"}
    for name in ("jaxresp_abstentions_total", "jaxresp_confidence_count", "jaxresp_queued_sounds"):
        assert {labels(key)["model"] for key in series(metrics, name)} == set(NAMES)


def test_a_models_reason_to_abstain_has_a_name() -> None:
    """Words may change with their numbers; the label they are counted under does not."""
    sound = encode(breath(4, 4_000), 4_000)
    classifier = untrained("binary-mfcc", 0)
    object.__setattr__(classifier, "calibration", Calibration(abstain_below=1.1))
    prediction = classifier.predict(sound)
    assert prediction.abstained and abstention_reason(prediction.reason) == "unsure"
    assert abstention_reason("too quiet: -71 dBFS, and training had nothing below -60 dBFS") == "too_quiet"
    assert abstention_reason("Jane Doe coughed") == abstention_reason(None) == "other"


def test_nothing_is_compiled_after_ready(served: Served) -> None:
    before = served.metrics()["jaxresp_compilations_total"]
    assert before > 0, "nothing was counted while the networks were compiled"
    for duration_s in (0.6, 4.9, 5.0, 7.7, 23.0, 61.0, 96.0):
        for name in ("multiclass-augmented", "binary-logmel"):
            assert served.with_model(name, encode(breath(duration_s, 4_000), 4_000)).status_code == 200
    assert served.metrics()["jaxresp_compilations_total"] == before


def throw_junk(served: Served) -> None:
    """Whatever a sender can put into a request, each time something else."""
    word = f"{PATIENT}-{secrets.token_hex(4)}"
    sound = encode(breath(1, 4_000), 4_000)
    with httpx.Client(base_url=served.url, timeout=120) as client:
        for path in (word, f"{word}.wav", f"a/{word}/c", f"v1/{word}", f"v1/classify/{word}", f"V1/Classify?{word}"):
            client.get(f"/{path}")
            client.post(f"/{path}", content=word)
        for path in (f"v1/models/{word}", f"v1/models/{word}/{word}", "v1/models/binary-mfcc", f"%2e%2e/{word}%0a"):
            client.get(f"/{path}")
        for path in (f"ui/{word}", f"ui/gradio_api/file={word}", f"static_content/{word}", f"docs/{word}"):
            client.get(f"/{path}")
        for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"):
            for route in ("/v1/classify", "/v1/models", "/ui/", "/metrics"):
                client.request(method, route, headers={"user-agent": word, "host": word, "referer": word})
        for fields in ({"task": word, "features": "mfcc"}, {"task": "binary"}, {"age_years": word}, {word: word}):
            for route in ("/v1/classify", "/v1/classify_with", "/v1/classify_many", "/v1/compare"):
                client.post(route, files={"audio": (f"{word}.wav", sound, f"audio/{word}")}, data=fields)
        client.post("/v1/classify", content=word, headers={"content-type": f"multipart/form-data; boundary={word}"})
        client.post("/v1/classify", content=word, headers={"content-type": f"text/{word}"})
        client.post("/v1/classify", files={word: sound})
        client.post("/v1/classify", files={"audio": (word, word.encode())})


def test_junk_makes_no_series(served: Served) -> None:
    """A second round of other junk finds every series there already; ours were complete before the first."""
    ours = {key for key in served.metrics() if key.startswith("jaxresp_")}
    throw_junk(served)
    once = set(served.metrics())
    throw_junk(served)
    twice = set(served.metrics())
    assert {key for key in twice if key.startswith("jaxresp_")} == ours
    assert twice - once == set()
    assert {labels(key)["endpoint"] for key in twice if "endpoint=" in key} <= ROUTES
    assert {labels(key)["http_response_code"] for key in twice if "http_response_code=" in key} <= STATUSES
    assert not [key for key in twice if PATIENT in key]


def test_the_page_shows_what_prometheus_is_told(served: Served) -> None:
    served.post("/v1/classify", encode(breath(4, 4_000), 4_000))
    folders = (Path(os.environ["BENTOML_HOME"]) / "jaxresp_metrics").glob("*")
    states = [History(lambda folder=folder: read_folder(folder)).snapshot() for folder in folders]  # type: ignore[misc]
    (live,) = [state for state in states if state.ready]
    metrics = served.metrics()
    for name, value in series(metrics, "jaxresp_predictions_total").items():
        assert live.predictions[labels(name)["model"]][labels(name)["label"]] == value
    requests = series(metrics, "bentoml_service_request_total")
    assert live.requests == sum(n for key, n in requests.items() if labels(key)["endpoint"].startswith("/v1/"))
    told = {labels(key)["reason"]: n for key, n in series(metrics, "jaxresp_rejections_total").items() if n}
    assert live.rejections == told
    assert live.compilations == metrics["jaxresp_compilations_total"]
    assert live.uptime_s > 0 and live.resident_bytes > 1e8


def test_nothing_of_a_recording_is_kept(served: Served) -> None:
    """Not its name: in the metrics, in the log, on the disk."""
    sound = encode(breath(4, 4_000), 4_000)
    assert served.post("/v1/classify", sound).status_code == 200
    assert served.post("/v1/classify", b"broken").status_code == 422
    httpx.get(f"{served.url}/{PATIENT}")
    assert (
        httpx.post(f"{served.url}/ui/gradio_api/upload", files={"files": (f"{PATIENT}.wav", sound)}).status_code == 200
    )
    assert PATIENT not in httpx.get(f"{served.url}/metrics").text
    assert PATIENT not in served.log.read_text()
    assert not [path for path in served.pages.rglob("*") if PATIENT in path.name]
