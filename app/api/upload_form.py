"""The file of an HTTP upload: a form with `file` and optional text fields, or the file as the body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Request

from app.api.custom_metadata import MAX_PAIRS, parse_custom_metadata
from app.api.disposition import parse_filename
from app.api.multipart import read_form
from app.api.upload_sink import UploadSink, read_body
from app.common.temp_files import TempFiles
from app.domain import filenames
from app.domain.errors import FieldError, RequestInvalid, UploadTooLarge
from app.domain.formats import UNKNOWN_TYPE, ImageFormat, canonical_content_type
from app.domain.text import clean_text
from app.services.new_images import ReceivedFile

MAX_DESCRIPTION = 2000
"""Characters."""
CUSTOM_METADATA = f'A JSON object of at most {MAX_PAIRS} pairs of text, such as `{{"album": "Summer"}}`.'
_LARGER_FILES = "Send a larger file as a direct upload (POST /api/v1/images/uploads) or as a resumable upload."


class UploadForm:
    def __init__(self, temp_files: TempFiles, *, max_bytes: int) -> None:
        self._temp_files = temp_files
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def receive(
        self, request: Request, *, detect_format: Callable[[bytes], ImageFormat]
    ) -> AsyncIterator[ReceivedFile]:
        """Read the body and yield its file, which is deleted when the context ends.

        Raises what `read_form` and `read_body` raise, RequestInvalid for the other fields, and what `detect_format`
        raises once the first bytes of the file have arrived.
        """
        async with self._temp_files.file() as file:
            sink = UploadSink(file, max_bytes=self._max_bytes, detect_format=detect_format)
            try:
                filename, description, custom_metadata = await self._read(request, sink)
            except UploadTooLarge as error:
                raise UploadTooLarge(f"{error.detail} {_LARGER_FILES}") from None
            yield ReceivedFile(
                file=file,
                size=sink.size,
                sha256=sink.sha256,
                format=sink.format,
                filename=filename,
                description=description,
                custom_metadata=custom_metadata,
            )

    async def _read(self, request: Request, sink: UploadSink) -> tuple[str, str | None, dict[str, str]]:
        """Read the body into `sink`. Returns the filename, the description and the custom metadata."""
        if not _is_file(request.headers.get("content-type", "")):
            form = await read_form(request, lambda _: sink, max_bytes=self._max_bytes)
            description = _description("body", form.fields.get("description"))
            return form.filename, description, parse_custom_metadata("body", form.fields.get("custom_metadata"))
        # Checked before the body is read.
        description = _description("query", request.query_params.get("description"))
        custom_metadata = parse_custom_metadata("query", request.query_params.get("custom_metadata"))
        await read_body(request, sink, max_bytes=self._max_bytes)
        disposition = request.headers.get("content-disposition", "").encode("latin-1")
        filename = parse_filename(disposition) or filenames.clean(request.query_params.get("filename"))
        return filename, description, custom_metadata


def _is_file(content_type: str) -> bool:
    """Return whether a body of this type is the file itself. Other types than these have to be forms."""
    media_type = canonical_content_type(content_type)
    return media_type.startswith("image/") or media_type == UNKNOWN_TYPE


def _description(place: str, text: str | None) -> str | None:
    if text and len(text) > MAX_DESCRIPTION:
        message = f"Must have at most {MAX_DESCRIPTION} characters"
        raise RequestInvalid(errors=[FieldError(f"{place}.description", message)])
    return clean_text(text or "") or None
