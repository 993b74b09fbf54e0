"""Schemas of the routes for shares."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from app.api.schemas.bodies import JsonBody
from app.api.schemas.fields import EXAMPLE_ID, Id, NextCursor
from app.api.shared_links import SharedLinks
from app.domain.shares import MAX_IMAGES, Share, ShareDownload
from app.domain.text import clean_line
from app.services.shares import SharedPage

_MAX_PASSWORD = 128

_ImageIds = Annotated[
    list[Id],
    Field(
        min_length=1,
        max_length=MAX_IMAGES,
        description="In the order in which they are shown.",
        examples=[[EXAMPLE_ID]],
    ),
]
_Title = Annotated[str, StringConstraints(max_length=200)]
# Strict validation accepts instances of these types only, which JSON does not have.
_Time = Annotated[AwareDatetime, Field(strict=False)]
_Download = Annotated[ShareDownload, Field(strict=False)]
_Password = Annotated[str, StringConstraints(min_length=4, max_length=_MAX_PASSWORD)]


class ShareBody(JsonBody):
    image_ids: _ImageIds
    title: _Title | None = None
    expires_at: _Time | None = Field(default=None, description="With a time zone. Null: until it is revoked.")
    password: _Password | None = Field(default=None, description="The receiver has to enter it.")
    download: _Download = Field(default=ShareDownload.NONE, description="What the receiver may download.")

    def title_or_none(self) -> str | None:
        return clean_line(self.title or "") or None


class ShareChanges(JsonBody):
    """Omitted fields are not changed. Null removes the title, the expiry or the password."""

    image_ids: _ImageIds = Field(default_factory=list)
    title: _Title | None = None
    expires_at: _Time | None = None
    password: _Password | None = None
    download: _Download = ShareDownload.NONE

    def changes(self) -> dict[str, Any]:
        """Return the fields that the request contains."""
        values = {name: getattr(self, name) for name in self.model_fields_set}
        if "title" in values:
            values["title"] = clean_line(values["title"] or "") or None
        return values


class SharePassword(JsonBody):
    password: Annotated[str, StringConstraints(max_length=_MAX_PASSWORD)]


class ShareView(BaseModel):
    id: str = Field(examples=[EXAMPLE_ID])
    url: str = Field(description="The page that shows the images. It needs no account.")
    image_ids: list[str]
    title: str | None
    download: ShareDownload
    created_at: datetime
    expires_at: datetime | None
    has_password: bool

    @classmethod
    def of(cls, share: Share, *, url: str) -> Self:
        return cls(
            id=share.id,
            url=url,
            image_ids=list(share.image_ids),
            title=share.title,
            download=share.download,
            created_at=share.created_at,
            expires_at=share.expires_at,
            has_password=share.password_hash is not None,
        )


class SharePageView(BaseModel):
    items: list[ShareView] = Field(description="Newest first.")
    next_cursor: NextCursor


class SharedImageView(BaseModel):
    id: str = Field(examples=[EXAMPLE_ID])
    width: int
    height: int
    description: str | None
    placeholder: str | None = Field(description="A ThumbHash in base64, to be shown while the image loads.")
    rendition_url: str = Field(description="A URI template (RFC 6570), as `rendition_url` of an image.")
    download_url: str | None = Field(description="Null unless the receiver may download the images.")


class SharedPageView(BaseModel):
    title: str | None
    download: ShareDownload
    expires_at: datetime | None
    images: list[SharedImageView]
    next_page: int | None = Field(description="The `page` that follows; null on the last page.")

    @classmethod
    def of(cls, share: Share, shown: SharedPage, links: SharedLinks, *, next_page: int | None) -> Self:
        may_download = share.download is not ShareDownload.NONE
        return cls(
            title=share.title,
            download=share.download,
            expires_at=share.expires_at,
            images=[
                SharedImageView(
                    id=image.id,
                    width=image.width,
                    height=image.height,
                    description=image.description,
                    placeholder=image.placeholder,
                    rendition_url=links.template(image),
                    download_url=links.download(image) if may_download else None,
                )
                for image in shown.images
            ],
            next_page=next_page,
        )
