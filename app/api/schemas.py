"""The shapes of what comes in and goes out as JSON, as OpenAPI describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self
from urllib.parse import urljoin

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.upload_form import MAX_DESCRIPTION
from app.core.jobs import Job, JobKind, JobStatus
from app.core.models import Profile, Quota, SignedUrl, ThumbnailStatus, Tokens, Usage
from app.usecases.views import SignedImage, SignedThumbnail

_IMAGE_ID = "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"

RawFilename = Annotated[str, StringConstraints(min_length=1, max_length=16_384)]
"""What is longer than what is kept is cut short, not refused."""
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


class SourceView(BaseModel):
    """Where an image came from, to be shown with it: its licence asks for that."""

    ean: str = Field(examples=["3017620422003"])
    url: str = Field(description="The product's page.")
    product_name: str | None
    brand: str | None
    licence: str = Field(examples=["CC BY-SA 3.0"])
    attribution: str


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
    source: SourceView | None = Field(description="Where an image that was fetched by its EAN came from.")
    original_url: str
    thumbnail_url: str | None = Field(description="The smallest thumbnail that is ready.")
    urls_expire_at: datetime
    placeholder: str | None = Field(
        description="A thumbhash, base64: shown until the thumbnail is there. Null while thumbnails are pending."
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

    filename: RawFilename = Field(default_factory=str)
    description: Description | None = None

    def changes(self) -> dict[str, str | None]:
        """What was named; an empty description is none, as in an upload."""
        return {name: value or None for name, value in self.model_dump(exclude_unset=True).items()}


class DirectUploadBody(BaseModel):
    filename: RawFilename = Field(examples=["beach.jpg"])
    content_type: Annotated[str, StringConstraints(to_lower=True)] = Field(
        examples=["image/jpeg"], description="What the form is signed for; the content decides."
    )
    size: Annotated[int, Field(ge=1, description="Bytes, exactly.", examples=[41943040])]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$", to_lower=True)] | None = None
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


class FetchImageBody(BaseModel):
    ean_code: Annotated[str, StringConstraints(max_length=64)] = Field(
        examples=["3017620422003"], description="GTIN-8, -12, -13 or -14, or UPC-E; spaces and hyphens do not matter."
    )
    description: Description | None = None


class JobErrorView(BaseModel):
    code: str = Field(examples=["product_unknown"])
    detail: str


class JobResultView(BaseModel):
    image_id: str | None = Field(description="The image that was fetched or rendered.")
    url: str | None = Field(description="Of an export: where its ZIP file is, without a token.")
    expires_at: datetime | None = Field(description="Until when `url` is good; ask for the job again to get another.")


class JobView(BaseModel):
    job_id: str = Field(examples=[_IMAGE_ID])
    kind: JobKind
    ean_code: str | None = Field(description="Of a fetch, normalised.", examples=["3017620422003"])
    status: JobStatus
    attempts: int = Field(description="How often it was begun.")
    progress: int = Field(description="Percent.", ge=0, le=100)
    message: str = Field(description="How it stands, in words.")
    error: JobErrorView | None = Field(description="Why it failed, or why it is tried again.")
    result: JobResultView | None = Field(description="Once it is completed.")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job, *, export: SignedUrl | None, base_url: str) -> Self:
        return cls(
            job_id=job.id,
            kind=job.kind,
            ean_code=job.ean,
            status=job.status,
            attempts=job.attempts,
            progress=job.progress,
            message=_message(job),
            error=JobErrorView(code=job.error.code, detail=job.error.detail) if job.error else None,
            result=_result(job, export, base_url),
            created_at=job.created_at,
            updated_at=job.updated_at,
            finished_at=job.updated_at if job.is_finished else None,
        )


_WORK = {
    JobKind.FETCH: "Fetching the product's image",
    JobKind.RENDER: "Making thumbnails",
    JobKind.EXPORT: "Packing your images",
    JobKind.LEAVE: "Removing your account and everything in it",
}


def _message(job: Job) -> str:
    match job.status:
        case JobStatus.QUEUED:
            return f"{_WORK[job.kind]}: waiting for its turn."
        case JobStatus.RUNNING:
            return f"{_WORK[job.kind]}: under way."
        case JobStatus.RETRYING:
            return f"{_WORK[job.kind]}: it did not work, and is tried again."
        case JobStatus.COMPLETED:
            return f"{_WORK[job.kind]}: done."
        case JobStatus.FAILED:
            return job.error.detail if job.error else "It failed."


def _result(job: Job, export: SignedUrl | None, base_url: str) -> JobResultView | None:
    if job.status is not JobStatus.COMPLETED:
        return None
    return JobResultView(
        image_id=job.image_id,
        url=urljoin(base_url, export.url) if export else None,
        expires_at=export.expires_at if export else None,
    )


class JobPageView(BaseModel):
    items: list[JobView]
    next_cursor: str | None = Field(description="Null on the last page.")


class HealthView(BaseModel):
    status: Literal["ok"] = "ok"
