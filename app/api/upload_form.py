"""The form of an upload over HTTP: `file`, and optionally `description`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Request

from app.api.file_sink import FileSink
from app.api.multipart import read_form
from app.core.errors import FieldError, RequestInvalid
from app.core.formats import ImageFormat
from app.usecases.spool import Spool
from app.usecases.uploads import ReceivedFile

MAX_DESCRIPTION = 2000
"""Characters."""


class UploadForm:
    def __init__(self, spool: Spool, *, max_bytes: int) -> None:
        self._spool = spool
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def receive(
        self, request: Request, *, recognise: Callable[[bytes], ImageFormat]
    ) -> AsyncIterator[ReceivedFile]:
        """Read the form and yield its file, which is gone when the context ends.

        Reading stops at the first fault: MultipartRequired, MultipartInvalid, FileMissing, FileRepeated, FileEmpty,
        UploadTooLarge wherever Content-Length claims otherwise, RequestInvalid for the description, and
        whatever `recognise` raises once the file's first bytes are there.
        """
        async with self._spool.file() as file:
            sink = FileSink(file, max_bytes=self._max_bytes, recognise=recognise)
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
    return text or None
