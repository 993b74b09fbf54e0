"""Adds signed URLs to image records, as the API shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.common.rendition_urls import RenditionUrls
from app.domain.images import Image, Thumbnail, ThumbnailStatus
from app.domain.objects import SignedUrl
from app.ports.storage import ObjectStore


@dataclass(frozen=True, slots=True)
class SignedThumbnail:
    thumbnail: Thumbnail
    url: str | None
    """None unless the thumbnail is ready."""


@dataclass(frozen=True, slots=True)
class SignedImage:
    image: Image
    original_url: str | None
    """None while the image is pending."""
    thumbnails: tuple[SignedThumbnail, ...]
    rendition_url: str | None
    """A URI template; None while the image is pending."""
    urls_expire_at: datetime | None
    """When the first of the URLs expires."""

    @property
    def thumbnail_url(self) -> str | None:
        """The URL of the smallest thumbnail that is ready."""
        return next((t.url for t in self.thumbnails if t.url), None)


class UrlSigner:
    def __init__(self, store: ObjectStore, renditions: RenditionUrls) -> None:
        self._store = store
        self._renditions = renditions

    async def sign(self, image: Image) -> SignedImage:
        thumbnails = sorted(image.thumbnails, key=lambda t: t.size)
        if image.is_pending:
            return SignedImage(image, None, tuple(SignedThumbnail(t, None) for t in thumbnails), None, None)
        ready = [t for t in thumbnails if t.status is ThumbnailStatus.READY]
        signed = await self._store.sign_urls([image.original_key, *map(image.thumbnail_key, ready)])
        original_url, *thumbnail_urls = signed.urls
        urls = {t.size: url for t, url in zip(ready, thumbnail_urls, strict=True)}
        rendition = self._renditions.sign(image)
        return SignedImage(
            image,
            original_url,
            tuple([SignedThumbnail(t, urls.get(t.size)) for t in thumbnails]),
            rendition.url,
            min(signed.expires_at, rendition.expires_at),
        )

    async def sign_object(self, key: str) -> SignedUrl:
        return await self._store.sign_url(key)

    async def sign_object_briefly(self, key: str, *, filename: str | None = None) -> SignedUrl:
        return await self._store.sign_url_briefly(key, filename=filename)

    async def sign_thumbnail(self, image: Image, thumbnail: Thumbnail) -> SignedThumbnail:
        if thumbnail.status is not ThumbnailStatus.READY:
            return SignedThumbnail(thumbnail, None)
        signed = await self._store.sign_url(image.thumbnail_key(thumbnail))
        return SignedThumbnail(thumbnail, signed.url)
