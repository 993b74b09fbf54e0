"""Object stores. Every method may raise DependencyUnavailable once its retries are exhausted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO, Protocol

from app.domain.objects import LocalObject, PresignedPost, PresignedPostClaims, SignedUrl, SignedUrls, StoredObject


class ObjectStore(Protocol):
    """Stores bytes under keys. An object can be overwritten; a partial object is never visible.

    Keys consist of `/`-separated parts of letters, digits, `-`, `_` and `.`. Every method raises ValueError for other
    keys, so that a key cannot name something outside the store.
    """

    async def put_file(
        self, key: str, file: BinaryIO, *, size: int, sha256: str, content_type: str, durable: bool = True
    ) -> None:
        """Store the first `size` bytes of the open `file`.

        The object is durable when this returns. If not `durable`, it may be lost in a power failure until
        `make_durable` has returned. It is always complete or absent.

        Uses positioned reads only, so that the file may be read elsewhere at the same time. Its content must not be
        changed afterwards, because a store may keep the file itself. `sha256` (hex) is the digest of the content; a
        store that copies the file verifies it.
        """
        ...

    async def put(self, key: str, data: bytes, *, content_type: str, durable: bool = True) -> None:
        """Store `data`. The object is durable when this returns, or as for `put_file` if not `durable`."""
        ...

    async def make_durable(self, keys: Collection[str]) -> None:
        """Return when the objects that were put without `durable` are. It costs less than to store each durably."""
        ...

    async def delete(self, keys: Collection[str]) -> None:
        """Delete the objects, at most 1,000 keys per request. Keys that do not exist are ignored.

        Raises DependencyUnavailable if at least one of them could not be deleted. The others may have been deleted.
        """
        ...

    async def size(self, key: str) -> int | None:
        """Return the size of the object in bytes, or None if it does not exist."""
        ...

    async def find(self, key: str) -> StoredObject | None:
        """Return the size and the time of the object, or None if it does not exist."""
        ...

    async def touch(self, key: str) -> None:
        """Set the object's time to the current one. An object that does not exist is ignored."""
        ...

    async def read(self, key: str, *, start: int, size: int) -> bytes:
        """Return `size` bytes of the object from `start`, or fewer at its end. Raises ObjectMissing."""
        ...

    async def fetch(self, key: str, file: BinaryIO, *, max_bytes: int) -> str:
        """Write the object to the open, empty `file` and return its SHA-256 (hex). Memory use is constant.

        Raises ObjectMissing, and UploadTooLarge as soon as more than `max_bytes` were received.
        """
        ...

    def walk(self, prefix: str, *, after: str = "") -> AsyncIterator[StoredObject]:
        """Yield every object whose key begins with `prefix` and is greater than `after`, in bytewise order of the keys.

        `after` may be any text, so that a walk can begin where an earlier one ended, or between two keys.
        """
        ...

    async def now(self) -> datetime:
        """Return the time by the store's own clock, which also sets `StoredObject.modified_at`."""
        ...

    async def sign_url(self, key: str, *, filename: str | None = None) -> SignedUrl:
        """Return a URL that reads the object without a token.

        Within one signing window, the URL of a key is always the same. It stays valid for at least the configured
        lifetime after this call, or until the store's credentials expire. With `filename`, the response is a download
        under that name (RFC 6266); without, it is displayed inline. Does not call the store.

        Raises DependencyUnavailable if the credentials expire soon and cannot be refreshed.
        """
        ...

    async def sign_urls(self, keys: Sequence[str]) -> SignedUrls:
        """Return the URL of `sign_url` for each of one or more keys. It takes less time than to sign each alone."""
        ...

    async def sign_url_briefly(self, key: str, *, filename: str | None = None) -> SignedUrl:
        """Return a URL like `sign_url`, but one that is valid for a minute only, and different in each second."""
        ...

    async def presign_post(
        self, key: str, *, content_type: str, size: int, sha256: str | None, expires_at: datetime
    ) -> PresignedPost:
        """Return a form that stores an object of exactly `size` bytes and that type under `key`, until `expires_at`.

        With `sha256` (hex), a store that can refuses other content; the caller has to verify the object in any case.
        The form expires earlier if the store's credentials do. Does not call the store.

        Raises DependencyUnavailable if the credentials expire soon and cannot be refreshed.
        """
        ...

    async def presign_put(self, key: str, *, size: int, expires_at: datetime) -> SignedUrl:
        """Return a URL to which exactly `size` bytes can be sent as the body of a PUT, until `expires_at`.

        The client may send any Content-Type. The URL expires earlier if the store's credentials do. Does not call the
        store.

        Raises DependencyUnavailable if the credentials expire soon and cannot be refreshed.
        """
        ...

    async def check(self) -> None:
        """Return if the store responds, and its bucket or folder exists and is usable."""
        ...


class LocalObjects(Protocol):
    """The additional methods of a store whose URLs and forms the service itself serves."""

    async def open_local(self, key: str) -> LocalObject:
        """Return the file of an object, which may be deleted at any time after this returns. Raises ObjectMissing."""
        ...

    async def open_signed(
        self, key: str, *, expires: int, filename: str | None, signature: str, now: datetime
    ) -> LocalObject:
        """Return the file that a URL of `sign_url` refers to, given the parts of that URL.

        `expires` is in seconds since 1970. Raises UrlInvalid unless all parts are as signed, then UrlExpired, then
        ObjectMissing. The file may be deleted at any time after this returns.
        """
        ...

    def verify_post(self, fields: Mapping[str, str], *, now: datetime) -> PresignedPostClaims:
        """Return what may be stored, given the fields of a form of `presign_post` except the file, or the query
        parameters of a URL of `presign_put`.

        Raises FormInvalid unless the fields are exactly the signed ones, then FormExpired. The caller has to check
        that the file matches the claims.
        """
        ...
