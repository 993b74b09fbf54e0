"""Schemas of the direct upload routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints

from app.api.custom_metadata import CustomMetadata
from app.api.schemas.bodies import JsonBody
from app.api.schemas.fields import Description, RawFilename
from app.api.schemas.images import ImageView
from app.domain.formats import UNKNOWN_TYPE
from app.services.direct_uploads import UploadState


class DirectUploadBody(JsonBody):
    filename: RawFilename = Field(examples=["beach.jpg"])
    content_type: Annotated[str, StringConstraints(max_length=255)] = Field(
        UNKNOWN_TYPE,
        examples=["image/jpeg"],
        description="The declared type, or empty if it is unknown. The type of the image is detected from its content.",
    )
    size: Annotated[int, Field(ge=1, description="The exact size in bytes.", examples=[41943040])]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$", to_lower=True)] | None = None
    description: Description | None = None
    custom_metadata: CustomMetadata = Field(default_factory=dict)


class DirectUploadView(BaseModel):
    upload_id: str
    url: str = Field(description="Where to post the form: `fields` first, then the file in a field named `file`.")
    fields: dict[str, str]
    put_url: str = Field(
        description="Instead of the form: where to send the file as the body of a PUT. It accepts any Content-Type."
    )
    expires_at: datetime


class UploadRefusalView(BaseModel):
    code: str = Field(examples=["image_corrupt"])
    detail: str


class DirectUploadStateView(BaseModel):
    upload_id: str
    status: Literal["pending", "completed", "refused"] = Field(
        description="`pending`: the file has not arrived, or has not been validated. `refused`: the latest file that "
        "was validated. Another file can be sent until the form expires; the status stays `refused` until that file "
        "is accepted."
    )
    image: ImageView | None = Field(description="The image of a completed upload.")
    error: UploadRefusalView | None = Field(description="Why the file was refused.")
    expires_at: datetime = Field(description="When the form and the URL of the upload expire.")

    @classmethod
    def of(cls, state: UploadState, *, image: ImageView | None) -> Self:
        refusal = state.refusal
        return cls(
            upload_id=state.upload.id,
            status="completed" if image else "refused" if refusal else "pending",
            image=image,
            error=UploadRefusalView(code=refusal.code, detail=refusal.detail) if refusal else None,
            expires_at=state.upload.expires_at,
        )
