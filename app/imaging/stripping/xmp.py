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
    r"gps|latitude|longt?itude|altitude|location|geo(tag|hash|code)|coordinates"
    r"|^(city|state|country|countrycode|countryname|provincestate|worldregion|lat|long?)$"
    # A motion photo loses its video, because videos contain positions, too.
    r"|^(motionphoto|microvideo)",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(rb"""\s([^\s=/>"']+)\s*=\s*("[^"]*"|'[^']*')""")
_NAME = re.compile(rb"<\s*[^\s/>]+")


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
        if is_location_name(name):
            self._removed = self._depth, start
            return
        position = start + len(_NAME.match(self._packet, start)[0])  # type: ignore[index] # expat found a tag here
        names = iter(attributes[::2])
        while match := _ATTRIBUTE.match(self._packet, position):
            position = match.end()
            if match[1] != b"xmlns" and not match[1].startswith(b"xmlns:"):
                expanded = next(names)
                if expanded.rpartition(_SEPARATOR)[2].encode() != match[1].rpartition(b":")[2]:
                    raise ValueError("the attributes cannot be located")
                if is_location_name(expanded):
                    self.spans.append((match.start(), match.end()))
        if next(names, None) is not None:
            raise ValueError("the attributes cannot be located")

    def _end(self, _name: str) -> None:
        if self._removed and self._removed[0] == self._depth:
            # The index is the start of the closing tag, or that of the element if it consists of one tag.
            end = self._packet.index(b">", self._end_of_quotes(self._parser.CurrentByteIndex)) + 1
            self.spans.append((self._removed[1], end))
            self._removed = None
        self._depth -= 1

    def _end_of_quotes(self, start: int) -> int:
        """Return the position after the last attribute of the tag at `start`: attribute values may contain ">"."""
        position = start + len(_NAME.match(self._packet, start)[0])  # type: ignore[index] # expat found a tag here
        while match := _ATTRIBUTE.match(self._packet, position):
            position = match.end()
        return position

    def _refuse(self, *_: object) -> None:
        raise ValueError("an XMP packet must not have a document type")
