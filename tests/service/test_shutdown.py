"""Ctrl-C: what is under way is answered, nothing new is taken on, nothing is left behind, and the exit code is 0."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from bento.store import store_classifiers

from .conftest import assert_same_answer, breath, encode, serving

pytestmark = pytest.mark.slow

GOOD = encode(breath(20, 8_000), 8_000)


def test_what_is_under_way_is_answered_and_nothing_new_is_taken_on(run_folder: Path, tmp_path: Path) -> None:
    store_classifiers(run_folder)
    with contextlib.ExitStack() as open_page, serving(run_folder, tmp_path) as running:
        url = httpx.URL(running.url)
        body = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n' + GOOD + b"\r\n--x--\r\n"
        head = f"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        upload = httpx.post(f"{running.url}/ui/gradio_api/upload", files={"files": ("a.wav", GOOD)}, timeout=60)
        assert upload.status_code == 200, "something of the page's that must be deleted"
        page = open_page.enter_context(httpx.stream("GET", f"{running.url}/ui/gradio_api/heartbeat/x", timeout=60))
        assert page.status_code == 200, "an answer that by itself never ends"
        with socket.create_connection((url.host, url.port or 80), timeout=60) as under_way:
            under_way.sendall(head.encode() + body[: len(body) // 2])
            time.sleep(0.5)
            os.kill(running.pid, signal.SIGINT)
            time.sleep(2)
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{running.url}/v1/models", timeout=3)
            under_way.sendall(body[len(body) // 2 :])
            received = b""
            while piece := under_way.recv(65536):
                received += piece
        status, _, content = received.partition(b"\r\n\r\n")
        assert b" 200 " in status.splitlines()[0]
        answer = httpx.Response(200, content=content).json()
        assert_same_answer(answer, running.offline[answer["model"]["name"]].predict(GOOD).to_json())
