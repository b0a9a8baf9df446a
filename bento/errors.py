"""What can be wrong with a request, and how each of it is answered: one table from error to status and metric."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from jaxresp import audio
from jaxresp.errors import JaxrespError
from jaxresp.taxonomy import UnknownClass


class RequestError(JaxrespError):
    """A request that cannot be answered as it stands."""


class MissingAudio(RequestError):
    """No file in the request."""


class MissingField(RequestError):
    """A form field that the endpoint needs is not there."""


class InvalidField(RequestError):
    """A form field whose text is not what it should be."""


class MalformedForm(RequestError):
    """A body that is not the multipart form it says it is."""


class NotAForm(RequestError):
    """A body of another content type."""


class TooManyParts(RequestError):
    """More files or fields than one request may have."""


class UnknownModel(RequestError):
    """No model answers to this task and these features."""


class BodyTooLarge(RequestError):
    """More bytes than one request may have."""


class PartTooLarge(RequestError):
    """More bytes than one text field may have."""


class SlowUpload(RequestError):
    """A body that comes in more slowly than anybody waits for."""


class Overloaded(RequestError):
    """More work is waiting than the service takes on.

    Attributes:
        retry_after_s: seconds until it is worth asking again, estimated from what is waiting.
    """

    def __init__(self, message: str, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(RequestError):
    """No answer within the time one request may take. What was left to do for it has been dropped."""


class ProcessLost(RequestError):
    """The process that worked on a sound has ended over it, or over another's; a new one is on its way."""

    retry_after_s = 5


class ClientGone(RequestError):
    """The sender hung up before the answer; nobody reads it, and what was left to do has been dropped."""


#: error → (HTTP status, value of the metric's `reason`). Its order is from special to general.
ANSWERS: dict[type[JaxrespError], tuple[int, str]] = {
    MissingAudio: (422, "missing_audio"),
    MissingField: (422, "missing_field"),
    InvalidField: (422, "invalid_field"),
    MalformedForm: (400, "malformed_form"),
    NotAForm: (415, "not_a_form"),
    TooManyParts: (422, "too_many_parts"),
    UnknownModel: (404, "unknown_model"),
    UnknownClass: (404, "unknown_class"),
    BodyTooLarge: (413, "body_too_large"),
    PartTooLarge: (422, "part_too_large"),
    SlowUpload: (408, "slow_upload"),
    Overloaded: (503, "overloaded"),
    DeadlineExceeded: (504, "deadline"),
    ProcessLost: (503, "process_lost"),
    ClientGone: (499, "client_gone"),  # nginx's number for it
    audio.UnreadableAudio: (422, "unreadable"),
    audio.EmptyAudio: (422, "empty"),
    audio.SilentAudio: (422, "silent"),
    audio.NonFiniteAudio: (422, "non_finite"),
    audio.AudioTooShort: (422, "too_short"),
    audio.AudioTooLong: (422, "too_long"),
    audio.UnsupportedAudio: (422, "unsupported"),
    audio.AudioError: (422, "audio"),
}


def answer_to(error: JaxrespError) -> tuple[int, str]:
    """The status and the metric's reason of an error; 422 for a named error the table does not know."""
    return next((answer for kind, answer in ANSWERS.items() if isinstance(error, kind)), (422, "other"))


def body_of(error: JaxrespError) -> dict[str, Any]:
    """The JSON every error is answered with."""
    return error_body(type(error).__name__, str(error))


def error_body(kind: str, message: str) -> dict[str, Any]:
    """The same JSON, for what is not an exception of ours."""
    return {"error": {"type": kind, "message": message}}


def response_to(error: JaxrespError, **headers: str) -> JSONResponse:
    """An error as a response, with Retry-After where it is worth asking again."""
    if isinstance(error, Overloaded | ProcessLost):
        headers["retry-after"] = str(error.retry_after_s)
    return JSONResponse(body_of(error), status_code=answer_to(error)[0], headers=headers)


async def http_error(_: Request, error: Exception) -> JSONResponse:
    """What Starlette says of unknown addresses and methods, in the form of every other error."""
    assert isinstance(error, HTTPException)
    kind = HTTPStatus(error.status_code).phrase.title().replace(" ", "")
    body = error_body(kind, f"{error.detail}; /docs lists what there is")
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


#: What is answered when the fault is ours.
INTERNAL_ERROR = error_body("InternalError", "the service failed; tell its operator the X-Request-ID of this answer")
