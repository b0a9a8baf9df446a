"""What becomes of an uploaded sound: a file under a random name, gone as soon as nobody can ask about it any more.

It is deleted when its visitor takes another sound, clears it, or leaves the page, and after `upload_age_s` at the
latest. Until then it stays, because the same sound may be asked about with another model.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bento import metrics
from bento.errors import MalformedForm, body_of
from bento.limits import LIMITS

_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".au", ".w64", ".opus"}


class Uploads:
    """The uploaded sounds of all visitors.

    Args:
        folder: where they lie; made here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True)
        self._held: dict[str, Path] = {}

    def serve(self, web: FastAPI, blocks: gr.Blocks) -> None:
        """Our own upload route before Gradio's: theirs keeps a file under its sender's name, and shows it in paths."""

        @web.post("/gradio_api/upload")
        async def upload(request: Request) -> Response:
            try:
                async with request.form(max_files=LIMITS.max_fields, max_fields=LIMITS.max_fields) as form:
                    files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
                    return JSONResponse([await self._keep(file, blocks) for file in files])
            except HTTPException:  # Starlette's word for a damaged form
                problem = MalformedForm("the upload is not a multipart form; choose the file again")
                metrics.count_rejection(problem)
                return JSONResponse(body_of(problem), status_code=400)

        @web.get("/gradio_api/upload_progress")
        async def progress() -> Response:
            return Response('data: {"msg": "done"}\n\n', media_type="text/event-stream")  # too quick to be worth a bar

    async def _keep(self, file: UploadFile, blocks: gr.Blocks) -> str:
        suffix = Path(file.filename or "").suffix.lower()
        path = self.folder / f"{secrets.token_hex(16)}{suffix if suffix in _SUFFIXES else ''}"
        path.write_bytes(await file.read())
        blocks.upload_file_set.add(str(path))  # what delete_cache sweeps
        return str(path)

    def chosen(self, sound: str | None, visitor: str | None) -> None:
        """A visitor has another sound now, or none: what they had before is deleted."""
        if visitor is None:
            return
        before = self._held.pop(visitor, None)
        path = None if sound is None else Path(sound)
        if before is not None and before != path:
            before.unlink(missing_ok=True)
        if path is not None and path.parent == self.folder:  # not a made-up one
            self._held[visitor] = path

    def left(self, visitor: str | None) -> None:
        """A visitor has closed the page."""
        self.chosen(None, visitor)
