"""Verifies the digests of the request body that a client may send: Content-Digest (RFC 9530) and Content-MD5."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from starlette.datastructures import Headers

from app.domain.errors import DigestMismatch, RequestMalformed

_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
"""Those that RFC 9530 recommends. Other algorithms are ignored, as it allows."""
_MEMBER = re.compile(r"\s*([a-z0-9*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;[^,]*)?")


class BodyDigests:
    """Nothing is computed for a request without these headers."""

    def __init__(self, headers: Headers) -> None:
        """Raises RequestMalformed for headers that cannot be parsed."""
        self._expected = []
        for member in filter(None, ",".join(headers.getlist("content-digest")).split(",")):
            match = _MEMBER.fullmatch(member)
            if match is None:
                raise RequestMalformed("Content-Digest is malformed. Send it like this: sha-256=:base64:")
            if algorithm := _ALGORITHMS.get(match[1]):
                self._expected.append(("Content-Digest", algorithm(), _decode("Content-Digest", match[2])))
        if md5 := headers.get("content-md5"):
            digest = hashlib.md5(usedforsecurity=False)
            self._expected.append(("Content-MD5", digest, _decode("Content-MD5", md5)))

    def update(self, chunk: bytes) -> None:
        for _, digest, _ in self._expected:
            digest.update(chunk)

    def verify(self) -> None:
        """Raise DigestMismatch unless the body that was received is the one that the headers describe."""
        for header, digest, expected in self._expected:
            if digest.digest() != expected:
                raise DigestMismatch(f"The body that was received does not match {header}. Send the request again.")


def _decode(header: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise RequestMalformed(f"{header} is malformed. It must contain the digest in base64.") from None
