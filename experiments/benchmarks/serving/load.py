"""A load generator that costs little: threads with blocking sockets, requests built beforehand, kept connections.

Closed loop: so many clients, each asks again when it has its answer. Open loop: requests are due at fixed times,
whatever the server does, and a latency counts from when a request was due, so all who came during a stall feel it (no
coordinated omission).
"""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from experiments.benchmarks.serving.material import Clip

_BOUNDARY = "----jaxresp-benchmark"
_TIMEOUT_S = 150.0
_BUSY = (429, 503)


def multipart(path: str, sound: bytes, **fields: str) -> bytes:
    """A whole HTTP request that sends a sound as a form, as `curl -F audio=@recording.wav` would."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    head = 'Content-Disposition: form-data; name="audio"; filename="a.wav"\r\nContent-Type: audio/x-wav\r\n\r\n'
    parts.append(head.encode() + sound)
    delimiter = f"--{_BOUNDARY}\r\n".encode()
    body = b"".join(delimiter + part + b"\r\n" for part in parts) + f"--{_BOUNDARY}--\r\n".encode()
    kind = f"Content-Type: multipart/form-data; boundary={_BOUNDARY}"
    lines = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return lines.encode() + body


class Connection:
    """One kept-open connection; opened again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request; the answer's status and body. Status 0 when the connection broke."""
        for attempt in (0, 1):
            fresh = self._socket is None
            try:
                return self._ask(request)
            except (OSError, EOFError):
                self.close()
                if fresh or attempt:  # a kept connection may just have been closed in good order
                    return 0, b""
        return 0, b""

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=_TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if "chunked" in headers.get("transfer-encoding", ""):
            raise NotImplementedError("an answer in chunks: neither side sends one")
        while len(body) < int(headers["content-length"]):
            body += self._receive()
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(lines[0].split()[1]), body

    def _receive(self) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(1 << 16)
        if not data:
            raise EOFError
        return data


@dataclass
class Outcome:
    """What became of the requests of one run.

    Attributes:
        seconds: from the first request to the last answer.
        latency_s: of the answered ones (200), from when each was sent or, in the open loop, due.
        statuses: how many answers had each status; 0 is a broken connection.
        wrong: answers (200) that are not the offline one, and statuses other than the clip's own or "busy" (429, 503).
        client_cpu_s: what the generator itself used.
    """

    seconds: float = 0.0
    latency_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: int = 0
    client_cpu_s: float = 0.0

    @property
    def answered(self) -> int:
        return len(self.latency_s)

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds

    def quantile_ms(self, q: float) -> float:
        return float(np.quantile(self.latency_s, q)) * 1e3 if self.latency_s else float("nan")


def is_right(body: bytes, clip: Clip, tolerance: float) -> bool:
    """The label, and the probabilities to within the tolerance."""
    said = json.loads(body)
    near = all(abs(said["probabilities"][name] - p) <= tolerance for name, p in clip.probabilities.items())
    return near and said["label"] == clip.label


class _Run:
    def __init__(self, port: int, path: str, clips: Sequence[Clip], tolerance: float) -> None:
        self.port, self.clips, self.tolerance = port, clips, tolerance
        self.requests = [multipart(path, clip.sound) for clip in clips]
        self.outcome, self.lock = Outcome(), threading.Lock()

    def ask(self, connection: Connection, number: int, since: float | None) -> None:
        clip = self.clips[number % len(self.clips)]
        begun = time.perf_counter() if since is None else since
        status, body = connection.ask(self.requests[number % len(self.clips)])
        latency = time.perf_counter() - begun
        right = (
            is_right(body, clip, self.tolerance) if status == clip.status == 200 else status in (clip.status, *_BUSY)
        )
        with self.lock:
            self.outcome.statuses[status] = self.outcome.statuses.get(status, 0) + 1
            self.outcome.wrong += not right
            if status == 200:
                self.outcome.latency_s.append(latency)

    def by_threads(self, count: int, work: Iterator[tuple[int, float | None]]) -> Outcome:
        """Let threads take numbers (and the times they are due) from `work` until it ends."""
        take = threading.Lock()

        def client() -> None:
            connection = Connection(self.port)
            while True:
                with take:
                    following = next(work, None)
                if following is None:
                    break
                number, due = following
                if due is not None:
                    time.sleep(max(0.0, due - time.perf_counter()))
                self.ask(connection, number, due)
            connection.close()

        cpu, begun = time.process_time(), time.perf_counter()
        threads = [threading.Thread(target=client) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.outcome.seconds = time.perf_counter() - begun
        self.outcome.client_cpu_s = time.process_time() - cpu
        return self.outcome


def closed_loop(
    port: int, path: str, clips: Sequence[Clip], *, clients: int, seconds: float, tolerance: float = 1e-4
) -> Outcome:
    """So many clients, each one request after another."""
    end = time.perf_counter() + seconds
    numbers = itertools.takewhile(lambda _: time.perf_counter() < end, itertools.count())
    return _Run(port, path, clips, tolerance).by_threads(clients, ((number, None) for number in numbers))


def open_loop(
    port: int,
    path: str,
    clips: Sequence[Clip],
    *,
    per_second: float,
    seconds: float,
    connections: int = 64,
    tolerance: float = 1e-4,
) -> Outcome:
    """Requests at fixed times. With all connections busy the next one waits, and its latency counts that wait."""
    start = time.perf_counter() + 0.05
    due = ((number, start + number / per_second) for number in range(round(per_second * seconds)))
    return _Run(port, path, clips, tolerance).by_threads(connections, due)
