"""The parts of a ZIP file whose members are stored without compression (APPNOTE 6.3.9), with ZIP64 where it is needed.

The sizes and the checksum of a member are in the header before it, so that every reader can read the file as a stream.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime

_UTF8_NAMES = 0x800
_VERSION = 45  # that introduced ZIP64
_MADE_ON_UNIX = 3 << 8
_MODE = 0o100644 << 16
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_FIRST_YEAR = 1980


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    size: int
    crc32: int
    time: datetime
    offset: int
    """Of its header, from the beginning of the file."""


def member_header(member: Member) -> bytes:
    name = member.name.encode()
    extra = _zip64(member.size, member.size) if member.size >= _MAX_32 else b""
    sizes = [min(member.size, _MAX_32)] * 2
    fields = (_VERSION, _UTF8_NAMES, 0, *_dos_time(member.time), member.crc32, *sizes, len(name), len(extra))
    return struct.pack("<4s5H3I2H", b"PK\3\4", *fields) + name + extra


def directory_entry(member: Member) -> bytes:
    name = member.name.encode()
    large = [member.size, member.size] if member.size >= _MAX_32 else []
    large += [member.offset] if member.offset >= _MAX_32 else []
    extra = _zip64(*large) if large else b""
    sizes = [min(member.size, _MAX_32)] * 2
    fields = (
        *(_MADE_ON_UNIX | _VERSION, _VERSION, _UTF8_NAMES, 0, *_dos_time(member.time), member.crc32, *sizes),
        *(len(name), len(extra), 0, 0, 0, _MODE, min(member.offset, _MAX_32)),
    )
    return struct.pack("<4s6H3I5H2I", b"PK\1\2", *fields) + name + extra


def end_of_directory(*, entries: int, size: int, offset: int) -> bytes:
    """Return what follows the `entries` of the directory, which has `size` bytes and begins at `offset`."""
    large = b""
    if entries >= _MAX_16 or size >= _MAX_32 or offset >= _MAX_32:
        record = (44, _MADE_ON_UNIX | _VERSION, _VERSION, 0, 0, entries, entries, size, offset)
        large = struct.pack("<4sQ2H2I4Q", b"PK\6\6", *record)
        large += struct.pack("<4sIQI", b"PK\6\7", 0, offset + size, 1)
    counts = [min(entries, _MAX_16)] * 2
    return large + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *counts, min(size, _MAX_32), min(offset, _MAX_32), 0)


def _zip64(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def _dos_time(moment: datetime) -> tuple[int, int]:
    utc = moment.astimezone(UTC)
    time = utc.hour << 11 | utc.minute << 5 | utc.second // 2
    return time, max(0, utc.year - _FIRST_YEAR) << 9 | utc.month << 5 | utc.day
