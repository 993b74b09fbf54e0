"""Identifiers that sort by the time of their creation: UUIDv7, RFC 9562 section 5.7."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from datetime import UTC, datetime

_PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id() -> str:
    """Return a UUIDv7. The 12 bits after the milliseconds hold a fraction of one (section 6.2, method 3)."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    value = milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def is_id(text: str) -> bool:
    return _PATTERN.fullmatch(text) is not None


def id_timestamp(identifier: str) -> datetime:
    """Return the time of creation, to the millisecond, by the clock of the machine that created the id.

    Raises ValueError if `identifier` is not a UUIDv7.
    """
    if not is_id(identifier):
        raise ValueError(f"not a UUIDv7: {identifier!r}")
    return datetime.fromtimestamp((uuid.UUID(identifier).int >> 80) / 1000, UTC)
