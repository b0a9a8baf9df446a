"""A real HTTP server that behaves as badly as it is told to."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import random
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jaxresp.fetch.transfer import Patience

#: Waits and bounds a thousand times shorter than a user's.
QUICK = Patience(
    attempts=3,
    gain_bytes=1_000,
    first_wait_s=0.01,
    longest_wait_s=0.05,
    connect_s=5.0,
    silence_s=0.4,
    slowest_bytes_per_s=1e4,
)


@dataclass(frozen=True)
class Trick:
    """How one request is answered.

    Attributes:
        status: sent in place of 200 or 206, with an empty body.
        headers: added, or in place of what would be sent.
        body: in place of the file.
        send: only so many bytes of the body, then the connection is dropped.
        stall: after `send` bytes, silence.
        trickle: after `send` bytes, one every 0.05 s.
        length: whether Content-Length is sent.
        chunked: sent in chunks, as a body made on the fly is.
        ranges: whether Range is understood.
        validators: which of "etag", "weak", "date" are sent.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    send: int | None = None
    stall: bool = False
    trickle: bool = False
    length: bool = True
    chunked: bool = False
    ranges: bool = True
    validators: frozenset[str] = frozenset({"etag", "date"})


@dataclass(frozen=True)
class Asked:
    """What a request said."""

    path: str
    range: str | None
    if_range: str | None
    agent: str | None


class Host:
    """A server on this machine. `tricks` are used up one by one, then every request is answered as `always`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.tricks: deque[Trick] = deque()
        self.always = Trick()
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.root = f"{scheme}://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def url(self, path: str, content: bytes) -> str:
        """Serve something."""
        self.files[f"/{path}"] = content
        return f"{self.root}/{path}"

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined at the end: none outlives its test

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or refuses the certificate, is what is tested."""


def _handler(host: Host) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked, if_range = self.headers.get("Range"), self.headers.get("If-Range")
            host.asked.append(Asked(self.path, asked, if_range, self.headers.get("User-Agent")))
            trick = host.tricks.popleft() if host.tricks else host.always
            whole = trick.body if trick.body is not None else host.files.get(self.path, b"")
            etag = f'"{hashlib.md5(whole).hexdigest()}"'
            date = email.utils.formatdate(sum(whole[:8]), usegmt=True)
            headers = {"Content-Type": "application/octet-stream"}
            if "etag" in trick.validators:
                headers["ETag"] = etag
            if "weak" in trick.validators:
                headers["ETag"] = f"W/{etag}"
            if "date" in trick.validators:
                headers["Last-Modified"] = date
            status, body = 200, whole
            if trick.status is not None:
                status, body = trick.status, b""
            elif self.path not in host.files:
                status, body = 404, b""
            elif asked and trick.ranges and if_range in (None, headers.get("ETag"), headers.get("Last-Modified")):
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(whole):
                    status, body, headers["Content-Range"] = 416, b"", f"bytes */{len(whole)}"
                else:
                    status, body = 206, whole[start:]
                    headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
            if trick.chunked:
                headers["Transfer-Encoding"] = "chunked"
            elif trick.length:
                headers["Content-Length"] = str(len(body))
            else:
                headers["Connection"] = "close"
                self.close_connection = True
            self.send_response(status)
            for name, value in {**headers, **trick.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has hung up, as it should
                self._send_body(body, trick)

        def _send_body(self, body: bytes, trick: Trick) -> None:
            sent = body if trick.send is None else body[: trick.send]
            if trick.chunked:
                for start in range(0, len(sent), 5_000):
                    piece = sent[start : start + 5_000]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                if trick.send is None:
                    self.wfile.write(b"0\r\n\r\n")
            else:
                self.wfile.write(sent)
            if trick.trickle:
                for i in range(trick.send or 0, len(body)):
                    self.wfile.write(body[i : i + 1])
                    if host.over.wait(0.05):
                        break
            if trick.stall:
                host.over.wait(10)
            if trick.send is not None:
                self.close_connection = True

    return Handler


@pytest.fixture
def host() -> Iterator[Host]:
    running = Host()
    yield running
    running.close()


@pytest.fixture
def mirror() -> Iterator[Host]:
    running = Host()
    yield running
    running.close()


class Listener:
    """Keeps what a fetch says."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[tuple[str, int, int | None]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, what: str, done: int, total: int | None) -> None:
        self.steps.append((what, done, total))


@pytest.fixture
def show() -> Listener:
    return Listener()


@pytest.fixture(scope="session")
def content() -> bytes:
    """What no part of is like another."""
    return random.Random(0).randbytes(300_000)


def sha256_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
