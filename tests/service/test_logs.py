"""Every log line is JSON and knows its request; a failure of ours is logged with its traceback and answered as JSON."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bento.logs import JsonLines, RequestLog
from bento.service import answering
from bento.upload import Form


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the service's loggers write."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("bentoml")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(level)


def _request(app: Any, **changes: Any) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "path": "/v1/classify", "method": "POST", "headers": []} | changes
    asyncio.run(RequestLog(app)(scope, receive, send))
    return sent


def _parsed(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


async def _fine(scope: Any, receive: Any, send: Any) -> None:
    logging.getLogger("bentoml.anything").warning("on the\nway")
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b""})


def test_whatever_is_logged_on_the_way_knows_its_request(lines: io.StringIO) -> None:
    sent = _request(_fine, headers=[(b"x-request-id", b"abc")])
    assert (b"x-request-id", b"abc") in sent[0]["headers"]
    on_the_way, request = _parsed(lines)
    assert on_the_way["request_id"] == request["request_id"] == "abc"
    assert on_the_way["message"] == "on the\nway"
    logging.getLogger("bentoml.anything").warning("afterwards")
    assert "request_id" not in _parsed(lines)[-1]


@pytest.mark.parametrize("given", ["a b", "a\tb", "x" * 65, "Jane Doe", "é"])
def test_what_is_no_plain_token_is_replaced(lines: io.StringIO, given: str) -> None:
    _request(_fine, headers=[(b"x-request-id", given.encode("latin-1"))])
    assert given not in lines.getvalue()


def test_methods_are_logged_by_name_only_when_they_are_known(lines: io.StringIO) -> None:
    _request(_fine, method="JANE-DOE")
    assert _parsed(lines)[-1]["method"] == "OTHER"


def test_what_is_asked_every_few_seconds_is_logged_only_when_it_fails(lines: io.StringIO) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503})

    _request(_fine, path="/readyz")
    assert [line["message"] for line in _parsed(lines)] == ["on the\nway"]
    _request(failing, path="/readyz")
    assert _parsed(lines)[-1]["status"] == 503


def test_an_application_that_breaks_is_logged_as_500(lines: io.StringIO) -> None:
    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("it broke")

    with pytest.raises(RuntimeError):
        _request(breaking)
    assert _parsed(lines)[-1]["status"] == 500


def test_a_failure_of_ours_is_logged_with_its_traceback_and_answered_without(lines: io.StringIO) -> None:
    @answering
    async def endpoint(self: Any, form: Form) -> dict[str, Any]:
        raise ZeroDivisionError("secret")

    class Upload:
        async def form(self) -> Any:
            return SimpleNamespace()

        async def while_connected(self, work: Any) -> Any:
            return await work

    response = asyncio.run(endpoint(None, audio=Upload()))
    assert response.status_code == 500
    error = json.loads(response.body)["error"]
    assert error["type"] == "InternalError"
    assert "X-Request-ID" in error["message"]
    assert "secret" not in error["message"]
    (line,) = _parsed(lines)
    assert "ZeroDivisionError: secret" in line["traceback"]
    assert line["level"] == "error"
