"""The messages between the render pool and its workers, and the validation of what a worker sends.

A response was written by a process that a malicious image may control. It therefore consists of JSON and
length-prefixed bytes, is never unpickled, and every value in it is checked.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum, IntFlag
from typing import Any

from app.domain.errors import AppError, FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooExpensive, ImageTooLarge
from app.domain.formats import AVIF, FORMATS_BY_CONTENT_TYPE, JPEG, WEBP, sniff
from app.domain.metadata import Metadata
from app.domain.renderings import Crop, Output, RenderedThumbnail, Rendering, Stripping, ThumbnailFormat
from app.imaging.metadata_fields import decode_metadata
from app.imaging.options import RenderLimits, RenderOptions

READY, START, CANCEL = b"r", b"s", b"c"
"""Messages of one byte: the worker has started; render the attached file descriptor; stop the current rendering.

READY is followed by one more byte, the `Protection` that the worker's children lack.
"""

START_OUTPUT = b"o"
"""Like START, for one `Output` instead of the thumbnails: `encode_output` follows, OUTPUT_LENGTH bytes."""

STRIP_MESSAGES = {Stripping.LOCATION: b"l", Stripping.ALL: b"a"}
"""Write the first attached file without these metadata to the second one."""

RESPONSE_HEADER = struct.Struct("!BI")
"""The outcome, and the length of the response that follows, in bytes."""

MAX_RESPONSE_BYTES = 64 << 20
_METADATA_LENGTH = struct.Struct("!I")
_MAX_DETAIL_LENGTH = 300
_MAX_PLACEHOLDER_LENGTH = 64
_ERRORS = {e.code: e for e in (FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooExpensive, ImageTooLarge)}
_THUMBNAIL_FORMATS = (JPEG, WEBP, AVIF)
_OUTPUT = struct.Struct("!HBBHHBB")
_OUTPUT_FORMATS: tuple[ThumbnailFormat, ...] = ("auto", "avif", "webp", "jpeg")
OUTPUT_LENGTH = _OUTPUT.size


class Outcome(IntEnum):
    COMPLETED = 0
    """The response holds a rendering or an error of the image."""
    LIMIT_EXCEEDED = 1
    """The child process was ended by a limit on time or memory."""
    CRASHED = 2
    """The child process was ended by a crash in a decoder."""
    FAILED = 3
    """The child process raised an unexpected exception and wrote its traceback to standard error."""
    CANCELED = 4
    BLOCKED = 5
    """The child process was ended because it made a system call that only an attacker uses."""


class Protection(IntFlag):
    """How the kernel restricts the child processes."""

    LANDLOCK = 1
    SECCOMP = 2


class ResponseInvalid(Exception):
    """The response is not one that `encode_rendering` or `encode_error` produces."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The configuration that a worker receives on its command line."""

    options: RenderOptions
    cpu_seconds: int
    memory_bytes: int
    wall_seconds: int

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=sorted)

    @classmethod
    def from_json(cls, text: str) -> WorkerConfig:
        fields = json.loads(text)
        options = fields["options"]
        options |= {
            "sizes": tuple(options["sizes"]),
            "allowed_content_types": frozenset(options["allowed_content_types"]),
            "limits": RenderLimits(**options["limits"]),
        }
        return cls(**(fields | {"options": RenderOptions(**options)}))


def encode_output(output: Output) -> bytes:
    crop = output.crop or Crop(0, 0, 0, 0)
    return _OUTPUT.pack(
        output.longest,
        _OUTPUT_FORMATS.index(output.format),
        output.quality,
        crop.width,
        crop.height,
        crop.x,
        crop.y,
    )


def decode_output(encoded: bytes) -> Output:
    longest, output_format, quality, *crop = _OUTPUT.unpack(encoded)
    return Output(longest, _OUTPUT_FORMATS[output_format], quality, Crop(*crop) if any(crop) else None)


def encode_rendering(rendering: Rendering) -> bytes:
    metadata = {
        "content_type": rendering.content_type,
        "width": rendering.width,
        "height": rendering.height,
        "placeholder": rendering.placeholder,
        "metadata": asdict(rendering.metadata),
        "thumbnails": [
            {"size": t.size, "width": t.width, "height": t.height, "content_type": t.content_type, "bytes": len(t.data)}
            for t in rendering.thumbnails
        ],
    }
    return _encode_metadata(metadata) + b"".join(thumbnail.data for thumbnail in rendering.thumbnails)


def encode_stripped(*, has_changed: bool) -> bytes:
    return _encode_metadata({"has_changed": has_changed})


def encode_error(error: AppError) -> bytes:
    return _encode_metadata({"error": error.code, "detail": error.detail})


def _encode_metadata(metadata: dict[str, Any]) -> bytes:
    encoded = json.dumps(metadata).encode()
    return _METADATA_LENGTH.pack(len(encoded)) + encoded


def decode_response(response: bytes, options: RenderOptions) -> Rendering:
    """Return the rendering in the response, or raise the error in it. Raises ResponseInvalid if it contains neither."""
    try:
        (length,) = _METADATA_LENGTH.unpack_from(response)
        metadata_end = _METADATA_LENGTH.size + length
        metadata = json.loads(response[_METADATA_LENGTH.size : metadata_end])
        if "error" in metadata:
            result: Rendering | AppError = _decode_error(metadata)
        else:
            result = _decode_rendering(metadata, response[metadata_end:], options)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ResponseInvalid(str(error)) from error
    if isinstance(result, AppError):
        raise result
    return result


def decode_stripped(response: bytes) -> bool:
    """Return whether the file was changed, or raise the error in the response. Raises ResponseInvalid."""
    try:
        metadata = json.loads(response[_METADATA_LENGTH.size :])
        result = _decode_error(metadata) if "error" in metadata else metadata["has_changed"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ResponseInvalid(str(error)) from error
    if isinstance(result, AppError):
        raise result
    return bool(result)


def _decode_error(metadata: dict[str, Any]) -> AppError:
    detail = "".join(c for c in _require_string(metadata["detail"]) if c.isprintable())
    return _ERRORS[metadata["error"]](detail[:_MAX_DETAIL_LENGTH])


def _decode_rendering(metadata: dict[str, Any], data: bytes, options: RenderOptions) -> Rendering:
    thumbnails = tuple(_decode_thumbnails(metadata["thumbnails"], data))
    if tuple(t.size for t in thumbnails) != options.sizes or sum(len(t.data) for t in thumbnails) != len(data):
        raise ValueError("the thumbnails do not match the requested sizes")
    content_type = FORMATS_BY_CONTENT_TYPE[metadata["content_type"]].content_type
    if content_type not in options.allowed_content_types:
        raise ValueError(f"the content type {content_type} is not allowed")
    placeholder = _require_string(metadata["placeholder"]) if options.sizes else None
    if len(placeholder or "") > _MAX_PLACEHOLDER_LENGTH:
        raise ValueError(f"the placeholder is longer than {_MAX_PLACEHOLDER_LENGTH} characters")
    width, height = (_require_positive(metadata[side], maximum=options.limits.max_side) for side in ("width", "height"))
    return Rendering(content_type, width, height, placeholder, thumbnails, _decode_metadata(metadata, options))


def _decode_metadata(response: dict[str, Any], options: RenderOptions) -> Metadata:
    metadata = decode_metadata(response["metadata"])
    if metadata.position is not None and not options.keep_location:
        raise ValueError("the position must be left out")
    return metadata


def _decode_thumbnails(entries: list[dict[str, Any]], data: bytes) -> Iterator[RenderedThumbnail]:
    start = 0
    for entry in entries:
        size = _require_positive(entry["size"], maximum=MAX_RESPONSE_BYTES)
        width, height = (_require_positive(entry[side], maximum=size) for side in ("width", "height"))
        end = start + _require_positive(entry["bytes"], maximum=len(data) - start)
        image_format = sniff(data[start:end])
        if image_format not in _THUMBNAIL_FORMATS or image_format.content_type != entry["content_type"]:
            raise ValueError("the data of a thumbnail does not match its content type")
        yield RenderedThumbnail(size, width, height, image_format.content_type, data[start:end])
        start = end


def _require_positive(value: object, *, maximum: int) -> int:
    # `bool` is a subclass of `int`, so `isinstance` would accept it.
    if type(value) is not int or not 1 <= value <= maximum:
        raise ValueError(f"{value!r} is not an integer from 1 to {maximum}")
    return value


def _require_string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
