"""Message authentication for what the service hands out and gets back: one secret, a key for each purpose."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac


def derive_key(secret: str, purpose: str) -> bytes:
    """Return a 32-byte key, so that what is signed for one purpose proves nothing for another."""
    return hmac.digest(secret.encode(), purpose.encode(), hashlib.sha256)


def sign(key: bytes, message: bytes) -> str:
    """Return a 128-bit tag in URL-safe base64 without padding."""
    return _encode(hmac.digest(key, message, hashlib.sha256)[:16])


def verify(key: bytes, message: bytes, tag: str) -> bool:
    return hmac.compare_digest(sign(key, message).encode(), tag.encode("utf-8", "replace"))


def seal(key: bytes, message: bytes) -> str:
    """Return `message` with its tag as one URL-safe word; `unseal` takes it back."""
    return f"{_encode(message)}.{sign(key, message)}"


def unseal(key: bytes, sealed: str) -> bytes | None:
    """Return the message of `seal`, or None if it was not sealed with `key` or was changed since."""
    text, _, tag = sealed.partition(".")
    try:
        message = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return message if verify(key, message, tag) and _encode(message) == text else None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
