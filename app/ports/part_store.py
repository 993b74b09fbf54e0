"""Assembles objects from parts. Every method may raise DependencyUnavailable once its retries are exhausted."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from app.domain.formats import UNKNOWN_TYPE


class PartStore(Protocol):
    """Stores an object that arrives in parts of `part_bytes`, the last of which may be smaller.

    Part 0 contains the first bytes. The tail is the beginning of a part that has not arrived completely. Any process
    can store any part; to store a part again replaces it. What a method has stored is durable when it returns.
    """

    part_bytes: int

    async def begin(self, key: str, *, content_type: str = UNKNOWN_TYPE) -> str:
        """Return the id of the parts of a new object."""
        ...

    async def require_space(self, size: int) -> None:
        """Raise DependencyUnavailable if there is no room for `size` bytes. This is a check, not a reservation."""
        ...

    async def put_part(self, key: str, parts_id: str, number: int, file: BinaryIO, *, start: int, size: int) -> None:
        """Store `size` bytes of `file`, from `start`, as a part.

        After `assemble` or `discard`, it raises UploadMissing, or stores bytes that a reconcile run deletes.
        """
        ...

    async def put_bytes(self, key: str, parts_id: str, number: int, data: bytes, *, at: int) -> None:
        """Store `data` as a part that begins `at` bytes from the beginning of the object.

        All parts of the object must be stored in this way, and each except the last one must have at least 5 MiB.
        Otherwise as `put_part`.
        """
        ...

    async def put_tail(self, key: str, file: BinaryIO, *, start: int, size: int, end: int) -> None:
        """Store `size` bytes of `file`, from `start`, as the tail of an object of which `end` bytes have arrived."""
        ...

    async def read_tail(self, key: str, file: BinaryIO, *, end: int) -> None:
        """Write the tail of an object of which `end` bytes have arrived to the beginning of `file`.

        Raises UploadMissing if it was not stored, or was deleted.
        """
        ...

    async def delete_tail(self, key: str, *, end: int) -> None:
        """Delete the tail that was stored when `end` bytes had arrived, once a later one is stored."""
        ...

    async def assemble(self, key: str, parts_id: str, *, size: int) -> None:
        """Make the object of its parts. Repeating it has no effect.

        Raises UploadMissing unless the parts have `size` bytes in total.
        """
        ...

    async def discard(self, key: str, parts_id: str) -> None:
        """Delete the parts, the tail and the object. What is missing is ignored."""
        ...
