"""The form a sound arrives in. The sound's file name is never looked at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from pydantic import Field
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from bento.errors import ClientGone, MalformedForm, MissingAudio, MissingField, NotAForm
from bento.limits import LIMITS

_REMEDY = "send it as a multipart form: curl -F audio=@recording.wav"


@dataclass(frozen=True)
class Form:
    """A parsed form.

    Attributes:
        sound: the bytes of the field `audio`.
        fields: every text field.
    """

    sound: bytes
    fields: dict[str, str]

    def text(self, name: str) -> str:
        """A text field.

        Raises:
            MissingField: it is not in the form.
        """
        if name not in self.fields:
            raise MissingField(f"the form has no field {name!r}; add it: curl -F {name}=...")
        return self.fields[name]


@dataclass(frozen=True)
class Upload:
    """A request whose body has not been read yet."""

    request: Request

    async def form(self) -> Form:
        """Read and parse the body.

        Raises:
            NotAForm, MalformedForm, MissingAudio, BodyTooLarge: what is wrong with it, and the remedy.
        """
        kind = self.request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "multipart/form-data":
            raise NotAForm(f"the sound came as {kind[:60] or 'no content type'!r}; {_REMEDY}")
        try:
            parsed = await self.request.form(
                max_files=LIMITS.max_fields, max_fields=LIMITS.max_fields, max_part_size=64 * 1024
            )
        except (MultiPartException, HTTPException, KeyError, UnicodeDecodeError) as error:
            raise MalformedForm(f"the multipart form is damaged; {_REMEDY}") from error
        except ClientDisconnect as error:
            raise ClientGone("the sender hung up") from error
        try:
            return await _read(parsed)
        finally:
            await parsed.close()


async def _read(parsed: FormData) -> Form:
    sound = parsed.get("audio")
    if not isinstance(sound, UploadFile):
        why = "its field 'audio' holds text, not a file" if isinstance(sound, str) else "it has no field 'audio'"
        raise MissingAudio(f"the form holds no sound: {why}; {_REMEDY}")
    fields = {name: _unquoted(value) for name, value in parsed.items() if isinstance(value, str)}
    return Form(await sound.read(), fields)


def _unquoted(value: str) -> str:
    """BentoML's own client sends text as JSON strings."""
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, str) else value


class AudioForm(bentoml.IODescriptor):
    """A form with a sound."""

    # Described to BentoML, so that its clients and its API page know it, but parsed by us: BentoML's own parser fetches
    # a URL that stands in a file field, answers 500 to any other text in it, and writes the sound to disk under its
    # sender's file name. Parsing waits for the endpoint, whose errors are answered as ours.

    audio: Annotated[Path, ContentType("audio/*")] = Field(description="wav, flac, ogg, mp3; 0.5 s to 10 minutes")

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> AudioForm:
        """An instance whose `audio` is the unread Upload."""
        return cls.model_construct(**(dict.fromkeys(cls.model_fields, "") | {"audio": Upload(request)}))


class ChosenAudioForm(AudioForm):
    """A form with a sound and the choice of a model."""

    task: str = Field(description="binary or multiclass")
    features: str = Field(description="mfcc, logmel or augmented")
