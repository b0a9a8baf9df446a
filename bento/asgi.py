"""Two guards around the whole application: no body without end, no user's text in a path that is logged or counted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from typing import NoReturn, TypeVar

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from opentelemetry.util.http import ExcludeList
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento.errors import BodyTooLarge, Overloaded, RequestError, SlowUpload, http_error, response_to
from bento.limits import LIMITS, Limits
from bento.load import Load
from bento.logs import RequestLog
from bento.metrics import count_rejection
from bento.openapi import Document, document

T = TypeVar("T")

_TRUE_PATH = "jaxresp.path"
_API = "/v1/"
_MODELS = "/v1/models"


def label_of(path: str, known: Iterable[str]) -> str:
    """A path → one of finitely many: itself when known, the subtree it is in, or "/other"."""
    if path in known:
        return path
    if path.startswith(f"{_MODELS}/"):
        return f"{_MODELS}/{{name}}"
    subtrees = ("/ui", "/static_content")
    return next((tree for tree in subtrees if path == tree or path.startswith(f"{tree}/")), "/other")


class LabelledPaths:
    """Shows what lies inside a path out of a bounded set. `TruePaths`, further inside, undoes it.

    BentoML's request metrics, access log and traces take the raw path: every mistyped address would be a new time
    series, and what a visitor writes into one would be kept.
    """

    def __init__(self, app: ASGIApp, known: Iterable[str]) -> None:
        self.app, self.known = app, frozenset(known)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its label."""
        if scope["type"] in ("http", "websocket"):
            label = label_of(scope["path"], self.known)
            true = {"path": scope["path"], "raw_path": scope.get("raw_path"), "query_string": scope["query_string"]}
            scope = {**scope, "path": label, "raw_path": label.encode(), "query_string": b"", _TRUE_PATH: true}
        await self.app(scope, receive, send)


class TruePaths:
    """Gives the request its own path back, behind BentoML's middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its own path."""
        await self.app({**scope, **scope.get(_TRUE_PATH, {})}, receive, send)


class LabelledService(bentoml.Service[T]):
    """A BentoML service behind `LabelledPaths`, described by our own OpenAPI document."""

    @property
    def openapi_spec(self) -> Document:
        """What /docs.json answers, and what a built Bento holds."""
        return Document(document())

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """The application a worker serves."""
        if not BentoMLContainer.tracing.sample_rate.get():
            # Spans that nobody collects are made all the same, one more for every piece of a body.
            BentoMLContainer.tracing_excluded_urls.set(ExcludeList([".*"]))
        routes = {api.route for api in self.apis.values()}
        app: Starlette = super().to_asgi(is_main=is_main)
        # Ours come first (limits.py), and for each request BentoML's keeps a timer until it would have run out.
        app.user_middleware = [each for each in app.user_middleware if each.cls is not TimeoutMiddleware]
        app.add_exception_handler(HTTPException, http_error)
        return LabelledPaths(RequestLog(app), routes | KNOWN_PATHS)


#: Paths that are not endpoints of the service, by their own name in metrics and logs.
KNOWN_PATHS = {"/", "/favicon.ico", "/manifest.json", _MODELS, "/docs", "/docs.json", "/schema.json"} | {
    "/metrics",
    "/livez",
    "/readyz",
    "/healthz",
}


class BodyLimit:
    """Answers 413 to a body with too many bytes, 408 to one that comes too slowly, 503 when too much is in hand.

    By its header at once, else as soon as that many bytes have come in; never after the whole. The answer goes out
    first, so that a sender who listens can stop; what still comes in is dropped, unread by anybody.

    Args:
        app: what takes the bodies.
        load: where the bytes that are in memory are counted.
        limits: bounds on them.
    """

    def __init__(self, app: ASGIApp, load: Load, limits: Limits = LIMITS) -> None:
        self.app, self.load, self.limits = app, load, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(scope, receive, self.load, self.limits)
        answered = False

        async def answering(message: Message) -> None:
            nonlocal answered
            if body.refused and not answered:
                return  # whatever the application says of the interruption, our answer follows
            if not answered:
                answered = True
                await body.drain()
            await send(message)

        try:
            body.check_stated()
            if scope["method"] == "POST" and scope["path"].startswith(_API):
                body.check_room()
            await self.app(scope, body.receive, answering)
        except (BodyTooLarge, SlowUpload, Overloaded):
            if not body.refused or answered:
                raise
        finally:
            body.release()
        if body.refused and not answered:
            count_rejection(body.refused)
            await _answer_early(response_to(body.refused, connection="close"), body, send)
            body.refused.with_traceback(None)  # its frames hold the body that holds it


async def _answer_early(response: Response, body: _Body, send: Send) -> None:
    """Answer while the body may still be coming in, and end the answer, which closes the connection, after it."""
    headers = response.raw_headers
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    await body.drain()
    await send({"type": "http.response.body", "body": b""})


class _Body:
    """One request's body on its way in.

    Attributes:
        refused: why the rest of it is not wanted.
    """

    def __init__(self, scope: Scope, receive: Receive, load: Load, limits: Limits) -> None:
        self._receive, self._load, self._limits = receive, load, limits
        self._headers = Headers(scope=scope)
        self._start, self._seen, self._complete = time.monotonic(), 0, False
        self.refused: RequestError | None = None

    def check_stated(self) -> None:
        """Does its header already say that it is too large?

        Raises:
            BodyTooLarge: it does.
        """
        stated = self._headers.get("content-length", "0")
        if stated.isdigit() and int(stated) > self._limits.max_body_bytes:
            self._refuse(self._too_large())

    def check_room(self) -> None:
        """Would its sound be taken on at this moment? Others may come first while it is on its way.

        Raises:
            Overloaded: no.
        """
        try:
            self._load.check()
        except Overloaded as error:
            self._refuse(error)

    async def receive(self) -> Message:
        """The next message, counted.

        Raises:
            BodyTooLarge, SlowUpload, Overloaded: this is where it ends.
        """
        if self.refused:
            raise self.refused
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(self._allowed_s() - (time.monotonic() - self._start)):
                message = await self._receive()
        except TimeoutError:
            self._refuse(self._too_slow())
        self._note(message)
        n_bytes = len(message.get("body", b""))
        if self._seen + n_bytes > self._limits.max_body_bytes:
            self._refuse(self._too_large())
        try:
            self._load.hold(n_bytes)
        except Overloaded as error:
            self._refuse(error)
        self._seen += n_bytes
        return message

    def release(self) -> None:
        """Nobody needs its bytes any more."""
        self._load.release(self._seen)
        self._seen = 0

    async def drain(self) -> None:
        """Read on for a while: closing a connection that is still sending would destroy our answer on its way."""
        if self._complete or isinstance(self.refused, SlowUpload) or self._waits_for_our_consent:
            return
        left = self._limits.max_drain_bytes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.max_drain_s):
                while left > 0 and not self._complete:
                    message = await self._receive()
                    self._note(message)
                    left -= len(message.get("body", b""))

    @property
    def _waits_for_our_consent(self) -> bool:
        return self._headers.get("expect", "").lower() == "100-continue" and not self._seen

    def _note(self, message: Message) -> None:
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)

    def _allowed_s(self) -> float:
        """Seconds since its first byte that the next one may take."""
        limits = self._limits
        return min(limits.upload_grace_s + self._seen / limits.min_upload_bytes_per_s, limits.max_upload_s)

    def _refuse(self, error: RequestError) -> NoReturn:
        self.refused = error
        raise error

    def _too_large(self) -> BodyTooLarge:
        most = self._limits.max_body_bytes // 2**20
        return BodyTooLarge(f"more than {most} MB in one request; cut the recording or send it as FLAC")

    def _too_slow(self) -> SlowUpload:
        limits = self._limits
        return SlowUpload(
            f"the upload stalled, or came in at less than {limits.min_upload_bytes_per_s // 1024} KB/s; "
            "send a smaller file (FLAC, or a part of the recording), or try again over a better connection"
        )
