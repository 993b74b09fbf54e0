"""The signed URLs and forms of the disk store, and the content types of its objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from app.common.signing import derive_key, sign, verify
from app.domain.errors import FormExpired, FormInvalid, UrlExpired, UrlInvalid
from app.domain.formats import FORMATS_BY_EXTENSION, UNKNOWN_TYPE
from app.domain.object_keys import INCOMING_PREFIX
from app.domain.objects import BRIEF_SECONDS, PresignedPost, PresignedPostClaims, SignedUrl, SignedUrls

# Relative, because the service may be behind a path prefix, which is known only when a request is handled.
URL_PATH = "api/v1/objects/"
FORM_URL = "api/v1/objects"
_OTHER_CONTENT_TYPES = {"json": "application/json", "zip": "application/zip"}


def content_type_of(key: str) -> str:
    """Return the content type that follows from the extension of the key."""
    extension = key.rpartition(".")[2]
    known = FORMATS_BY_EXTENSION.get(extension)
    return known.content_type if known else _OTHER_CONTENT_TYPES.get(extension, UNKNOWN_TYPE)


class DiskUrls:
    """The methods do what those of ObjectStore and LocalObjects do. The keys have been checked."""

    def __init__(self, key: bytes, *, ttl_seconds: int, window_seconds: int, clock: Callable[[], float]) -> None:
        self._url_key = key
        # A separate key, so that a signature for reading is not valid for writing.
        self._form_key = derive_key(key.hex(), "object-form")
        self._ttl_seconds = ttl_seconds
        self._window_seconds = window_seconds
        self._clock = clock

    def sign(self, key: str, *, filename: str | None) -> SignedUrl:
        return self._signed_url(key, expires=self._end_of_window(), filename=filename)

    def sign_all(self, keys: Sequence[str]) -> SignedUrls:
        expires = self._end_of_window()
        urls = [self._sign(key, expires=expires, filename=None) for key in keys]
        return SignedUrls(urls, datetime.fromtimestamp(expires, UTC))

    def sign_briefly(self, key: str, *, filename: str | None) -> SignedUrl:
        return self._signed_url(key, expires=int(self._clock()) + BRIEF_SECONDS, filename=filename)

    def verify(self, key: str, *, expires: int, filename: str | None, signature: str, now: datetime) -> None:
        """Raises UrlInvalid and UrlExpired."""
        if not verify(self._url_key, _message(key, expires, filename), signature):
            raise UrlInvalid
        if now.timestamp() >= expires:
            raise UrlExpired

    def presign_post(
        self, key: str, *, content_type: str, size: int, sha256: str | None, expires_at: datetime
    ) -> PresignedPost:
        if not key.startswith(INCOMING_PREFIX):
            raise ValueError(f"a form must not write to {key!r}")
        expires = int(expires_at.timestamp())
        fields = {"key": key, "Content-Type": content_type, "size": str(size), "expires": str(expires)}
        if sha256 is not None:
            fields["sha256"] = sha256
        fields["signature"] = sign(self._form_key, _form_message(fields))
        return PresignedPost(FORM_URL, fields, datetime.fromtimestamp(expires, UTC))

    def presign_put(self, key: str, *, size: int, expires_at: datetime) -> SignedUrl:
        form = self.presign_post(key, content_type=UNKNOWN_TYPE, size=size, sha256=None, expires_at=expires_at)
        return SignedUrl(f"{form.url}?{urlencode(form.fields)}", form.expires_at)

    def verify_post(self, fields: Mapping[str, str], *, now: datetime) -> PresignedPostClaims:
        if not verify(self._form_key, _form_message(fields), fields.get("signature", "")):
            raise FormInvalid
        if now.timestamp() >= int(fields["expires"]):
            raise FormExpired
        return PresignedPostClaims(fields["key"], fields["Content-Type"], int(fields["size"]), fields.get("sha256"))

    def _end_of_window(self) -> int:
        """Return when the URLs expire that are signed now."""
        now = int(self._clock())
        return now - now % self._window_seconds + self._window_seconds + self._ttl_seconds

    def _signed_url(self, key: str, *, expires: int, filename: str | None) -> SignedUrl:
        return SignedUrl(self._sign(key, expires=expires, filename=filename), datetime.fromtimestamp(expires, UTC))

    def _sign(self, key: str, *, expires: int, filename: str | None) -> str:
        signature = sign(self._url_key, _message(key, expires, filename))
        url = f"{URL_PATH}{key}?expires={expires}&signature={signature}"
        if filename is not None:
            url += f"&filename={quote(filename, safe='')}"
        return url


def _message(key: str, expires: int, filename: str | None) -> bytes:
    # Unambiguous, because neither a key nor a number contains a line break.
    text = f"{key}\n{expires}" if filename is None else f"{key}\n{expires}\n{filename}"
    return text.encode("utf-8", "surrogatepass")


def _form_message(fields: Mapping[str, str]) -> bytes:
    # All fields are signed, so that none can be removed or added.
    return json.dumps(sorted((name, value) for name, value in fields.items() if name != "signature")).encode()
