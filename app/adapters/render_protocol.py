"""What goes over the socket between the render pool and its workers, and what the pool believes of it.

A worker's answer was written by a process that an image may have taken over: it is JSON and bytes with lengths,
never unpickled, and every value is checked.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from app.core.errors import AppError, FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooExpensive, ImageTooLarge
from app.core.formats import FORMATS_BY_CONTENT_TYPE, JPEG, WEBP, sniff
from app.core.models import RenderedThumbnail, Rendering
from app.core.render_options import RenderLimits, RenderOptions

READY, START, CANCEL = b"r", b"s", b"c"
"""One byte each: from the worker once it can begin; to it, with the file's descriptor; to it, to stop that one."""

HEADER = struct.Struct("!BI")
"""What became of the image, and how many bytes of answer follow."""

MAX_ANSWER_BYTES = 64 << 20
_HEAD_LENGTH = struct.Struct("!I")
_MAX_DETAIL = 300
_MAX_PLACEHOLDER = 64
_ERRORS = {e.code: e for e in (FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooExpensive, ImageTooLarge)}
_THUMBNAIL_FORMATS = (JPEG, WEBP)


class Outcome(IntEnum):
    ANSWERED = 0
    STOPPED = 1
    """A limit on time or memory ended it."""
    CRASHED = 2
    """A decoder brought the process down."""
    FAILED = 3
    """An exception that nobody expected; it stands on standard error."""
    CANCELLED = 4


class AnswerInvalid(Exception):
    """The answer is not one that this service's own code writes."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker is started with."""

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


def write_rendering(rendering: Rendering) -> bytes:
    head = {
        "content_type": rendering.content_type,
        "width": rendering.width,
        "height": rendering.height,
        "placeholder": rendering.placeholder,
        "thumbnails": [
            {"size": t.size, "width": t.width, "height": t.height, "content_type": t.content_type, "bytes": len(t.data)}
            for t in rendering.thumbnails
        ],
    }
    return _with_length(head) + b"".join(thumbnail.data for thumbnail in rendering.thumbnails)


def write_error(error: AppError) -> bytes:
    return _with_length({"error": error.code, "detail": error.detail})


def _with_length(head: dict[str, Any]) -> bytes:
    encoded = json.dumps(head).encode()
    return _HEAD_LENGTH.pack(len(encoded)) + encoded


def read_answer(answer: bytes, options: RenderOptions) -> Rendering:
    """Return the rendering, or raise the error that the answer tells of; raises AnswerInvalid for any other answer."""
    try:
        (length,) = _HEAD_LENGTH.unpack_from(answer)
        head = json.loads(answer[_HEAD_LENGTH.size : _HEAD_LENGTH.size + length])
        result = _error(head) if "error" in head else _rendering(head, answer[_HEAD_LENGTH.size + length :], options)
    except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise AnswerInvalid(str(error)) from error
    if isinstance(result, AppError):
        raise result
    return result


def _error(head: dict[str, Any]) -> AppError:
    detail = "".join(c for c in _text(head["detail"]) if c.isprintable())
    return _ERRORS[head["error"]](detail[:_MAX_DETAIL])


def _rendering(head: dict[str, Any], data: bytes, options: RenderOptions) -> Rendering:
    thumbnails = tuple(_thumbnails(head["thumbnails"], data))
    if tuple(t.size for t in thumbnails) != options.sizes or sum(len(t.data) for t in thumbnails) != len(data):
        raise ValueError("thumbnails are not what was asked for")
    content_type = FORMATS_BY_CONTENT_TYPE[head["content_type"]].content_type
    placeholder = _text(head["placeholder"]) if options.sizes else None
    if content_type not in options.allowed_content_types or len(placeholder or "") > _MAX_PLACEHOLDER:
        raise ValueError("not a possible rendering")
    width, height = (_natural(head[side], at_most=options.limits.max_side) for side in ("width", "height"))
    return Rendering(content_type, width, height, placeholder, thumbnails)


def _thumbnails(heads: list[dict[str, Any]], data: bytes) -> Iterator[RenderedThumbnail]:
    start = 0
    for head in heads:
        size = _natural(head["size"], at_most=MAX_ANSWER_BYTES)
        width, height = (_natural(head[side], at_most=size) for side in ("width", "height"))
        end = start + _natural(head["bytes"], at_most=len(data) - start)
        found = sniff(data[start:end])
        if found not in _THUMBNAIL_FORMATS or found.content_type != head["content_type"]:
            raise ValueError("a thumbnail is not of its format")
        yield RenderedThumbnail(size, width, height, found.content_type, data[start:end])
        start = end


def _natural(value: object, *, at_most: int) -> int:
    if type(value) is not int or not 1 <= value <= at_most:
        raise ValueError(f"{value!r} is not from 1 to {at_most}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
