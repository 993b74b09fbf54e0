"""Serves static files compressed with Brotli or gzip. Each file is compressed when it is first requested."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

import brotli
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.api.negotiation import accepted

_COMPRESSIBLE = (".css", ".html", ".js", ".json", ".svg", ".txt")
_LARGE = 128 * 1024
"""From this size on, the best compression of Brotli would take seconds."""


class CompressedFiles(StaticFiles):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        self._compressed: dict[tuple[str, str, str], bytes] = {}
        """By path, ETag of the file, and encoding. The files of a deployment do not change, so this is bounded."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if not path.endswith(_COMPRESSIBLE):
            return response
        response.headers.add_vary_header("Accept-Encoding")
        encodings = accepted(Headers(scope=scope).get("Accept-Encoding", ""))
        encoding = next((name for name in _COMPRESSORS if name in encodings), None)
        if encoding is None:
            return response
        etag = response.headers["ETag"]
        # A strong ETag would claim that all encodings have the same bytes.
        response.headers["ETag"] = f"W/{etag}"
        if not isinstance(response, FileResponse):  # 304
            return response
        key = (str(response.path), etag, encoding)
        if key not in self._compressed:
            self._compressed[key] = await asyncio.to_thread(_compress, str(response.path), _COMPRESSORS[encoding])
        return _encoded(response, self._compressed[key], encoding, has_body=scope["method"] != "HEAD")


def _encoded(response: FileResponse, content: bytes, encoding: str, *, has_body: bool) -> Response:
    headers = MutableHeaders(raw=list(response.headers.raw))
    headers["Content-Encoding"] = encoding
    headers["Content-Length"] = str(len(content))
    del headers["Accept-Ranges"]
    return Response(content if has_body else b"", headers=headers)


def _compress(path: str, compress: Callable[[bytes], bytes]) -> bytes:
    return compress(Path(path).read_bytes())


def _brotli(content: bytes) -> bytes:
    compressed: bytes = brotli.compress(content, quality=5 if len(content) >= _LARGE else 11)
    return compressed


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)


_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {"br": _brotli, "gzip": _gzip}
"""The best one first."""
