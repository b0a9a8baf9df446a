"""The client against a server that is busy, gone, or not ours: when it asks again, and when it gives up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bento.clients.jaxresp_client import Client, Refused

from .conftest import free_port

OK = {"label": "Normal"}


class Server(HTTPServer):
    """Answers what it was told to, one after the other, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, bytes, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def will(self, status: int, body: object = OK, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, data))


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, body, self.headers["Content-Type"]))
        status, headers, data = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_sent_is_a_form_that_others_can_read(server: Server) -> None:
    """Any bytes, whatever they hold, and no file name."""
    server.will(200, {"answers": []})
    sounds = [bytes(range(256)) * 3, b"\r\n--boundary\r\n", b""]
    Client(server.url).classify_many(sounds, "binary", "mfcc")
    path, body, content_type = server.asked[0]
    assert path == "/v1/classify_many"
    form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    parts = [
        (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
        for part in form.iter_parts()
    ]
    assert parts[:2] == [("task", b"binary"), ("features", b"mfcc")]
    assert [part.get_filename() for part in form.iter_parts()][2:] == ["audio"] * 3
    assert all(sound in body for sound in sounds)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_is_asked_again_after_the_time_it_says(server: Server, status: int) -> None:
    server.will(status, {}, Retry_After="7")
    server.will(status, {}, Retry_After=formatdate(time.time() + 30, usegmt=True))
    server.will(status, {})
    server.will(200)
    waits: list[float] = []
    assert Client(server.url, sleep=waits.append).classify(b"x") == OK
    assert waits[0] == 7
    assert 20 <= waits[1] <= 30
    assert 0 < waits[2] <= 4
    assert len({body for _, body, _ in server.asked}) == 1, "what is sent again is something else"


def test_a_long_wait_is_bounded(server: Server) -> None:
    server.will(503, {}, Retry_After="86400")
    server.will(200)
    waits: list[float] = []
    Client(server.url, longest_wait_s=20, sleep=waits.append).classify(b"x")
    assert waits == [20]


def test_it_gives_up(server: Server) -> None:
    for _ in range(3):
        server.will(503, {"error": {"type": "Overloaded", "message": "later"}}, X_Request_ID="abc")
    with pytest.raises(Refused, match="Overloaded: later") as refused:
        Client(server.url, tries=3, sleep=lambda _: None).classify(b"x")
    assert (refused.value.status, refused.value.kind, refused.value.request_id) == (503, "Overloaded", "abc")
    assert len(server.asked) == 3


def test_a_mistake_is_not_repeated(server: Server) -> None:
    for status in (422, 500, 504):
        server.will(status, {"error": {"type": "Wrong", "message": "because"}})
        with pytest.raises(Refused) as refused:
            Client(server.url, sleep=lambda _: pytest.fail("it waited")).classify(b"x")
        assert refused.value.status == status
    assert len(server.asked) == 3


def test_a_proxys_page_is_no_answer_of_ours(server: Server) -> None:
    server.will(502, b"<html>Bad gateway</html>")
    with pytest.raises(Refused) as refused:
        Client(server.url).classify(b"x")
    assert (refused.value.status, refused.value.kind) == (502, "HTTPError")


def test_nobody_there() -> None:
    waits: list[float] = []
    with pytest.raises(OSError):
        Client(f"http://127.0.0.1:{free_port()}", tries=3, sleep=waits.append).classify(b"x")
    assert len(waits) == 2
