"""Over HTTP: senders who stall, hang up, lie, or send without end. The service answers, and goes on answering."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import soundfile

from bento.limits import LIMITS

from .conftest import PATIENT, Served, assert_same_answer, breath, encode

GOOD = encode(breath(4, 8_000), 8_000)
_HEAD = f'--x\r\nContent-Disposition: form-data; name="audio"; filename="{PATIENT}.wav"\r\n\r\n'.encode()
_TAIL = b"\r\n--x--\r\n"
_FORM = {"content-type": "multipart/form-data; boundary=x"}


def _request(path: str, body: bytes, stated: int | None = None) -> bytes:
    """A request as bytes; `stated` is the length its header claims."""
    length = len(body) if stated is None else stated
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nContent-Type: {_FORM['content-type']}\r\n\r\n"
    )
    return head.encode() + body


def _connect(served: Served) -> socket.socket:
    url = httpx.URL(served.url)
    return socket.create_connection((url.host, url.port or 80), timeout=60)


def _answer(connection: socket.socket) -> tuple[int, dict[str, dict[str, str]]]:
    """Status and JSON of the answer that comes over a bare connection which is closed after it."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def _rejected(served: Served, reason: str) -> float:
    return served.metrics().get(f'jaxresp_rejections_total{{reason="{reason}"}}', 0.0)


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _still_right(served: Served) -> None:
    assert_same_answer(
        served.with_model("binary-mfcc", GOOD).json(), served.offline["binary-mfcc"].predict(GOOD).to_json()
    )


@pytest.mark.parametrize("path", ["/v1/classify", "/ui/gradio_api/upload"])
def test_two_gigabytes(served: Served, path: str) -> None:
    """They are made while they are sent; the service neither takes nor holds them all."""
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield _HEAD
        for _ in range(2 * 1024):
            sent += 2**20
            yield bytes(2**20)
        yield _TAIL

    before = served.memory_bytes()
    response = httpx.post(served.url + path, content=body(), headers=_FORM, timeout=120)
    assert (response.status_code, response.json()["error"]["type"]) == (413, "BodyTooLarge")
    assert sent < LIMITS.max_body_bytes + LIMITS.max_drain_bytes + 64 * 2**20, "the service read on"
    assert served.memory_bytes() - before < 3 * LIMITS.max_body_bytes
    _still_right(served)


def test_an_upload_that_ends_early(served: Served) -> None:
    before = _rejected(served, "client_gone")
    body = _HEAD + GOOD + _TAIL
    for share in (0.01, 0.5, 0.99):
        with _connect(served) as connection:
            connection.sendall(_request("/v1/classify", body[: int(share * len(body))], stated=len(body)))
    _until(lambda: _rejected(served, "client_gone") >= before + 3)
    _still_right(served)


def test_uploads_that_stall_or_drip(served: Served) -> None:
    """Both at once, because each takes as long as the service is patient."""

    def stall(path: str) -> tuple[int, dict[str, dict[str, str]]]:
        with _connect(served) as connection:
            connection.sendall(_request(path, _HEAD, stated=10_000_000))
            return _answer(connection)

    def drip(path: str) -> tuple[int, dict[str, dict[str, str]]]:
        with _connect(served) as connection:
            connection.sendall(_request(path, _HEAD, stated=10_000_000))
            connection.settimeout(0.5)
            while True:
                try:
                    connection.sendall(b"\0" * 100)
                    return _answer(connection)
                except TimeoutError:
                    continue

    before = _rejected(served, "slow_upload")
    paths = ("/v1/classify", "/ui/gradio_api/upload")
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(how, path) for how in (stall, drip) for path in paths]
        assert served.with_model("binary-mfcc", GOOD).status_code == 200, "others wait for the slow ones"
        for answer in answers:
            status, body = answer.result()
            assert (status, body["error"]["type"]) == (408, "SlowUpload")
    assert _rejected(served, "slow_upload") == before + 4


def test_many_who_hang_up(served: Served) -> None:
    """Twenty long recordings whose senders are gone at once delay nobody, and leave nothing behind."""
    long = _request("/v1/compare", _HEAD + encode(breath(120, 8_000), 8_000) + _TAIL)
    before = _rejected(served, "client_gone")
    gone = 0
    for _ in range(20):
        with _connect(served) as connection:
            connection.sendall(long)
            gone += 1
    _until(lambda: _rejected(served, "client_gone") >= before + gone)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: _still_right(served), range(8)))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\..\\win.ini", "a\\0b.wav", "x" * 3_000, ""])
def test_a_file_name_is_never_used(served: Served, name: str) -> None:
    body = _HEAD.replace(f"{PATIENT}.wav".encode(), name.encode()) + GOOD + _TAIL
    response = httpx.post(f"{served.url}/v1/classify", content=body, headers=_FORM, timeout=60)
    assert response.status_code == 200, response.text
    quick = response.json()["model"]["name"]
    assert_same_answer(response.json(), served.offline[quick].predict(GOOD).to_json())
    upload = httpx.post(f"{served.url}/ui/gradio_api/upload", files={"files": (name or "a", GOOD)}, timeout=60)
    assert upload.status_code == 200
    assert not name or name not in upload.text
    assert "passwd" not in served.log.read_text()


def test_parts_without_end(served: Served) -> None:
    def text(name: str, value: str) -> bytes:
        return f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()

    def file(name: str) -> bytes:
        return _HEAD.replace(b'"audio"', f'"{name}"'.encode()) + GOOD[:100] + b"\r\n"

    cases = {
        "many files": (b"".join(file("audio") for _ in range(LIMITS.max_files + 1)), 422, "TooManyParts"),
        "many files of other names": (b"".join(file(f"f{i}") for i in range(99)), 422, "TooManyParts"),
        "many fields": (b"".join(text(f"f{i}", "") for i in range(99)), 422, "TooManyParts"),
        "a long text": (text("task", "x" * 10**6), 422, "PartTooLarge"),
        "a long file name": (_HEAD.replace(PATIENT.encode(), b"x" * 10**6) + GOOD, 400, "MalformedForm"),
    }
    for what, (body, status, kind) in cases.items():
        response = httpx.post(f"{served.url}/v1/classify_many", content=body + _TAIL, headers=_FORM, timeout=60)
        assert (response.status_code, response.json()["error"]["type"]) == (status, kind), what


def _flac_of_hours(frames_in_header: int | None = None) -> bytes:
    """Three hours at 1 kHz, all but silent, in some kilobytes; perhaps under a header that tells another length."""
    samples = np.zeros(3 * 3600 * 1000, np.int16)
    samples[0] = 1
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 1_000, format="FLAC")
    flac = bytearray(buffer.getvalue())
    if frames_in_header is not None:  # 36 bits, after 4 + 4 + 13.5 bytes
        flac[21] = flac[21] & 0xF0 | (frames_in_header >> 32)
        flac[22:26] = (frames_in_header & 0xFFFF_FFFF).to_bytes(4, "big")
    return bytes(flac)


@pytest.mark.parametrize("frames_in_header", [None, 0], ids=["honest header", "header without length"])
def test_a_small_file_of_hours(served: Served, frames_in_header: int | None) -> None:
    bomb = _flac_of_hours(frames_in_header)
    assert len(bomb) < 100_000
    response = served.post("/v1/classify", bomb)
    assert (response.status_code, response.json()["error"]["type"]) == (422, "AudioTooLong")


def test_a_small_file_of_hours_that_claims_seconds(served: Served) -> None:
    response = served.post("/v1/classify", _flac_of_hours(5_000))
    assert response.status_code == 200, response.text
    assert response.json()["audio"]["duration_s"] == 5.0, "more was decoded than the header says"


@pytest.mark.parametrize(
    ("rate_hz", "channels"), [(1, 1), (384_000, 1), (8_000, 64)], ids=["1 Hz", "384 kHz", "64 channels"]
)
def test_absurd_headers(served: Served, rate_hz: int, channels: int) -> None:
    sound = encode(np.tile(breath(1, 8_000)[:, None], channels), rate_hz)
    response = served.post("/v1/classify", sound)
    assert (response.status_code, response.json()["error"]["type"]) == (422, "UnsupportedAudio")
    assert ";" in response.json()["error"]["message"]
