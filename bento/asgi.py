"""Two guards around the whole application: no body without end, no user's text in a path that is logged or counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, TypeVar

import bentoml
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento.errors import BodyTooLarge, body_of
from bento.limits import LIMITS, Limits
from bento.metrics import count_rejection

T = TypeVar("T")

_TRUE_PATH = "jaxresp.path"


def label_of(path: str, known: Iterable[str]) -> str:
    """A path → one of finitely many: itself when known, the subtree it is in, or "/other"."""
    if path in known:
        return path
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
    """A BentoML service behind `LabelledPaths`."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """The application a worker serves."""
        routes = {api.route for api in self.apis.values()}
        return LabelledPaths(super().to_asgi(is_main=is_main), routes | KNOWN_PATHS)


#: Paths that are not endpoints of the service, by their own name in metrics and logs.
KNOWN_PATHS = {"/", "/favicon.ico", "/manifest.json", "/models", "/docs", "/docs.json", "/schema.json"} | {
    "/metrics",
    "/livez",
    "/readyz",
    "/healthz",
}


class BodyLimit:
    """Answers 413 to a request with too many bytes: by its header at once, else as soon as they have come in."""

    def __init__(self, app: ASGIApp, limits: Limits = LIMITS) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self.limits.max_body_bytes
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if stated.isdigit() and int(stated) > most:
            await self._refuse(receive, send)
            return
        seen, answered, refused = 0, False, False

        async def counting() -> Message:
            nonlocal seen, refused
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                refused = True
                raise BodyTooLarge(self._message)
            return message

        async def watching(message: Message) -> None:
            nonlocal answered
            if refused and not answered:
                return  # whatever the application says of the interruption, our answer follows
            answered = True
            await send(message)

        try:
            await self.app(scope, counting, watching)
        except BodyTooLarge:
            if answered:
                raise
        if refused and not answered:
            await self._refuse(receive, send)

    @property
    def _message(self) -> str:
        return (
            f"more than {self.limits.max_body_bytes // 2**20} MB in one request; cut the recording or send it as FLAC"
        )

    async def _refuse(self, receive: Receive, send: Send) -> None:
        error = BodyTooLarge(self._message)
        count_rejection(error)
        await self._drain(receive)
        body = json.dumps(body_of(error)).encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _drain(self, receive: Receive) -> None:
        """Read on for a while: closing a connection that is still sending would destroy our answer on its way."""
        left = self.limits.max_drain_bytes
        try:
            async with asyncio.timeout(self.limits.max_drain_s):
                while left > 0:
                    message: dict[str, Any] = dict(await receive())
                    left -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return
        except TimeoutError:
            return
