"""The image renderer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from app.domain.renderings import Output, Rendering, Stripping


@dataclass(frozen=True, slots=True)
class StrippedFile:
    """The size in bytes and the SHA-256 (hex) of a file that was written."""

    size: int
    sha256: str


class Renderer(Protocol):
    """Validates images and renders their thumbnails, in separate processes with limits."""

    async def render(self, file: BinaryIO, *, owner_id: str = "", output: Output | None = None) -> Rendering:
        """Validate the image in the open `file` and render its thumbnails. The file's position does not matter.

        When several users wait, they are served in turn. `owner_id` is the user whose image it is. With `output`, the
        result contains that one instead of the thumbnails, and a file of any supported format is accepted.

        Raises FormatUnsupported, ImageCorrupt, ImageTooLarge (from the header, before pixels are decoded),
        ImageTooExpensive when a limit on time or memory was exceeded, Overloaded immediately if the queue is full, and
        DependencyUnavailable if no render process could be started.
        """
        ...


class Inspector(Renderer, Protocol):
    """A renderer without thumbnails, for what does not decode pixels."""

    async def strip(
        self, file: BinaryIO, output: BinaryIO, *, stripping: Stripping, owner_id: str = ""
    ) -> StrippedFile | None:
        """Write the image in `file` to the empty `output` without its position, or without all metadata.

        Return None if the image has nothing to remove; `output` is then empty.

        Raises FormatUnsupported, ImageCorrupt if the file cannot be read well enough, ImageTooExpensive, Overloaded and
        DependencyUnavailable, as `render` does.
        """
        ...


class RenderTurns(Protocol):
    """A bounded number of slots for what precedes and follows a rendering. Users get the slots in turn."""

    async def acquire(self, user_id: str) -> None:
        """Wait for a slot. Raises Overloaded immediately if too many calls wait."""
        ...

    def release(self) -> None: ...
