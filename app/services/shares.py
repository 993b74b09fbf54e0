"""Links that show some images of a user to anyone who has the link."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.common.pagination import Cursors
from app.common.rate_limit import RateLimit, RateLimiter
from app.common.signing import sign, verify
from app.domain.accounts import User
from app.domain.errors import (
    AppError,
    FieldError,
    ImageMissing,
    ImagePending,
    RequestInvalid,
    ShareMissing,
    SharePasswordRequired,
)
from app.domain.ids import is_id, new_id
from app.domain.images import Image
from app.domain.shares import Share, ShareDownload
from app.ports.clock import Clock
from app.ports.password_hasher import PasswordHasher
from app.ports.share_table import ShareTable
from app.services.library import Library
from app.services.user_administration import UserAdministration

PAGE = 60
"""How many images of a share one response shows."""
_ACCESS_LIFETIME = timedelta(minutes=15)
_CONCURRENT_READS = 20
_ID_CHARACTERS = 22
"""The length of a UUID in base64 without padding."""
_CREATED = RateLimit("share-created", limit=200, window_seconds=3600)
_GUESSES_OF_ADDRESS = RateLimit("share-password-of-address", limit=10, window_seconds=15 * 60)
_GUESSES = RateLimit("share-password", limit=200, window_seconds=3600)


@dataclass(frozen=True, slots=True)
class SharedPage:
    images: Sequence[Image]
    has_more: bool


class Shares:
    def __init__(
        self,
        *,
        table: ShareTable,
        library: Library,
        users: UserAdministration,
        passwords: PasswordHasher,
        limiter: RateLimiter,
        cursors: Cursors,
        key: bytes,
        clock: Clock,
    ) -> None:
        """`key` signs the links, so that they can be shown again although they are not stored."""
        self._table = table
        self._library = library
        self._users = users
        self._passwords = passwords
        self._limiter = limiter
        self._cursors = cursors
        self._key = key
        self._clock = clock

    async def create(
        self,
        user: User,
        *,
        image_ids: Sequence[str],
        title: str | None,
        expires_at: datetime | None,
        password: str | None,
        download: ShareDownload,
    ) -> Share:
        """Raises RequestInvalid for ids of images that the user does not have, ImagePending, and TooManyAttempts."""
        await self._limiter.count(_CREATED, user.id)
        self._check_expiry(expires_at)
        share = Share(
            id=new_id(),
            owner_id=user.id,
            image_ids=await self._own(user, image_ids),
            title=title,
            download=download,
            created_at=self._clock(),
            expires_at=expires_at,
            password_hash=await self._hash(password),
        )
        await self._table.add_share(share)
        return share

    async def page(self, user: User, *, cursor: str | None, limit: int) -> tuple[Sequence[Share], str | None]:
        """Return shares, newest first, and the cursor of the next page. Raises CursorInvalid."""
        before = self._cursors.decode(user, cursor)
        shares = await self._table.page_shares(user.id, before=before, limit=limit + 1)
        if len(shares) <= limit:
            return shares, None
        return shares[:limit], self._cursors.encode(user, shares[limit - 1].id)

    async def get(self, user: User, share_id: str) -> Share:
        """Raises ShareMissing, also for another user's share."""
        share = await self._table.find_share(share_id) if is_id(share_id) else None
        if share is None or share.owner_id != user.id:
            raise ShareMissing
        return share

    async def edit(self, user: User, share_id: str, *, changes: Mapping[str, object]) -> Share:
        """Set fields of the share. `password` is hashed, and None removes it.

        Raises ShareMissing, and the errors of `create`.
        """
        await self.get(user, share_id)
        values = dict(changes)
        if isinstance(expires_at := values.get("expires_at"), datetime):
            self._check_expiry(expires_at)
        if isinstance(image_ids := values.get("image_ids"), list):
            values["image_ids"] = await self._own(user, image_ids)
        if "password" in values:
            password = values.pop("password")
            values["password_hash"] = await self._hash(password if isinstance(password, str) else None)
        if not values:
            return await self.get(user, share_id)
        share = await self._table.edit_share(user.id, share_id, changes=values)
        if share is None:
            raise ShareMissing
        return share

    async def revoke(self, user: User, share_id: str) -> None:
        """Remove the share. When this returns, its link shows nothing. Raises ShareMissing."""
        if not is_id(share_id) or not await self._table.remove_share(user.id, share_id):
            raise ShareMissing

    def token(self, share: Share) -> str:
        """Return the part of the link that identifies the share and cannot be guessed."""
        identity = UUID(share.id).bytes
        return base64.urlsafe_b64encode(identity).rstrip(b"=").decode() + sign(self._key, b"link" + identity)

    async def open(self, token: str, *, access: str | None) -> Share:
        """Return the share of a link. `access` is what `unlock` returned.

        Raises ShareMissing if the link is wrong, was revoked or has expired, and SharePasswordRequired.
        """
        share = await self._find(token)
        if share.password_hash and not self._is_valid_access(share, access or ""):
            raise SharePasswordRequired
        return share

    async def unlock(self, token: str, password: str, *, address: str) -> tuple[Share, str | None]:
        """Return the share and, if it has a password, an `access` that is valid for 15 minutes.

        Raises ShareMissing, SharePasswordRequired if the password is wrong, TooManyAttempts and Overloaded.
        """
        share = await self._find(token)
        if not share.password_hash:
            return share, None
        await self._limiter.count(_GUESSES_OF_ADDRESS, share.id, address)
        await self._limiter.count(_GUESSES, share.id)
        with self._passwords.slot():
            if not await self._passwords.verify(share.password_hash, password):
                raise SharePasswordRequired
        await self._limiter.reset(_GUESSES_OF_ADDRESS, share.id, address)
        expires = str(int((self._clock() + _ACCESS_LIFETIME).timestamp()))
        return share, f"{expires}.{sign(self._key, _access_message(share, expires))}"

    async def images(self, share: Share, *, page: int) -> SharedPage:
        """Return the images of a page of the share. Images that were deleted, or are not ready yet, are left out."""
        start = (page - 1) * PAGE
        found = await self._find_images(User(share.owner_id), share.image_ids[start : start + PAGE])
        ready = [image for image in found if image and not image.is_pending]
        return SharedPage(ready, has_more=start + PAGE < len(share.image_ids))

    async def image(self, share: Share, image_id: str) -> Image:
        """Raises ImageMissing if the image is not in the share, and ImagePending."""
        if image_id not in share.image_ids:
            raise ImageMissing
        return await self._library.get_ready(User(share.owner_id), image_id)

    async def _find(self, token: str) -> Share:
        share_id = self._share_id(token)
        share = await self._table.find_share(share_id) if share_id else None
        if share is None or share.is_expired(self._clock()):
            raise ShareMissing
        try:
            await self._users.require_usable(share.owner_id)
        except AppError as error:
            if error.status >= 500:  # noqa: PLR2004 - the statuses of failures
                raise
            raise ShareMissing from error
        return share

    def _share_id(self, token: str) -> str | None:
        encoded, tag = token[:_ID_CHARACTERS], token[_ID_CHARACTERS:]
        try:
            identity = base64.b64decode(f"{encoded}==", altchars="-_", validate=True)
        except ValueError:
            return None
        return str(UUID(bytes=identity)) if verify(self._key, b"link" + identity, tag) else None

    def _is_valid_access(self, share: Share, access: str) -> bool:
        expires, _, tag = access.partition(".")
        is_signed = verify(self._key, _access_message(share, expires), tag)
        return is_signed and int(expires) > self._clock().timestamp()

    def _check_expiry(self, expires_at: datetime | None) -> None:
        if expires_at is not None and expires_at <= self._clock():
            raise RequestInvalid(errors=[FieldError("body.expires_at", "This time is in the past")])

    async def _own(self, user: User, image_ids: Sequence[str]) -> tuple[str, ...]:
        unique = tuple(dict.fromkeys(image_ids))
        found = await self._find_images(user, unique)
        missing = [image_id for image_id, image in zip(unique, found, strict=True) if image is None]
        if missing:
            message = "You have no image with this id: "
            raise RequestInvalid(errors=[FieldError("body.image_ids", f"{message}{i}") for i in missing[:10]])
        if any(image and image.is_pending for image in found):
            raise ImagePending
        return unique

    async def _find_images(self, owner: User, image_ids: Sequence[str]) -> Sequence[Image | None]:
        slots = asyncio.Semaphore(_CONCURRENT_READS)

        async def find(image_id: str) -> Image | None:
            async with slots:
                return await self._library.find(owner, image_id)

        return await asyncio.gather(*map(find, image_ids))

    async def _hash(self, password: str | None) -> str | None:
        if password is None:
            return None
        with self._passwords.slot():
            return await self._passwords.hash(password)


def _access_message(share: Share, expires: str) -> bytes:
    # With the hash, access ends when the password changes.
    return "\n".join(("access", share.id, share.password_hash or "", expires)).encode()
