"""Schemas of the image routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from app.api.schemas.bodies import JsonBody
from app.api.schemas.fields import EXAMPLE_ID, Description, NextCursor, RawFilename
from app.common.urls import absolute_url
from app.domain.images import ImageStatus, ThumbnailStatus
from app.services.signed_urls import SignedImage, SignedThumbnail


class ThumbnailView(BaseModel):
    size: int = Field(description="The requested length of the longest side, in pixels.", examples=[200])
    status: ThumbnailStatus
    width: int | None
    height: int | None
    bytes: int | None
    url: str | None
    reason: str | None = Field(description="Why the thumbnail failed.")
    attempts: int

    @classmethod
    def of(cls, signed: SignedThumbnail, *, base_url: str) -> Self:
        thumbnail = signed.thumbnail
        return cls(
            size=thumbnail.size,
            status=thumbnail.status,
            width=thumbnail.width,
            height=thumbnail.height,
            bytes=thumbnail.bytes,
            url=absolute_url(base_url, signed.url) if signed.url else None,
            reason=thumbnail.reason,
            attempts=thumbnail.attempts,
        )


class ThumbnailsView(BaseModel):
    thumbnails: list[ThumbnailView]


class SourceView(BaseModel):
    """The source of an image. The license requires that it is shown with the image."""

    ean: str = Field(examples=["3017620422003"])
    url: str = Field(description="The product's page.")
    product_name: str | None
    brand: str | None
    licence: str = Field(examples=["CC BY-SA 3.0"])
    attribution: str


class ImageView(BaseModel):
    id: str = Field(description="A UUIDv7: ids sort by upload time.", examples=[EXAMPLE_ID])
    filename: str = Field(examples=["beach.jpg"])
    description: str | None
    content_type: str = Field(description="Detected from the content.", examples=["image/jpeg"])
    size: int = Field(description="Bytes.", examples=[4945838])
    sha256: str
    width: int = Field(description="After the EXIF orientation was applied.", examples=[4032])
    height: int = Field(examples=[3024])
    uploaded_at: datetime
    source: SourceView | None = Field(description="The source of an image that was fetched by EAN.")
    status: ImageStatus = Field(
        description="`pending` until the scanner of the service has accepted the image. Then all URLs are null."
    )
    original_url: str | None
    thumbnail_url: str | None = Field(description="The URL of the smallest thumbnail that is ready.")
    urls_expire_at: datetime | None
    placeholder: str | None = Field(
        description="A ThumbHash in base64, to be shown while the thumbnail loads. Null while thumbnails are pending."
    )
    thumbnails: list[ThumbnailView]

    @classmethod
    def of(cls, signed: SignedImage, *, base_url: str) -> Self:
        image = signed.image
        thumbnail_url = signed.thumbnail_url
        return cls(
            id=image.id,
            filename=image.filename,
            description=image.description,
            content_type=image.content_type,
            size=image.size,
            sha256=image.sha256,
            width=image.width,
            height=image.height,
            uploaded_at=image.uploaded_at,
            source=SourceView.model_validate(image.source, from_attributes=True) if image.source else None,
            status=image.status,
            original_url=absolute_url(base_url, signed.original_url) if signed.original_url else None,
            thumbnail_url=absolute_url(base_url, thumbnail_url) if thumbnail_url else None,
            urls_expire_at=signed.urls_expire_at,
            placeholder=image.placeholder,
            thumbnails=[ThumbnailView.of(thumbnail, base_url=base_url) for thumbnail in signed.thumbnails],
        )


class ImagePageView(BaseModel):
    items: list[ImageView]
    next_cursor: NextCursor


class EditBody(JsonBody):
    """Omitted fields are not changed. A null description removes the description."""

    filename: RawFilename = Field(default_factory=str)
    description: Description | None = None

    def changes(self) -> dict[str, str | None]:
        """Return the fields that the request contains. An empty description counts as none, as in an upload."""
        return {name: value or None for name, value in self.model_dump(exclude_unset=True).items()}


class DeleteBody(JsonBody):
    ids: Annotated[list[str], Field(min_length=1, max_length=100)]


class DeletedView(BaseModel):
    results: dict[str, str] = Field(
        description="For each id: `deleted`, or an error code.",
        examples=[{EXAMPLE_ID: "deleted", "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b11": "image_missing"}],
    )
