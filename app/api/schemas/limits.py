"""The schema of the limits."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.api.schemas.accounts import LimitView
from app.api.upload_form import MAX_DESCRIPTION
from app.domain import filenames
from app.domain.uploads import MAX_OPEN_UPLOADS

DIRECT_UPLOAD_FROM = 8 * 1024 * 1024
RESUMABLE_UPLOAD_FROM = 8 * 1024 * 1024


class LimitsView(BaseModel):
    max_file_size: int = Field(description="The largest file of `POST /images/upload`, in bytes.", examples=[10485760])
    max_direct_file_size: int = Field(
        description="The largest file of a direct or resumable upload, in bytes.", examples=[52428800]
    )
    direct_upload_from: int = Field(
        description="Send files of more bytes than this directly to the store, on a reliable connection.",
        examples=[DIRECT_UPLOAD_FROM],
    )
    resumable_upload_from: int = Field(
        description="Send files of more bytes than this as resumable uploads, on a connection that may break.",
        examples=[RESUMABLE_UPLOAD_FROM],
    )
    max_request_size: int | None = Field(
        description="The largest body of a request, in bytes, or null. It also limits a part of a resumable upload."
    )
    max_open_uploads: int = Field(
        default=MAX_OPEN_UPLOADS, description="How many direct and resumable uploads of one user may be open."
    )
    content_types: list[str] = Field(description="The supported formats.", examples=[["image/jpeg", "image/png"]])
    extensions: list[str] = Field(
        description="The usual filename extensions of these formats. The content decides, not the name.",
        examples=[["jpg", "jpeg", "png"]],
    )
    max_pixels: int = Field(description="The most pixels in one frame.", examples=[67108864])
    max_frames: int = Field(description="The most frames of an animation.", examples=[500])
    max_filename_length: int = Field(default=filenames.MAX_LENGTH, description="Longer filenames are truncated.")
    max_description_length: int = Field(default=MAX_DESCRIPTION, description="Longer descriptions are refused.")
    thumbnail_sizes: list[int] = Field(description="The longest sides in pixels.", examples=[[200, 500, 800]])
    rendition_sizes: list[int] = Field(
        description="The widths of renditions in pixels. The largest one also limits the height.",
        examples=[[320, 640, 1280, 2560]],
    )
    quota: LimitView = Field(description="What one user may store.")
    has_local_accounts: bool = Field(
        description="Whether this service stores the accounts: users can change passwords and end sessions."
    )
    can_reset_password: bool = Field(description="Whether the service sends links to reset passwords by email.")
