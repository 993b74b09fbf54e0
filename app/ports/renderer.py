"""The image renderer."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from app.domain.renderings import Output, Rendering


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


class RenderTurns(Protocol):
    """A bounded number of slots for what precedes and follows a rendering. Users get the slots in turn."""

    async def acquire(self, user_id: str) -> None:
        """Wait for a slot. Raises Overloaded immediately if too many calls wait."""
        ...

    def release(self) -> None: ...
