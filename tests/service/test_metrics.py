"""/metrics: ours and BentoML's, with label sets that have an end, and nothing of a recording in them."""

from __future__ import annotations

import re

import httpx

from bento.errors import ANSWERS

from .conftest import PATIENT, Served, breath, encode, series


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
    assert rise('jaxresp_inference_seconds_count{model="binary-mfcc"}') == 1
    assert rise('jaxresp_batch_windows_sum{model="binary-mfcc"}') == 2
    assert rise("jaxresp_decode_seconds_count") == 2
    assert rise("jaxresp_audio_seconds_total") == 6
    assert len(series(after, "jaxresp_model_info")) == 6
    assert after["jaxresp_ready"] == 1
    requests = series(after, "bentoml_service_request_total")
    assert sum(rise(key) for key in requests if 'endpoint="/v1/classify"' in key and '="422"' in key) == 1


def test_nothing_is_compiled_after_ready(served: Served) -> None:
    before = served.metrics()["jaxresp_compilations_total"]
    assert before > 0, "nothing was counted while the networks were compiled"
    for duration_s in (0.6, 4.9, 5.0, 7.7, 23.0, 61.0, 96.0):
        for name in ("multiclass-augmented", "binary-logmel"):
            assert served.with_model(name, encode(breath(duration_s, 4_000), 4_000)).status_code == 200
    assert served.metrics()["jaxresp_compilations_total"] == before


def test_labels_have_an_end(served: Served) -> None:
    """Mistyped addresses make no new series."""
    paths = ["wp-login.php", f"{PATIENT}.wav", "ui/gradio_api/file=x", "a/b/c", "classify/1", "ui/nowhere"]
    httpx.get(f"{served.url}/{paths[0]}")
    httpx.get(f"{served.url}/{paths[2]}")
    httpx.get(f"{served.url}/{paths[5]}")
    before = {key for key in served.metrics() if "endpoint=" in key and "_bucket" not in key}
    for path in paths:
        httpx.get(f"{served.url}/{path}")
    endpoints = {e for key in served.metrics() for e in re.findall(r'endpoint="([^"]*)"', key)}
    assert endpoints <= {e for key in before for e in re.findall(r'endpoint="([^"]*)"', key)}
    reasons = {r for key in served.metrics() for r in re.findall(r'reason="([^"]*)"', key)}
    assert reasons <= {reason for _, reason in ANSWERS.values()} | {"other"}


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
