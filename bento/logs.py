"""Logs as one JSON object per line, each with the id of the request it belongs to, and nothing of a recording."""

from __future__ import annotations

import json
import logging
import random
import re
import time
from contextvars import ContextVar
from datetime import UTC, datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered."""

_HEADER = "x-request-id"
_SAFE = re.compile(r"[A-Za-z0-9._:-]{1,64}")  # a UUID, a trace id; nothing that breaks a line or a header
_METHODS = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}
_QUIET = {"/livez", "/readyz", "/healthz", "/metrics"}  # asked every few seconds; logged only when they fail
_RANDOM = random.Random()  # an id has to be new, not a secret
_REQUESTS = logging.getLogger("bentoml.requests")


class JsonLines(logging.Formatter):
    """A log record → one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message, request id, traceback; and what `extra={"data": …}` adds."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line | getattr(record, "data", {}), ensure_ascii=True)


def use_json_logs() -> None:
    """From now on, in this process, every handler there is writes JSON lines."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    for logger in loggers:
        for handler in logger.handlers:
            handler.setFormatter(JsonLines())


def log_json() -> None:
    """In a process without BentoML's logging: warnings and worse as JSON lines on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class RequestLog:
    """Gives every request an id, which its answer bears, and logs one line about it.

    The path is logged as it stands in the scope: put this inside of what replaces paths by their routes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; afterwards, log it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get(_HEADER, "")
        request_id = asked if _SAFE.fullmatch(asked) else f"{_RANDOM.getrandbits(64):016x}"
        token, start, status = REQUEST_ID.set(request_id), time.perf_counter(), 0

        async def signed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[_HEADER] = request_id
            await send(message)

        try:
            await self.app(scope, receive, signed)
        finally:
            route, method = scope["path"], scope["method"]
            if route not in _QUIET or status >= 400:
                facts = {
                    "route": route,
                    "method": method if method in _METHODS else "OTHER",
                    "status": status or 500,
                    "seconds": round(time.perf_counter() - start, 4),
                }
                _REQUESTS.info("request", extra={"data": facts})
            REQUEST_ID.reset(token)
