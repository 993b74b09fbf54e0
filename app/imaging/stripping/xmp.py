"""Removes the position from XMP packets, which are XML (ISO 16684-1) in UTF-8.

The length of a packet never changes: what is removed becomes spaces, which XML allows between elements and between
attributes.
"""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

_SEPARATOR = " "
_LOCATION = re.compile(
    r"gps|latitude|longt?itude|altitude|location|locality|geo(tag|hash|code)|coordinates"
    r"|^(city|municipality|county|state|provincestate|stateprovince|country|countrycode|countryname|continent)$"
    r"|^(worldregion|waterbody|island|islandgroup|lat|long?)$"
    # A motion photo loses its video, because videos contain positions, too.
    r"|^(motionphoto|microvideo)",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(rb"""\s+([^\s=/>"']+)\s*=\s*("[^"]*"|'[^']*')""")
_DECLARATION = re.compile(rb"xmlns(:|$)")
_SPACE = re.compile(rb"\s*")
_NAME = re.compile(rb"<[^\s/>]+")


def is_location_name(name: str) -> bool:
    """Return whether a property with this local name holds a position, or names the place of a photo."""
    return bool(_LOCATION.search(name.rpartition(":")[2].rpartition(_SEPARATOR)[2]))


def xmp_without_location(packet: bytes) -> bytes:
    """Return the packet without the properties of a position or place, in the same length.

    The property names are compared without their namespace, because writers use many. A packet that is not well-formed
    XML in UTF-8 becomes spaces, because it cannot be searched reliably.
    """
    text = packet.rstrip(b"\0")
    if not text.strip():
        return packet
    try:
        search = _LocationSearch(text)
    except (ValueError, expat.ExpatError):
        return b" " * len(packet)
    if not search.spans:
        return packet
    edited = bytearray(packet)
    for start, end in search.spans:
        edited[start:end] = b" " * (end - start)
    return bytes(edited)


class _LocationSearch:
    """Finds the parts of a packet that hold a position. Raises ExpatError or ValueError if it is malformed."""

    def __init__(self, packet: bytes) -> None:
        self.spans: list[tuple[int, int]] = []
        self._packet = packet
        self._depth = 0
        self._removed: tuple[int, int] | None = None
        """The depth and the start of the element that is being removed."""
        self._parser = expat.ParserCreate("utf-8", namespace_separator=_SEPARATOR)
        self._parser.ordered_attributes = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        # Entities could hide names.
        self._parser.StartDoctypeDeclHandler = self._refuse
        # An exception in a handler ends the search.
        self._parser.Parse(packet, True)  # noqa: FBT003 - expat takes positional arguments only

    def _start(self, name: str, attributes: Any) -> None:  # noqa: ANN401 - a list because of ordered_attributes
        self._depth += 1
        if self._removed:
            return
        start = self._parser.CurrentByteIndex
        raw, end = self._read_tag(start)
        if is_location_name(name):
            if self._packet.startswith(b"/>", end):
                self.spans.append((start, end + 2))
            else:
                self._removed = self._depth, start
            return
        names = attributes[::2]
        written = [match for match in raw if not _DECLARATION.match(match[1])]
        for expanded, match in zip(names, written, strict=True):
            if expanded.rpartition(_SEPARATOR)[2].encode() != match[1].rpartition(b":")[2]:
                raise ValueError("the attributes cannot be located")
            if is_location_name(expanded):
                self.spans.append((match.start(), match.end()))

    def _read_tag(self, start: int) -> tuple[list[re.Match[bytes]], int]:
        """Return the attributes of the tag at `start`, and the position of its end: `>` or `/>`."""
        name = _NAME.match(self._packet, start)
        if name is None:
            raise ValueError("a tag cannot be located")
        attributes, position = [], name.end()
        while match := _ATTRIBUTE.match(self._packet, position):
            attributes.append(match)
            position = match.end()
        space = _SPACE.match(self._packet, position)
        return attributes, space.end() if space else position

    def _end(self, _name: str) -> None:
        if self._removed and self._removed[0] == self._depth:
            start = self._parser.CurrentByteIndex
            if not self._packet.startswith(b"</", start):
                raise ValueError("a closing tag cannot be located")
            self.spans.append((self._removed[1], self._packet.index(b">", start) + 1))
            self._removed = None
        self._depth -= 1

    def _refuse(self, *_: object) -> None:
        raise ValueError("an XMP packet must not have a document type")
