"""The shapes of what comes in and goes out as JSON, as OpenAPI describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self
from urllib.parse import urljoin

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.upload_form import MAX_DESCRIPTION
from app.core.models import Profile, Quota, ThumbnailStatus, Tokens, Usage
from app.usecases.views import SignedImage, SignedThumbnail

_IMAGE_ID = "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"

Description = Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION)]


class RegisterBody(BaseModel):
    email: Annotated[str, StringConstraints(max_length=254)] = Field(examples=["ada@example.com"])
    password: str = Field(examples=["correct horse battery"], description="8 to 128 characters, not a common one.")
    display_name: Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = Field(
        None, examples=["Ada"]
    )


class TokenForm(BaseModel):
    """The OAuth2 password form (RFC 6749 section 4.3.2); clients and scopes are not used."""

    model_config = ConfigDict(extra="ignore")

    username: Annotated[str, StringConstraints(max_length=254)] = Field(
        description="The e-mail address.", examples=["ada@example.com"]
    )
    password: str = Field(examples=["correct horse battery"])


class RefreshBody(BaseModel):
    refresh_token: str


class TokenView(BaseModel):
    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds.", examples=[1800])
    refresh_token: str = Field(description="Good for one exchange, which gives the next.")

    @classmethod
    def of(cls, tokens: Tokens) -> Self:
        return cls(access_token=tokens.access_token, expires_in=tokens.expires_in, refresh_token=tokens.refresh_token)


class UserView(BaseModel):
    id: str
    email: str | None
    display_name: str | None
    created_at: datetime | None = Field(description="Null where Firebase is not asked: without FIREBASE_API_KEY.")


class RegisteredView(TokenView):
    user: UserView

    @classmethod
    def of_new(cls, profile: Profile, tokens: Tokens) -> Self:
        return cls(user=UserView.model_validate(profile, from_attributes=True), **TokenView.of(tokens).model_dump())


class LimitView(BaseModel):
    images: int | None = Field(description="Null is without limit.")
    bytes: int | None = Field(description="Null is without limit.")


class UsageView(BaseModel):
    images: int
    bytes: int = Field(description="Of the originals.")
    limit: LimitView


class MeView(UserView):
    usage: UsageView

    @classmethod
    def of(cls, profile: Profile, usage: Usage, quota: Quota) -> Self:
        limit = LimitView(images=quota.images or None, bytes=quota.bytes or None)
        return cls(
            id=profile.id,
            email=profile.email,
            display_name=profile.display_name,
            created_at=profile.created_at,
            usage=UsageView(images=usage.images, bytes=usage.bytes, limit=limit),
        )


class ThumbnailView(BaseModel):
    size: int = Field(description="The longest side asked for, in pixels.", examples=[200])
    status: ThumbnailStatus
    width: int | None
    height: int | None
    bytes: int | None
    url: str | None
    reason: str | None = Field(description="Why it failed.")
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
            url=urljoin(base_url, signed.url) if signed.url else None,
            reason=thumbnail.reason,
            attempts=thumbnail.attempts,
        )


class ThumbnailsView(BaseModel):
    thumbnails: list[ThumbnailView]


class ImageView(BaseModel):
    id: str = Field(description="UUIDv7: sorts by the time of upload.", examples=[_IMAGE_ID])
    filename: str = Field(examples=["beach.jpg"])
    description: str | None
    content_type: str = Field(description="By content, whatever was claimed.", examples=["image/jpeg"])
    size: int = Field(description="Bytes.", examples=[4945838])
    sha256: str
    width: int = Field(description="As shown: EXIF orientation applied.", examples=[4032])
    height: int = Field(examples=[3024])
    uploaded_at: datetime
    source: None = Field(description="Where a fetched image came from.")
    original_url: str
    thumbnail_url: str | None = Field(description="The smallest thumbnail that is ready.")
    urls_expire_at: datetime
    placeholder: str = Field(description="A thumbhash, base64: shown until the thumbnail is there.")
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
            source=None,
            original_url=urljoin(base_url, signed.original_url),
            thumbnail_url=urljoin(base_url, thumbnail_url) if thumbnail_url else None,
            urls_expire_at=signed.urls_expire_at,
            placeholder=image.placeholder,
            thumbnails=[ThumbnailView.of(thumbnail, base_url=base_url) for thumbnail in signed.thumbnails],
        )


class ImagePageView(BaseModel):
    items: list[ImageView]
    next_cursor: str | None = Field(description="Null on the last page.")


class EditBody(BaseModel):
    """What is left out stays as it is; a null description removes it."""

    filename: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(default_factory=str)
    description: Description | None = None

    def changes(self) -> dict[str, str | None]:
        """What was named; an empty description is none, as in an upload."""
        return {name: value or None for name, value in self.model_dump(exclude_unset=True).items()}


class DirectUploadBody(BaseModel):
    filename: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(examples=["beach.jpg"])
    content_type: str = Field(examples=["image/jpeg"], description="What the form is signed for; the content decides.")
    size: Annotated[int, Field(ge=1, description="Bytes, exactly.", examples=[41943040])]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    description: Description | None = None


class DirectUploadView(BaseModel):
    upload_id: str
    url: str = Field(description="Where to send the form: `fields` first, then the file in a field named `file`.")
    fields: dict[str, str]
    expires_at: datetime


class DeleteBody(BaseModel):
    ids: Annotated[list[str], Field(min_length=1, max_length=100)]


class DeletedView(BaseModel):
    results: dict[str, str] = Field(
        description="For each id `deleted`, or an error's code.",
        examples=[{_IMAGE_ID: "deleted", "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b11": "image_missing"}],
    )


class HealthView(BaseModel):
    status: Literal["ok"] = "ok"
