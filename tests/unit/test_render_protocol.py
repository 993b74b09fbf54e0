"""What the render pool believes of a worker's answer."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from app.adapters.render_protocol import AnswerInvalid, WorkerConfig, read_answer, write_error, write_rendering
from app.core.errors import AppError, FormatUnsupported, ImageTooLarge, Internal
from app.core.models import RenderedThumbnail, Rendering
from app.core.render_options import RenderLimits, RenderOptions
from tests.pictures import encoded, picture

OPTIONS = RenderOptions(sizes=(200, 500), allowed_content_types=frozenset({"image/png", "image/jpeg"}))
SMALL, LARGE = encoded(picture(20, 10), "JPEG"), encoded(picture(50, 25), "WEBP")
RENDERING = Rendering(
    content_type="image/png",
    width=50,
    height=25,
    placeholder="3/cJPZpwh3eBdndYh2eXiINwB/h4",
    thumbnails=(
        RenderedThumbnail(200, 20, 10, "image/jpeg", SMALL),
        RenderedThumbnail(500, 50, 25, "image/webp", LARGE),
    ),
)


def changed(change: Callable[[dict[str, Any]], object], data: bytes = SMALL + LARGE) -> bytes:
    answer = write_rendering(RENDERING)
    head = json.loads(answer[4 : 4 + struct.unpack(">I", answer[:4])[0]])
    change(head)
    return with_length(json.dumps(head).encode()) + data


def with_length(head: bytes) -> bytes:
    return struct.pack(">I", len(head)) + head


def test_rendering_comes_back_as_it_was():
    assert read_answer(write_rendering(RENDERING), OPTIONS) == RENDERING


def test_error_comes_back_as_it_was():
    with pytest.raises(ImageTooLarge) as raised:
        read_answer(write_error(ImageTooLarge("1 x 1 pixels; the limit is 0.")), OPTIONS)
    assert raised.value.detail == "1 x 1 pixels; the limit is 0."


def test_detail_of_an_error_is_bounded_and_printable():
    with pytest.raises(FormatUnsupported) as raised:
        read_answer(write_error(FormatUnsupported("a\r\nb\x00\u202e" + "c" * 10_000)), OPTIONS)
    assert raised.value.detail == "ab" + "c" * 298


def test_config_comes_back_as_it_was():
    config = WorkerConfig(
        RenderOptions((16,), "webp", frozenset({"image/gif", "image/png"}), RenderLimits(1, 2, 3, 4)),
        cpu_seconds=1,
        memory_bytes=2,
        wall_seconds=3,
    )
    assert WorkerConfig.from_json(config.to_json()) == config


def first(head: dict[str, Any]) -> dict[str, Any]:
    thumbnail: dict[str, Any] = head["thumbnails"][0]
    return thumbnail


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff\xff\xff\xff",
        with_length(b"[]"),
        with_length(b"{}"),
        with_length(b'"error"'),
        with_length(b"[" * 100_000),
        with_length(b'{"error": "internal", "detail": ""}'),
        with_length(b'{"error": "image_corrupt", "detail": {}}'),
        write_error(Internal()),
        changed(lambda head: head.update(width=0)),
        changed(lambda head: head.update(width=16_385)),
        changed(lambda head: head.update(height=True)),
        changed(lambda head: head.update(height="25")),
        changed(lambda head: head.update(content_type="text/html")),
        changed(lambda head: head.update(content_type="image/gif")),
        changed(lambda head: head.update(placeholder="x" * 65)),
        changed(lambda head: head.update(placeholder=None)),
        changed(lambda head: head["thumbnails"].pop()),
        changed(lambda head: head["thumbnails"].reverse()),
        changed(lambda head: first(head).update(size=100)),
        changed(lambda head: first(head).update(width=201)),
        changed(lambda head: first(head).update(bytes=-1)),
        changed(lambda head: first(head).update(bytes=len(SMALL) - 1)),
        changed(lambda head: first(head).update(bytes=1 << 40)),
        changed(lambda head: first(head).update(content_type="image/webp")),
        changed(lambda head: first(head).update(content_type="text/html")),
        changed(lambda _: None, data=b"<script>" + SMALL[8:] + LARGE),
        changed(lambda _: None, data=SMALL + LARGE + b"more"),
        changed(lambda _: None, data=SMALL),
    ],
)
def test_answer_that_this_service_would_not_write_is_not_believed(answer: bytes):
    with pytest.raises(AnswerInvalid):
        read_answer(answer, OPTIONS)


def test_unchanged_answer_is_believed():
    assert not isinstance(read_answer(changed(lambda _: None), OPTIONS), AppError)
