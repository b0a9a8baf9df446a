"""Over HTTP, against a running service: right answers for good sounds, clear 4xx for everything else."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from bento.store import NAMES

from .conftest import PATIENT, Served, assert_same_answer, breath, encode

SHORT = {
    "4 kHz, 16 bit": encode(breath(4, 4_000), 4_000, "PCM_16"),
    "44.1 kHz, 24 bit": encode(breath(4, 44_100, 1), 44_100, "PCM_24"),
}


@pytest.mark.parametrize("name", NAMES)
def test_served_answer_is_the_offline_answer(served: Served, name: str) -> None:
    answers = []
    for sound in SHORT.values():
        response = served.with_model(name, sound)
        assert response.status_code == 200
        assert_same_answer(response.json(), served.offline[name].predict(sound).to_json())
        answers.append(response.json()["windows"][0]["probabilities"])
    assert answers[0] != pytest.approx(answers[1], abs=1e-5), "a service that ignores the sound would pass this test"


def test_many_windows(served: Served) -> None:
    sound = encode(breath(13.3, 10_000, 2), 10_000)
    response = served.with_model("binary-mfcc", sound)
    assert len(response.json()["windows"]) == 3
    assert_same_answer(response.json(), served.offline["binary-mfcc"].predict(sound).to_json())


def test_requests_at_the_same_time_get_their_own_answers(served: Served) -> None:
    sounds = [encode(breath(3 + 2 * (i % 3), 4_000, i), 4_000) for i in range(12)]
    with ThreadPoolExecutor(12) as threads:
        responses = list(threads.map(lambda sound: served.with_model("binary-logmel", sound), sounds))
    alone = served.offline["binary-logmel"]
    for sound, response in zip(sounds, responses, strict=True):
        assert response.status_code == 200
        assert_same_answer(response.json(), alone.predict(sound).to_json())


def test_quick_endpoint_uses_the_quick_model(served: Served) -> None:
    quick = httpx.get(f"{served.url}/v1/models").json()["quick"]
    response = served.post("/v1/classify", SHORT["4 kHz, 16 bit"])
    assert_same_answer(response.json(), served.offline[quick].predict(SHORT["4 kHz, 16 bit"]).to_json())


def test_all_models_at_once(served: Served) -> None:
    for sound in SHORT.values():
        predictions = served.post("/v1/compare", sound).json()["predictions"]
        assert list(predictions) == list(NAMES)
        for name, prediction in predictions.items():
            assert_same_answer(prediction, served.offline[name].predict(sound).to_json())


def _many(served: Served, sounds: list[bytes], **fields: str) -> httpx.Response:
    files = [("audio", (f"{PATIENT}-{i}.wav", sound)) for i, sound in enumerate(sounds)]
    return httpx.post(f"{served.url}/v1/classify_many", files=files, data=fields, timeout=120)


def test_several_sounds_each_with_an_answer_or_an_error_in_their_order(served: Served) -> None:
    good, bad = list(SHORT.values()), [sound for sound, _ in BAD.values()]
    sounds = [sound for pair in zip(bad, good * 9, strict=False) for sound in pair][:16]
    quick = httpx.get(f"{served.url}/v1/models").json()["quick"]
    for fields, name in (({"task": "binary", "features": "mfcc"}, "binary-mfcc"), ({}, quick)):
        response = _many(served, sounds, **fields)
        assert response.status_code == 200
        assert PATIENT not in response.text
        answers = response.json()["answers"]
        assert len(answers) == len(sounds)
        for sound, answer in zip(sounds, answers, strict=True):
            if sound in good:
                assert_same_answer(answer["prediction"], served.offline[name].predict(sound).to_json())
            else:
                assert answer["error"]["type"] == next(kind for content, kind in BAD.values() if content == sound)


def test_an_explanation_comes_with_its_answer(served: Served) -> None:
    offline = served.offline["binary-mfcc"]
    chosen = {"task": "binary", "features": "mfcc"}
    for sound in SHORT.values():
        for fields in (chosen, chosen | {"class": offline.classes[0]}, chosen | {"class": offline.classes[1]}):
            response = served.post("/v1/explain", sound, **fields)
            assert response.status_code == 200, response.text
            assert_same_answer(response.json()["prediction"], offline.predict(sound).to_json())
            expected = offline.explain(offline.decode(sound), fields.get("class")).to_json()
            assert response.json()["explanation"]["class"] == expected["class"]
            assert response.json()["explanation"]["saliency"]["values"] == pytest.approx(
                expected["saliency"]["values"], rel=1e-2, abs=1e-3
            )
    response = served.post("/v1/explain", GOOD, **chosen, **{"class": "sick"})
    assert (response.status_code, response.json()["error"]["type"]) == (404, "UnknownClass")


def test_a_model_shows_its_card(served: Served) -> None:
    for name in NAMES:
        model = httpx.get(f"{served.url}/v1/models/{name}").json()
        assert (model["name"], model["card"]) == (name, served.offline[name].card)
    response = httpx.get(f"{served.url}/v1/models/{PATIENT}")
    assert (response.status_code, response.json()["error"]["type"]) == (404, "UnknownModel")


def test_an_age_outside_of_the_training_is_warned_of_and_changes_nothing_else(served: Served) -> None:
    offline = served.offline["binary-mfcc"]
    for age, warned in (("17.9", True), ("18", False), ("90", False), ("91", True), ("", False)):
        response = served.post("/v1/classify_with", GOOD, task="binary", features="mfcc", age_years=age)
        assert_same_answer(response.json(), offline.predict(GOOD, age_years=float(age) if age else None).to_json())
        assert any("years old" in warning for warning in response.json()["warnings"]) == warned
        compared = served.post("/v1/compare", GOOD, age_years=age).json()["predictions"]["binary-mfcc"]
        assert compared["warnings"] == response.json()["warnings"]


@pytest.mark.parametrize("age", ["-1", "131", "nan", "inf", "old", "1e9", "4 0", "4_0", "٤"])
def test_absurd_ages_are_refused(served: Served, age: str) -> None:
    response = served.post("/v1/classify", GOOD, age_years=age)
    assert (response.status_code, response.json()["error"]["type"]) == (422, "InvalidField")


def test_two_sounds_where_one_is_asked_about(served: Served) -> None:
    files = [("audio", ("a.wav", GOOD)), ("audio", ("b.wav", GOOD))]
    for path in ("classify", "classify_with", "compare", "explain"):
        data = {"task": "binary", "features": "mfcc"}
        response = httpx.post(f"{served.url}/v1/{path}", files=files, data=data, timeout=60)
        assert (response.status_code, response.json()["error"]["type"]) == (422, "TooManyParts")
        assert "classify_many" in response.json()["error"]["message"]


def test_every_answer_bears_a_request_id(served: Served) -> None:
    asked = "4bf92f35-77b3.4da6_a:1"
    requests = [("GET", "/v1/models"), ("GET", "/nowhere"), ("GET", "/v1/classify"), ("POST", "/v1/classify")]
    for method, path in requests:
        response = httpx.request(method, served.url + path, headers={"x-request-id": asked})
        assert response.headers["x-request-id"] == asked
    unsafe = ["", "a b", "x" * 65, '"', "é".encode()]
    given = [httpx.get(f"{served.url}/v1/models", headers={"x-request-id": bad}) for bad in unsafe]
    ids = [response.headers["x-request-id"] for response in given]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in ids)


def test_a_log_line_tells_of_the_request_and_nothing_of_the_sound(served: Served) -> None:
    response = served.post("/v1/classify_with", GOOD, task="binary", features=PATIENT)
    lines = [json.loads(line) for line in served.log.read_text().splitlines() if line.startswith("{")]
    line = next(line for line in lines if line.get("request_id") == response.headers["x-request-id"])
    assert line.keys() == {"time", "level", "logger", "message", "request_id", "route", "method", "status", "seconds"}
    assert (line["route"], line["method"], line["status"]) == ("/v1/classify_with", "POST", 404)
    assert line["seconds"] > 0
    assert PATIENT not in served.log.read_text()


def test_old_and_unknown_addresses_are_answered_as_every_other_error(served: Served) -> None:
    for method, path, status in (
        ("POST", "/classify", 404), ("GET", "/models", 404), ("GET", "/v1/classify", 405), ("PUT", "/v1/models", 405)
    ):  # fmt: skip
        response = httpx.request(method, served.url + path)
        assert response.status_code == status
        assert set(response.json()["error"]) == {"type", "message"}


def test_models_are_listed(served: Served) -> None:
    listed = httpx.get(f"{served.url}/v1/models").json()["models"]
    assert [entry["name"] for entry in listed] == list(NAMES)
    for entry in listed:
        offline = served.offline[entry["name"]]
        assert entry["version"] == offline.version
        assert entry["classes"] == list(offline.classes)


STEREO = np.stack([breath(4, 8_000), breath(4, 8_000, 1)], axis=1)


@pytest.mark.parametrize(
    ("samples", "subtype", "container"),
    [
        (STEREO, "PCM_16", "WAV"),
        (breath(4, 8_000), "PCM_U8", "WAV"),
        (breath(4, 8_000), "FLOAT", "WAV"),
        (breath(4, 8_000), None, "FLAC"),
        (breath(4, 8_000), None, "OGG"),
        (breath(4, 8_000), None, "MP3"),
    ],
    ids=["stereo", "8 bit", "32-bit float", "flac", "ogg", "mp3"],
)
def test_every_common_format_is_answered(served: Served, samples: np.ndarray, subtype: str, container: str) -> None:
    sound = encode(samples, 8_000, subtype, container)
    response = served.with_model("binary-mfcc", sound)
    assert response.status_code == 200, response.text
    assert_same_answer(response.json(), served.offline["binary-mfcc"].predict(sound).to_json())


GOOD = SHORT["4 kHz, 16 bit"]
NAN = breath(4, 8_000).astype(np.float32)
NAN[100] = np.nan
BAD = {
    "text named .wav": (b"this is text\n" * 50, "UnreadableAudio"),
    "corrupt header": (b"RIFF" + b"\xff" * 400, "UnreadableAudio"),
    "cut in the middle": (GOOD[: len(GOOD) // 2], "UnreadableAudio"),
    "no bytes": (b"", "EmptyAudio"),
    "no samples": (encode(np.zeros(0), 8_000), "EmptyAudio"),
    "silent": (encode(np.zeros(32_000), 8_000), "SilentAudio"),
    "NaN": (encode(NAN, 8_000, "FLOAT"), "NonFiniteAudio"),
    "too short": (encode(breath(0.1, 8_000), 8_000), "AudioTooShort"),
    "too long": (encode(np.tile(breath(5, 1_000), 121), 1_000), "AudioTooLong"),
    "too many channels": (encode(np.tile(breath(1, 8_000)[:, None], 9), 8_000), "UnsupportedAudio"),
}


@pytest.mark.parametrize("path", ["/v1/classify", "/v1/classify_with"])
@pytest.mark.parametrize("what", BAD)
def test_bad_sounds_are_refused(served: Served, what: str, path: str) -> None:
    sound, kind = BAD[what]
    response = served.post(path, sound, task="binary", features="mfcc")
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["type"] == kind
    assert ";" in error["message"], "the message names no remedy"
    assert PATIENT not in response.text


def test_unknown_model_names_those_there_are(served: Served) -> None:
    response = served.post("/v1/classify_with", GOOD, task="binary", features="mfc")
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "UnknownModel"
    for name in NAMES:
        assert name in response.json()["error"]["message"]


def _text(field: str, value: str) -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n--x--\r\n'.encode()


@pytest.mark.parametrize(
    ("content", "content_type", "status", "kind"),
    [
        (b"{}", "application/json", 415, "NotAForm"),
        (GOOD, "audio/wav", 415, "NotAForm"),
        (b"", "", 415, "NotAForm"),
        (b"rubbish", "multipart/form-data", 400, "MalformedForm"),
        (b"rubbish", "multipart/form-data; boundary=x", 400, "MalformedForm"),
        (_text("a", "1"), "multipart/form-data; boundary=x", 422, "MissingAudio"),
        (_text("audio", "http://127.0.0.1/"), "multipart/form-data; boundary=x", 422, "MissingAudio"),
    ],
    ids=["json", "bare sound", "nothing", "no boundary", "no form", "no field", "an address for a file"],
)
def test_bad_forms_are_refused(served: Served, content: bytes, content_type: str, status: int, kind: str) -> None:
    response = httpx.post(
        f"{served.url}/v1/classify", content=content, headers={"content-type": content_type}, timeout=60
    )
    assert (response.status_code, response.json()["error"]["type"]) == (status, kind)


@pytest.mark.parametrize("missing", ["task", "features"])
def test_missing_field_is_named(served: Served, missing: str) -> None:
    fields = {"task": "binary", "features": "mfcc"}
    del fields[missing]
    response = served.post("/v1/classify_with", GOOD, **fields)
    assert (response.status_code, response.json()["error"]["type"]) == (422, "MissingField")
    assert missing in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/classify", "/ui/gradio_api/upload"])
@pytest.mark.parametrize("chunked", [False, True], ids=["stated length", "chunked"])
def test_bodies_without_end_are_refused(served: Served, path: str, chunked: bool) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    pieces = [head, *[bytes(2**20)] * 66, b"\r\n--x--\r\n"]
    content = iter(pieces) if chunked else b"".join(pieces)
    response = httpx.post(
        served.url + path, content=content, headers={"content-type": "multipart/form-data; boundary=x"}, timeout=120
    )
    assert (response.status_code, response.json()["error"]["type"]) == (413, "BodyTooLarge")


def test_bentoml_client_finds_its_way(served: Served, tmp_path) -> None:
    import bentoml

    path = tmp_path / f"{PATIENT}.wav"
    path.write_bytes(GOOD)
    with bentoml.SyncHTTPClient(served.url) as client:
        answer = client.classify_with(audio=path, task="multiclass", features="mfcc")
    client._temp_dir.cleanup()  # it leaves that to the garbage collector, which warns in somebody else's test
    assert_same_answer(answer, served.offline["multiclass-mfcc"].predict(GOOD).to_json())
