"""Schemas of the image routes.

Those of a list are dataclasses: pydantic describes and serializes them like its models, but does not validate them when
they are made, which takes three times as long and would only repeat what mypy checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from app.api.custom_metadata import CustomMetadata
from app.api.schemas.bodies import JsonBody
from app.api.schemas.fields import EXAMPLE_ID, Description, NextCursor, RawFilename
from app.common.urls import absolute_url
from app.domain.images import ImageChanges, ImageStatus, ThumbnailStatus
from app.services.signed_urls import SignedImage, SignedThumbnail


@dataclass(slots=True, kw_only=True)
class ThumbnailView:
    size: Annotated[int, Field(description="The requested length of the longest side, in pixels.", examples=[200])]
    status: ThumbnailStatus
    width: int | None
    height: int | None
    bytes: int | None
    url: str | None
    reason: Annotated[str | None, Field(description="Why the thumbnail failed.")]
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


class FocalPoint(JsonBody):
    """In percent of the width from the left, and of the height from the top, as in the CSS property object-position."""

    x: Annotated[int, Field(ge=0, le=100, examples=[50])]
    y: Annotated[int, Field(ge=0, le=100, examples=[30])]


class PositionView(BaseModel):
    latitude: float = Field(description="Degrees (WGS 84).", examples=[53.5511])
    longitude: float = Field(examples=[9.9937])
    altitude: float | None = Field(description="Meters above sea level.")


class MetadataView(BaseModel):
    """What the camera recorded. A field is null if the file does not have it."""

    taken_at: str | None = Field(
        description="The time on the clock of the camera, without an offset.", examples=["2026-07-14T18:03:22.000"]
    )
    taken_offset: str | None = Field(description="The offset of that clock from UTC.", examples=["+02:00"])
    camera_make: str | None = Field(examples=["Canon"])
    camera_model: str | None = Field(examples=["EOS R5"])
    lens: str | None
    exposure_seconds: float | None = Field(examples=[0.008])
    f_number: float | None = Field(examples=[2.8])
    iso: int | None = Field(examples=[100])
    focal_length_mm: float | None = Field(examples=[50])
    orientation: int | None = Field(description="The EXIF orientation, 1 to 8. `width` and `height` include it.")
    position: PositionView | None = Field(description="Null unless the service keeps positions (`KEEP_LOCATION`).")


@dataclass(slots=True, kw_only=True)
class ImageView:
    id: Annotated[str, Field(description="A UUIDv7: ids sort by upload time.", examples=[EXAMPLE_ID])]
    filename: Annotated[str, Field(examples=["beach.jpg"])]
    description: str | None
    content_type: Annotated[str, Field(description="Detected from the content.", examples=["image/jpeg"])]
    size: Annotated[int, Field(description="Bytes.", examples=[4945838])]
    sha256: Annotated[str, Field(description="Of the stored original, in hexadecimal digits.")]
    uploaded_sha256: Annotated[
        str,
        Field(
            description="Of the uploaded file. It differs from `sha256` if the service has removed metadata "
            "(`STRIP_ORIGINALS`)."
        ),
    ]
    width: Annotated[int, Field(description="After the EXIF orientation was applied.", examples=[4032])]
    height: Annotated[int, Field(examples=[3024])]
    uploaded_at: datetime
    source: Annotated[SourceView | None, Field(description="The source of an image that was fetched by EAN.")]
    status: Annotated[
        ImageStatus,
        Field(description="`pending` until the scanner of the service has accepted the image. Then all URLs are null."),
    ]
    metadata: Annotated[
        MetadataView | None, Field(description="Null for an image that was uploaded before the service read metadata.")
    ]
    custom_metadata: Annotated[
        dict[str, str], Field(description="Pairs that the client has set.", examples=[{"album": "Summer"}])
    ]
    original_url: str | None
    thumbnail_url: Annotated[str | None, Field(description="The URL of the smallest thumbnail that is ready.")]
    rendition_url: Annotated[
        str | None,
        Field(description="A URI template (RFC 6570) of URLs that show the image in other sizes and formats."),
    ]
    urls_expire_at: datetime | None
    placeholder: Annotated[
        str | None,
        Field(
            description="A ThumbHash in base64, to be shown while the thumbnail loads. Null while thumbnails are "
            "pending."
        ),
    ]
    thumbnails: list[ThumbnailView]
    focal_point: Annotated[
        FocalPoint | None, Field(description="The point around which `fit=cover` crops; null is the center.")
    ]

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
            uploaded_sha256=image.uploaded_sha256 or image.sha256,
            width=image.width,
            height=image.height,
            uploaded_at=image.uploaded_at,
            source=SourceView.model_validate(image.source, from_attributes=True) if image.source else None,
            status=image.status,
            metadata=MetadataView.model_validate(image.metadata, from_attributes=True) if image.metadata else None,
            custom_metadata=image.custom_metadata,
            original_url=absolute_url(base_url, signed.original_url) if signed.original_url else None,
            thumbnail_url=absolute_url(base_url, thumbnail_url) if thumbnail_url else None,
            rendition_url=absolute_url(base_url, signed.rendition_url) if signed.rendition_url else None,
            urls_expire_at=signed.urls_expire_at,
            placeholder=image.placeholder,
            thumbnails=[ThumbnailView.of(thumbnail, base_url=base_url) for thumbnail in signed.thumbnails],
            focal_point=FocalPoint.model_validate(image.focal_point, from_attributes=True)
            if image.focal_point
            else None,
        )


@dataclass(slots=True, kw_only=True)
class ImagePageView:
    items: list[ImageView]
    next_cursor: NextCursor


class MonthView(BaseModel):
    month: str = Field(examples=["2024-05"])
    images: int = Field(examples=[123])


class TimelineView(BaseModel):
    months: list[MonthView] = Field(description="The months with images, newest first.")
    images: int = Field(description="The number of images in all months.", examples=[123])


class EditBody(JsonBody):
    """Omitted fields are not changed. A null description removes it, and a null focal point is the center.

    `custom_metadata` replaces all pairs; null removes them.
    """

    filename: RawFilename = Field(default_factory=str)
    description: Description | None = None
    focal_point: FocalPoint | None = None
    custom_metadata: CustomMetadata | None = None

    def changes(self) -> ImageChanges:
        """Return the fields that the request contains. An empty description counts as none, as in an upload."""
        changes = {name: value or None for name, value in self.model_dump(exclude_unset=True).items()}
        return changes | ({"custom_metadata": self.custom_metadata or {}} if "custom_metadata" in changes else {})


class DeleteBody(JsonBody):
    ids: Annotated[list[str], Field(min_length=1, max_length=100)]


class DeletedView(BaseModel):
    results: dict[str, str] = Field(
        description="For each id: `deleted`, or an error code.",
        examples=[{EXAMPLE_ID: "deleted", "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b11": "image_missing"}],
    )
