"""Tests of how the render pool validates the response of a worker."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.errors import AppError, FormatUnsupported, ImageTooLarge, Internal
from app.domain.metadata import Metadata
from app.domain.renderings import RenderedThumbnail, Rendering
from app.imaging.options import RenderLimits, RenderOptions
from app.imaging.protocol import ResponseInvalid, WorkerConfig, decode_response, encode_error, encode_rendering
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
    metadata=Metadata(taken_at="2026-07-14T18:03:22.000", f_number=2.8, iso=400),
)


def modified(modify: Callable[[dict[str, Any]], object], data: bytes = SMALL + LARGE) -> bytes:
    response = encode_rendering(RENDERING)
    metadata = json.loads(response[4 : 4 + struct.unpack(">I", response[:4])[0]])
    modify(metadata)
    return with_length(json.dumps(metadata).encode()) + data


def with_length(metadata: bytes) -> bytes:
    return struct.pack(">I", len(metadata)) + metadata


def test_rendering_is_unchanged_after_encoding_and_decoding():
    assert decode_response(encode_rendering(RENDERING), OPTIONS) == RENDERING


def test_error_is_unchanged_after_encoding_and_decoding():
    with pytest.raises(ImageTooLarge) as raised:
        decode_response(encode_error(ImageTooLarge("1 x 1 pixels; the limit is 0.")), OPTIONS)
    assert raised.value.detail == "1 x 1 pixels; the limit is 0."


def test_error_detail_is_truncated_and_printable():
    with pytest.raises(FormatUnsupported) as raised:
        decode_response(encode_error(FormatUnsupported("a\r\nb\x00\u202e" + "c" * 10_000)), OPTIONS)
    assert raised.value.detail == "ab" + "c" * 298


def test_config_is_unchanged_after_encoding_and_decoding():
    config = WorkerConfig(
        RenderOptions((16,), "webp", frozenset({"image/gif", "image/png"}), RenderLimits(1, 2, 3, 4)),
        cpu_seconds=1,
        memory_bytes=2,
        wall_seconds=3,
    )
    assert WorkerConfig.from_json(config.to_json()) == config


def first_thumbnail(metadata: dict[str, Any]) -> dict[str, Any]:
    thumbnail: dict[str, Any] = metadata["thumbnails"][0]
    return thumbnail


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\xff\xff\xff\xff",
        with_length(b"[]"),
        with_length(b"{}"),
        with_length(b'"error"'),
        with_length(b"[" * 100_000),
        with_length(b'{"error": "internal", "detail": ""}'),
        with_length(b'{"error": "image_corrupt", "detail": {}}'),
        encode_error(Internal()),
        modified(lambda metadata: metadata.update(width=0)),
        modified(lambda metadata: metadata.update(width=16_385)),
        modified(lambda metadata: metadata.update(height=True)),
        modified(lambda metadata: metadata.update(height="25")),
        modified(lambda metadata: metadata.update(content_type="text/html")),
        modified(lambda metadata: metadata.update(content_type="image/gif")),
        modified(lambda metadata: metadata.update(placeholder="x" * 65)),
        modified(lambda metadata: metadata.update(placeholder=None)),
        modified(lambda metadata: metadata.update(metadata=None)),
        modified(lambda metadata: metadata["metadata"].update(iso=-1)),
        modified(lambda metadata: metadata["metadata"].update(position={"latitude": 1.0, "longitude": 2.0})),
        modified(lambda metadata: metadata["thumbnails"].pop()),
        modified(lambda metadata: metadata["thumbnails"].reverse()),
        modified(lambda metadata: first_thumbnail(metadata).update(size=100)),
        modified(lambda metadata: first_thumbnail(metadata).update(width=201)),
        modified(lambda metadata: first_thumbnail(metadata).update(bytes=-1)),
        modified(lambda metadata: first_thumbnail(metadata).update(bytes=len(SMALL) - 1)),
        modified(lambda metadata: first_thumbnail(metadata).update(bytes=1 << 40)),
        modified(lambda metadata: first_thumbnail(metadata).update(content_type="image/webp")),
        modified(lambda metadata: first_thumbnail(metadata).update(content_type="text/html")),
        modified(lambda _: None, data=b"<script>" + SMALL[8:] + LARGE),
        modified(lambda _: None, data=SMALL + LARGE + b"more"),
        modified(lambda _: None, data=SMALL),
    ],
)
def test_invalid_response_is_rejected(response: bytes):
    with pytest.raises(ResponseInvalid):
        decode_response(response, OPTIONS)


def test_valid_response_is_accepted():
    assert not isinstance(decode_response(modified(lambda _: None), OPTIONS), AppError)
