"""The form a sound arrives in. The sound's file name is never looked at, and nothing is written to disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import bentoml
from bentoml.validators import ContentType
from pydantic import Field, create_model
from starlette.requests import ClientDisconnect, Request

from bento.errors import (
    ClientGone,
    InvalidField,
    MalformedForm,
    MissingAudio,
    MissingField,
    NotAForm,
    PartTooLarge,
    TooManyParts,
)
from bento.limits import LIMITS
from bento.multipart import DamagedForm, Part, boundary_of, decoded, parts_of

T = TypeVar("T")

_REMEDY = "send it as a multipart form: curl -F audio=@recording.wav"
_OLDEST_YEARS = 130.0
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")  # JSON's


@dataclass(frozen=True)
class Form:
    """A parsed form.

    Attributes:
        sounds: the bytes of every field `audio`, at least one.
        fields: every text field.
    """

    sounds: tuple[bytes, ...]
    fields: dict[str, str]

    @property
    def sound(self) -> bytes:
        """The one sound.

        Raises:
            TooManyParts: there are several.
        """
        if len(self.sounds) > 1:
            raise TooManyParts(
                f"{len(self.sounds)} sounds where one is asked about; send them to /v1/classify_many, or one by one"
            )
        return self.sounds[0]

    def text(self, name: str) -> str:
        """A text field.

        Raises:
            MissingField: it is not in the form.
        """
        if name not in self.fields:
            raise MissingField(f"the form has no field {name!r}; add it: curl -F {name}=...")
        return self.fields[name]

    @property
    def age_years(self) -> float | None:
        """The patient's age, if it is told.

        Raises:
            InvalidField: not a number of years that anybody reaches.
        """
        return age_of(self.fields.get("age_years", ""))


def age_of(text: str) -> float | None:
    """An age as it was typed, or None where it is not told.

    Raises:
        InvalidField: not a number of years that anybody reaches.
    """
    if not text.strip():
        return None
    age_years = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan  # float() also takes 1_0 and infinity
    if not 0 <= age_years <= _OLDEST_YEARS:
        raise InvalidField(
            f"the age (age_years) must be a number from 0 to {_OLDEST_YEARS:g}; leave it out when it is not known"
        )
    return age_years


@dataclass(frozen=True)
class Upload:
    """A request whose body has not been read yet."""

    request: Request

    async def form(self) -> Form:
        """Read and parse the body.

        Raises:
            NotAForm, MalformedForm, MissingAudio, TooManyParts, PartTooLarge, BodyTooLarge, ClientGone: what is wrong
                with it, and the remedy.
        """
        kind = self.request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "multipart/form-data":
            raise NotAForm(f"the sound came as {kind[:60] or 'no content type'!r}; {_REMEDY}")
        try:
            async with contextlib.aclosing(self.request.stream()) as stream:
                body = b"".join([piece async for piece in stream])  # BodyLimit bounds it
        except ClientDisconnect as error:
            raise ClientGone("the sender hung up") from error
        try:
            return _read(parts_of(body, boundary_of(self.request.headers["content-type"])))
        except DamagedForm as error:
            raise MalformedForm(f"the multipart form is damaged; {_REMEDY}") from error

    async def while_connected(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work for as long as somebody waits for it. Only after `form`.

        Raises:
            ClientGone: the sender hung up; the work was cancelled.
        """
        waiting = asyncio.current_task()
        assert waiting is not None
        gone = False

        async def leave() -> None:
            nonlocal gone
            await self._left()
            gone = True
            waiting.cancel()

        leaving = asyncio.create_task(leave())
        try:
            return await work
        except asyncio.CancelledError:
            if gone and waiting.uncancel() == 0:  # and nobody else has cancelled it
                raise ClientGone("the sender hung up") from None
            raise
        finally:
            leaving.cancel()

    async def _left(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass


def _read(parts: Iterable[Part]) -> Form:
    files: list[Part] = []
    texts: list[Part] = []
    for part in parts:
        (files if part.is_file else texts).append(part)
        if len(files) > LIMITS.max_files:
            raise TooManyParts(f"more than {LIMITS.max_files} files in one request; send the rest in another")
        if len(texts) > LIMITS.max_fields:
            raise TooManyParts(f"more than {LIMITS.max_fields} text fields; send those that are documented")
        if not part.is_file and len(part.data) > LIMITS.max_text_bytes:
            raise PartTooLarge(
                f"more than {LIMITS.max_text_bytes // 1024} KB in one text field; "
                "send a sound as a file: curl -F audio=@recording.wav"
            )
    sounds = [part.data for part in files if part.name == "audio"]
    as_text = any(part.name == "audio" for part in texts)
    if not sounds or as_text:
        why = "a field 'audio' holds text, not a file" if as_text else "it has no field 'audio'"
        raise MissingAudio(f"the form holds no sound: {why}; {_REMEDY}")
    return Form(tuple(sounds), {part.name: _unquoted(decoded(part.data)) for part in texts})


def _unquoted(value: str) -> str:
    """BentoML's own client sends text as JSON strings."""
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return decoded if isinstance(decoded, str) else value


# What the endpoints take, described to BentoML so that its clients know it, but parsed by us: BentoML's own parser
# fetches a URL that stands in a file field, answers 500 to any other text in it, and writes the sound to disk under its
# sender's file name. Parsing waits for the endpoint, whose errors are answered as ours.
class SoundForm(bentoml.IODescriptor):
    """A form with a sound."""

    audio: Annotated[Path, ContentType("audio/*")] = Field(description="wav, flac, ogg, mp3; 0.5 s to 10 minutes")

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> SoundForm:
        """An instance whose `audio` is the unread Upload."""
        return cls.model_construct(**(dict.fromkeys(cls.model_fields, "") | {"audio": Upload(request)}))


class PatientForm(SoundForm):
    """A form with a sound, and perhaps the patient's age."""

    age_years: float | None = Field(None, description="the patient's age, if known")


class ChosenForm(PatientForm):
    """A form with a sound and the choice of a model, and perhaps the patient's age."""

    task: str = Field(description="binary or multiclass")
    features: str = Field(description="mfcc, logmel or augmented")


class PerhapsChosenForm(SoundForm):
    """A form with a sound, and perhaps the choice of a model."""

    task: str | None = Field(None, description="binary or multiclass")
    features: str | None = Field(None, description="mfcc, logmel or augmented")


class ManyForm(PerhapsChosenForm):
    """A form with several sounds, and perhaps the choice of a model."""

    audio: list[Annotated[Path, ContentType("audio/*")]] = Field(  # type: ignore[assignment]
        description=f"up to {LIMITS.max_files} sounds"
    )


#: A form with a sound, and perhaps the choice of a model and of a class. Made so because of that field's name.
ExplainForm = create_model(  # type: ignore[call-overload]
    "ExplainForm", __base__=PerhapsChosenForm, **{"class": (str | None, Field(None, description="of that model"))}
)
