"""What can be wrong with a request, and how each of it is answered: one table from error to status and metric."""

from __future__ import annotations

from typing import Any

from jaxresp import audio
from jaxresp.errors import JaxrespError


class RequestError(JaxrespError):
    """A request that cannot be answered as it stands."""


class MissingAudio(RequestError):
    """No file in the request."""


class MissingField(RequestError):
    """A form field that the endpoint needs is not there."""


class MalformedForm(RequestError):
    """A body that is not the multipart form it says it is."""


class NotAForm(RequestError):
    """A body of another content type."""


class UnknownModel(RequestError):
    """No model answers to this task and these features."""


class BodyTooLarge(RequestError):
    """More bytes than one request may have."""


class Overloaded(RequestError):
    """More work is waiting than the service takes on."""


class ClientGone(RequestError):
    """The sender hung up before the request was complete; nobody reads the answer."""


#: error → (HTTP status, value of the metric's `reason`). Its order is from special to general.
ANSWERS: dict[type[JaxrespError], tuple[int, str]] = {
    MissingAudio: (422, "missing_audio"),
    MissingField: (422, "missing_field"),
    MalformedForm: (400, "malformed_form"),
    NotAForm: (415, "not_a_form"),
    UnknownModel: (404, "unknown_model"),
    BodyTooLarge: (413, "body_too_large"),
    Overloaded: (503, "overloaded"),
    ClientGone: (400, "client_gone"),
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
    return {"error": {"type": type(error).__name__, "message": str(error)}}
