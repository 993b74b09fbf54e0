"""Names of the members of an export, derived from filenames."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from app.domain.formats import FORMATS_BY_CONTENT_TYPE
from app.domain.images import Image

_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\\/\x00-\x1f]')
_NUMBERED = re.compile(r"(.*) \((\d{1,9})\)(\.[^.]*)")
_MAX_STEM_BYTES = 180
"""File systems allow 255 bytes, and the extension and a number are appended."""


class MemberNames:
    """Names that differ from each other also on file systems that ignore case."""

    def __init__(self, *, folder: str = "images/") -> None:
        """`folder` is empty or ends with a slash."""
        self._folder = folder
        self._used: dict[str, int] = {}

    def reserve(self, name: str) -> None:
        """Record a name that an earlier attempt returned."""
        used = name.removeprefix(self._folder).casefold()
        self._used[used] = max(1, self._used.get(used, 0))
        if numbered := _NUMBERED.fullmatch(used):
            first = numbered[1] + numbered[3]
            self._used[first] = max(int(numbered[2]), self._used.get(first, 0))

    def name_of(self, image: Image) -> str:
        """Return a new name: the filename, with the extension of the format and a number if it is needed."""
        path = PurePosixPath(_NOT_ON_WINDOWS.sub("_", image.filename))
        extensions = FORMATS_BY_CONTENT_TYPE[image.content_type].extensions
        is_suitable = path.suffix.lower().lstrip(".") in extensions
        stem = (path.stem if is_suitable else path.name).encode()[:_MAX_STEM_BYTES].decode(errors="ignore")
        stem = stem.strip(" .") or "image"
        suffix = path.suffix if is_suitable else f".{extensions[0]}"
        name = f"{stem}{suffix}"
        while (count := self._used.get(name.casefold(), 0)) > 0:
            self._used[name.casefold()] = count + 1
            name = f"{stem} ({count + 1}){suffix}"
        self._used[name.casefold()] = 1
        return self._folder + name
