"""The form of an HTTP upload: `file`, and optionally `description`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Request

from app.api.multipart import read_form
from app.api.upload_sink import UploadSink
from app.common.temp_files import TempFiles
from app.domain.errors import FieldError, RequestInvalid
from app.domain.formats import ImageFormat
from app.domain.text import clean_text
from app.services.uploads import ReceivedFile

MAX_DESCRIPTION = 2000
"""Characters."""


class UploadForm:
    def __init__(self, temp_files: TempFiles, *, max_bytes: int) -> None:
        self._temp_files = temp_files
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def receive(
        self, request: Request, *, detect_format: Callable[[bytes], ImageFormat]
    ) -> AsyncIterator[ReceivedFile]:
        """Read the form and yield its file, which is deleted when the context ends.

        Raises what `read_form` raises, RequestInvalid for the description, and what `detect_format` raises once the
        first bytes of the file have arrived.
        """
        async with self._temp_files.file() as file:
            sink = UploadSink(file, max_bytes=self._max_bytes, detect_format=detect_format)
            form = await read_form(request, lambda _: sink, max_bytes=self._max_bytes)
            yield ReceivedFile(
                file=file,
                size=sink.size,
                sha256=sink.sha256,
                format=sink.format,
                filename=form.filename,
                description=_description(form.fields.get("description")),
            )


def _description(text: str | None) -> str | None:
    if text and len(text) > MAX_DESCRIPTION:
        message = f"Must have at most {MAX_DESCRIPTION} characters"
        raise RequestInvalid(errors=[FieldError("body.description", message)])
    return clean_text(text or "") or None
