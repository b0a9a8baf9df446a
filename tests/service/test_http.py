"""Over HTTP, against a running service: right answers for good sounds, clear 4xx for everything else."""

from __future__ import annotations

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
